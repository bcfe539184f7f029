"""The commands that a comparison shows do what they say: the same run again, and the answer to new inputs."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import entry
from foreword.cli.options import settings
from foreword.config.run import Run, load
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.study.command import WORDING, command, next_command
from foreword.study.plan import plan
from report_records import record

PLAIN = Task("t", (), (), (Example("e", {"input": "x"}, ("y",)),))
RUNS = [
    Run(model="gpt2", data="my file.csv", seeds=[0, 3], methods=["icl:bm25:3", "pt"]),
    Run(
        model="a/b",
        task="mini-dart",
        question="Q: {input}\nA:",
        stop="",
        choices=["No, it is not", "yes"],
        id_column="",
    ),
    Run(model="x", data="d'\"$(x).csv", separator="\t| ", margin=0.5, limit=7, trust_remote_code=True),
    Run(
        model="x",
        data="d.csv",
        choices=["1", "2"],
        tuning=Tuning(max_steps=7, learning_rate=0.05, init="text", init_text="a 'b' c"),
    ),
    Run(model="x", task="mini-dart", max_new_tokens=64),  # the default, which is raised where nobody says it
    Run(model="x", task="mini-dart", stop="none", instruction="None"),
    Run(model="x", task="mini-dart", stop="[1]", answer="[{target}]"),
    Run(model="x", task="mini-dart", stop=["a", "b\x7f"], out="a\x7f"),
]


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_the_command_is_the_run(run: Run) -> None:
    verb, *words = shlex.split(command(run))[0:1] + shlex.split(command(run))[2:]
    assert verb == "foreword" and command(run).startswith("foreword compare ")
    again = load(None, words)
    assert again == run
    assert ("max_new_tokens" in again.model_fields_set) == ("max_new_tokens" in run.model_fields_set)


def test_the_next_command_takes_the_prompt_that_was_best_on_dev(tmp_path: Path) -> None:
    run = Run(model="gpt2", data="d.csv", out="runs/a b")
    seeds = [record("pt", seed, 5) for seed in (0, 1)]
    dev = [min(step["dev"] for step in seed_record.curve) for seed_record in seeds]
    with_prompts = [
        type(seed_record)(**vars(seed_record) | {"prompt": f"prompts/pt-seed{seed_record.seed}"})
        for seed_record in seeds
    ]
    best = dev.index(min(dev))
    assert next_command(run, PLAIN, with_prompts, "pt") == (
        f"foreword generate --model gpt2 --prompt 'runs/a b/prompts/pt-seed{best}' --data inputs.jsonl"
    )
    icl = next_command(run, PLAIN, [record("icl", 0, 5)], "icl")
    assert icl == "foreword generate --model gpt2 --method icl --demonstrations train.jsonl --data inputs.jsonl"
    assert next_command(run, PLAIN, with_prompts, "") == ""
    assert next_command(run, PLAIN, [replace(record("pt", 0, 5), label="full-ft")], "full-ft") == "", (
        "nothing of it is kept"
    )


def test_the_next_command_answers_as_the_method_was_compared() -> None:
    run = Run(
        model="m", data="d.csv", shots=3, seeds=[5], choice_score="mean", question="Q {input}\nA:", empty_answers=False
    )
    labels = replace(PLAIN, test=(Example("e", {"input": "x"}, ("a b",), ("a b", "c")),))
    few = next_command(run, labels, [replace(record("icl", 5, 5), label="few", deterministic=False)], "few")
    assert (
        "--method few --seed 5 --demonstrations" in few
        and "--choice-score mean --shots 3 --question 'Q {input}\\nA:'" in few
    )
    assert few.endswith("""--choices '["a b", "c"]'""") and "allow-empty" not in few
    with_prompt = next_command(run, labels, [replace(record("pt", 5, 5), prompt="prompts/pt")], "pt")
    assert with_prompt.endswith("--data inputs.jsonl --choice-score mean"), "its folder keeps the rest"
    worded = replace(PLAIN, template=Template("Say it.", "{input} =>", " {target}", stop=("a", "b\n")))
    zero = next_command(Run(model="m", task="mini-dart"), worded, [record("zero", 0, 5)], "zero")
    options = dict(zip((words := shlex.split(zero))[2::2], words[3::2], strict=True))
    read = settings(
        {flag.removeprefix("--"): text for flag, text in options.items() if flag.removeprefix("--") in WORDING}
    )
    assert Template(**read | {"stop": tuple(read["stop"])}) == worded.template


def test_the_next_command_brings_the_system_message_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was lost where --data brought it, so that plain inputs were answered without it, otherwise than in the comparison."""
    rows = [
        {"prompt": [{"role": "system", "content": "Be short:\n'x'."}, {"role": "user", "content": row["input"]}]}
        | {"completion": row["target"]}
        for row in entry.rows(30)
    ]
    data, out = entry.save_rows(tmp_path / "talks.jsonl", rows), str(tmp_path / "run")
    run = Run(model=str(entry.save_model(tmp_path / "tiny")), data=str(data), out=out, methods=["zero", "pt"])
    planned = plan(run)
    zero = next(trial for trial in planned.trials if trial.spec.label == "zero").run()
    typed = next_command(planned.run, planned.task, [zero], "zero")
    monkeypatch.chdir(tmp_path)
    entry.save_rows(tmp_path / "inputs.jsonl", [dict(example.fields) for example in planned.task.test])
    verb, *words = shlex.split(typed)
    result = entry.foreword(*words, "--json")
    assert (verb, result.code) == ("foreword", 0), result.err
    recorded = [answer.output for answer in zero.answers]
    assert [line["output"] for line in result.lines] == recorded
    place = words.index("--instruction")
    without = entry.foreword(*words[:place], *words[place + 2 :], "--json")
    assert [line["output"] for line in without.lines] != recorded, "the instruction changes answers here"
    prompted = replace(record("pt", 0, 5), prompt="prompts/pt")
    assert "--instruction" not in next_command(planned.run, planned.task, [prompted], "pt"), "its folder keeps it"
    own = next_command(planned.run.model_copy(update={"instruction": "Mine."}), planned.task, [zero], "zero")
    assert "--instruction Mine." in own, "what the user says stands above it"
