"""Runs a study: what is missing of it, by an executor, with how far it is told as it goes; it refuses to run a finished cell again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foreword.results.cells import Cell
from foreword.results.record import refuse_older
from foreword.study.earlier import keep_comparison
from foreword.study.executors import EXECUTORS, Job, Watch
from foreword.study.grid import CellSpec, Study, units_of
from foreword.study.questions import known_questions
from foreword.study.stored import Folder, State, keep
from foreword.study.unit import stamp
from foreword.util.errors import unknown
from foreword.util.files import remove_empty, writable_folder
from foreword.util.locks import taken
from foreword.util.phrases import duration

Say = Callable[[str], None]


@dataclass
class Tally:
    """How far a study is, by its folder: cells done, failed, running and to go, and about how long the rest takes."""

    folder: Folder
    cells: Sequence[CellSpec]
    say: Say
    now: Callable[[], float] = time.monotonic
    _ended: dict[str, State] = field(default_factory=dict)
    _begun: float = 0.0
    _records_before: dict[str, int] = field(default_factory=dict)  # when each was written
    _worked: int = 0  # cells that have ended since the beginning, and whose record did not stand there already

    def begin(self) -> None:
        """What has ended before now is not told again, and what is there before now takes no time."""
        self._begun = self.now()
        self._records_before = {path.stem: _written_at(path) for path in (self.folder.out / "records").glob("*.json")}
        self._look()

    def look(self) -> None:
        """Tell of every cell that has ended since the last look."""
        new = self._look()
        self._worked += sum(self._took_work(state) for _, state in new)
        for cell, state in new:
            self.say(f"[{len(self._ended)}/{len(self.cells)}] {self._line(cell, state)} ({self.standing()})")

    @property
    def failed(self) -> int:
        """How many cells have failed."""
        return sum(state.state == "failed" for state in self._ended.values())

    def standing(self) -> str:
        """Running, failed, time left, in words."""
        claimed = self.folder.claims.held()
        running = sum(cell.unit in claimed and cell.id not in self._ended for cell in self.cells)
        parts = [f"{running} running" if running else "", f"{self.failed} failed" if self.failed else "", self._left()]
        return ", ".join(part for part in parts if part) or "all done"

    def _left(self) -> str:
        to_go = len(self.cells) - len(self._ended)
        if not to_go:
            return ""
        if not self._worked:
            return f"{to_go} to go"
        return f"{to_go} to go, about {duration((self.now() - self._begun) / self._worked * to_go)} left"

    def _took_work(self, state: State) -> bool:
        """Whether a cell that has just ended was computed: its record is not one that stood there when the command began."""
        if state.state == "failed" or state.key not in self._records_before:
            return True
        return _written_at(self.folder.record_path(state.key)) != self._records_before[state.key]

    def _look(self) -> list[tuple[CellSpec, State]]:
        new = []
        for cell in self.cells:
            if cell.id not in self._ended and (state := self.folder.state(cell.id)) is not None:
                self._ended[cell.id] = state
                new.append((cell, state))
        return new

    def _line(self, cell: CellSpec, state: State) -> str:
        name = title(cell)
        if state.state == "failed":
            return f"{name} failed: {state.cause}"
        record = self.folder.record(cell.id)
        return name if record is None else f"{name}: {record.primary} {record.scores[record.primary]:.1f}"


def _written_at(record: Path) -> int:
    """When a record was written; 0 where another process has just removed it."""
    try:
        return record.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def title(cell: CellSpec | Cell) -> str:
    """A cell in words."""
    at = cell.at
    parts = [f"{at.label} seed {at.seed}"]
    parts += [f"{at.length} rows"] if at.length is not None else []
    parts += [f"from {at.source}"] if at.source else []
    return f"{at.task} on {at.model}, {', '.join(parts)}"


def carry_out(
    study: Study,
    job: Job,
    *,
    executor: str = "inline",
    command: str = "",
    retry_failed: bool = False,
    say: Say = lambda line: None,
    run: Callable[[Job, Watch], None] | None = None,
) -> Tally:
    """Run the cells of a study that are missing. retry_failed: those that failed before too. say: told of each that ends. run: in the
    place of the executor of that name. Raises ForewordError for an unknown executor, and where the folder cannot be written."""
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    known_questions(study.preset)
    out = writable_folder(job.out)
    refuse_older(out / "records")
    if earlier := keep_comparison(out):
        say(
            f"{out} holds a comparison, and the report of this study takes the place of its own; both its files are kept in {earlier}."
        )
    if notice := keep(out, study, command):
        say(notice)
    folder = job.folder()
    _prepare(folder, study.cells, job, retry_failed)
    tally = Tally(folder, study.cells, say)
    tally.begin()
    (run or EXECUTORS[executor])(job, tally.look)
    tally.look()
    _prepare(folder, study.cells, job, False)
    return tally


def _prepare(folder: Folder, cells: Sequence[CellSpec], job: Job, retry_failed: bool) -> None:
    """Sweep up after workers that were killed, and forget the ends of cells that are to be looked at again: those whose model or data are
    other files than before or whose soft prompt is gone, failed ones where that is asked for, and those that need one of them."""
    folder.tidy()
    if (folder.out / "claims").is_dir():
        job.claims().sweep()
    remove_empty(folder.out / "claims")
    _sweep_work(folder.out / "work")
    open_: set[str] = set()  # cells that have not ended, or are looked at again
    for cell in (cell for unit in units_of(cells).values() for cell in unit):
        state = folder.state(cell.id)
        if state is None:
            open_.add(cell.id)
        elif open_ & {*cell.needs} or (
            retry_failed if state.state == "failed" else _made_of_other(folder, cell, state)
        ):
            open_.add(cell.id)
            folder.forget(cell.id)


def _made_of_other(folder: Folder, cell: CellSpec, state: State) -> bool:
    """Whether a cell that is done has to be looked at again: for its model and data, or for its soft prompt."""
    if state.stamp != stamp(cell):
        return True
    record = folder.record(cell.id)
    return record is not None and bool(record.prompt) and not (folder.out / record.prompt).exists()


def _sweep_work(work: Path) -> None:
    """Remove checkpoints of finished trials."""
    for place in work.iterdir() if work.is_dir() else ():
        with taken(place) as free:
            if free and (work.parent / "records" / f"{place.name}.json").is_file():
                shutil.rmtree(place, ignore_errors=True)
    remove_empty(work)
