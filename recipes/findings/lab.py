"""The Lab runs the trials that findings rest on, several at once, and remembers what is missing; it refuses to run a trial twice."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foreword.config.run import Run
from foreword.models import reference
from foreword.results.record import Record
from foreword.study.cost import Estimate, estimate
from foreword.study.executors import Job
from foreword.study.grid import CellSpec, Study, cells_of
from foreword.study.plan import renamed
from foreword.study.preset import Preset
from foreword.study.running import carry_out
from foreword.study.trial import Trial
from foreword.study.unit import Bench
from foreword.util.errors import ForewordError

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

    def __post_init__(self) -> None:
        self.bench = Bench(self.out, "" if self.device == "auto" else self.device)

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
            "model_learning_rate": MODEL_RATE,
            "tuning": {"max_steps": self.steps, "prompt_length": PROMPT_LENGTH} | tuning,
        }
        return [Run.model_validate(settings)]

    def price(self, runs: Iterable[Run]) -> list[Estimate]:
        """What the trials of these runs cost, those left out that were priced before."""
        trials = [self._trial(cell) for run in runs for cell in cells_of([run])]
        costs = [estimate(trial) for trial in trials if trial.key not in self.priced]
        self.priced |= {trial.key for trial in trials}
        return costs

    def records(self, name: str, runs: Sequence[Run]) -> list[Record]:
        """The records of all trials of these runs, the missing ones computed; name: for those who watch."""
        cells = [cell for cell in cells_of(runs) if not self._trial(cell).path.is_file()]
        if cells:
            job = Job(self.out, f"findings-{name}", device=self.device, workers=self.jobs)
            tally = carry_out(
                Study(preset_of(name, cells), "smoke", tuple(cells)),
                job,
                executor="processes" if self.jobs > 1 else "inline",
                say=lambda line: print(f"{name} {line}", file=sys.stderr, flush=True),
            )
            failed = next((tally.folder.state(cell.id) for cell in cells if tally.folder.record(cell.id) is None), None)
            if failed is not None:
                raise ForewordError(f"A trial of {name} failed: {failed.cause}")
        return self.finished(runs)

    def finished(self, runs: Sequence[Run]) -> list[Record]:
        """The records that are there already."""
        trials = {trial.key: trial for trial in map(self._trial, cells_of(runs))}
        return [renamed(Record.read(trial.path), trial) for trial in trials.values() if trial.path.is_file()]

    def _trial(self, cell: CellSpec) -> Trial:
        return self.bench.trials([cell])[0]


def preset_of(name: str, cells: Sequence[CellSpec]) -> Preset:
    """What the folder is told of a study of findings, so that `foreword study show` knows it."""
    return Preset.model_validate(
        {
            "name": f"findings-{name}",
            "title": f"Findings: {name}",
            "questions": ["main"],
            "parts": [{"name": "cells", "methods": sorted({cell.at.label for cell in cells})}],
            "smoke": {
                "models": {cell.at.model: cell.at.model for cell in cells},
                "tasks": {cell.at.task: cell.at.task for cell in cells},
            },
        }
    )
