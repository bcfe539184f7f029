"""A study's answers as plain tables and sentences for a terminal; it refuses to leave out how much of an answer is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foreword.results.cells import Answered, Bins, Curve, Entry, Matrix, Panel, Table, Test
from foreword.util import phrases


@dataclass(frozen=True)
class Grid:
    """A table of plain text. left: how many leading columns are words."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


def shown(entry: Entry | str | None) -> str:
    """A number with its spread, `*` where not all of its seeds are done; or why there is none."""
    if entry is None or isinstance(entry, str):
        return entry or ""
    if entry.score is None:
        return "failed" if entry.cause and "not run" not in entry.cause else "not run"
    number = phrases.whole(entry.score) if entry.unit == "numbers" else phrases.score(entry.score)
    if entry.unit == "s":
        number = phrases.duration(entry.score)
    spread = f" ± {entry.spread:.1f}" if entry.spread is not None else ""
    return number + spread + ("*" if entry.seeds < entry.seeds_planned else "")


def grids(answered: Sequence[Answered]) -> Iterator[Grid]:
    """The tables of some answers, their tests as one last table."""
    tests = [each for each in answered if isinstance(each, Test)]
    for each in answered:
        if isinstance(each, Table):
            rows = tuple((*row.head, *map(shown, row.entries)) for row in each.rows)
            yield Grid(each.caption, (*each.heads, *each.columns), rows, len(each.heads))
        elif isinstance(each, Curve):
            yield from (_panel(each, panel) for panel in each.panels)
        elif isinstance(each, Matrix):
            yield _matrix(each)
        elif isinstance(each, Bins):
            yield from _bins(each)
    if tests:
        yield Grid("Claims", ("claim", "holds", "where", "note"), tuple(map(_test, tests)), 4)


def _panel(curve: Curve, panel: Panel) -> Grid:
    places = sorted({x for series in panel.series if not series.level for x, _ in series.points})
    names = [panel.x_names.get(int(x), phrases.whole(x)) for x in places]
    rows = []
    for series in panel.series:
        at = dict(series.points)
        level = shown(series.points[0][1]) if series.level and series.points else ""
        rows.append((series.name, *(level if series.level else shown(at.get(x)) for x in places)))
    return Grid(f"{curve.caption}: {panel.title} ({panel.y}) by {curve.x}", ("", *names), tuple(rows))


def _matrix(matrix: Matrix) -> Grid:
    """Points above what the column is held against, `!` where surely above; the last row is that itself."""
    rows = []
    for place, name in enumerate(matrix.rows):
        gaps, above = matrix.gaps[place], matrix.above[place]
        cells = [
            ""
            if entry is None
            else f"{shown(entry)} (no {matrix.against})"
            if gap is None
            else f"{gap:+.1f}{'!' * sure}"
            for entry, gap, sure in zip(matrix.entries[place], gaps, above, strict=True)
        ]
        rows.append((name, *cells))
    rows.append((matrix.against, *map(shown, matrix.baseline)))
    return Grid(f"{matrix.caption}: points above {matrix.against}", ("from, to", *matrix.columns), tuple(rows))


def _bins(bins: Bins) -> Iterator[Grid]:
    for panel in bins.panels:
        if panel.cause:
            yield Grid(f"{bins.caption}: {panel.title}", ("",), ((panel.cause,),))
            continue
        names = [f"{low:.2f}–{high:.2f}" for high, low in zip(panel.edges, panel.edges[1:], strict=False)]
        rows = [("examples", *map(str, panel.counts))]
        for name, points in panel.series.items():
            rows.append((name, *("" if point is None else phrases.score(point[0]) for point in points)))
        note = f"; {panel.note}" if panel.note else ""
        yield Grid(f"{bins.caption}: {panel.title} ({panel.y}){note}", ("", *names), tuple(rows))


def _test(test: Test) -> tuple[str, str, str, str]:
    holds = {True: "yes", False: "no", None: "cannot say"}[test.holds]
    where = "" if test.cases is None else f"{test.cases[0]} of {test.cases[1]}"
    if test.estimate is not None:
        ends = "" if test.ci95 is None else f" ({phrases.between(*test.ci95)})"
        where += f"{', ' if where else ''}{phrases.points(test.estimate)}{ends}"
    return test.claim, holds, where, test.note
