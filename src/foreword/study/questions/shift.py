"""Trained on one task and scored on others as they are: domain shift, and transfer between two paraphrase tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreword.results.cells import Answered, Cell, Entry, Row, Table
from foreword.results.judged import metric_key
from foreword.results.stats import adjusted
from foreword.study.measure import choose, difference, entry, named, over_grid, records_of, values
from foreword.study.preset import Preset
from foreword.study.recorded import metrics_of
from foreword.util import phrases


def domain_shift(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row a data set, a column a method; and where prompt tuning is above model tuning out of domain."""
    return _compared(cells, preset, "data set")


def paraphrase(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row for each direction, a column a method."""
    return _compared(cells, preset, "trained on, scored on", every_metric=True)


def _compared(cells: Sequence[Cell], preset: Preset, head: str, *, every_metric: bool = False) -> tuple[Answered, ...]:
    methods = values(cells, "method")
    keys = dict.fromkeys((cell.paper["model"], cell.paper.get("source", ""), cell.paper["task"]) for cell in cells)
    rows, gaps = [], {}
    for model, source, task in keys:
        at = choose(cells, paper_model=model, paper_task=task, paper_source=source)
        trained, scored = at[0].at.source if preset.paper else source, named(at, "task", preset)
        place = f"{trained}, {scored}" if head.startswith("trained") else scored
        done = records_of(at)
        for by in (metrics_of(done) if every_metric else []) or [""]:
            entries = [_entry(own, by) if (own := choose(at, paper_method=method)) else "" for method in methods]
            titled = (phrases.title(by) if by else "",) if every_metric else ()
            rows.append(Row((named(at, "model", preset), place, *titled), tuple(entries)))
        gap = difference(choose(at, paper_method="pt"), choose(at, paper_method="full-ft"))
        if gap is not None and task != source:
            gaps[model, source, task] = gap
    heads = ("model", head, "metric") if every_metric else ("model", head)
    table = Table(preset.title, heads, tuple(methods), tuple(rows))
    claim = "Prompt tuning (pt) is above model tuning (full-ft) on tasks that were not trained on"
    return (table, over_grid(claim, adjusted(gaps), sum(task != source for _, source, task in keys), "rows"))


def _entry(cells: Sequence[Cell], by: str) -> Entry:
    """The number by one metric, at the paper's place for it; by the deciding one where none is named."""
    return entry(cells, paper=dict(cells[0].paper) | {"metric": metric_key(by)}, by=by) if by else entry(cells)


QUESTIONS = {"domain-shift": domain_shift, "paraphrase": paraphrase}
