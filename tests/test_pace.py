"""What is said of time: before a comparison, from a few measured steps; while it runs, from the trials that have run."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import pytest
from rich.console import Console

import entry
import tiny
from foreword.cli import talk
from foreword.cli.talk import Bars, Clock
from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.results.cells import Coordinates
from foreword.study.cost import estimate
from foreword.study.grid import CellSpec
from foreword.study.pace import pace
from foreword.study.plan import plan
from foreword.study.running import Tally
from foreword.study.stored import Folder, State
from report_records import record


def test_a_pace_is_measured_grows_with_the_work_and_leaves_nothing(tmp_path: Path) -> None:
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(40))
    seconds = []
    for steps in (40, 4000):
        tuning = Tuning(prompt_length=3, max_steps=steps, batch_size=4)
        run = Run(
            model="tiny", methods=["zero", "pt"], seeds=[0], tuning=tuning, data=str(data), out=str(tmp_path / "out")
        )
        planned = plan(run, backbone=tiny.backbone("llama"))
        measured = pace(planned.trials, [estimate(trial) for trial in planned.trials])
        assert measured is not None and measured.memory > 10_000_000
        assert "on this machine" in measured.sentence()
        seconds.append(measured.seconds)
    assert seconds[1] > 5 * seconds[0] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.jsonl"]
    planned.trials[0].run()
    assert pace(planned.trials[:1], [estimate(planned.trials[0])]) is None, "what is finished takes no time"


def test_a_dry_run_says_minutes_and_memory(tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "model")
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(40))
    argv = ("compare", "-m", model, "-d", data, "--methods", "zero", "--max-new-tokens", 4, "--out", tmp_path / "out")
    out = entry.foreword(*argv, "--dry-run")
    assert (
        out.code == 0 and "About " in out.out and "of memory or more; measured on a few steps and answers." in out.out
    )
    document = entry.foreword(*argv, "--dry-run", "--json").json
    assert document["seconds"] > 0 and document["memory_bytes"] > 0
    assert not (tmp_path / "out").exists()


def test_what_is_left_is_told_from_trials_of_the_same_kind() -> None:
    times = iter([0.0, 10.0, 70.0])
    clock = Clock(["icl", "pt", "pt", "pt"], now=lambda: next(times))
    assert clock.begins("icl") == ""
    assert clock.begins("pt") == "the last took 10.0 s; about 30.0 s left"
    assert clock.begins("pt") == "the last took 1 min; about 2 min left"


def test_without_a_terminal_a_line_comes_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(talk.time, "monotonic", lambda: now[0])
    with contextlib.redirect_stderr(io.StringIO()):
        bars = Bars()
    bars.console = Console(file=io.StringIO(), width=200)
    bars.live = False
    for done in range(501):
        now[0] = float(done)
        bars("pt seed 0: tuning", done, 500, "loss 1.2")
    lines = bars.console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 8
    assert lines[0].strip() == "pt seed 0: tuning 60/500, 1.0/s, about 7 min 20 s left, loss 1.2"


def test_the_time_left_of_a_study_is_told_by_the_cells_that_took_work(tmp_path: Path) -> None:
    """A study that went on told a minute where forty were left, for it counted the cells whose records stood there already."""
    cells = [CellSpec(name, name, Coordinates("grid", "m", "t", "zero", 0), {}, {}) for name in "abcde"]
    folder, clock, lines = Folder(tmp_path), {"now": 100.0}, list[str]()
    tally = Tally(folder, cells, lines.append, now=lambda: clock["now"])

    def end(name: str, *, seconds: float) -> str:
        """What is told where a cell ends after so many seconds."""
        clock["now"] += seconds
        folder.end(name, State("done", f"key-{name}"))
        tally.look()
        return lines.pop().rpartition("(")[2]

    for name in "abc":
        record("zero", examples=2).write(folder.record_path(f"key-{name}"))
    folder.end("a", State("done", "key-a"))
    tally.begin()
    assert end("b", seconds=0) == "3 to go)", "its record was there before, and tells nothing of the others"
    record("zero", examples=2).write(folder.record_path("key-d"))
    assert end("d", seconds=60) == "2 to go, about 2 min left)", "one cell in 60 s, and not two"
    os.utime(folder.record_path("key-c"), ns=(7, 7))
    assert end("c", seconds=60) == "1 to go, about 1 min left)", "made again, for its soft prompt was gone"
