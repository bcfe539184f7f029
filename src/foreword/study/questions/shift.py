"""Trained on one task and scored on others as they are: domain shift, and transfer between two paraphrase tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreword.results.cells import Answered, Cell, Row, Table
from foreword.study.measure import adjusted, choose, difference, entry, named, over_grid, values
from foreword.study.preset import Preset


def domain_shift(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row a data set, a column a method; and where prompt tuning is above model tuning out of domain."""
    return _compared(cells, preset, "data set")


def paraphrase(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row for each direction, a column a method."""
    return _compared(cells, preset, "trained on, scored on")


def _compared(cells: Sequence[Cell], preset: Preset, head: str) -> tuple[Answered, ...]:
    methods = values(cells, "method")
    keys = dict.fromkeys((cell.paper["model"], cell.paper.get("source", ""), cell.paper["task"]) for cell in cells)
    rows, gaps = [], {}
    for model, source, task in keys:
        at = choose(cells, paper_model=model, paper_task=task, paper_source=source)
        entries = [entry(own) if (own := choose(at, paper_method=method)) else "" for method in methods]
        trained, scored = at[0].at.source if preset.paper else source, named(at, "task", preset)
        place = f"{trained}, {scored}" if head.startswith("trained") else scored
        rows.append(Row((named(at, "model", preset), place), tuple(entries)))
        gap = difference(choose(at, paper_method="pt"), choose(at, paper_method="full-ft"))
        if gap is not None and task != source:
            gaps[model, source, task] = gap
    table = Table(preset.title, ("model", head), tuple(methods), tuple(rows))
    claim = "Prompt tuning is above model tuning on tasks that were not trained on"
    return (table, over_grid(claim, adjusted(gaps), sum(task != source for _, source, task in keys), "rows"))


QUESTIONS = {"domain-shift": domain_shift, "paraphrase": paraphrase}
