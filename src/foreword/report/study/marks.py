"""What the figures of a study share: colours, shapes, marks of measured numbers and of the paper's; it refuses a fixed colour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from foreword.prompts.methods import METHODS
from foreword.report.drawing import CARD, SHAPES, colour_numbers, plain
from foreword.results.cells import Entry
from foreword.results.papers import Number
from foreword.util import phrases

WIDTH, HEIGHT = 320, 220
INTERVALS = "Lines through marks and bands around them are 95% intervals; a mark without one has none."
# Of an axis with numbers as 10k, 10M, 10B, those left out that have no room.
LARGE: Mapping[str, Any] = {
    "labelExpr": "replace(format(datum.value, '~s'), 'G', 'B')",
    "labelOverlap": "greedy",
    "labelSeparation": 8,
}
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Picture:
    """chart: of the chart library. description: the text for a reader who cannot see it. series: name to colour number, for the
    legend. ghosts: whether the paper's points stand in it. text: what is said below its title. notes: sentences on how to read it, which
    several pictures may share."""

    title: str
    chart: Any
    description: str
    series: dict[str, int]
    ghosts: bool
    text: str = ""
    notes: tuple[str, ...] = ()


def log_ticks(values: Iterable[float]) -> list[float]:
    """Where the ticks of a log scale stand: at powers of ten, between them too where there are few, so that no two crowd."""
    positive = [value for value in values if value > 0]
    if not positive:
        return []
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    step = max(1, math.ceil((high - low) / 8))
    powers = [10.0**power for power in range(low, high + 1, step)]
    within = [power for power in powers if min(positive) <= power <= max(positive)]
    if len(within) > 1:
        return powers
    return [factor * 10.0**power for power in range(low, high + 1) for factor in (1, 2, 5)]


def colours(names: Iterable[str]) -> dict[str, int]:
    """A colour's number for each series; methods keep theirs."""
    every = list(dict.fromkeys(names))
    alias = {name: name if name in METHODS else name.replace("-", ":") for name in every}
    numbers = colour_numbers(list(alias.values()))
    return {name: numbers[alias[name]] for name in every}


def shape_by(numbered: Mapping[str, int]) -> Any:
    """A shape for each series, as each has a colour."""
    names = [plain(name) for name in numbered]
    shapes = [SHAPES[number % len(SHAPES)] for number in numbered.values()]
    return alt.Shape("series:N", scale=alt.Scale(domain=names, range=shapes), legend=None)


def ghosts_behind(ghosts: Rows, x: Any, y: Any, *, spread: bool = True) -> list[Any]:
    """The layers of the paper's points: open diamonds on a dashed line, with their spread over runs where asked."""
    if not ghosts:
        return []
    chart, ink = alt.Chart(alt.Data(values=ghosts)), alt.Color("ink:N", scale=None)
    line = chart.mark_line(strokeDash=[3, 3], strokeWidth=1.2, opacity=0.5).encode(
        x=x, y=y, color=ink, detail="series:N"
    )
    rule = chart.mark_rule(strokeWidth=1, opacity=0.35).encode(x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=ink)
    points = chart.mark_point(shape="diamond", size=70, fill=CARD, strokeWidth=1.2, opacity=0.65)
    return [line, *([rule] if spread else []), points.encode(x=x, y=y, color=ink, description="hover:N")]


def point_of(entry: Entry, name: str) -> dict[str, Any]:
    """What every mark of a measured number has: its interval, what a reader sees who rests on it, where it leads."""
    assert entry.score is not None
    low, high = entry.ci95 or (entry.score, entry.score)
    return {
        "lo": low,
        "hi": high,
        "hover": f"hover:{plain(name)}: {value(entry)} on {plain(entry.model)}",
        "link": f"#c-{entry.cells[0]}" if entry.cells else "",
    }


def ghost_of(number: Number, name: str) -> dict[str, Any]:
    """What every mark of a paper's number has."""
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
