"""PT and IPT by bins of similarity, with the number of examples below, the paper's points behind; it refuses a mean of an empty bin."""

from __future__ import annotations

from typing import Any

import altair as alt

from foreword.report.drawing import INK, MUTED, axis_of, colour_of, plain
from foreword.report.study.marks import (
    HEIGHT,
    INTERVALS,
    WIDTH,
    Picture,
    Rows,
    colours,
    ghost_of,
    ghosts_behind,
    shape_by,
)
from foreword.results.cells import BinPanel
from foreword.results.papers import Paper
from foreword.util import phrases


def bins(panel: BinPanel, x_name: str, preset: str, paper: Paper | None) -> Picture:
    """Above: each series by bin, with intervals, the paper's points behind. Below: how many examples a bin holds."""
    numbered = colours(panel.series)
    places = [str(n + 1) for n in range(len(panel.counts))]
    data, ghosts = _rows(panel, places, numbered, preset, paper)
    x = alt.X("x:N", sort=places, axis=axis_of("", labels=False, ticks=False, grid=False))
    y = alt.Y("y:Q", scale=alt.Scale(zero=False), axis=axis_of(phrases.title(panel.y)))
    ink, base = alt.Color("ink:N", scale=None), alt.Chart(alt.Data(values=data or [{"x": places[0]}]))
    points = base.mark_point(filled=True, size=65, opacity=1)
    layers = [
        *ghosts_behind(ghosts, x, y, spread=False),
        base.mark_rule(strokeWidth=2, opacity=0.5).encode(x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=ink),
        base.mark_line(strokeWidth=1.6).encode(x=x, y=y, color=ink, detail="series:N"),
        points.encode(x=x, y=y, color=ink, shape=shape_by(numbered), description="hover:N"),
    ]
    upper = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT - 30)
    chart = alt.vconcat(upper, _counts(panel, places, x_name), spacing=8)
    description = "; ".join(
        f"{name}: {', '.join('none' if point is None else phrases.score(point[0]) for point in points_)}"
        for name, points_ in panel.series.items()
    )
    described = f"{panel.title}, most similar first: {description}"
    return Picture(panel.title, chart, described, numbered, bool(ghosts), panel.note, (INTERVALS,))


def _rows(
    panel: BinPanel, places: list[str], numbered: dict[str, int], preset: str, paper: Paper | None
) -> tuple[Rows, Rows]:
    """The measured points, and the paper's."""
    data: Rows = []
    ghosts: Rows = []
    for name, points in panel.series.items():
        for place, point in zip(places, points, strict=True):
            base: dict[str, Any] = {"series": plain(name), "x": place, "ink": colour_of(numbered[name])}
            if point is not None:
                score, low, high = point
                hover = f"hover:{plain(name)}, bin {place}: {phrases.score(score)}"
                ends = {"lo": score if low is None else low, "hi": score if high is None else high}
                data.append(base | ends | {"y": score, "hover": hover})
            at = {**panel.paper, "method": name, "bin": place}
            number = paper.number(preset, at) if paper is not None else None
            if number is not None and "method" in number.at:
                ghosts.append(base | ghost_of(number, name) | {"y": number.value})
    return data, ghosts


def _counts(panel: BinPanel, places: list[str], x_name: str) -> Any:
    bars = alt.Chart(alt.Data(values=[{"x": place, "n": n} for place, n in zip(places, panel.counts, strict=True)]))
    x = alt.X("x:N", sort=places, axis=axis_of(f"bin of {x_name} (1: most similar)", labelAngle=0, grid=False))
    return alt.layer(
        bars.mark_bar(color=MUTED, opacity=0.45).encode(x=x, y=alt.Y("n:Q", axis=axis_of("examples", tickCount=3))),
        bars.mark_text(dy=-6, color=INK, fontSize=11).encode(x=x, y="n:Q", text=alt.Text("n:Q", format=",")),
    ).properties(width=WIDTH, height=70)
