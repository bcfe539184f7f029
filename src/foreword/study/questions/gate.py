"""Whether taking PT's or IPT's answer for each input, by similarity or by the model's certainty, is as good as the better of the two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreword.results.cells import Answered, Cell, Row, Table, Test
from foreword.study.measure import Difference, adjusted, choose, difference, entry
from foreword.study.preset import Preset

METHODS = ("pt", "ipt", "gate-similarity", "gate-certainty")


def gate(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row a model and task, a column a method; and for each gate in how many rows it is above the better of PT and IPT."""
    rows, tests = [], []
    places = dict.fromkeys((cell.paper["model"], cell.paper["task"]) for cell in cells)
    for model, task in places:
        at = choose(cells, paper_model=model, paper_task=task)
        entries = [entry(own) if (own := choose(at, paper_method=method)) else "" for method in METHODS]
        rows.append(Row((model, task), tuple(entries)))
    for method in METHODS[2:]:
        gaps = {place: gap for place in places if (gap := _above_better(cells, *place, method))}
        gaps = adjusted(gaps) if gaps else {}
        above = sum(gap.points > 0 for gap in gaps.values())
        surely, worse = (sum(gap.p < 0.05 and sign * gap.points > 0 for gap in gaps.values()) for sign in (1, -1))
        mean = sum(gap.points for gap in gaps.values()) / len(gaps) if gaps else None
        note = f"surely above in {surely}, surely below in {worse}; the better of the two is known only with hindsight"
        holds = (above == len(gaps)) if gaps else None
        claim = f"{method} is above the better of PT and IPT"
        tests.append(Test(claim, holds, mean, adjusted="Holm over tasks", cases=(above, len(gaps)), note=note))
    return (Table("PT, IPT and what chooses between their answers", ("model", "task"), METHODS, tuple(rows)), *tests)


def _above_better(cells: Sequence[Cell], model: str, task: str, method: str) -> Difference | None:
    at = choose(cells, paper_model=model, paper_task=task)
    sides = [choose(at, paper_method=name) for name in ("pt", "ipt")]
    scored = [(entry(side).score, side) for side in sides if side]
    done = [(score, side) for score, side in scored if score is not None]
    own = choose(at, paper_method=method)
    return difference(own, max(done, key=lambda pair: pair[0])[1]) if len(done) == 2 and own else None


QUESTIONS = {"gate": gate}
