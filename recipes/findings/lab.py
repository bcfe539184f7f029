"""The Lab runs the trials that findings rest on, several at once, and remembers what is missing; it refuses to run a trial twice."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from foreword.config.run import Run
from foreword.data.task import Task
from foreword.engine import Backbone
from foreword.models import reference
from foreword.results.record import Record
from foreword.study.cost import Estimate, estimate
from foreword.study.plan import Plan, backbone_of, plan, renamed
from foreword.study.resolve import task_of
from foreword.study.trial import Trial
from foreword.util.errors import ForewordError
from foreword.util.files import tidy, writable_folder
from foreword.util.phrases import duration

TFLOPS = 0.04  # a second and a job: 0.03 to 0.046 on one thread of a busy 2-core machine, medium model
MODEL_RATE = (
    1e-3  # dev loss of full-ft on mini-dart, medium model, seed 0: 0.0142 at 3e-4, 0.0026 at 1e-3, 0.0044 at 3e-3
)
PROMPT_LENGTH = 100  # Lester et al. 2021's own; on mini-spider 20 rows score 13 after 300 steps, 100 rows 60
MAX_NEW_TOKENS = 48  # no answer of the five tasks is longer


@dataclass
class Lab:
    """out: records and prompts. model: takes the place of every reference model. limit: test and training examples at most.
    priced: keys of trials whose cost was counted."""

    out: Path
    model: str = ""
    seeds: tuple[int, ...] = ()
    steps: int = 200
    limit: int | None = None
    jobs: int = 1
    device: str = "auto"
    priced: set[str] = field(default_factory=set)

    def named(self, name: str) -> str:
        """The model that stands for a reference model here."""
        return self.model or name

    def there(self, name: str) -> bool:
        """Whether a reference model is shipped."""
        try:
            return bool(self.model) or reference.folder(name.removeprefix("reference-")).is_dir()
        except ForewordError:
            return False

    def run(
        self, model: str, task: str, methods: Sequence[str], *, seeds: Sequence[int] = (0, 1, 2), **tuning: Any
    ) -> list[Run]:
        """The settings of some trials, none where the model is not shipped. tuning: what differs from this lab's."""
        if not self.there(model):
            return []
        settings = {
            "model": self.named(model),
            "task": task,
            "methods": list(methods),
            "seeds": list(self.seeds or seeds),
            "max_new_tokens": MAX_NEW_TOKENS,
            "limit": self.limit,
            "device": self.device,
            "out": str(self.out),
            "model_learning_rate": MODEL_RATE,
            "tuning": {"max_steps": self.steps, "prompt_length": PROMPT_LENGTH} | tuning,
        }
        return [Run.model_validate(settings)]

    def price(self, runs: Iterable[Run]) -> list[Estimate]:
        """What the trials of these runs cost, those left out that were priced before."""
        trials = [trial for run in runs for trial in planned(run).trials]
        found = [estimate(trial) for trial in trials if trial.key not in self.priced]
        self.priced |= {trial.key for trial in trials}
        return found

    def records(self, name: str, runs: Sequence[Run]) -> list[Record]:
        """The records of all trials of these runs, the missing ones computed; name: for those who watch."""
        writable_folder(self.out)
        trials = [(run, trial) for run in runs for trial in planned(run).trials]
        todo = {trial.key: run for run, trial in trials if not trial.path.is_file()}
        for number, told in enumerate(self._computed(todo), 1):
            print(f"{name} {number}/{len(todo)}: {told}", file=sys.stderr, flush=True)
        tidy(self.out / "records")
        return self.finished(runs)

    def finished(self, runs: Sequence[Run]) -> list[Record]:
        """The records that are there already."""
        trials = {trial.key: trial for run in runs for trial in planned(run).trials}
        return [renamed(Record.read(trial.path), trial) for trial in trials.values() if trial.path.is_file()]

    def _computed(self, todo: dict[str, Run]) -> Iterable[str]:
        if self.jobs == 1:
            yield from (compute(run, key) for key, run in todo.items())
            return
        threads = max(1, (os.cpu_count() or 1) // self.jobs)
        kind = get_context("spawn")
        with ProcessPoolExecutor(self.jobs, kind, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
            for done in as_completed([pool.submit(compute, run, key) for key, run in todo.items()]):
                yield done.result()


def planned(run: Run) -> Plan:
    """The trials of a run, its model and its task loaded once."""
    return plan(run, task=_task(run.task, run.limit), backbone=_backbone(run.model, run.device))


@functools.cache
def _backbone(model: str, device: str) -> Backbone:
    return backbone_of(Run(model=model, device=device))


@functools.cache
def _task(task: str, limit: int | None) -> Task:
    return task_of(Run(model="any", task=task, limit=limit))


def compute(run: Run, key: str) -> str:
    """Run one trial of a run and tell of it."""
    trial: Trial = next(one for one in planned(run).trials if one.key == key)
    begun = time.perf_counter()
    record = trial.run()
    seconds = duration(time.perf_counter() - begun)
    return f"{run.task} on {run.model}, {trial.name}: {record.primary} {record.scores[record.primary]:.1f} in {seconds}"
