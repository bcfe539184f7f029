"""Which methods of a study are tied with the best, what its tests could have told, and what its scores vary by; it refuses to name a winner
that no test tells from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from foreword.metrics import metric
from foreword.report.study.held import entries_of
from foreword.report.study.parts import table
from foreword.report.study.values import StudyPage
from foreword.results import stats
from foreword.results.apart import kinds, titled
from foreword.results.cells import Cell, Matrix
from foreword.results.clusters import clusters_of
from foreword.results.collected import statistics_of
from foreword.results.record import Record
from foreword.util import phrases


@dataclass(frozen=True)
class Place:
    """One place of the grid (a model, a task) with the samples of its methods, on the same examples by the same metric. width: of that
    metric's scale."""

    name: str
    samples: dict[str, stats.Sample]
    width: float


def places(page: StudyPage) -> list[Place]:
    """The places where two methods or more are done."""
    groups: dict[tuple[str, ...], dict[tuple[str, str], list[Cell]]] = {}
    lengths = {cell.paper["length"] for cell in page.cells if "length" in cell.paper}
    several = lengths if len(lengths) > 1 else set()
    for cell in page.cells:
        method = cell.paper.get("method")
        if cell.record is not None and method:
            axes = [cell.paper.get(axis, "") for axis in ("init", "objective", "adaptation")]
            source = f"from {cell.at.source}" if cell.paper.get("source") else ""
            name = ", ".join(filter(None, (cell.at.model, source, cell.at.task, *axes)))
            place = (name, cell.paper.get("model", ""), cell.paper.get("task", ""))
            length = cell.paper.get("length", "")
            tokens = phrases.plural(int(length), "token") if length in several and length else ""
            groups.setdefault(place, {}).setdefault((method, tokens), []).append(cell)
    compared = [_place(name, _labelled(methods)) for (name, *_), methods in groups.items()]
    return [place for place in compared if place is not None]


def _labelled(methods: dict[tuple[str, str], list[Cell]]) -> dict[str, list[Record]]:
    """The records of each method, apart where they differ in more than their seed."""
    return {
        titled(method, ", ".join(filter(None, (tokens, words)))): [
            cell.record for cell in kind if cell.record is not None
        ]
        for (method, tokens), cells in methods.items()
        for words, kind in kinds(cells, lambda cell: "").items()
    }


def _place(name: str, methods: dict[str, list[Record]]) -> Place | None:
    first = next(iter(methods.values()))[0]
    ids = [answer.id for answer in first.answers]
    alike = {
        label: sorted(own, key=lambda record: record.seed)
        for label, own in methods.items()
        if all(record.primary == first.primary and {a.id for a in record.answers} == set(ids) for record in own)
    }
    if len(alike) < 2:
        return None
    measure = metric(first.primary)
    cubes = [np.stack([statistics_of(record, ids) for record in own]) for own in alike.values()]
    fixed = [own[0].deterministic for own in alike.values()]
    every = [record for own in alike.values() for record in own]
    samples = stats.samples(cubes, measure.from_sums, fixed, clusters_of(every, ids), widest=measure.width)
    return Place(name, dict(zip(alike, samples, strict=True)), measure.width if np.isfinite(measure.width) else 100.0)


def tested(page: StudyPage) -> str:
    """The two tables, as HTML; nothing where no place has two methods, where the study answers no scores, and where a matrix has its own
    tests."""
    answers = [answer for every in page.answers.values() for answer in every]
    if any(isinstance(answer, Matrix) for answer in answers):
        return ""
    if not any(entry.unit == "" for answer in answers for entry in entries_of(answer)):
        return ""
    compared = places(page)
    if not compared:
        return ""
    ties = [_tied_row(place) for place in compared]
    vary = [_vary_row(place.name, label, sample) for place in compared for label, sample in place.samples.items()]
    note = (
        '<p class="small">Pairs of one row are tested together (Holm). A method of one seed is never told from another, for it speaks of '
        "its prompt. The last column is the difference that the test of the best against the runner-up, adjusted so, tells four times in "
        "five.</p>"
    )
    more = (
        '<p class="small">Training seeds apart from items: the standard deviation of a score between seeds, over a whole population of '
        "examples, and between test sets of this size, of one seed.</p>"
    )
    first = table(
        "Methods tied with the best",
        ("where", "highest", "tied with it", "told from it", "tells a difference of (points)"),
        ties,
        leading=4,
    )
    second = table(
        "What scores vary by",
        ("where", "method", "between seeds", "between test sets", "share of seeds"),
        vary,
        leading=2,
    )
    return f"<h3>Tied with the best</h3>{first}{note}<details><summary>What scores vary by</summary>{second}{more}</details>"


def _tied_row(place: Place) -> str:
    best, *tied = stats.tied_with_best(place.samples, span=place.width)
    others = [label for label in place.samples if label != best and label not in tied]
    ranked = sorted(place.samples.values(), key=lambda sample: -sample.score)  # as `tied_with_best` ranks them
    gap = stats.all_pairs(ranked, span=place.width)[0, 1]
    tells = "none that there can be" if gap.reach > gap.tested.widest else phrases.points(gap.reach)
    cells = [best, _listed(tied), _listed(others)]
    texts = "".join(f'<td class="words">{escape(text)}</td>' for text in cells)
    return f'<tr><th scope="row">{escape(place.name)}</th>{texts}<td data-sort="{gap.reach!r}">{tells}</td></tr>'


def _vary_row(place: str, label: str, sample: stats.Sample) -> str:
    parts = stats.components(sample)
    seeds = phrases.points(parts.seeds) if parts.seeds_known else ("none" if sample.fixed else "one seed")
    share = f"{parts.share_of_seeds:.0%}" if parts.seeds_known else "–"
    return (
        f'<tr><th scope="row">{escape(place)}</th><td class="words">{escape(label)}</td><td data-sort="{parts.seeds!r}">{seeds}</td>'
        f'<td data-sort="{parts.items!r}">{phrases.points(parts.items)}</td><td data-sort="{parts.share_of_seeds!r}">{share}</td></tr>'
    )


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "none"
