"""The monitor's charts as SVG text: how each feature moved from window to window, and the score over time; drawn as the report's are."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np

from foreword.monitor.run import Monitored
from foreword.monitor.truth import Score
from foreword.monitor.windows import CATEGORIES, NAMES, NUMBERS, Window
from foreword.report.charts import CARD, INK, MUTED, axis_of, colour_of, svg_of

WIDTH, HEIGHT = 400, 190
FLOOR = 1e-4  # the adjusted p below which the chart does not go
INPUTS_COLOUR, ALARM_COLOUR = 3, 4  # of the page's style sheet


def features_of(result: Monitored) -> list[str]:
    """The features that any window was tested for, in their usual order."""
    tested = {test.feature for window in result.windows for test in window.tests}
    return [name for name in NAMES if name in tested]


def evidence(result: Monitored, colours: dict[str, int]) -> str:
    """The adjusted p of each test by window, on a scale of powers of ten, small ones up; the line is alpha."""
    points = [
        {
            "window": window.number + 1,
            "feature": test.feature,
            "height": -math.log10(max(test.adjusted, FLOOR)),
            "hover": f"hover:{test.feature}, window {window.number + 1}: adjusted p {test.adjusted:.2g}",
        }
        for window in result.windows
        for test in window.tests
    ]
    scale = alt.Scale(domain=[-0.15, -math.log10(FLOOR) + 0.2], nice=False, zero=False)
    labels = "datum.value == 0 ? '1' : datum.value == 1 ? '0.1' : datum.value == 2 ? '0.01' : datum.value == 3 ? '0.001' : '0.0001'"
    y = alt.Y("height:Q", scale=scale, axis=axis_of("adjusted p", values=[0, 1, 2, 3, 4], labelExpr=labels))
    domain = list(colours)
    ink = alt.Color(
        "feature:N",
        scale=alt.Scale(domain=domain, range=[colour_of(colours[name]) for name in domain]),
        legend=None,
    )
    base = alt.Chart(alt.Data(values=points))
    line = alt.Chart(alt.Data(values=[{"height": -math.log10(result.rule.alpha)}]))
    x = _windows(result.windows)
    return svg_of(
        alt.layer(
            line.mark_rule(color=MUTED, strokeDash=[4, 3]).encode(y=alt.Y("height:Q", scale=scale)),
            base.mark_line(strokeWidth=1.6, opacity=0.7).encode(x=x, y=y, color=ink),
            base.mark_circle(size=55, opacity=1, stroke=CARD, strokeWidth=1).encode(
                x=x, y=y, color=ink, description="hover:N"
            ),
        ).properties(width=WIDTH, height=HEIGHT)
    )


def movement(result: Monitored, feature: str) -> str:
    """The median and the middle half of a number in each window, on the band of the reference; windows that alarm are marked. Empty text
    for what is no number."""
    if NAMES[feature].kind != NUMBERS:
        return ""
    rows = [(window, test) for window in result.windows for test in window.tests if test.feature == feature]
    if not rows:
        return ""
    reference = rows[0][1].reference
    data = [
        {
            "window": window.number + 1,
            "low": test.window["quartile_low"],
            "median": test.window["median"],
            "high": test.window["quartile_high"],
            "ink": colour_of(ALARM_COLOUR if test.alarm else INPUTS_COLOUR),
            "hover": f"hover:window {window.number + 1}: median {test.window['median']:.4g}, p {test.p:.2g}",
        }
        for window, test in rows
    ]
    band = alt.Chart(alt.Data(values=[{"low": reference["quartile_low"], "high": reference["quartile_high"]}]))
    middle = alt.Chart(alt.Data(values=[{"median": reference["median"]}]))
    base, x, scale = alt.Chart(alt.Data(values=data)), _windows(result.windows), alt.Scale(zero=False)
    y = alt.Y("median:Q", scale=scale, axis=axis_of(UNITS.get(feature, feature)))
    ink = alt.Color("ink:N", scale=None, legend=None)
    return svg_of(
        alt.layer(
            band.mark_rect(color=MUTED, opacity=0.16).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
            middle.mark_rule(color=MUTED, strokeDash=[4, 3]).encode(y="median:Q"),
            base.mark_rule(strokeWidth=2, opacity=0.55).encode(
                x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=ink
            ),
            base.mark_circle(size=70, opacity=1, stroke=CARD, strokeWidth=1).encode(
                x=x, y=y, color=ink, description="hover:N"
            ),
        ).properties(width=WIDTH, height=HEIGHT)
    )


UNITS = {
    "input length": "characters of an input",
    "tokens read": "tokens that the model read",
    "similarity": "similarity of the nearest demonstration",
    "log-probability": "log-probability, nats a token",
    "answer length": "tokens of an answer",
}


def shares(result: Monitored, feature: str) -> list[tuple[str, float, float]]:
    """Of a feature of categories: each category, its share of the reference and of the newest window that was tested."""
    rows = [test for window in result.windows for test in window.tests if test.feature == feature]
    if NAMES[feature].kind != CATEGORIES or not rows:
        return []
    there, here = rows[-1].reference["shares"], rows[-1].window["shares"]
    return [(name, there.get(name, 0.0), here.get(name, 0.0)) for name in sorted({*there, *here})]


def over_time(scores: tuple[Score, ...], windows: int) -> str:
    """The score of each window with its interval."""
    data: list[dict[str, Any]] = [
        {
            "window": score.window + 1,
            "low": score.low,
            "score": score.score,
            "high": score.high,
            "ink": colour_of(ALARM_COLOUR if score.alarm else INPUTS_COLOUR),
            "hover": f"hover:window {score.window + 1}: {score.score:.1f} ({score.low:.1f} to {score.high:.1f})",
        }
        for score in scores
    ]
    base = alt.Chart(alt.Data(values=data))
    x = _axis_of(max(windows, *(score.window + 1 for score in scores)))
    scale, ink = alt.Scale(zero=False), alt.Color("ink:N", scale=None, legend=None)
    return svg_of(
        alt.layer(
            base.mark_rule(strokeWidth=2, opacity=0.55).encode(
                x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=ink
            ),
            base.mark_line(color=INK, strokeWidth=1, opacity=0.5).encode(x=x, y=alt.Y("score:Q", scale=scale)),
            base.mark_circle(size=70, opacity=1, stroke=CARD, strokeWidth=1).encode(
                x=x, y=alt.Y("score:Q", scale=scale, axis=axis_of("score")), color=ink, description="hover:N"
            ),
        ).properties(width=WIDTH, height=HEIGHT)
    )


def _windows(windows: tuple[Window, ...]) -> Any:
    return _axis_of(len(windows))


def _axis_of(count: int) -> Any:
    step = max(1, int(np.ceil(count / 10)))
    ticks = list(range(1, count + 1, step))
    scale = alt.Scale(domain=[0.5, count + 0.5], nice=False, zero=False)
    return alt.X("window:Q", scale=scale, axis=axis_of("window", values=ticks, format="d", grid=False))
