"""The main table (models and methods against tasks), the claims of the paper's order, and whether IPT spreads less over seeds than PT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreword.results.cells import Answered, Cell, Entry, Row, Table, Test
from foreword.study.measure import Difference, adjusted, choose, difference, entry, values
from foreword.study.preset import Preset

ORDER = (("icl-1", "icl-random-1"), ("pt", "icl-1"), ("ipt", "icl-1"), ("ipt", "pt"))


def main(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """Rows are models and methods, columns tasks; then a claim for each pair of methods that the paper orders."""
    tasks = values(cells, "task")
    rows = []
    for model in values(cells, "model"):
        for method in values(choose(cells, paper_model=model), "method"):
            own = choose(cells, paper_model=model, paper_method=method)
            rows.append(Row((model, method), tuple(_entry(choose(own, paper_task=task)) for task in tasks)))
    table = Table(preset.title, ("model", "method"), tuple(tasks), tuple(rows))
    claims = [_above(cells, ours, theirs) for ours, theirs in ORDER]
    return (table, *(claim for claim in claims if claim is not None))


def _entry(cells: Sequence[Cell]) -> Entry | str:
    return entry(cells) if cells else ""


def _above(cells: Sequence[Cell], ours: str, theirs: str) -> Test | None:
    """In how many (model, task) one method is surely above another."""
    gaps: dict[tuple[str, str], Difference] = {}
    planned = 0
    for model in values(cells, "model"):
        for task in values(cells, "task"):
            at = choose(cells, paper_model=model, paper_task=task)
            pair = choose(at, paper_method=ours), choose(at, paper_method=theirs)
            planned += all(pair)
            gap = difference(*pair) if all(pair) else None
            if gap is not None:
                gaps[model, task] = gap
    if not planned:
        return None
    gaps = adjusted(gaps) if gaps else {}
    above = sum(gap.p < 0.05 and gap.points > 0 for gap in gaps.values())
    below = sum(gap.p < 0.05 and gap.points < 0 for gap in gaps.values())
    reach = sorted(gap.reach for gap in gaps.values())
    note = f"surely below in {below}, undecided in {len(gaps) - above - below}"
    note += f"; half of the tests tell a difference of {reach[len(reach) // 2]:.1f} points or less" if reach else ""
    note += f"; {planned - len(gaps)} not run" if len(gaps) < planned else ""
    return Test(
        claim=f"{ours} is above {theirs}",
        holds=None if len(gaps) < planned else above == len(gaps),
        p=max((gap.p for gap in gaps.values()), default=None),
        adjusted="Holm over models and tasks",
        cases=(above, len(gaps)),
        note=note,
    )


def variance(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """The standard deviation over seeds of PT and IPT, cell by cell, and in how many IPT's is the lower."""
    rows, lower, counted = [], 0, 0
    keys = dict.fromkeys((cell.paper["model"], cell.paper["task"], cell.paper.get("length", "")) for cell in cells)
    for model, task, length in keys:
        at = [
            cell for cell in choose(cells, paper_model=model, paper_task=task) if cell.paper.get("length", "") == length
        ]
        pt, ipt = (choose(at, paper_method=method) for method in ("pt", "ipt"))
        if not pt or not ipt:
            continue
        both = entry(pt), entry(ipt)
        rows.append(Row((model, task, length), tuple(each if each.seeds > 1 else "one seed" for each in both)))
        if both[0].spread is not None and both[1].spread is not None:
            counted += 1
            lower += both[1].spread < both[0].spread
    table = Table("Spread over seeds", ("model", "task", "length"), ("pt", "ipt"), tuple(rows))
    claim = Test(
        claim="IPT spreads less over seeds than PT",
        holds=None if not counted else lower > counted / 2,
        cases=(lower, counted),
        note="counted; a standard deviation of few seeds says little of one cell" if counted else "it takes two seeds",
    )
    return (table, claim)


ASKED = {"main": main, "variance": variance}
