"""A column of a study's table as bars, or as points on a log scale, the paper's number as an open diamond; it refuses a bar without its
interval where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from foreword.report.drawing import CARD, INK, MUTED, axis_of, colour_of, plain
from foreword.report.study.held import hold
from foreword.report.study.marks import (
    INTERVALS,
    LARGE,
    WIDTH,
    Picture,
    Rows,
    colours,
    ghost_of,
    log_ticks,
    point_of,
    value,
)
from foreword.results.cells import Entry, Row, Table
from foreword.results.papers import Paper
from foreword.util import phrases


def numbers_in(table: Table, column: int) -> list[tuple[Row, Entry]]:
    """The rows of a table that have a number in that column."""
    cells = [(row, row.entries[column]) for row in table.rows if column < len(row.entries)]
    return [(row, cell) for row, cell in cells if isinstance(cell, Entry) and cell.score is not None]


def bars(table: Table, column: int, preset: str, paper: Paper | None) -> Picture:
    """One column of a table: a bar a row, its interval as a line, the paper's number as an open diamond."""
    cells = numbers_in(table, column)
    names = _names(table, [row for row, _ in cells])
    methods = [entry.paper.get("method", row.head[-1]) for row, entry in cells]
    every = colours(
        entry.paper.get("method", row.head[-1])
        for row in table.rows
        for entry in row.entries
        if isinstance(entry, Entry)
    )
    numbered = {method: every[method] for method in methods}
    data: Rows = []
    ghosts: Rows = []
    for (_, entry), name, method in zip(cells, names, methods, strict=True):
        held = hold(entry, paper, preset)
        data.append(point_of(entry, name) | {"y": name, "x": entry.score, "ink": colour_of(numbered[method])})
        if held.number is not None:
            ghosts.append(
                ghost_of(held.number, name) | {"y": name, "x": held.number.value, "ink": colour_of(numbered[method])}
            )
    unit = cells[0][1].unit
    logarithmic = unit in ("numbers", "s")
    values = [mark["x"] for mark in (*data, *ghosts)] + [
        end for mark in (*data, *ghosts) for end in (mark["lo"], mark["hi"])
    ]
    if logarithmic and min(values) <= 0:
        logarithmic = False
    scale = (
        alt.Scale(type="log", nice=True)
        if logarithmic
        else alt.Scale(domain=[min(0.0, *values), max(values) * 1.03 or 1.0], nice=False)
    )
    metrics = {entry.metric for _, entry in cells}
    scored = phrases.title(cells[0][1].metric) if len(metrics) == 1 else "score, each row by its own metric"
    title = {"numbers": "numbers trained", "s": "seconds"}.get(unit, scored) + " (log scale)" * logarithmic
    x = alt.X(
        "x:Q", scale=scale, axis=axis_of(title, **({**LARGE, "values": log_ticks(values)} if logarithmic else {}))
    )
    # Of the names, in pixels, in a wide font: the reader's is not known.
    room = min(240, max(7.4 * len(name) for name in names))
    y = alt.Y(
        "y:N",
        sort=names,
        axis=axis_of("", grid=False, domain=False, ticks=False, labelLimit=240, labelColor=INK, minExtent=room),
    )
    ink = alt.Color("ink:N", scale=None)
    base = alt.Chart(alt.Data(values=data))
    bars = base.mark_point(filled=True, size=90, opacity=1) if logarithmic else base.mark_bar(height=11, opacity=0.8)
    layers = [bars.encode(x=x, y=y, color=ink, description="hover:N", href="link:N")]
    layers.append(base.mark_rule(color=INK, strokeWidth=1.2).encode(x=alt.X("lo:Q", scale=scale), x2="hi:Q", y=y))
    layers += _theirs(ghosts, x, y, scale)
    chart = alt.layer(*layers).properties(width=max(150, WIDTH + 60 - room), height=max(60, 26 * len(names)))
    description = "; ".join(f"{name}: {value(entry)}" for name, (_, entry) in zip(names, cells, strict=True))
    described = f"{table.columns[column]}: {description}"
    notes = (INTERVALS,) if any(entry.ci95 is not None for _, entry in cells) else ()
    return Picture(table.columns[column], chart, described, numbered, bool(ghosts), notes=notes)


def _names(table: Table, rows: Sequence[Row]) -> list[str]:
    """The rows' names out of their heads, but for a head that all of the table's rows share."""
    varying = [n for n in range(len(table.heads)) if len({row.head[n] for row in table.rows}) > 1] or [0]
    return [plain(" · ".join(text for n in varying if (text := _named(table.heads[n], row.head[n])))) for row in rows]


def _named(head: str, text: str) -> str:
    """A part of a row's name, a number of tokens with its unit."""
    return (
        phrases.plural(int(text), "token") if head in ("prompt tokens", "prompt length") and text.isdecimal() else text
    )


def _theirs(ghosts: Rows, x: Any, y: Any, scale: Any) -> list[Any]:
    """The paper's numbers: open diamonds, with a dashed line for their spread."""
    if not ghosts:
        return []
    held_by = alt.Chart(alt.Data(values=ghosts))
    spread = held_by.mark_rule(color=MUTED, strokeWidth=1, strokeDash=[2, 2])
    diamond = held_by.mark_point(shape="diamond", size=95, fill=CARD, color=MUTED, strokeWidth=1.6, opacity=0.95)
    return [
        spread.encode(x=alt.X("lo:Q", scale=scale), x2="hi:Q", y=y),
        diamond.encode(x=x, y=y, description="hover:N"),
    ]
