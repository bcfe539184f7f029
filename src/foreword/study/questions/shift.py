"""Trained on one task and scored on others as they are: domain shift, and transfer between two paraphrase tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreword.results.cells import Answered, Cell, Row, Table, Test
from foreword.study.measure import adjusted, choose, difference, entry, values
from foreword.study.preset import Preset


def domain_shift(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row a data set, a column a method; and where prompt tuning is above model tuning out of domain."""
    return _compared(cells, preset.title, "data set")


def paraphrase(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row for each direction, a column a method."""
    return _compared(cells, preset.title, "trained on, scored on")


def _compared(cells: Sequence[Cell], title: str, head: str) -> tuple[Answered, ...]:
    methods = values(cells, "method")
    keys = dict.fromkeys((cell.paper["model"], cell.paper.get("source", ""), cell.paper["task"]) for cell in cells)
    rows, gaps = [], {}
    for model, source, task in keys:
        at = choose(cells, paper_model=model, paper_task=task, paper_source=source)
        entries = [entry(own) if (own := choose(at, paper_method=method)) else "" for method in methods]
        rows.append(Row((model, f"{source}, {task}" if head.startswith("trained") else task), tuple(entries)))
        gap = difference(choose(at, paper_method="pt"), choose(at, paper_method="full-ft"))
        if gap is not None and task != source:
            gaps[model, source, task] = gap
    table = Table(title, ("model", head), tuple(methods), tuple(rows))
    gaps = adjusted(gaps) if gaps else {}
    higher = sum(gap.points > 0 for gap in gaps.values())
    surely = sum(gap.p < 0.05 and gap.points > 0 for gap in gaps.values())
    worse = sum(gap.p < 0.05 and gap.points < 0 for gap in gaps.values())
    claim = "Prompt tuning is above model tuning on tasks that were not trained on"
    if not gaps:
        return (table, Test(claim, None, note="not run"))
    mean = sum(gap.points for gap in gaps.values()) / len(gaps)
    note = f"surely above in {surely}, surely below in {worse}"
    holds = surely == len(gaps) or (None if not worse else False)
    return (table, Test(claim, holds, mean, adjusted="Holm over rows", cases=(higher, len(gaps)), note=note))


QUESTIONS = {"domain-shift": domain_shift, "paraphrase": paraphrase}
