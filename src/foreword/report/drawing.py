"""What every chart of a report shares: colours as stand-ins for the page's, axes, and the rendering to SVG text without script or link; it
refuses a fixed colour, which light or dark could not bear."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import altair as alt
import vl_convert as vlc

from foreword.prompts.methods import METHODS

WIDTH, COLOURS = 400, 10
# Colours are stand-ins that svg_of replaces by the page's CSS variables, so that one drawing serves light and dark.
INK, MUTED, LINE, CARD = "#a1b2f0", "#a1b2f1", "#a1b2f2", "#a1b2f3"
_STANDINS = {INK: "ink", MUTED: "muted", LINE: "line", CARD: "card"} | {
    f"#a1b2{n:02x}": f"m{n}" for n in range(COLOURS)
}
SHAPES = (
    "cross",
    "triangle-down",
    "triangle-up",
    "circle",
    "square",
    "diamond",
    "triangle-right",
    "triangle-left",
    "wedge",
    "arrow",
)
_USUAL = {name: number for number, name in enumerate(METHODS)}


def colour_numbers(labels: Sequence[str]) -> dict[str, int]:
    """A colour's number for each method: the usual methods keep theirs in every report, others take the first that is free."""
    taken: dict[str, int] = {label: _USUAL[label] for label in labels if label in _USUAL}
    for label in labels:
        if label not in taken:
            usual = _USUAL.get(label.split(":")[0], 7)
            order = [usual, 6, 7, *range(COLOURS)]
            taken[label] = next((n for n in order if n not in taken.values()), len(taken) % COLOURS)
    return {label: taken[label] for label in labels}


def colour_of(number: int) -> str:
    """The stand-in of a numbered colour."""
    return f"#a1b2{number:02x}"


def axis_of(title: str, **options: Any) -> Any:
    """An axis in the page's own ink."""
    usual: dict[str, Any] = {
        "title": title or None, "labelColor": MUTED, "titleColor": MUTED, "gridColor": LINE, "domainColor": LINE, "tickColor": LINE,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "tickCount": 6, "labelPadding": 5, "titlePadding": 9,
        "labelFlush": False,
    }  # fmt: skip
    return alt.Axis(**(usual | options))


def plain(label: str) -> str:
    """A label without line ends and control signs, which the chart library reads as code."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in label).split())


# A mark that bears a description, as the renderer writes it: made a title, which a browser shows.
_HOVERED = re.compile(r'<(path|line)\s+aria-label="hover:([^"]*)"([^>]*?)\s*/>')


def solid(chart: Any) -> str:
    """A picture of its own, as SVG in the light page's colours, for a file."""
    text = vlc.vegalite_to_svg(_whole(chart).configure(background="#ffffff").to_dict())
    light = re.search(
        r":root \{(.*?)\}", files("foreword.report").joinpath("page.css").read_text(encoding="utf-8"), re.DOTALL
    )
    inks = dict(re.findall(r"--(\w+): (#\w{6})", light[1] if light else ""))
    for standin, variable in _STANDINS.items():
        text = text.replace(standin, inks[variable])
    return re.sub(r"</?a(?: [^>]*)?>", "", _HOVERED.sub(r"<\1\3><title>\2</title></\1>", text))


def _whole(chart: Any) -> Any:
    return chart.configure(background="transparent", font="system-ui, sans-serif").configure_view(stroke=None)


def svg_of(chart: Any) -> str:
    """Render, take out what names an address, and give every colour to the page's style sheet."""
    text = vlc.vegalite_to_svg(_whole(chart).to_dict())
    text = _HOVERED.sub(r"<\1\3><title>\2</title></\1>", text)
    text = re.sub(r'\s(?:xmlns(?::\w+)?|aria-[\w-]+|role|class)="[^"]*"', "", text)
    for standin, variable in _STANDINS.items():
        text = text.replace(f'"{standin}"', f'"var(--{variable})"')
    # A mark leads somewhere by the page's script, for a pointer: a link inside a picture is none for a keyboard, and the tables beside it
    # hold the same ones. (The renderer takes a place on the page for one at its own address.)
    text = re.sub(r'<a (?:xlink:)?href="[^"#]*(#[^"]*)"[^>]*>', r'<g data-to="\1">', text).replace("</a>", "</g>")
    return text.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
