"""Runs the trials of the page, or finds them finished; the model and each task are loaded once."""

from __future__ import annotations

import sys
import time

from foreword.config.run import Run
from foreword.data.task import Task
from foreword.engine import Backbone
from foreword.results.record import Record
from foreword.study.plan import Plan, backbone_of, plan, renamed
from foreword.study.resolve import task_of
from foreword.util.phrases import duration


class Bench:
    """One model in memory, and the tasks that its runs name."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, int | None], Task] = {}
        self._backbone: Backbone | None = None

    def _planned(self, run: Run) -> Plan:
        key = (run.task, run.limit)
        if key not in self._tasks:
            self._tasks[key] = task_of(run)
        if self._backbone is None:
            self._backbone = backbone_of(run)
        return plan(run, task=self._tasks[key], backbone=self._backbone)

    def run(self, run: Run) -> list[Record]:
        """The records of a run's trials, those that are missing computed, each told on stderr."""
        records = []
        for trial in self._planned(run).trials:
            begun, there = time.perf_counter(), trial.finished() is not None
            record = renamed(trial.run(), trial)
            records.append(record)
            if not there:
                score = f"{record.primary} {record.scores[record.primary]:.1f}"
                print(
                    f"{run.task}, {trial.name}: {score} in {duration(time.perf_counter() - begun)}",
                    file=sys.stderr,
                    flush=True,
                )
        return records

    def finished(self, run: Run) -> list[Record]:
        """The records of a run's trials that are there."""
        trials = self._planned(run).trials
        return [renamed(record, trial) for trial in trials if (record := trial.finished()) is not None]
