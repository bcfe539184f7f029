"""Scores against the length of the soft prompt: a panel a task, a line a method, and in-context learning as a level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreword.results.apart import kinds, titled
from foreword.results.cells import Answered, Cell, Curve, Panel, Series
from foreword.study.measure import choose, entry, grouped, named, values
from foreword.study.preset import Preset


def length(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """One curve for each model."""
    return tuple(_of_model(choose(cells, paper_model=model), preset) for model in values(cells, "model"))


def _of_model(cells: Sequence[Cell], preset: Preset) -> Curve:
    panels = []
    for task in values(cells, "task"):
        at = choose(cells, paper_task=task)
        lines = []
        for method in values(at, "method"):
            own = choose(at, paper_method=method)
            for words, kind in kinds(own, lambda cell: cell.at.length).items():
                by_length = grouped(kind, lambda cell: cell.at.length)
                points = [(float(rows or 0), entry(group)) for rows, group in by_length.items()]
                line = tuple(sorted(points, key=lambda point: point[0]))
                lines.append(Series(titled(method, words), line, level=None in by_length))
        metric = next((e.metric for line in lines for _, e in line.points if e.metric), "")
        panels.append(Panel(named(at, "task", preset), metric, tuple(lines)))
    return Curve(
        f"Score against prompt tokens, {named(cells, 'model', preset)}",
        "prompt tokens",
        tuple(panels),
        logarithmic=True,
    )


QUESTIONS = {"length": length}
