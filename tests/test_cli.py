"""The command line as a user meets it: fast help, clean stdout, tables that fit, and every verb on a user's own file."""

from __future__ import annotations

import json
import os
import pty
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import entry
from entry import fits, foreword

VERBS = ("compare", "tune", "generate", "evaluate", "show", "tasks", "demo", "adapt")
SMALL = ("--max-new-tokens", 4, "--prompt-length", 3, "--max-steps", 4, "tuning.eval_every=2", "tuning.warmup_steps=1")
HEAVY = "torch transformers numpy scipy pydantic sacrebleu pandas altair datasets bm25s pyarrow safetensors"


@pytest.fixture(scope="module")
def prompt(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prompts") / "mine"
    result = foreword("tune", "-m", model, "-d", data, "--out", out, *SMALL)
    assert (result.code, result.err) == (0, ""), result.err
    return out


# -- help ---------------------------------------------------------------------------------------------------------------


def test_help_loads_nothing_heavy_and_is_fast() -> None:
    code = f"import sys, foreword.__main__ as m; m._run(); print(sorted(set({HEAVY.split()}) & set(sys.modules)), file=sys.stderr)"
    best = 9.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        completed = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert completed.stderr.strip() == "[]"
    assert all(f" {verb} " in completed.stdout for verb in VERBS)
    assert best < 1.5, "seconds of the processor: half a second on a quiet machine"


def test_nothing_said_is_help_asked() -> None:
    result = foreword()
    assert (result.code, result.err) == (0, "") and "Usage: foreword" in result.out
    assert foreword("--version").out.startswith("foreword 0.")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_keeps_its_examples_whole(verb: str) -> None:
    result = foreword(verb, "--help")
    assert result.code == 0 and fits(result.out)
    lines = [line.strip() for line in result.out.splitlines()]
    examples = [line for line in lines if line.startswith(f"foreword {verb} ")]
    assert examples, "each verb shows how it is used"
    docs = sys.modules[f"foreword.cli.{verb}"].__dict__[verb].__doc__
    for example in examples:
        assert any(example == line.strip() for line in docs.splitlines()), f"broken by the terminal's width: {example}"


def test_help_shows_brackets_as_they_are() -> None:
    assert "under [tuning])" in " ".join(foreword("compare", "--help").out.replace("│", " ").split())


def test_usage_errors_are_sentences() -> None:
    entry.refused("compaer", says=("compaer", "compare", "--help"))
    entry.refused("compare", "--modle", "x", says=("--modle", "--model", "foreword compare --help"))
    entry.refused("compare", "--limit", "many", says=("--limit", "integer"))
    entry.refused("compare", "--seeds", "0,one", says=("--seeds", "one"))
    entry.refused("compare", "-m", "x", "--seeds", "0,1", "--seed", 5, says=("--seeds and --seed", "keep the one"))
    entry.refused("compare", "--limit", says=("--limit", "argument"))


# -- compare --------------------------------------------------------------------------------------------------------------


def test_compare_prints_one_document_and_nothing_else(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    argv = ("compare", "-m", model, "-d", data, "--methods", "zero,icl,pt,ipt", "--seeds", "0,1", "--out", out, *SMALL)
    result = foreword(*argv, "--json")
    assert result.code == 0 and result.out.count("\n") == 1
    document = result.json
    assert [row["method"] for row in document["rows"]] == ["zero", "icl", "pt", "ipt"]
    keys = "method metric mean std ci95 seeds trainable_parameters train_seconds prefix_tokens seconds_per_answer"
    assert all(set(keys.split()) <= set(row) for row in document["rows"])
    works = max(row["mean"] for row in document["rows"]) > 0
    assert (document["recommended"] in ("zero", "icl", "pt", "ipt")) == works, (
        "where nothing scores, nothing is recommended"
    )
    assert Path(document["report"]).is_file() and json.loads((out / "compare.json").read_text()) == document
    begun = result.err.splitlines()
    assert all("(the last took " in line and " left)" in line for line in begun[1:])
    assert [line.partition(" (")[0] for line in begun] == [
        f"[{n}/6] {name}"
        for n, name in enumerate(("zero", "icl", "pt seed 0", "pt seed 1", "ipt seed 0", "ipt seed 1"), 1)
    ]
    again = foreword(*argv)
    assert (again.code, again.err) == (0, "")
    assert "trials run 0, found finished 6" in again.out
    assert all(f" {method} " in again.out for method in ("zero", "icl", "pt", "ipt"))
    table = again.out[: again.out.index("trials run")]
    assert fits(table)


def test_a_dry_run_fits_the_screen_and_writes_nothing(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    methods = "zero,few:4,icl:random,icl:bm25:3,ipt-fixed:16,ipt:random:2"
    argv = (
        "compare",
        "-m",
        model,
        "-d",
        data,
        "--methods",
        methods,
        "--out",
        out,
        "--max-new-tokens",
        9,
        "--max-steps",
        50_000,
    )
    result = foreword(*argv, "--dry-run")
    assert (result.code, result.err) == (0, "") and not out.exists()
    table, rest = result.out.split("trials to run", 1)
    assert fits(table[: table.rindex("\n")])
    assert sum(line.split()[:1] == ["ipt-fixed:16"] for line in table.splitlines()) == 3
    assert "training tokens" in rest
    trials = foreword(*argv, "--dry-run", "--json").json["trials"]
    assert len(trials) == 14 and {trial["finished"] for trial in trials} == {False}
    assert [trial["seed"] for trial in trials if trial["method"] == "ipt:random:2"] == [0, 1, 2]
    assert not out.exists()


def test_config_overrides_and_flags(model: Path, data: Path, tmp_path: Path) -> None:
    config = tmp_path / "study.toml"
    config.write_text(
        f'model = "{model}"\ndata = "{data}"\nmethods = ["pt", "zero"]\nseeds = [3]\nmax_new_tokens = 4\n'
        f'out = "{tmp_path / "run"}"\n[tuning]\nprompt_length = 2\nmax_steps = 2\n',
        encoding="utf-8",
    )
    result = foreword(
        "compare", "--config", config, "tuning.prompt_length=5", "tuning.optimizer=adafactor", "--dry-run", "--json"
    )
    (pt, zero) = result.json["trials"]
    assert (pt["method"], pt["seed"], pt["trainable_parameters"], pt["max_steps"]) == ("pt", 3, 5 * 32, 2)
    assert (zero["trainable_parameters"], zero["training_tokens"]) == (0, 0)
    flagged = foreword(
        "compare", "--config", config, "--prompt-length", 7, "tuning.prompt_length=5", "--dry-run", "--json"
    )
    assert flagged.json["trials"][0]["trainable_parameters"] == 7 * 32, "a flag wins over an override"
    mlp = foreword(
        "compare", "--config", config, "tuning.reparameterisation=mlp", "tuning.mlp_width=8", "--dry-run", "--json"
    )
    assert mlp.json["trials"][0]["trainable_parameters"] == 2 * 32 + 2 * 8 * 32


def test_bars_stay_on_the_terminal_and_results_on_stdout(model: Path, data: Path, tmp_path: Path) -> None:
    """With stderr a terminal the bars go there; stdout still holds the document and nothing else."""
    argv = ["compare", "-m", model, "-d", data, "--methods", "pt", "--seed", 0, "--out", tmp_path, "--json", *SMALL]
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "foreword", *map(str, argv)],
        stdout=subprocess.PIPE, stderr=slave, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(slave)
    chunks: list[bytes] = []

    def listen() -> None:
        try:
            while part := os.read(master, 65536):
                chunks.append(part)
        except OSError:
            pass

    ear = threading.Thread(target=listen)
    ear.start()
    assert child.stdout is not None
    out = child.stdout.read().decode()
    assert child.wait(60) == 0
    ear.join(10)
    os.close(master)
    assert json.loads(out)["rows"][0]["method"] == "pt"
    assert "pt seed 0: tuning" in b"".join(chunks).decode()


# -- one prompt -----------------------------------------------------------------------------------------------------------


def test_tune_says_what_it_made(model: Path, data: Path, tmp_path: Path) -> None:
    argv = ("tune", "-m", model, "-d", data, "--out", tmp_path / "p", "--method", "ipt:random:2", *SMALL)
    result = foreword(*argv, "--json")
    assert (result.code, result.err, result.out.count("\n")) == (0, "", 1)
    document = result.json
    assert (document["prompt"], document["method"], document["prompt_length"], document["steps"]) == (
        str(tmp_path / "p"),
        "ipt:random:2",
        3,
        4,
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p"], "nothing is left beside the prompt"
    birth = json.loads((tmp_path / "p" / "foreword.json").read_text(encoding="utf-8"))["birth"]
    assert birth["scores"] == {"dev_loss": document["dev"]}, "a store of prompts shows how good it is"
    again = foreword(*argv, "--json")
    assert again.json["digest"] == document["digest"]
    entry.refused(*argv, "--seed", 9, says=("another making", "seed 0", "what differs: the seed", "--out"))
    entry.refused(*argv, "--dtype", "bfloat16", says=("another making", "dtype"))
    entry.refused(*argv, "--max-new-tokens", 5, says=("another making", "--max-new-tokens"))


def test_tune_lets_a_dev_file_choose(model: Path, data: Path, tmp_path: Path) -> None:
    dev = entry.save_rows(tmp_path / "dev.jsonl", entry.rows(40)[30:])
    result = foreword("tune", "-m", model, "-d", data, "--dev", dev, "--out", tmp_path / "p", *SMALL, "--json")
    assert result.json["notes"] == [], "the dev file is used as it is, nothing is cut from train"


@pytest.mark.parametrize(
    "more",
    [
        ("--init", "random"),
        ("--init", "text", "--init-text", "ba lo"),
        ("tuning.reparameterisation=mlp", "tuning.optimizer=adafactor"),
        ("tuning.select_by=metric", "--retriever", "dense", "--method", "ipt", "--encoder", "backbone:last"),
    ],
)
def test_tune_takes_its_settings(model: Path, data: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    result = foreword("tune", "-m", model, "-d", data, "--out", tmp_path / "p", *SMALL, *more)
    assert (result.code, result.err) == (0, "") and result.out.startswith("Tuned 3 vectors")


def test_what_cannot_begin_is_refused_before_another_trial_runs(model: Path, tmp_path: Path) -> None:
    lines = [{"input": row["input"], "target": row["target"].split()[0]} for row in entry.rows(40)]
    data, out = entry.save_rows(tmp_path / "labels.jsonl", lines), tmp_path / "out"
    labels = ("--init", "labels", "--prompt-length", 2, "--choices", ",".join(sorted({row["target"] for row in lines})))
    argv = (
        "compare",
        "-m",
        model,
        "-d",
        data,
        "--methods",
        "zero,pt",
        "--max-steps",
        2,
        "--max-new-tokens",
        4,
        *labels,
    )
    entry.refused(*argv, "--out", out, says=("labels for 2 positions", "raise --prompt-length"))
    entry.refused(*argv, "--out", out, "--folds", 2, says=("labels for 2 positions", "raise --prompt-length"))
    assert not (out / "records").exists()


def test_labels_and_carried(model: Path, prompt: Path, tmp_path: Path) -> None:
    data = entry.save_rows(tmp_path / "labels.jsonl", entry.rows(30, choices=("ba", "lo")))
    result = foreword(
        "tune", "-m", model, "-d", data, "--choices", "ba,lo", "--init", "labels", "--out", tmp_path / "p", *SMALL
    )
    assert result.code == 0, result.err
    result = foreword(
        "tune",
        "-m",
        model,
        "-d",
        data,
        "--init",
        "carried",
        "--init-prompt",
        prompt,
        "--out",
        tmp_path / "q",
        *SMALL,
        "--json",
    )
    assert result.json["prompt_length"] == 3
    carried = (
        "tune",
        "-m",
        model,
        "-d",
        data,
        "--init",
        "carried",
        "--init-prompt",
        prompt,
        "--out",
        tmp_path / "r",
        "--max-steps",
        2,
    )
    entry.refused(*carried, "--prompt-length", 5, says=("3 positions", "5 are asked", "--prompt-length 3"))
    assert foreword(*carried, "--json").json["prompt_length"] == 3


def test_generate_answers_inputs_alone(model: Path, prompt: Path, data: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.csv"
    inputs.write_text("id,input\na,bana 1 ba\nb,lori 2 naïve\nc,tem 3 ri\n", encoding="utf-8")
    argv = ("generate", "-m", model, "--prompt", prompt, "-d", inputs, "--max-new-tokens", 5)
    result = foreword(*argv, "--json")
    ended = "Note: 3 of 3 answers were ended by --max-new-tokens 5, not by the model.\n"
    assert (result.code, result.err) == (0, ended)
    assert [sorted(line) for line in result.lines] == [["id", "output"]] * 3
    assert [line["id"] for line in result.lines] == ["row-1", "row-2", "row-3"], (
        "a column is an id only where it is named"
    )
    named = foreword(*argv, "--id-column", "id", "--json")
    assert [line["id"] for line in named.lines] == ["a", "b", "c"]
    answers_path = tmp_path / "answers.jsonl"
    saved = foreword(*argv, "--out", answers_path, "--batch-size", 1)
    assert saved.out == f"3 answers in {answers_path}\n"
    assert [json.loads(line) for line in answers_path.read_text(encoding="utf-8").splitlines()] == result.lines
    table = foreword(*argv)
    assert fits(table.out) and "naïve" in table.out
    shown = foreword(
        "generate",
        "-m",
        model,
        "--method",
        "icl:bm25:2",
        "--demonstrations",
        data,
        "-d",
        inputs,
        "--json",
        "--max-new-tokens",
        5,
    )
    assert len(shown.lines) == 3


def test_evaluate_scores_what_it_is_given(model: Path, prompt: Path, data: Path, tmp_path: Path) -> None:
    argv = ("evaluate", "-m", model, "--prompt", prompt, "--out", tmp_path, "--max-new-tokens", 4)
    whole = foreword(*argv, "--test", data, "--json")
    assert (whole.code, whole.err, whole.json["examples"]) == (0, "", 30)
    split = foreword(*argv, "-d", data, "--json")
    assert split.json["examples"] == 10, "a whole data set is split, and only what was not trained on is scored"
    assert split.json["method"] == "pt" and Path(split.json["record"]).is_file()
    first, *others = split.json["metrics"].values()
    assert first["ci95"][0] <= first["score"] <= first["ci95"][1] and all(metric["ci95"] is None for metric in others)
    assert foreword(*argv, "-d", data, "--json").json == split.json, "taken from its record"
    result = foreword(*argv, "-d", data)
    assert "95% interval" in result.out and fits(result.out[: result.out.index("Note:")])
    zero = foreword("evaluate", "-m", model, "--test", data, "--out", tmp_path, "--max-new-tokens", 4, "--json")
    assert zero.json["method"] == "zero"
