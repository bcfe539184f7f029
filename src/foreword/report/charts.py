"""The report's charts as SVG text without script or link, in colours that suit a light and a dark page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from foreword.report.drawing import (
    CARD,
    COLOURS,
    INK,
    MUTED,
    SHAPES,
    WIDTH,
    axis_of,
    colour_numbers,
    colour_of,
    plain,
    svg_of,
)
from foreword.report.labels import places
from foreword.report.similarity import FEWEST_IN_BIN, Gain
from foreword.results.record import Record
from foreword.results.rows import MethodRow, Summary
from foreword.util import phrases

COST_HEIGHT = 270
__all__ = [
    "CARD",
    "COLOURS",
    "INK",
    "MUTED",
    "axis_of",
    "by_metric",
    "by_similarity",
    "colour_numbers",
    "colour_of",
    "curve",
    "score_against_cost",
    "seeds",
    "svg_of",
]


def score_against_cost(summary: Summary, colours: dict[str, int]) -> str:
    """Each method's score, with its interval, against the seconds to train it and answer the summary's number of inputs."""
    answers = summary.recommendation.amortize_over
    costs = {row.method: row.cost_seconds(answers) for row in summary.rows}
    axis, height = _TimeAxis(list(costs.values())), _height(summary.rows)
    low, high = _score_domain(summary.rows)
    data = [
        {
            "method": plain(row.method),
            "x": axis.place(costs[row.method]),
            "y": row.mean,
            "lo": row.ci95[0],
            "hi": row.ci95[1],
            "ink": colour_of(colours[row.method]),
            "hover": _hover(row, f"{phrases.duration(costs[row.method])} for {phrases.plural(answers, 'answer')}"),
        }
        for row in summary.rows
    ]
    x = alt.X(
        "x:Q",
        scale=axis.scale(),
        axis=axis.axis(
            f"time for {phrases.plural(answers, 'answer')}, training included{', log scale' if axis.log else ''}"
        ),
    )
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    y = alt.Y("y:Q", scale=scale, axis=axis_of(phrases.title(summary.metric)))
    base = alt.Chart(alt.Data(values=data))
    colour = _method_scale(colours, alt.Color, [colour_of(n) for n in colours.values()])
    shape = _method_scale(colours, alt.Shape, [SHAPES[n] for n in colours.values()])
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=x, y=alt.Y("lo:Q", scale=scale), y2="hi:Q", color=colour),
        base.transform_filter(alt.datum.method == plain(summary.recommendation.method))
        .mark_point(shape="circle", size=420, stroke=INK, strokeWidth=1.5, fillOpacity=0)
        .encode(x=x, y=y),
        base.mark_point(filled=True, size=110, opacity=1, stroke=CARD, strokeWidth=1).encode(
            x=x, y=y, color=colour, shape=shape, description="hover:N"
        ),
        *_labels(data, axis.domain, (low, high), x, y, height),
    ]
    return svg_of(alt.layer(*layers).properties(width=WIDTH, height=height))


def _labels(
    data: list[dict[str, Any]], xs: tuple[float, float], ys: tuple[float, float], x: Any, y: Any, height: float
) -> list[Any]:
    """Each method's name beside its point in its colour, with a thin line to it where the name had to move away."""
    across, down = (xs[1] - xs[0]) / WIDTH, (ys[1] - ys[0]) / height
    points = [((point["x"] - xs[0]) / across, (ys[1] - point["y"]) / down) for point in data]
    layers = []
    for point, place in zip(data, places(points, [point["method"] for point in data], WIDTH, height), strict=True):
        end = {"x2": xs[0] + place.x * across, "y2": ys[1] - place.y * down}
        chart = alt.Chart(alt.Data(values=[point | end]))
        if place.far:
            thin = chart.mark_rule(color=point["ink"], strokeWidth=1, opacity=0.5)
            layers.append(thin.encode(x=x, y=y, x2="x2:Q", y2="y2:Q"))
        name = chart.mark_text(
            text=point["method"], align=place.align, baseline="middle", color=point["ink"], fontSize=13
        )
        layers.append(name.encode(x="x2:Q", y="y2:Q"))
    return layers


def _height(rows: Sequence[MethodRow]) -> float:
    """Of the two charts that stand side by side."""
    return max(COST_HEIGHT, 40 * len(rows))


def seeds(summary: Summary, colours: dict[str, int]) -> str:
    """One line a method, best first: the interval as a bar, the mean as a tick, each seed as a point."""
    rows = sorted(summary.rows, key=lambda row: -row.mean)
    order = [plain(row.method) for row in rows]
    means = [
        {"method": plain(row.method), "mean": row.mean, "lo": row.ci95[0], "hi": row.ci95[1], "hover": _hover(row)}
        for row in rows
    ]
    points = [
        {
            "method": plain(row.method),
            "score": score,
            "hover": f"hover:{plain(row.method)}, seed {seed}: {phrases.score(score)}",
        }
        for row in rows
        for seed, score in zip(row.seeds, row.scores_by_seed, strict=True)
    ]
    low, high = _score_domain(summary.rows)
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("lo:Q", scale=scale, axis=axis_of(phrases.title(summary.metric)))
    y = alt.Y(
        "method:N",
        sort=order,
        axis=axis_of(
            "", grid=False, domain=False, ticks=False, labelLimit=160, labelFontSize=13, labelColor=INK, labelPadding=12
        ),
    )
    colour = _method_scale(colours, alt.Color, [colour_of(n) for n in colours.values()])
    base = alt.Chart(alt.Data(values=means))
    layers = [
        base.mark_rule(strokeWidth=12, opacity=0.28).encode(x=x, x2="hi:Q", y=y, color=colour, description="hover:N"),
        base.mark_tick(thickness=2.5, size=24).encode(x=alt.X("mean:Q", scale=scale), y=y, color=colour),
        alt.Chart(alt.Data(values=points))
        .mark_circle(size=60, opacity=0.95, stroke=CARD, strokeWidth=1)
        .encode(x=alt.X("score:Q", scale=scale), y=y, color=colour, description="hover:N"),
    ]
    return svg_of(alt.layer(*layers).properties(width=WIDTH, height=_height(rows)))


def by_similarity(gain: Gain, colours: dict[str, int], metric: str) -> str:
    """Above: the gain of each bin with its interval and the fitted line. Below: how many examples the bin holds."""
    bins = [
        {
            "x": (bucket.low + bucket.high) / 2,
            "left": bucket.low,
            "right": bucket.high,
            "mean": bucket.mean,
            "n": bucket.count,
        }
        | ({"lo": bucket.lo, "hi": bucket.hi} if bucket.count >= FEWEST_IN_BIN else {})
        for bucket in gain.bins
    ]
    line = [{"x": place, "mean": height} for place, height in gain.line()]
    colour = colour_of(colours[gain.with_label])
    domain = [gain.bins[0].low, gain.bins[-1].high]
    scale = alt.Scale(domain=domain, nice=False, zero=False)
    x = alt.X("x:Q", scale=scale, axis=axis_of("", labels=False, ticks=False))
    y = alt.Y("mean:Q", axis=axis_of(f"{gain.with_label} minus {gain.without_label}, {metric}"))
    base = alt.Chart(alt.Data(values=bins))
    known = alt.Chart(alt.Data(values=[point for point in bins if "lo" in point]))
    few = alt.Chart(alt.Data(values=[point for point in bins if "lo" not in point]))
    upper = alt.layer(
        alt.Chart(alt.Data(values=[{"mean": 0}])).mark_rule(color=MUTED, strokeDash=[4, 3]).encode(y="mean:Q"),
        alt.Chart(alt.Data(values=line)).mark_line(color=INK, strokeWidth=1.5).encode(x=x, y=y),
        known.mark_rule(color=colour, strokeWidth=2, opacity=0.6).encode(x=x, y=alt.Y("lo:Q"), y2="hi:Q"),
        known.mark_circle(color=colour, size=90, opacity=1, stroke=CARD, strokeWidth=1).encode(x=x, y=y),
        few.mark_point(color=colour, size=70, opacity=1, fill=CARD, strokeWidth=1.5).encode(x=x, y=y),
    ).properties(width=WIDTH, height=210)
    below = alt.X("left:Q", scale=scale, axis=axis_of("similarity of the demonstration", grid=False))
    bars = base.mark_bar(color=MUTED, opacity=0.45).encode(
        x=below, x2="right:Q", y=alt.Y("n:Q", axis=axis_of("examples", tickCount=3)), y2=alt.datum(0)
    )
    counts = base.mark_text(dy=-6, color=INK, fontSize=11).encode(
        x=alt.X("x:Q", scale=scale), y="n:Q", text=alt.Text("n:Q", format=",")
    )
    return svg_of(alt.vconcat(upper, alt.layer(bars, counts).properties(width=WIDTH, height=70), spacing=8))


def curve(records: Sequence[Record], what: str, name: str, colours: dict[str, int]) -> str:
    """One line for each tuned record: `what` (loss or dev) at each step, dev also before the first; a dev score by the
    primary metric (kept as its negative, lower is better) as the metric has it. Empty text where no record has it."""
    sign = -1 if what == "dev" and by_metric(records) else 1
    data = [
        {
            "method": plain(record.label),
            "run": record.key,
            "step": entry["step"],
            "value": sign * entry[what],
            "chosen": entry["step"] == _chosen(record),
        }
        | {"hover": f"hover:{plain(record.label)} seed {record.seed}, step {entry['step']:,}: {sign * entry[what]:.3g}"}
        for record in records
        for entry in (*([{"step": 0, "dev": record.dev_start}] if record.dev_start is not None else []), *record.curve)
        if "step" in entry and entry.get(what) is not None
    ]
    if not data:
        return ""
    colour = _method_scale(colours, alt.Color, [colour_of(n) for n in colours.values()])
    chart = alt.Chart(alt.Data(values=data))
    many = max(len([point for point in data if point["run"] == run]) for run in {point["run"] for point in data})
    marks = [chart.mark_line(strokeWidth=1.6, opacity=0.85)]
    if many <= 30:
        marks.append(chart.mark_circle(size=26, opacity=0.9))
    best = chart.transform_filter(alt.datum.chosen).mark_point(size=120, opacity=1, fill=CARD, strokeWidth=2)
    marks.append(best)
    x = alt.X("step:Q", axis=axis_of("step", format=",d"))
    y = alt.Y("value:Q", scale=alt.Scale(zero=False), axis=axis_of(name))
    drawn = [
        mark.encode(x=x, y=y, color=colour, detail="run:N", **({} if mark is marks[0] else {"description": "hover:N"}))
        for mark in marks
    ]
    return svg_of(alt.layer(*drawn).properties(width=WIDTH, height=210))


# --- shared ------------------------------------------------------------------------------------------------------------


_TICKS = (1e-3, 1e-2, 0.1, 1, 10, 60, 600, 3600, 36000, 86400 * 4, 86400 * 40)
_MORE_TICKS = (3e-3, 3e-2, 0.3, 3, 30, 180, 1800, 3600 * 3, 86400, 86400 * 10, 86400 * 100)
_STEPS = (
    1e-3,
    5e-3,
    0.01,
    0.05,
    0.1,
    0.5,
    1,
    2,
    5,
    10,
    30,
    60,
    120,
    300,
    600,
    1800,
    3600,
    7200,
    18000,
    43200,
    86400,
)


class _TimeAxis:
    """A time axis labelled with times: logarithmic when the longest is eight times the shortest, else from nought."""

    def __init__(self, seconds: list[float]) -> None:
        least, most = max(min(seconds), 1e-6), max(*seconds, 1e-6)
        self.log = most / least >= 8
        self.domain = (0.0, most * 1.3)
        if self.log:
            self.domain = (math.log10(least) - 0.2, math.log10(most) + 0.3)
            ticks = [tick for tick in _TICKS if self._inside(tick)]
            self.ticks = ticks if len(ticks) >= 3 else sorted(filter(self._inside, (*_TICKS, *_MORE_TICKS)))
            self.ticks = self.ticks[:: -(len(self.ticks) // 7 + 1)]
        else:
            step = next((width for width in _STEPS if most * 1.3 / width <= 6), 86400.0 * math.ceil(most / 86400 / 4))
            self.ticks = [step * n for n in range(int(most * 1.3 / step) + 1)]

    def place(self, seconds: float) -> float:
        """Where a time stands on the axis."""
        return math.log10(max(seconds, 1e-6)) if self.log else seconds

    def _inside(self, seconds: float) -> bool:
        return self.domain[0] <= math.log10(seconds) <= self.domain[1]

    def scale(self) -> Any:
        """The scale with its domain."""
        return alt.Scale(domain=list(self.domain), nice=False, zero=False)

    def axis(self, title: str) -> Any:
        """The axis with a time at each tick."""
        labels = {self.place(tick): phrases.duration(tick).replace(".0 ", " ") for tick in self.ticks}
        expression = "''"
        for place, text in labels.items():
            expression = f"abs(datum.value - {place!r}) < 1e-9 ? '{text}' : {expression}"
        return axis_of(title, values=list(labels), labelExpr=expression)


def _method_scale(colours: dict[str, int], channel: Any, values: list[str]) -> Any:
    return channel("method:N", scale=alt.Scale(domain=[plain(label) for label in colours], range=values), legend=None)


def _score_domain(rows: Sequence[MethodRow]) -> tuple[float, float]:
    """Room for every interval and every seed, with a margin, but none for scores that cannot be: below 0 or above 100, where no
    score is."""
    values = [value for row in rows for value in (row.mean, *row.ci95, *row.scores_by_seed) if math.isfinite(value)]
    margin = max(0.08 * (max(values) - min(values)), 0.5)
    low, high = min(values) - margin, max(values) + margin
    return (low if min(values) < 0 else max(0.0, low)), (high if max(values) > 100 else min(100.0, high))


def _hover(row: MethodRow, more: str = "") -> str:
    """What a reader sees who rests on a point."""
    low, high = row.ci95
    hover = f"hover:{plain(row.method)}: {phrases.score(row.mean)} ({phrases.score(low)} to {phrases.score(high)})"
    return f"{hover}, {more}" if more else hover


def by_metric(records: Sequence[Record]) -> bool:
    """Whether checkpoints were chosen by the metric and not by the loss."""
    return any((record.spec.get("tuning") or {}).get("select_by") == "metric" for record in records)


def _chosen(record: Record) -> float | None:
    """The step whose prompt was kept: the lowest on dev, the first of equal ones."""
    judged = [entry for entry in record.curve if entry.get("dev") is not None]
    return min(judged, key=lambda entry: entry["dev"])["step"] if judged else None
