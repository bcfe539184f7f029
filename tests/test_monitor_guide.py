"""The guide to monitoring is run: its commands in order in one folder, over a server that gets requests; its numbers are those measured."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import httpx2 as httpx
import pytest
import typer

import entry
from foreword.cli.app import app
from foreword.tasks import load_task
from test_readme import commands
from test_serve_guide import every, served

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "monitor.md"
MEASURED = ROOT / "bench" / "results" / "drift.json"
MAY_STAY = ("monitor", "eval-gate")  # exit code 3 says something of the numbers, not of the command


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = load_task("mini-mtop")
    rows = [{"input": example.fields["input"], "target": example.targets[0]} for example in task.test[:4]]
    entry.save_rows(tmp_path / "test.jsonl", rows)
    child, ran = None, []
    try:
        for words in commands(GUIDE.read_text(encoding="utf-8")):
            arguments = ["reference-small" if word == "reference" else word for word in words[1:]]
            if arguments[0] == "serve":
                child, url = served(arguments, tmp_path)
                ids = []
                for row in rows:
                    body = {"model": "mtop", "prompt": row["input"], "max_tokens": 2}
                    answer = httpx.post(f"{url}/v1/completions", json=body, timeout=120).json()
                    ids.append({"id": answer["id"], "target": row["target"], "answer": answer["choices"][0]["text"]})
                entry.save_rows(tmp_path / "truth.jsonl", ids)
                os.kill(child.pid, signal.SIGTERM)
                assert child.wait() == 0
                continue
            more = ["--max-steps", "2", "--limit", "30", "--prompt-length", "4"] if arguments[0] == "tune" else []
            more += ["--max-new-tokens", "4"] if arguments[0] == "eval-gate" else []
            result = entry.foreword(*arguments, *more)
            assert result.code == 0 or (result.code == 3 and arguments[0] in MAY_STAY), (
                f"{' '.join(words)}\n{result.err}"
            )
            ran.append(arguments[0])
        assert child is not None and ran.count("monitor") == 3 and "eval-gate" in ran
        assert (tmp_path / "drift.html").is_file()
    finally:
        if child is not None and child.alive():
            child.kill()


def test_what_the_guide_names_is_there() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    known = every(typer.main.get_command(app))
    assert spoken and spoken <= known, spoken - known
    for target in re.findall(r"\]\((?!#|http)([^)#]+)", text):
        assert (GUIDE.parent / target).exists(), target


def test_its_numbers_are_those_measured() -> None:
    if not MEASURED.is_file():
        pytest.skip("bench/results/drift.json is not there; python bench/drift.py measures it")
    text = GUIDE.read_text(encoding="utf-8")
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    calm = [row for row in rows if row["simulation"] == "no shift"]
    shifted = [row for row in rows if row["simulation"] == "shift"]
    assert all(row["runs"] == 1000 and row["windows"] == 20 and row["alarms"] <= 5.0 for row in calm) and calm
    assert all(row["share"] == 0.5 and row["told"] >= 99.0 for row in shifted) and shifted
    for row in calm:
        assert f"| {row['task']} | none | {row['runs']:,} | {row['alarms']:.1f} % | | |" in text
    for row in shifted:
        waits = f"{row['median']:.0f} | {row['most']:.0f}"
        assert f"| {row['task']} | half {row['other']} | {row['runs']:,} | {row['alarms']:.1f} % | {waits} |" in text
