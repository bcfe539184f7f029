"""Whether taking PT's or IPT's answer for each input, by similarity or by the model's certainty, is as good as the better of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from foreword.results.cells import Answered, Cell, Row, Table
from foreword.results.stats import AdjustedDifference, adjusted
from foreword.study.measure import choose, difference, entry, named, over_grid
from foreword.study.preset import Preset

METHODS = ("pt", "ipt", "gate-similarity", "gate-certainty")


def gate(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row a model and task, a column a method; and for each gate in how many rows it is above the better of PT and IPT."""
    rows, tests = [], []
    places = dict.fromkeys((cell.paper["model"], cell.paper["task"]) for cell in cells)
    for model, task in places:
        at = choose(cells, paper_model=model, paper_task=task)
        entries = [entry(own) if (own := choose(at, paper_method=method)) else "" for method in METHODS]
        rows.append(Row((named(at, "model", preset), named(at, "task", preset)), tuple(entries)))
    for method in METHODS[2:]:
        gaps = {place: gap for place in places if (gap := _above_better(cells, *place, method))}
        test = over_grid(f"{method} is above the better of PT and IPT", adjusted(gaps), len(places), "tasks")
        tests.append(replace(test, note=f"{test.note}; the better of the two is known only with hindsight"))
    return (Table("PT, IPT and what chooses between their answers", ("model", "task"), METHODS, tuple(rows)), *tests)


def _above_better(cells: Sequence[Cell], model: str, task: str, method: str) -> AdjustedDifference | None:
    at = choose(cells, paper_model=model, paper_task=task)
    sides = [choose(at, paper_method=name) for name in ("pt", "ipt")]
    scored = [(entry(side).score, side) for side in sides if side]
    done = [(score, side) for score, side in scored if score is not None]
    own = choose(at, paper_method=method)
    return difference(own, max(done, key=lambda pair: pair[0])[1]) if len(done) == 2 and own else None


QUESTIONS = {"gate": gate}
