"""kill -9 and Ctrl-C at any moment lose only the trial under way: the same command goes on to the same numbers, and leaves no litter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

import entry
from entry import Process
from foreword.results.record import Record

TRIALS = 4  # pt and ipt, two seeds each
SETTINGS = (
    "--methods",
    "pt,ipt",
    "--seeds",
    "0,1",
    "--max-new-tokens",
    "6",
    "--prompt-length",
    "4",
    "--max-steps",
    "60",
)
MORE = ("tuning.eval_every=5", "tuning.warmup_steps=2", "tuning.patience=0", "--train-batch-size", "4")


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A small comparison of about a second a trial, --out to be added."""
    folder = tmp_path_factory.mktemp("crash")
    model = entry.save_model(folder / "model")
    data = entry.save_rows(folder / "own.jsonl", entry.rows(40))
    return ["compare", "-m", str(model), "-d", str(data), *SETTINGS, *MORE, "--out"]


def start(command: list[str], out: Path) -> Process:
    out.parent.mkdir(exist_ok=True)
    return Process([*command, out], out.parent / f"{out.name}-{time.monotonic_ns()}")


def finish(command: list[str], out: Path) -> str:
    child = start(command, out)
    assert child.wait() == 0, child.err.read_text(encoding="utf-8")
    return child.out.read_text(encoding="utf-8")


def until(child: Process, trial: int) -> None:
    """Wait until the process says that it begins this trial (from 1), or is done."""
    while child.alive() and f"[{trial}/" not in child.err.read_text(encoding="utf-8"):
        time.sleep(0.01)


def numbers(out: Path) -> dict[str, Any]:
    """All of an answer that no stop-watch touches."""
    rows = json.loads((out / "compare.json").read_text(encoding="utf-8"))["rows"]
    columns = ("mean", "std", "ci95", "seeds", "scores_by_seed", "trainable_parameters", "prefix_tokens")
    results = {row["method"]: [row[name] for name in columns] for row in rows}
    for path in sorted((out / "records").glob("*.json")):
        record = Record.read(path)
        results[path.name] = [record.fingerprints, record.curve, [answer.output for answer in record.answers]]
    return results


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "records").glob("*.json")}


def litter(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob(".*"))


@pytest.fixture(scope="module")
def whole(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert f"trials run {TRIALS}, found finished 0" in finish(command, out)
    return out


def test_a_second_run_computes_nothing(command: list[str], whole: Path) -> None:
    before, answer = times(whole), numbers(whole)
    assert len(before) == TRIALS and litter(whole) == [] and not (whole / "work").exists()
    assert f"trials run 0, found finished {TRIALS}" in finish(command, whole)
    assert times(whole) == before and numbers(whole) == answer


def killed_often(command: list[str], whole: Path, out: Path, moments: list[tuple[int, float]]) -> None:
    """Kill a run at each moment (trial, seconds into it), then let it finish."""
    for trial, seconds in moments:
        before = times(out) if out.exists() else {}
        child = start(command, out)
        until(child, trial)
        time.sleep(seconds)
        child.kill()
        assert child.wait() in (0, -signal.SIGKILL)
        after = times(out)
        assert {name: after[name] for name in before} == before, "a finished trial was computed again"
        for path in (out / "records").glob("*.json"):
            assert Record.read(path).answers, "a record is whole or not there"
    before = times(out)
    for place in (out, out / "records", out / "prompts"):  # what a kill in the middle of a write leaves, in every place
        place.mkdir(exist_ok=True)
        (place / ".compare.json.killed.part").write_text("{", encoding="utf-8")
        os.utime(place / ".compare.json.killed.part", (1, 1))
    output = finish(command, out)
    assert f"trials run {TRIALS - len(before)}, found finished {len(before)}" in output
    after = times(out)
    assert {name: after[name] for name in before} == before and len(after) == TRIALS
    assert litter(out) == [] and not (out / "work").exists()
    assert numbers(out) == numbers(whole)


def test_a_killed_run_goes_on_to_the_same_numbers(command: list[str], whole: Path, tmp_path: Path) -> None:
    rng = Random("crash")
    killed_often(command, whole, tmp_path / "run", [(1, rng.uniform(0.2, 1.0)), (3, rng.uniform(0.0, 1.0))])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_many_times(command: list[str], whole: Path, tmp_path: Path, seed: int) -> None:
    rng = Random(f"crash/{seed}")
    moments = sorted((rng.randint(1, TRIALS), rng.uniform(0.0, 1.5)) for _ in range(6))
    killed_often(command, whole, tmp_path / "run", moments)


def test_ctrl_c_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "foreword", *command, str(tmp_path / "run")]
    child = subprocess.Popen(
        argv,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # as a terminal starts it; a background job ignores it
    )
    assert child.stderr is not None
    assert any(line.startswith("[1/") for line in child.stderr)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    output, rest = child.communicate(timeout=60)
    assert (child.returncode, output) == (130, "") and "Traceback" not in rest
    last = rest.splitlines()[-1]
    assert last == "foreword: Stopped. What was finished is kept; the same command goes on from there."
    assert not list((tmp_path / "run").rglob(".*.part")), "an interrupted run cleans up behind itself"


def test_a_killed_tuning_goes_on(command: list[str], tmp_path: Path) -> None:
    """`tune` keeps its checkpoints beside the prompt's folder, and leaves none when it is done."""
    tune = ["tune", *command[1:5], *SETTINGS[4:], *MORE, "--seed", "1", "--json", "--out"]
    unbroken = json.loads(finish(tune, tmp_path / "whole" / "p"))
    child = start(tune, tmp_path / "killed" / "p")
    work = tmp_path / "killed" / ".p.work"
    while child.alive() and not list(work.rglob("checkpoint.safetensors")):
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL and work.exists() and not (tmp_path / "killed" / "p").exists()
    again = json.loads(finish(tune, tmp_path / "killed" / "p"))
    assert again["digest"] == unbroken["digest"]
    for folder in ("killed", "whole"):
        assert [path.name for path in (tmp_path / folder).iterdir() if path.is_dir()] == ["p"]
