"""The verbs that only look (show, tasks), and where output goes: tables that fit, closed and full streams, plain terminals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import entry
from entry import fits, foreword
from foreword.config.run import load
from foreword.study.resolve import task_of

# -- looking --------------------------------------------------------------------------------------------------------------


def test_show_says_what_is_sent(model: Path, data: Path) -> None:
    argv = ("show", "-m", model, "-d", data, "--method", "ipt:bm25:2", "--prompt-length", 3, "--max-new-tokens", 7)
    document = foreword(*argv, "--json").json
    kinds = [piece["kind"] for piece in document["pieces"]]
    assert kinds == ["soft prompt", "demonstration", "demonstration", "question"]
    assert document["tokens"] == sum(piece["tokens"] for piece in document["pieces"]) == 3 + len(document["ids"])
    result = foreword(*argv)
    assert "▢▢▢" in result.out and f"{document['tokens']:>6} tokens in all, of a window of 160; 7 kept" in result.out
    assert fits(result.out)
    entry.refused(*argv, "--example", "nobody", says=("test example 'nobody'", "Known: row-"))


def test_show_sends_what_a_comparison_with_a_dev_file_or_a_limit_of_training_sends(model: Path, tmp_path: Path) -> None:
    """It had neither --dev nor --train-limit, so that the pool was another; nor did it say what a comparison remarks of the data."""
    rows = entry.rows(40)
    data, dev = entry.save_rows(tmp_path / "in.jsonl", rows), entry.save_rows(tmp_path / "dev.jsonl", rows[:3])
    argv = ("show", "-m", model, "-d", data, "--dev", dev, "--train-limit", 1, "--method", "icl", "--max-new-tokens", 7)
    document = foreword(*argv, "--json").json
    run = load(None, flags={"model": str(model), "data": str(data), "dev": str(dev), "train_limit": 1})
    (only,) = task_of(run).train
    assert [piece["source"] for piece in document["pieces"] if piece["kind"] == "demonstration"] == [only.id]
    assert document["notes"] == list(task_of(run).remarks) != []
    assert f"Note: {document['notes'][0]}" in foreword(*argv).out


def test_show_tells_what_the_engine_does_for_a_model(model: Path, data: Path, tmp_path: Path) -> None:
    engine = foreword("show", "--engine", "-m", model, "--json").json
    assert (engine["model_type"], engine["kind"], engine["notes"]) == ("llama", "causal", [])
    assert all(row["taken"] and not row["why_not"] for row in engine["short_cuts"])
    shown = foreword("show", "--engine", "-m", model)
    assert " yes  shared_prefix        answers grow beside a prefix that is held once" in shown.out and fits(shown.out)
    entry.refused("show", "--engine", says=("--engine is about a model, and none is named; add --model",))
    entry.save_model(tmp_path, "gpt_neo")
    engine = foreword("show", "--engine", "-m", tmp_path, "--json").json
    off = {row["name"]: row["why_not"] for row in engine["short_cuts"] if not row["taken"]}
    assert off == {
        "packed_sequence": "ValueError: GPTNeoForCausalLM does not let its attention be chosen",
        "shared_prefix": "needs packed_sequence",
    }
    scored = foreword(
        "evaluate", "-m", tmp_path, "--test", data, "--out", tmp_path / "out", "--max-new-tokens", 2, "--too-long", "drop",
        "--json",
    ).json  # fmt: skip
    assert any(
        "these short cuts are not exact for this model: packed_sequence (ValueError" in note for note in scored["notes"]
    )


def test_show_words_a_task_without_a_model(data: Path) -> None:
    result = foreword("show", "-d", data)
    assert (result.code, result.err) == (0, "") and "question: 'Input: {input}\\nOutput:'" in result.out
    document = foreword("show", "-d", data, "--json").json
    assert document["splits"] == {"train": 17, "dev": 3, "test": 10} and len(document["examples"]) == 3
    assert "own: train 17, dev 3, test 10" in result.out


def test_tasks_lists_the_shelf(tmp_path: Path) -> None:
    result = foreword("tasks", "--data-dir", tmp_path)
    assert (result.code, result.err) == (0, "")
    tasks = foreword("tasks", "--json").json
    assert {"name", "summary", "where"} <= set(tasks[0])
    names = [task["name"] for task in tasks]
    assert names == sorted(names) and all(name in result.out for name in names)


def test_real_tasks_word_themselves(shared: Path) -> None:
    result = foreword("show", "sst2", "--data-dir", shared / "data", "--json")
    assert result.json["splits"]["test"] == 1821


# -- streams --------------------------------------------------------------------------------------------------------------


def shell(*argv: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foreword", *map(str, argv)], text=True, stderr=subprocess.PIPE, timeout=60, **more
    )


def test_a_reader_that_leaves_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        completed = shell("tasks", "--json", stdout=gone)
    assert (completed.returncode, completed.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_stdout_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        completed = shell("tasks", "--json", stdout=full)
    entry.one_sentence(completed.returncode, completed.stderr, ("No space left", "free space"))


def test_json_survives_a_terminal_without_unicode(data: Path, tmp_path: Path) -> None:
    odd = entry.save_rows(tmp_path / "odd.jsonl", [*entry.rows(12), {"input": "naïve 詩", "target": "ba"}])
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    completed = shell("show", "-d", odd, "--json", stdout=subprocess.PIPE, env=plain)
    assert completed.returncode == 0 and completed.stdout.isascii() and json.loads(completed.stdout)["task"] == "odd"
    completed = shell("show", "-d", odd, stdout=subprocess.PIPE, env=plain)
    assert (completed.returncode, completed.stderr) == (0, "")
