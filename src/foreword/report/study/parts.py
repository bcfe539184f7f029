"""A study's numbers as HTML: cells that say all that they rest on, tables, matrices, figures, findings; it refuses text that is not
escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from foreword.report.drawing import svg_of
from foreword.report.shell import figure, scrolled
from foreword.report.study.figures import pictures
from foreword.report.study.held import Held, hold
from foreword.report.study.marks import Picture, value
from foreword.results.cells import Answered, Bins, Curve, Entry, Matrix, Row, Series, Table, Test
from foreword.results.papers import Paper
from foreword.util import phrases

WORDS = {True: "holds", False: "does not hold", None: "cannot say"}
TONES = {"agrees": "yes", "differs": "no", "cannot say": "open", "holds": "yes", "does not hold": "no"}


def answer(answered: Answered, preset: str, paper: Paper | None, anchor: str) -> str:
    """One answer of a question: its figure, its table. anchor: what its heading is linked by."""
    if isinstance(answered, Test):
        return ""
    drawn = "" if isinstance(answered, Matrix) else _figures(pictures(answered, preset), answered.caption)
    if isinstance(answered, Table):
        table = _table(answered, preset, paper)
    elif isinstance(answered, Curve):
        table = _curve_table(answered, preset, paper)
    elif isinstance(answered, Matrix):
        table = _matrix(answered, preset, paper)
    else:
        table = _bin_table(answered, preset, paper)
    return f'<h3 id="{anchor}">{escape(answered.caption)}</h3>{drawn}{table}'


def finding(test: Test) -> str:
    """A claim, whether it holds, and by what."""
    word = WORDS[test.holds]
    return f'<li><span class="verdict {TONES[word]}">{word}</span> {escape(in_words(test))}</li>'


def in_words(test: Test) -> str:
    """A claim with its test in one sentence."""
    parts = []
    if test.cases is not None:
        how = f" ({test.adjusted})" if test.adjusted and test.p is None else ""
        parts.append(f"{'surely ' if test.adjusted else ''}in {test.cases[0]} of {test.cases[1]}{how}")
    if test.estimate is not None:
        parts.append(f"{phrases.points(test.estimate)} {test.unit or 'points'}")
    if test.ci95 is not None:
        parts.append(f"95% interval {phrases.between(*test.ci95)}")
    if test.p is not None:
        parts.append(phrases.p_value(test.p) + (f", {test.adjusted}" if test.adjusted else ""))
    if test.note:
        parts.append(test.note)
    return test.claim + (f": {'; '.join(parts)}." if parts else ".")


# -- cells --------------------------------------------------------------------------------------------------------------


def cell(held: Held, *, bold: bool = False, extra: str = "") -> str:
    """A table's cell: ours with its interval, seeds and examples done of planned, the paper's number and how it is known, what stood in,
    and the verdict."""
    entry = held.entry
    if entry.score is None:
        lines = [f'<span class="rest">{escape(entry.cause or "not run")}</span>', _paper(held)]
        return f'<td data-copy="{escape(entry.cause or "not run")}">{"<br>".join(line for line in lines if line)}</td>'
    ours = value(entry)
    lead = f'<span class="lead">{escape(ours)}</span>'
    if entry.cells:
        lead = f'<a href="#c-{escape(entry.cells[0])}">{lead}</a>'
    if bold:
        lead = f"<strong>{lead}</strong>"
    lines = [lead + extra, _rests_on(entry), _paper(held)]
    if held.differs:
        lines.append(f'<span class="rest stand">{escape(held.in_short)}</span>')
    if held.number is not None:
        lines.append(f'<span class="verdict {TONES[held.verdict.word]}">{held.verdict.word}</span>')
    body = "<br>".join(line for line in lines if line)
    return f'<td data-sort="{entry.score!r}" data-copy="{escape(_copied(held))}">{body}</td>'


def _rests_on(entry: Entry) -> str:
    between = "" if entry.ci95 is None else f"{phrases.between(*entry.ci95)};<br>"
    return f'<span class="rest">{between}{seeds_and_examples(entry)}</span>' if entry.unit != "numbers" else ""


def seeds_and_examples(entry: Entry) -> str:
    """Those done of those planned; of a time, which no example changes, the seeds alone."""
    seeds = f"{entry.seeds} of {phrases.plural(entry.seeds_planned, 'seed')}"
    if entry.unit:
        return seeds
    clusters = f" in {phrases.plural(entry.clusters, 'cluster')}" if entry.clusters else ""
    if entry.examples_planned is None:
        return f"{seeds}, {phrases.plural(entry.examples, 'example')}{clusters}"
    return f"{seeds}, {entry.examples:,} of {phrases.plural(entry.examples_planned, 'example')}{clusters}"


def _paper(held: Held) -> str:
    if held.number is None:
        return ""
    return f'<span class="rest ghost">paper {escape(held.theirs)} ({held.number.known})</span>'


def _copied(held: Held) -> str:
    ours = value(held.entry)
    return ours + ("" if held.number is None else f" (paper {held.theirs})")


# -- tables -------------------------------------------------------------------------------------------------------------


def table(name: str, heads: Sequence[str], rows: Sequence[str], *, leading: int = 1, text: Sequence[int] = ()) -> str:
    """A table that sorts and copies. rows: finished. leading: columns of words; text: others, by their places."""
    line = "".join(
        f'<th scope="col"{" class=words" if n < leading or n in text else ""}>{escape(head)}</th>'
        for n, head in enumerate(heads)
    )
    inner = f'<table class="sortable copied"><thead><tr>{line}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return scrolled(escape(name), inner)


def _head(row: Row) -> str:
    first, *rest = row.head or ("",)
    return f'<th scope="row">{escape(first)}</th>' + "".join(f'<td class="words">{escape(text)}</td>' for text in rest)


def _table(answered: Table, preset: str, paper: Paper | None) -> str:
    rows = []
    for row in answered.rows:
        cells = "".join(
            cell(hold(entry, paper, preset)) if isinstance(entry, Entry) else _text(entry) for entry in row.entries
        )
        rows.append(f"<tr>{_head(row)}{cells}</tr>")
    return table(answered.caption, (*answered.heads, *answered.columns), rows, leading=len(answered.heads))


def _text(entry: str) -> str:
    """A cell of text, which sorts as a number where it is one."""
    try:
        return f'<td data-sort="{float(entry)!r}">{escape(entry)}</td>'
    except ValueError:
        return f"<td>{escape(entry)}</td>"


def _curve_table(answered: Curve, preset: str, paper: Paper | None) -> str:
    parts = []
    for panel in answered.panels:
        places = sorted({at for line in panel.series if not line.level for at, _ in line.points})
        heads = [panel.x_names.get(int(at)) or f"{at:,.7g}" for at in places]
        if any(line.level for line in panel.series):
            heads.append("any")
        rows = [_line_row(line, places, len(heads), preset, paper) for line in panel.series]
        name = f"{panel.title}: {phrases.title(panel.y)} by {answered.x}"
        parts.append(f"<details><summary>{escape(name)}</summary>{table(name, ('series', *heads), rows)}</details>")
    return "".join(parts)


def _line_row(line: Series, places: Sequence[float], width: int, preset: str, paper: Paper | None) -> str:
    by_place = dict(line.points)
    cells = ["<td></td>"] * width
    if line.level and line.points:
        cells[-1] = cell(hold(line.points[0][1], paper, preset))
    else:
        for n, at in enumerate(places):
            if at in by_place:
                cells[n] = cell(hold(by_place[at], paper, preset))
    return f'<tr><th scope="row">{escape(line.name)}</th>{"".join(cells)}</tr>'


def _matrix(answered: Matrix, preset: str, paper: Paper | None) -> str:
    """Sources down, targets across; what surely beats the baseline is bold, and each cell is tinted by its gap."""
    rows = []
    if answered.baseline:
        cells = "".join(
            "<td></td>" if entry is None else cell(hold(entry, paper, preset)) for entry in answered.baseline
        )
        rows.append(f'<tr class="blind"><th scope="row">{escape(answered.against)} (baseline)</th>{cells}</tr>')
    for n, source in enumerate(answered.rows):
        cells = ""
        for m, entry in enumerate(answered.entries[n]):
            if entry is None:
                cells += "<td></td>"
                continue
            gap = answered.gaps[n][m] if answered.gaps else None
            bold = bool(answered.above and answered.above[n][m])
            extra = "" if gap is None else f' <span class="rest">{_signed(gap)}</span>'
            cells += cell(hold(entry, paper, preset), bold=bold, extra=extra)
        rows.append(f'<tr><th scope="row">{escape(source)}</th>{cells}</tr>')
    note = (
        f"<p class=\"small\">From the row's task to the column's. Bold: surely above {escape(answered.against)} (p &lt; 0.05, "
        "Holm over the matrix). The number beside a score is points above it.</p>"
        if answered.against
        else ""
    )
    return table(answered.caption, ("from, to", *answered.columns), rows) + note


def _signed(gap: float) -> str:
    text = phrases.points(gap)
    return f"−{text[1:]}" if text.startswith("-") else f"+{text}"


def _bin_table(answered: Bins, preset: str, paper: Paper | None) -> str:
    parts = []
    for panel in answered.panels:
        if panel.cause or not panel.counts:
            parts.append(f'<p class="small">{escape(panel.title)}: {escape(panel.cause or "not run")}.</p>')
            continue
        rows = []
        for n, count in enumerate(panel.counts):
            theirs = paper.number(preset, {**panel.paper, "bin": str(n + 1)}) if paper is not None else None
            cells = f'<td data-sort="{count}">{count:,}{_known(theirs)}</td>'
            for name, points in panel.series.items():
                point = points[n]
                number = (
                    paper.number(preset, {**panel.paper, "method": name, "bin": str(n + 1)})
                    if paper is not None
                    else None
                )
                number = number if number is not None and "method" in number.at else None
                cells += _bin_cell(point, number)
            between = f"{panel.edges[n]:.2f} to {panel.edges[n + 1]:.2f}"
            rows.append(f'<tr><th scope="row">{n + 1}</th><td class="words">{between}</td>{cells}</tr>')
        heads = ("bin", answered.x, "examples", *panel.series)
        name = f"{panel.title}: {phrases.title(panel.y)} by {answered.x}"
        note = f'<p class="small">{escape(panel.note)}</p>' if panel.note else ""
        parts.append(f"<details><summary>{escape(name)}</summary>{table(name, heads, rows, leading=2)}{note}</details>")
    return "".join(parts)


def _bin_cell(point: tuple[float, float | None, float | None] | None, number: object) -> str:
    if point is None:
        return f"<td>none{_known(number)}</td>"
    score, low, high = point
    between = "too few for an interval" if low is None or high is None else phrases.between(low, high)
    ours = f'<span class="lead">{phrases.score(score)}</span><br><span class="rest">{between}</span>'
    return f'<td data-sort="{score!r}">{ours}{_known(number)}</td>'


def _known(number: object) -> str:
    known = getattr(number, "known", "")
    return "" if number is None else f'<br><span class="rest ghost">paper {escape(str(number))} ({known})</span>'


# -- figures ------------------------------------------------------------------------------------------------------------


def _figures(drawings: Sequence[Picture], caption: str) -> str:
    if not drawings:
        return ""
    series: dict[str, int] = {}
    for picture in drawings:
        series |= picture.series
    legend = "".join(f'<li><span class="chip c{number}"></span>{escape(name)}</li>' for name, number in series.items())
    if any(picture.ghosts for picture in drawings):
        legend += '<li><span class="diamond" aria-hidden="true">◇</span> the paper\'s own</li>'
    notes = " ".join(dict.fromkeys(note for picture in drawings for note in picture.notes))
    drawn = "".join(
        figure(picture.title, picture.text, svg_of(picture.chart), picture.description) for picture in drawings
    )
    read = f'<p class="small">{escape(notes)}</p>' if notes else ""
    return f'<ul class="legend">{legend}</ul>{read}<div class="panels" role="group" aria-label="{escape(caption)}">{drawn}</div>'
