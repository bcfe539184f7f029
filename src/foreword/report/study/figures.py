"""The figures of a study in the papers' own forms, the paper's points as ghosts behind the measured ones; it refuses a fixed colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from foreword.prompts.methods import METHODS
from foreword.report.drawing import CARD, INK, MUTED, SHAPES, axis_of, colour_numbers, ink_of, plain
from foreword.report.study.held import hold
from foreword.results.cells import BinPanel, Bins, Curve, Entry, Panel, Row, Series, Table
from foreword.results.papers import Number, Paper, paper_of
from foreword.util import phrases

WIDTH, HEIGHT = 320, 220
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Picture:
    """chart: of the chart library. told: what a reader who cannot see it gets. series: name to colour number, for the legend. ghosts:
    whether the paper's points stand in it."""

    title: str
    chart: Any
    told: str
    series: dict[str, int]
    ghosts: bool


def pictures(answered: Table | Curve | Bins, preset: str) -> list[Picture]:
    """The pictures of one answer: a panel each."""
    paper = paper_of(preset)
    if isinstance(answered, Curve):
        return [_lines(panel, answered, preset, paper) for panel in answered.panels if _any(panel)]
    if isinstance(answered, Bins):
        return [_bins(panel, answered.x, preset, paper) for panel in answered.panels if panel.counts]
    columns = range(len(answered.columns))
    made = [_bars(answered, n, preset, paper) for n in columns if _numbers(answered, n)]
    return [picture for picture in made if picture is not None]


def colours(names: Iterable[str]) -> dict[str, int]:
    """A colour's number for each series; methods keep theirs."""
    every = list(dict.fromkeys(names))
    alias = {name: name if name in METHODS else name.replace("-", ":") for name in every}
    numbers = colour_numbers(list(alias.values()))
    return {name: numbers[alias[name]] for name in every}


# -- bars ---------------------------------------------------------------------------------------------------------------


def _numbers(table: Table, column: int) -> list[tuple[Row, Entry]]:
    cells = [(row, row.entries[column]) for row in table.rows if column < len(row.entries)]
    return [(row, cell) for row, cell in cells if isinstance(cell, Entry) and cell.score is not None]


def _bars(table: Table, column: int, preset: str, paper: Paper | None) -> Picture | None:
    """One column of a table: a bar a row, its interval as a line, the paper's number as an open diamond."""
    cells = _numbers(table, column)
    names = [plain(" · ".join(filter(None, row.head))) for row, _ in cells]
    methods = [entry.paper.get("method", row.head[-1]) for row, entry in cells]
    numbered = colours(methods)
    data: Rows = []
    ghosts: Rows = []
    for (_, entry), name, method in zip(cells, names, methods, strict=True):
        held = hold(entry, paper, preset)
        data.append(_point(entry, name) | {"y": name, "x": entry.score, "ink": ink_of(numbered[method])})
        if held.number is not None:
            ghosts.append(
                _ghost(held.number, name) | {"y": name, "x": held.number.value, "ink": ink_of(numbered[method])}
            )
    unit = cells[0][1].unit
    logarithmic = unit in ("numbers", "s")
    values = [one["x"] for one in (*data, *ghosts)] + [
        end for one in (*data, *ghosts) for end in (one["lo"], one["hi"])
    ]
    if logarithmic and min(values) <= 0:
        logarithmic = False
    scale = (
        alt.Scale(type="log", nice=True)
        if logarithmic
        else alt.Scale(domain=[min(0.0, *values), max(values) * 1.03 or 1.0], nice=False)
    )
    title = {"numbers": "numbers trained (log scale)", "s": "seconds (log scale)"}.get(unit) or phrases.title(
        cells[0][1].metric
    )
    x = alt.X("x:Q", scale=scale, axis=axis_of(title, **({"format": "~s"} if logarithmic else {})))
    y = alt.Y(
        "y:N", sort=names, axis=axis_of("", grid=False, domain=False, ticks=False, labelLimit=150, labelColor=INK)
    )
    ink = alt.Color("ink:N", scale=None)
    base, held_by = alt.Chart(alt.Data(values=data)), alt.Chart(alt.Data(values=ghosts or [{"x": None}]))
    bars = base.mark_point(filled=True, size=90, opacity=1) if logarithmic else base.mark_bar(height=11, opacity=0.8)
    layers = [bars.encode(x=x, y=y, color=ink, description="hover:N", href="link:N")]
    layers.append(base.mark_rule(color=INK, strokeWidth=1.2).encode(x=alt.X("lo:Q", scale=scale), x2="hi:Q", y=y))
    if ghosts:
        layers += [
            held_by.mark_rule(color=MUTED, strokeWidth=1, strokeDash=[2, 2]).encode(
                x=alt.X("lo:Q", scale=scale), x2="hi:Q", y=y
            ),
            held_by.mark_point(shape="diamond", size=95, fill=CARD, color=MUTED, strokeWidth=1.6, opacity=0.95).encode(
                x=x, y=y, description="hover:N"
            ),
        ]
    chart = alt.layer(*layers).properties(width=WIDTH - 60, height=max(60, 26 * len(names)))
    told = "; ".join(f"{name}: {value(entry)}" for name, (_, entry) in zip(names, cells, strict=True))
    return Picture(table.columns[column], chart, f"{table.columns[column]}: {told}", numbered, bool(ghosts))


# -- lines --------------------------------------------------------------------------------------------------------------


def _any(panel: Panel) -> bool:
    return any(entry.score is not None for line in panel.series for _, entry in line.points)


def _lines(panel: Panel, curve: Curve, preset: str, paper: Paper | None) -> Picture:
    """A line a series with its band; the paper's points as open diamonds on a dashed line; a level as a dashed line across."""
    numbered = colours(line.name for line in panel.series)
    data: Rows = []
    levels: Rows = []
    ghosts: Rows = []
    sized = "parameters" in curve.x
    for line in panel.series:
        ink = ink_of(numbered[line.name])
        for at, entry in line.points:
            x = max(at, 1e-9) if curve.logarithmic else at
            if entry.score is not None:
                row = _point(entry, line.name) | {"series": plain(line.name), "x": x, "y": entry.score, "ink": ink}
                (levels if line.level else data).append(row)
        if not line.level:
            ghosts += _ghost_line(line, curve, preset, paper, ink, sized)
    scale = alt.Scale(type="log", nice=False) if curve.logarithmic else alt.Scale(nice=True, zero=False)
    x = alt.X("x:Q", scale=scale, axis=_x_axis(panel, curve, [*data, *ghosts]))
    y = alt.Y("y:Q", scale=alt.Scale(zero=False), axis=axis_of(phrases.title(panel.y)))
    ink_by, detail = alt.Color("ink:N", scale=None), "series:N"
    names = [plain(name) for name in numbered]
    shape = alt.Shape(
        "series:N",
        scale=alt.Scale(domain=names, range=[SHAPES[n % len(SHAPES)] for n in numbered.values()]),
        legend=None,
    )
    layers = []
    if ghosts:
        behind = alt.Chart(alt.Data(values=ghosts))
        layers += [
            behind.mark_line(strokeDash=[3, 3], strokeWidth=1.2, opacity=0.5).encode(
                x=x, y=y, color=ink_by, detail=detail
            ),
            behind.mark_rule(strokeWidth=1, opacity=0.35).encode(x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=ink_by),
            behind.mark_point(shape="diamond", size=70, fill=CARD, strokeWidth=1.2, opacity=0.65).encode(
                x=x, y=y, color=ink_by, description="hover:N"
            ),
        ]
    if levels:
        across = alt.Chart(alt.Data(values=levels))
        layers.append(
            across.mark_rule(strokeDash=[6, 4], strokeWidth=1.6).encode(y=y, color=ink_by, description="hover:N")
        )
    if data:
        base = alt.Chart(alt.Data(values=data))
        layers += [
            base.mark_area(opacity=0.16).encode(x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=ink_by, detail=detail),
            base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=ink_by, detail=detail),
            base.mark_point(filled=True, size=60, opacity=1, stroke=CARD, strokeWidth=0.8).encode(
                x=x, y=y, color=ink_by, shape=shape, description="hover:N", href="link:N"
            ),
        ]
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    told = "; ".join(
        f"{line.name}: {', '.join(f'{value(entry)} at {at:g}' for at, entry in line.points)}" for line in panel.series
    )
    return Picture(panel.title, chart, f"{panel.title}, by {curve.x}: {told}", numbered, bool(ghosts))


def _ghost_line(line: Series, curve: Curve, preset: str, paper: Paper | None, ink: str, sized: bool) -> Rows:
    """The paper's points of one line: at the measured points' places, or, where models are ordered by size, at the paper's sizes."""
    if paper is None:
        return []
    if not sized:
        points = [(at, hold(entry, paper, preset).number) for at, entry in line.points]
    else:
        points = [
            (_size(paper, number.at["model"]), number)
            for number in paper.of(preset)
            if line.points and _same_line(number, line.points[0][1].paper)
        ]
    rows = [
        _ghost(number, line.name) | {"series": plain(line.name), "x": at, "y": number.value, "ink": ink}
        for at, number in points
        if number is not None and at
    ]
    return sorted(rows, key=lambda row: float(row["x"]))


def _same_line(number: Number, at: Mapping[str, str]) -> bool:
    own = {key: value for key, value in number.at.items() if key != "model"}
    return "model" in number.at and own.items() <= at.items()


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
    if curve.logarithmic and len(places) <= 10 and "parameters" not in curve.x:
        return axis_of(title, values=places, format="d", labelOverlap="greedy")
    return axis_of(title, format="~s", tickCount=5)


# -- bins ---------------------------------------------------------------------------------------------------------------


def _bins(panel: BinPanel, x_name: str, preset: str, paper: Paper | None) -> Picture:
    """Above: each series by bin, with intervals, the paper's points behind. Below: how many examples a bin holds, beside the paper's."""
    numbered = colours(panel.series)
    bins = [str(n + 1) for n in range(len(panel.counts))]
    data: Rows = []
    ghosts: Rows = []
    counts: Rows = []
    for name, points in panel.series.items():
        for place, point in zip(bins, points, strict=True):
            coordinates = {**panel.paper, "method": name, "bin": place}
            base = {"series": plain(name), "x": place, "ink": ink_of(numbered[name])}
            if point is not None:
                score, low, high = point
                hover = f"hover:{plain(name)}, bin {place}: {phrases.score(score)}"
                data.append(
                    base
                    | {
                        "y": score,
                        "lo": score if low is None else low,
                        "hi": score if high is None else high,
                        "hover": hover,
                    }
                )
            number = paper.number(preset, coordinates) if paper is not None else None
            if number is not None and "method" in number.at:
                ghosts.append(base | _ghost(number, name) | {"y": number.value})
    for place, count in zip(bins, panel.counts, strict=True):
        number = paper.number(preset, {**panel.paper, "bin": place}) if paper is not None else None
        counts.append({"x": place, "n": count, "paper": None if number is None else number.value})
    x = alt.X("x:N", sort=bins, axis=axis_of("", labels=False, ticks=False, grid=False))
    y = alt.Y("y:Q", scale=alt.Scale(zero=False), axis=axis_of(phrases.title(panel.y)))
    ink_by = alt.Color("ink:N", scale=None)
    names = [plain(name) for name in numbered]
    shape = alt.Shape(
        "series:N",
        scale=alt.Scale(domain=names, range=[SHAPES[n % len(SHAPES)] for n in numbered.values()]),
        legend=None,
    )
    layers = []
    if ghosts:
        behind = alt.Chart(alt.Data(values=ghosts))
        layers += [
            behind.mark_line(strokeDash=[3, 3], strokeWidth=1.2, opacity=0.5).encode(
                x=x, y=y, color=ink_by, detail="series:N"
            ),
            behind.mark_point(shape="diamond", size=70, fill=CARD, strokeWidth=1.2, opacity=0.65).encode(
                x=x, y=y, color=ink_by, description="hover:N"
            ),
        ]
    base_chart = alt.Chart(alt.Data(values=data or [{"x": bins[0]}]))
    layers += [
        base_chart.mark_rule(strokeWidth=2, opacity=0.5).encode(x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=ink_by),
        base_chart.mark_line(strokeWidth=1.6).encode(x=x, y=y, color=ink_by, detail="series:N"),
        base_chart.mark_point(filled=True, size=65, opacity=1).encode(
            x=x, y=y, color=ink_by, shape=shape, description="hover:N"
        ),
    ]
    upper = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT - 30)
    bars = alt.Chart(alt.Data(values=counts))
    below = alt.X("x:N", sort=bins, axis=axis_of(f"{x_name}, bin 1 the most similar", labelAngle=0, grid=False))
    lower = alt.layer(
        bars.mark_bar(color=MUTED, opacity=0.45).encode(x=below, y=alt.Y("n:Q", axis=axis_of("examples", tickCount=3))),
        bars.mark_text(dy=-6, color=INK, fontSize=11).encode(x=below, y="n:Q", text=alt.Text("n:Q", format=",")),
    ).properties(width=WIDTH, height=70)
    told = "; ".join(
        f"{name}: {', '.join('none' if point is None else phrases.score(point[0]) for point in points)}"
        for name, points in panel.series.items()
    )
    return Picture(
        panel.title,
        alt.vconcat(upper, lower, spacing=8),
        f"{panel.title}, most similar first: {told}",
        numbered,
        bool(ghosts),
    )


# -- shared -------------------------------------------------------------------------------------------------------------


def _point(entry: Entry, name: str) -> dict[str, Any]:
    assert entry.score is not None
    low, high = entry.ci95 or (entry.score, entry.score)
    return {
        "lo": low,
        "hi": high,
        "hover": f"hover:{plain(name)}: {value(entry)} on {plain(entry.model)}",
        "link": f"#c-{entry.cells[0]}" if entry.cells else "",
    }


def _ghost(number: Number, name: str) -> dict[str, Any]:
    spread = number.std or 0.0
    return {
        "lo": max(0.0, number.value - spread),
        "hi": number.value + spread,
        "hover": f"hover:the paper's {plain(name)}: {number} ({number.known})",
    }


def value(entry: Entry) -> str:
    """A number in words."""
    if entry.score is None:
        return entry.cause or "not run"
    if entry.unit == "s":
        return phrases.duration(entry.score)
    if entry.unit == "numbers":
        return phrases.whole(entry.score)
    return phrases.score(entry.score) + ("" if entry.spread is None else f" ± {phrases.score(entry.spread)}")
