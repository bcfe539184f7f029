"""The commands that a comparison shows do what they say: the same run again, and the answer to new inputs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from foreword.config.run import Run, load
from foreword.config.tuning import Tuning
from foreword.study.command import command, next_command
from report_records import record

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
    Run(model="x", task="mini-dart", stop=["a", "b"]),
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
    assert next_command(run, with_prompts, "pt") == (
        f"foreword generate --model gpt2 --prompt 'runs/a b/prompts/pt-seed{best}' --data inputs.jsonl"
    )
    icl = next_command(run, [record("icl", 0, 5)], "icl")
    assert icl == "foreword generate --model gpt2 --method icl --demonstrations train.jsonl --data inputs.jsonl"
    assert next_command(run, with_prompts, "") == ""
