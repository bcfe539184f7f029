"""The page of inspected prompts: neighbours, lengths, likeness and a map, each beside what random vectors give; it refuses a picture
without its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import altair as alt

from foreword.prompts.inspect import Inspected, Inspection, Spread
from foreword.report.drawing import CARD, COLOURS, SHAPES, WIDTH, axis_of, colour_of, plain, svg_of
from foreword.report.shell import document, figure, scrolled, section
from foreword.util import phrases
from foreword.util.files import write_text


def write_inspected(path: Path, inspection: Inspection) -> None:
    """Write the page whole or not at all. Raises ForewordError."""
    write_text(path, inspected_page(inspection))


def inspected_page(inspection: Inspection) -> str:
    """The page as text."""
    count = phrases.plural(len(inspection.prompts), "soft prompt")
    summary = "".join(
        f"<h3>{escape(prompt.name)}</h3>" + "".join(f"<p>{escape(item)}</p>" for item in sentences(prompt, inspection))
        for prompt in inspection.prompts
    )
    parts = [
        f"<header><h1>{count} of {escape(inspection.model or 'an unnamed model')}</h1></header>",
        section("summary", "What their vectors are like", summary + scrolled("Lengths", _lengths(inspection))),
        section("map", "Where their vectors lie", _map(inspection)),
    ]
    if len(inspection.prompts) > 1:
        parts.append(section("alike", "How alike they are", _alike(inspection)))
    parts += [_neighbours(n, prompt) for n, prompt in enumerate(inspection.prompts) if prompt.neighbours]
    return document(f"Inspected: {count}", "".join(parts), eyebrow="foreword inspect")


def sentences(prompt: Inspected, inspection: Inspection) -> list[str]:
    """What is to be said of one prompt, each beside what random vectors or the vocabulary give."""
    lengths = f"Vectors are {prompt.spread.mean:.3g} long in the mean ({prompt.spread.least:.3g} to {prompt.spread.greatest:.3g})"
    if inspection.vocabulary is not None:
        item = inspection.vocabulary
        lengths += f"; vocabulary items {item.mean:.3g} ({item.least:.3g} to {item.greatest:.3g}), "
        lengths += f"so {prompt.spread.mean / item.mean:.3g} times as long"
    parts = [f"{lengths}."]
    if prompt.near and prompt.random and prompt.items:
        parts.append(
            f"The nearest item has a cosine of {prompt.near.nearest:.2f} in the mean (random vectors {prompt.random.nearest:.2f}, items "
            f"among themselves {prompt.items.nearest:.2f}); {prompt.above} of {prompt.length} vectors lie nearer to an item than 95% of "
            f"random vectors. The nearest items have a cosine of {prompt.near.tight:.2f} with each other (of random vectors "
            f"{prompt.random.tight:.2f}, of items {prompt.items.tight:.2f})."
        )
        parts.append(
            f"{prompt.repeated} of {prompt.length} vectors have a nearest item that an earlier vector has too."
        )
    if prompt.labels:
        parts.append(f"Labels among the neighbours, by a token that is theirs alone: {'; '.join(_labels(prompt))}.")
    groups = prompt.clusters
    inside = sum(map(len, groups))
    parts.append(
        f"{phrases.plural(len(groups), 'cluster')} of vectors (cosine of 0.5 or more in the mean) with {inside} of {prompt.length} vectors"
        + (f"; the largest: {_positions(groups[0])}." if groups else ".")
    )
    return parts


def _labels(prompt: Inspected) -> list[str]:
    """Each label with its items, where they are among the neighbours, and how likely random vectors have them there."""
    return [
        f"{label} ({', '.join(prompt.label_items[label])}): {_positions(places)} (as many random vectors: {prompt.chance[label]:.0%})"
        if prompt.label_items[label]
        else f"{label}: cannot be told, as no item is its alone"
        for label, places in prompt.labels.items()
    ]


def _positions(places: Sequence[int]) -> str:
    if not places:
        return "none"
    some = ", ".join(map(str, places[:12]))
    return f"vectors {some}" + (f" and {len(places) - 12} more" if len(places) > 12 else "")


def _lengths(inspection: Inspection) -> str:
    rows: list[tuple[str, Spread]] = [(prompt.name, prompt.spread) for prompt in inspection.prompts]
    if inspection.vocabulary is not None:
        rows.append(("vocabulary", inspection.vocabulary))
    heads = ("vectors of", "mean length", "standard deviation", "shortest", "longest")
    body = [
        [name, *(f"{value:.4g}" for value in (spread.mean, spread.std, spread.least, spread.greatest))]
        for name, spread in rows
    ]
    return _table(heads, body)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _map(inspection: Inspection) -> str:
    likeness = inspection.likeness
    data = [
        {"prompt": plain(name), "x": x, "y": y, "hover": f"hover:{plain(name)}, vector {place}"}
        for name, places in zip(likeness.names, likeness.places, strict=True)
        for place, (x, y) in enumerate(places)
    ]
    names = [plain(name) for name in likeness.names]
    inks = [colour_of((n + 2) % COLOURS) for n in range(len(names))]
    shapes = [SHAPES[n % len(SHAPES)] for n in range(len(names))]
    chart = (
        alt.Chart(alt.Data(values=data))
        .mark_point(filled=True, size=60, opacity=0.85, stroke=CARD, strokeWidth=0.8)
        .encode(
            x=alt.X("x:Q", axis=axis_of("first direction"), scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=axis_of("second direction"), scale=alt.Scale(zero=False)),
            color=alt.Color("prompt:N", scale=alt.Scale(domain=names, range=inks), legend=None),
            shape=alt.Shape("prompt:N", scale=alt.Scale(domain=names, range=shapes), legend=None),
            description="hover:N",
        )
        .properties(width=WIDTH, height=280)
    )
    legend = "".join(
        f'<li><span class="chip c{(n + 2) % COLOURS}"></span>{escape(name)}</li>'
        for n, name in enumerate(likeness.names)
    )
    text = (
        "Every vector in the plane in which all of them spread widest (principal components); the plane shows "
        f"{likeness.explained:.0%} of their spread."
    )
    description = f"Map of the vectors of {phrases.listed(likeness.names)}; {text}"
    return f'<ul class="legend">{legend}</ul>' + figure("Map", text, svg_of(chart), description)


def _alike(inspection: Inspection) -> str:
    likeness = inspection.likeness
    parts = []
    for title, cells in (
        ("Cosine of the mean vectors", likeness.of_means),
        ("Mean of each vector's largest cosine with one of the other prompt's", likeness.of_vectors),
    ):
        rows = [[name, *(f"{value:.2f}" for value in row)] for name, row in zip(likeness.names, cells, strict=True)]
        parts.append(f"<h3>{title}</h3>" + scrolled(title, _table(("prompt", *likeness.names), rows)))
    return "".join(parts)


def _neighbours(number: int, prompt: Inspected) -> str:
    count = max(len(row) for row in prompt.neighbours)
    rows = [
        [str(place), f"{norm:.4g}", *(f"{item.piece} {item.cosine:.2f}" for item in row)]
        for place, (norm, row) in enumerate(zip(prompt.norms, prompt.neighbours, strict=True))
    ]
    heads = ("vector", "length", *(f"item {n + 1}" for n in range(count)))
    title = f"Nearest items of {escape(prompt.name)}"
    return section(
        f"neighbours-{number}", title, scrolled(f"Nearest items of {escape(prompt.name)}", _table(heads, rows))
    )
