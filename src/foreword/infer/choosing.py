"""Classification by scoring: the likeliest of an example's choices, by the sum of its tokens' log-probabilities, their mean, or
calibrated against the same choices without the input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foreword.data.template import Template
from foreword.engine import Backbone, Prefix, Row
from foreword.engine.memory import Budget
from foreword.prompts.layout import Laid
from foreword.util.errors import ForewordError

DECIMALS = 6  # of a probability, as it is kept


@dataclass(frozen=True)
class Chosen:
    """The choice with the highest score, the first among equals, and each choice's probability: the softmax of the scores."""

    choice: str
    probabilities: dict[str, float]


def choose(
    backbone: Backbone,
    template: Template,
    softs: Sequence[Prefix | None],
    laid: Sequence[Laid],
    *,
    score: str,
    batch_size: int,
    budget: Budget,
) -> list[Chosen]:
    """The choice of each example. softs: what stands before each. score: `sum`, log p of all tokens of a choice; `mean`, the same a
    token; `calibrated`, log p of all tokens less the same where the input says nothing (contextual calibration, Zhao et al. 2021;
    equally PMI-DC, Holtzman et al. 2021), for which each laid example has such a row."""
    rows: list[Row] = []
    owners: list[int] = []  # of each row, the example whose prefix it has
    for place, laid_example in enumerate(laid):
        answers = choice_ids(backbone, template, laid_example.example.choices)
        rows += [laid_example.row(ids) for ids in answers]
        owners += [place] * len(answers)
    bare: dict[tuple[int, Row], int] = {}  # the place of each row whose input says nothing: many examples have the same
    if score == "calibrated":
        for place, row in list(zip(owners, rows, strict=True)):
            key = _without_input(softs[place], laid[place], row)
            if key not in bare:
                bare[key] = len(rows)
                rows.append(key[1])
                owners.append(place)
    sums = _sums(backbone, [softs[owner] for owner in owners], rows, batch_size, budget)
    chosen, at = [], 0
    for soft, laid_example in zip(softs, laid, strict=True):
        scores = sums[at : at + len(laid_example.example.choices)]
        own = rows[at : at + len(scores)]
        at += len(scores)
        against = [sums[bare[_without_input(soft, laid_example, row)]] for row in own] if bare else []
        scores = compared(score, scores, [len(row.answer) for row in own], against)
        chosen.append(_likeliest(laid_example.example.choices, scores))
    return chosen


def compared(score: str, sums: Sequence[float], lengths: Sequence[int], bare: Sequence[float]) -> list[float]:
    """What choices are compared by, of their log-probabilities. lengths: tokens of each. bare: the same where the input says nothing, for
    `calibrated`."""
    if score == "mean":
        return [value / length for value, length in zip(sums, lengths, strict=True)]
    if score == "calibrated":
        return [value - less if value > -math.inf else value for value, less in zip(sums, bare, strict=True)]
    return list(sums)


def _without_input(soft: Prefix | None, laid: Laid, row: Row) -> tuple[int, Row]:
    """The row of an example whose input says nothing, with this row's answer; and which prefix it has."""
    assert laid.blank is not None, "a layout for calibrated scores lays one out"
    return id(soft), replace(laid.blank, answer=row.answer)


def _sums(
    backbone: Backbone, softs: Sequence[Prefix | None], rows: Sequence[Row], batch_size: int, budget: Budget
) -> list[float]:
    """The log-probability in nats of each row's answer, summed over its tokens."""
    sums = [0.0] * len(rows)

    def score(places: list[int]) -> list[float]:
        return backbone.score([softs[place] for place in places], [rows[place] for place in places])

    sizes = backbone.sizes(softs, rows, 0)
    for places, values in budget.run(sizes, score, batch_size=batch_size, free=backbone.forget):
        for place, value in zip(places, values, strict=True):
            sums[place] = value
    return sums


def _likeliest(choices: Sequence[str], scores: Sequence[float]) -> Chosen:
    highest = max(scores)
    if math.isfinite(highest):
        weights = [math.exp(score - highest) for score in scores]
    else:  # all are ruled out, or some never are without the input
        weights = [float(score == highest) for score in scores]
    probabilities = {
        choice: round(weight / sum(weights), DECIMALS) for choice, weight in zip(choices, weights, strict=True)
    }
    return Chosen(choices[list(scores).index(highest)], probabilities)


def choice_ids(backbone: Backbone, template: Template, choices: Sequence[str]) -> list[tuple[int, ...]]:
    """The tokens by which choices are compared: without the end token, unless one choice begins another, when all have it. Raises
    ForewordError for two choices of the same tokens, between which the model cannot choose."""
    if backbone.kind == "seq2seq":
        ids = [backbone.answer_ids(template.replied(choice)) for choice in choices]
    else:
        ids = [backbone.answer_ids(template.replied(choice), end=False) for choice in choices]
        if any(a != b and b[: len(a)] == a for a in ids for b in ids):
            ids = [backbone.answer_ids(template.replied(choice)) for choice in choices]
    known: dict[tuple[int, ...], str] = {}
    for choice, own in zip(choices, ids, strict=True):
        if own in known:
            raise ForewordError(
                f"The choices '{known[own]}' and '{choice}' have the same tokens in {backbone.name}, whose tokenizer cannot write them "
                "apart; word the choices otherwise, or take a model whose tokenizer knows their characters."
            )
        known[own] = choice
    return ids
