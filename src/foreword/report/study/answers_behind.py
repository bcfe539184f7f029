"""The answers behind the marks of a study, a few of each cell; it refuses to grow the page without bound and says what it left out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from random import Random

from foreword.report.study.setting import named
from foreword.report.study.values import StudyPage
from foreword.results.cells import Cell
from foreword.results.record import Answer, Record
from foreword.util import phrases

MOST, LONGEST, BUDGET = 6, 400, 2_000_000  # examples a cell, characters of a text, characters of all


def answers_behind(page: StudyPage, shown: set[str], budget: int = BUDGET) -> str:
    """A fold for each cell that is done, with some of its answers. The same examples are shown of every cell of one task. shown: ids of
    cells that an earlier study of the page shows, which are not shown again; those of this one are added."""
    done = [(cell, cell.record) for cell in page.cells if cell.record is not None and cell.id not in shown]
    earlier = sum(cell.id in shown for cell in page.cells)
    shown |= {cell.id for cell, _ in done}
    most = MOST
    while most > 1 and sum(_length(record, most) for _, record in done) > budget:
        most -= 1
    parts = [_fold(cell, record, most) for cell, record in done]
    if not parts:
        text = "Its cells are shown with an earlier study of this page." if earlier else "No cell is done yet."
        return f'<p class="empty">{text}</p>'
    cells = phrases.plural(len(parts), "cell")
    note = f"Up to {most} answers of each of {cells}, the same examples wherever a task comes; the records hold all."
    return f'<p class="small">{note}</p>{"".join(parts)}'


def _fold(cell: Cell, record: Record, most: int) -> str:
    scores = ", ".join(f"{phrases.title(name)} {phrases.score(score)}" for name, score in record.scores.items())
    head = f"{named(cell)}: {scores}"
    rows = "".join(_example(answer, record) for answer in drawn(record.answers, most))
    costs = record.costs
    trained = (
        f"{phrases.whole(costs.trainable_parameters)} numbers trained in {phrases.duration(costs.train_seconds)}; "
        if costs.trainable_parameters
        else ""
    )
    line = f"{trained}{phrases.tokens(costs.prefix_tokens)} tokens before an input; record {record.key}."
    return (
        f'<details class="behind" id="c-{escape(cell.id)}"><summary>{escape(head)}</summary>'
        f'<p class="small">{escape(line)}</p><ol class="answers">{rows}</ol></details>'
    )


def _example(answer: Answer, record: Record) -> str:
    score = answer.scores.get(record.primary)
    scored = "" if score is None else f" ({phrases.score(score)})"
    shown = "".join(
        f"<dt>demonstration{_similarity(example.similarity)}</dt><dd>{_text(example.text)}</dd>"
        for example in answer.shown[-1:]
    )
    return (
        f"<li><dl><dt>input {escape(answer.id)}</dt><dd>{_text(answer.input)}</dd>{shown}<dt>target</dt>"
        f"<dd>{_text(answer.targets[0] if answer.targets else '')}</dd>"
        f"<dt>answer{scored}</dt><dd>{_text(answer.output) or 'nothing'}</dd></dl></li>"
    )


def _similarity(similarity: float | None) -> str:
    return "" if similarity is None else f", similarity {similarity:.2f}"


def drawn(answers: Sequence[Answer], most: int) -> list[Answer]:
    """Some answers, drawn by a fixed seed out of their ids, in their order: the same for all cells of one task."""
    ids = sorted({answer.id for answer in answers})
    chosen = set(Random("study").sample(ids, min(most, len(ids))))
    return [answer for answer in answers if answer.id in chosen]


def _text(text: str) -> str:
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]} … (cut after {LONGEST} characters)"
    return escape(cut)


def _length(record: Record, most: int) -> int:
    texts = [
        text
        for example in drawn(record.answers, most)
        for text in (example.input, example.output, *example.targets[:1], *(d.text for d in example.shown[-1:]))
    ]
    return sum(min(len(text), LONGEST) for text in texts) + 400
