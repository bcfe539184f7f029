"""What every executor is given, and the loop of one worker: it claims a unit, runs it, and goes on until none is left; it refuses to wait
for work that another is at while there is work that none is at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foreword.study.grid import CellSpec, units_of
from foreword.study.stored import Folder, State, read_specs, units_left
from foreword.study.unit import Bench, run_unit
from foreword.util.claims import PATIENCE, Claims
from foreword.util.progress import Progress, silent

PAUSE = 0.3  # seconds between two looks at what others are at
ATTEMPTS = 3  # workers that may die at one unit until it is taken for one that kills them


@dataclass(frozen=True)
class Job:
    """What is to be run: plain values that any process can be sent. study: its name in the folder. device: of every worker; empty: as
    the settings say. workers: 0 for as many as there are devices, or cores. address: of a Ray cluster. gpus: of each of its workers.
    attempts: see ATTEMPTS. patience: see Claims."""

    out: Path
    study: str
    device: str = ""
    workers: int = 0
    threads: int = 0
    address: str = ""
    gpus: float = 0.0
    attempts: int = ATTEMPTS
    patience: float = PATIENCE

    def units(self) -> dict[str, list[CellSpec]]:
        """The units of the study, as its folder has them."""
        return units_of(read_specs(self.out, self.study)[1])

    def folder(self) -> Folder:
        """The study's folder."""
        return Folder(self.out)

    def claims(self) -> Claims:
        """Who is at which unit, with this job's patience."""
        claims = self.folder().claims
        claims.patience = self.patience
        claims.beat = min(claims.beat, self.patience / 4)
        return claims


Watch = Callable[[], None]  # called now and then, to look at how far the folder is


def ready(folder: Folder, units: Mapping[str, Sequence[CellSpec]]) -> list[str]:
    """The units that are left and can be run: what they need is done, or failed, which fails them too."""
    return [
        name
        for name in units_left(folder, units)
        if all(folder.state(needed) is not None for cell in units[name] for needed in cell.needs)
    ]


def work(
    job: Job,
    *,
    bench: Bench | None = None,
    watch: Watch = lambda: None,
    also: Watch = lambda: None,
    progress: Progress = silent,
) -> int:
    """Run units until none is left, beside other workers of the same folder; how many cells were computed. also: called with every
    sign of life, from another thread."""
    bench = bench or Bench(job.out, job.device, progress)
    units, folder, claims = job.units(), job.folder(), job.claims()
    computed_cells = 0
    while units_left(folder, units):
        ran = False
        for name in ready(folder, units):
            computed = attempt(job, claims, bench, units[name], also)
            if computed is not None:
                ran, computed_cells = True, computed_cells + computed
                watch()
                break  # what is ready may have changed
        if not ran:
            watch()
            time.sleep(PAUSE)
    return computed_cells


def attempt(job: Job, claims: Claims, bench: Bench, cells: Sequence[CellSpec], also: Watch) -> int | None:
    """Run one unit if nobody else has it: how many cells were computed; None where another has it."""
    claim = claims.take(cells[0].unit)
    if claim is None:
        return None
    with claims.alive(claim, also):
        if claim.turn > job.attempts:
            cause = f"{claim.turn - 1} workers were killed at it, one after the other; most often the memory ran out."
            for cell in cells:
                if job.folder().state(cell.id) is None:
                    job.folder().end(cell.id, State("failed", cause=cause))
            return 0
        return run_unit(bench, cells, claim)
