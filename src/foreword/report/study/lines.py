"""Curves of a study, a line a series with its band, the paper's points behind, a level as a dashed line; it refuses to place the paper's
models where ours stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from foreword.report.drawing import CARD, axis_of, colour_of, plain
from foreword.report.study.held import hold
from foreword.report.study.marks import (
    HEIGHT,
    INTERVALS,
    LARGE,
    WIDTH,
    Picture,
    Rows,
    colours,
    ghost_of,
    ghosts_behind,
    log_ticks,
    point_of,
    shape_by,
    value,
)
from foreword.results.cells import Curve, Panel, Series
from foreword.results.papers import Number, Paper
from foreword.util import phrases

ACROSS = "A dashed line across is a method without a soft prompt, a dotted one the paper's."


def measured(panel: Panel) -> bool:
    """Whether a panel has any number."""
    return any(entry.score is not None for line in panel.series for _, entry in line.points)


def lines(panel: Panel, curve: Curve, preset: str, paper: Paper | None) -> Picture:
    """A line a series with its band; the paper's points as open diamonds on a dashed line; a level as a dashed line across."""
    numbered = colours(line.name for line in panel.series)
    data: Rows = []
    levels: Rows = []
    ghosts: Rows = []
    sized = "parameters" in curve.x
    for line in panel.series:
        ink = colour_of(numbered[line.name])
        for at, entry in line.points:
            x = max(at, 1e-9) if curve.logarithmic else at
            if entry.score is not None:
                row = point_of(entry, line.name) | {"series": plain(line.name), "x": x, "y": entry.score, "ink": ink}
                (levels if line.level else data).append(row)
        ghosts += _ghost_line(line, curve, preset, paper, ink, sized)
    behind = [row for row in ghosts if row["x"] is None]  # levels of the paper
    ghosts = [row for row in ghosts if row["x"] is not None]
    scale = alt.Scale(type="log", nice=False, padding=12) if curve.logarithmic else alt.Scale(nice=True, zero=False)
    x = alt.X("x:Q", scale=scale, axis=_x_axis(panel, curve, [*data, *ghosts]))
    y = alt.Y("y:Q", scale=alt.Scale(zero=False), axis=axis_of(phrases.title(panel.y)))
    ink_by, detail = alt.Color("ink:N", scale=None), "series:N"
    shape = shape_by(numbered)
    layers = ghosts_behind(ghosts, x, y)
    if behind:
        theirs = alt.Chart(alt.Data(values=behind))
        layers.append(
            theirs.mark_rule(strokeDash=[2, 3], strokeWidth=1.2, opacity=0.6).encode(
                y=y, color=ink_by, description="hover:N"
            )
        )
    if levels:
        across = alt.Chart(alt.Data(values=levels))
        layers.append(
            across.mark_rule(strokeDash=[6, 4], strokeWidth=1.6).encode(y=y, color=ink_by, description="hover:N")
        )
    drawn = [row for row in data if sum(other["series"] == row["series"] for other in data) > 1]
    if drawn:
        base = alt.Chart(alt.Data(values=drawn))
        layers += [
            base.mark_area(opacity=0.16).encode(x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=ink_by, detail=detail),
            base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=ink_by, detail=detail),
            base.mark_point(filled=True, size=60, opacity=1, stroke=CARD, strokeWidth=0.8).encode(
                x=x, y=y, color=ink_by, shape=shape, description="hover:N", href="link:N"
            ),
        ]
    layers += _alone([row for row in data if row not in drawn], x, y, ink_by, shape)
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    description = "; ".join(
        f"{line.name}: {', '.join(f'{value(entry)} at {at:g}' for at, entry in line.points)}" for line in panel.series
    )
    entries = [entry for line in panel.series for _, entry in line.points]
    notes = [INTERVALS] if any(entry.ci95 is not None for entry in entries) else []
    notes += [ACROSS] if levels else []
    described = f"{panel.title}, by {curve.x}: {description}"
    return Picture(panel.title, chart, described, numbered, bool(ghosts), notes=tuple(notes))


def _alone(rows: Rows, x: Any, y: Any, ink: Any, shape: Any) -> list[Any]:
    """Lines of one point: each with its interval, side by side where they share a place."""
    layers = []
    for n, row in enumerate(rows):
        aside = 9 * (n - (len(rows) - 1) / 2)
        base = alt.Chart(alt.Data(values=[row]))
        layers += [
            base.mark_rule(strokeWidth=1.8, opacity=0.5, xOffset=aside).encode(
                x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=ink
            ),
            base.mark_point(filled=True, size=60, opacity=1, stroke=CARD, strokeWidth=0.8, xOffset=aside).encode(
                x=x, y=y, color=ink, shape=shape, description="hover:N", href="link:N"
            ),
        ]
    return layers


def _ghost_line(line: Series, curve: Curve, preset: str, paper: Paper | None, ink: str, sized: bool) -> Rows:
    """All of the paper's points of one line, where the paper has them: by its own models' sizes, its own lengths, or the names on the
    axis; a level has no place on it."""
    if paper is None or not line.points:
        return []
    at = line.points[0][1].paper
    if line.level:
        number = paper.number(preset, at)
        points: list[tuple[float | None, Number | None]] = [(None, number)]
    elif sized:
        points = [(_size(paper, n.at["model"]) or None, n) for n in paper.of(preset) if _same_line(n, at, "model")]
    elif "tokens" in curve.x:
        points = [(float(n.at["length"]), n) for n in paper.of(preset) if _same_line(n, at, "length")]
    else:
        points = [(place, hold(entry, paper, preset).number) for place, entry in line.points]
    rows = [
        ghost_of(number, line.name) | {"series": plain(line.name), "x": place, "y": number.value, "ink": ink}
        for place, number in points
        if number is not None and (place is not None or line.level)
    ]
    return sorted(rows, key=lambda row: float(row["x"] or 0))


def _same_line(number: Number, at: Mapping[str, str], axis: str) -> bool:
    """Whether a number of the paper lies on the line of a measured place, wherever along that axis."""
    own = {key: value for key, value in number.at.items() if key != axis}
    return axis in number.at and own.items() <= at.items()


def _size(paper: Paper, model: str) -> float:
    """How many numbers a model of the paper has; 0 where that is not known."""
    sizes = {number.at["model"]: number.value for number in paper.tables.get("backbones", ())}
    if model.startswith("gpt3-"):
        text = model.removeprefix("gpt3-")
        return float(text[:-1]) * {"m": 1e6, "b": 1e9}[text[-1]]
    return sizes.get(model, 0.0)


def _x_axis(panel: Panel, curve: Curve, rows: Rows) -> Any:
    title = f"{curve.x}{' (log scale)' if curve.logarithmic else ''}"
    if panel.x_names:
        expression = "''"
        for place, name in panel.x_names.items():
            text = plain(name).replace("\\", "").replace("'", "\u2019")
            expression = f"datum.value == {place} ? '{text}' : {expression}"
        return axis_of(title, values=list(panel.x_names), labelExpr=expression, labelAngle=-30, labelOverlap=False)
    places = sorted({float(row["x"]) for row in rows})
    if curve.logarithmic and len(places) <= 12 and "parameters" not in curve.x:
        return axis_of(title, values=places, format="d", labelOverlap="greedy")
    if curve.logarithmic:
        return axis_of(title, **LARGE, values=log_ticks(places))
    return axis_of(title, **LARGE, tickCount=5)
