"""The answers that a reader can browse on the page, as plain data, limited in size."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from foreword.results.record import Answer, Record
from foreword.util import phrases

MOST = 300
LONGEST = 2000
BUDGET = 4_000_000


def browsable(records: Sequence[Record], labels: Sequence[str], most: int = MOST) -> tuple[dict[str, Any], str]:
    """The data of the browser and a sentence that says how many examples it holds.

    The examples are drawn by a fixed seed and kept in their order; a text is cut after LONGEST characters and says so; the
    number of examples shrinks further where their texts pass BUDGET characters in all.
    """
    groups = {label: [record for record in records if record.label == label] for label in labels}
    order = [answer.id for answer in records[0].answers]
    answers = {
        label: [{answer.id: answer for answer in record.answers} for record in group] for label, group in groups.items()
    }
    chosen = _draw(order, most)
    cost = sum(_size(by_id[name]) for group in answers.values() for by_id in group for name in chosen)
    if cost > BUDGET:
        chosen = _draw(chosen, max(1, len(chosen) * BUDGET // cost))
    shown: dict[tuple[str, str], int] = {}
    metric = records[0].primary
    data = {
        "methods": [
            {
                "label": label,
                "seeds": [record.seed for record in group],
                "same": all(r.deterministic for r in group),
            }
            for label, group in groups.items()
        ],
        "metric": phrases.title(metric),
        "examples": [_example(name, answers, metric, shown) for name in chosen],
        "shown": [{"id": name, "text": text} for name, text in shown],
    }
    total = len(order)
    if len(chosen) == total:
        return data, "All of them are here." if total > 1 else ""
    return data, f"{len(chosen):,} of them are here, drawn at random by a fixed seed, to keep this file small."


def _example(
    name: str, answers: dict[str, list[dict[str, Answer]]], metric: str, shown: dict[tuple[str, str], int]
) -> dict[str, Any]:
    first = next(iter(answers.values()))[0][name]
    return {
        "id": name,
        "input": _cut(first.input),
        "targets": [_cut(target) for target in first.targets],
        "answers": [[_answer(by_id[name], metric, shown) for by_id in group] for group in answers.values()],
    }


def _answer(answer: Answer, metric: str, shown: dict[tuple[str, str], int]) -> dict[str, Any]:
    """One method's answer with one seed. shown: [index into the page's list of demonstrations, similarity], farthest first."""
    demonstrations = [
        [
            shown.setdefault((demonstration.id, _cut(demonstration.text)), len(shown)),
            demonstration.similarity if demonstration.similarity is None else round(demonstration.similarity, 4),
        ]
        for demonstration in answer.shown
    ]
    score = answer.scores.get(metric)
    return {
        "output": _cut(answer.output),
        "score": None if score is None else round(score, 2),
        "shown": demonstrations,
        "dropped": answer.dropped,
        "cut": answer.cut,
        "before": answer.prefix_tokens,
    }


def _size(answer: Answer) -> int:
    texts = [answer.input, answer.output, *answer.targets, *(demonstration.text for demonstration in answer.shown)]
    return sum(min(len(text), LONGEST) for text in texts)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … (cut after {LONGEST:,} characters)"


def _draw(names: list[str], size: int) -> list[str]:
    if len(names) <= size:
        return names
    chosen = sorted(Random("report").sample(range(len(names)), size))
    return [names[index] for index in chosen]
