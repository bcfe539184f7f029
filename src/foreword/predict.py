"""One answer per example: greedy text, or the likeliest of its choices; it refuses to let batch-mates change an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from foreword.backbone import Backbone, Prefix, Prefixes, Request, Row, each
from foreword.ensemble import vote
from foreword.errors import ForewordError
from foreword.layout import Laid
from foreword.memory import Budget
from foreword.progress import Progress, silent
from foreword.template import Template

TOKEN_BUDGET = 32_768  # tokens, answers included, that are held at once, at most: fewer where the memory or the backbone's own room is less


@dataclass(frozen=True)
class Prediction:
    """outputs: one text an example, in order. seconds: for all of them together. cut: for each, whether it was still going on when it
    had as many tokens as an answer may have; a chosen answer never is."""

    outputs: tuple[str, ...]
    seconds: float
    cut: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Voted:
    """outputs: the majority's answer to each example. members: each prompt's own answers. seconds: for all of them together. cut: how
    many of the members' answers ended at the limit."""

    outputs: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    seconds: float
    cut: int = 0


def predict(
    backbone: Backbone,
    template: Template,
    soft: Prefixes,
    laid: Sequence[Laid],
    *,
    longest: int,
    batch_size: int,
    name: str = "answering",
    progress: Progress = silent,
) -> Prediction:
    """Answer every example. soft: a prefix, such as a soft prompt [P, H], or None, or one of these for each example: prompts mix in a
    batch, and each is run once. longest: tokens of an answer at most. batch_size: examples that are answered together, fewer where they
    are long or the memory does not hold them; one that ends makes room for the next at once. Examples with choices get the
    choice with the highest log-probability summed over its tokens (the first among equals); others a greedy answer, read by the
    template."""
    begun = time.perf_counter()
    softs = each(soft, len(laid))
    outputs, cut = [""] * len(laid), [False] * len(laid)
    ended = backbone.ended(*template.stops)
    open_ones = [place for place, one in enumerate(laid) if not one.example.choices]
    closed = sorted(
        (place for place, one in enumerate(laid) if one.example.choices), key=lambda place: -_size(laid[place])
    )
    budget = budget_of(backbone)
    done = 0

    def answer(chosen: list[int], tokens: int) -> Iterator[tuple[int, list[int]]]:
        places = [open_ones[at] for at in chosen]
        requests = [Request(laid[place].row(), softs[place], longest, template.stops) for place in places]
        for at, ids in backbone.finishing(requests, max_rows=batch_size, max_tokens=tokens):
            yield chosen[at], ids

    sizes = backbone.sizes([softs[place] for place in open_ones], [laid[place].row() for place in open_ones], longest)
    for at, ids in budget.stream(sizes, answer, free=backbone.forget):
        outputs[open_ones[at]] = template.read(backbone.answer_text(ids))
        cut[open_ones[at]] = len(ids) >= longest and not ended(ids)
        done += 1
        progress(name, done, len(laid))
    for start in range(0, len(closed), batch_size):
        places = closed[start : start + batch_size]
        chosen = _choose(
            backbone,
            template,
            [softs[place] for place in places],
            [laid[place] for place in places],
            batch_size,
            budget,
        )
        for place, choice in zip(places, chosen, strict=True):
            outputs[place] = choice
        done += len(places)
        progress(name, done, len(laid))
    return Prediction(tuple(outputs), time.perf_counter() - begun, tuple(cut))


def predict_ensemble(
    backbone: Backbone,
    template: Template,
    members: Sequence[tuple[Prefix | Tensor | None, Sequence[Laid]]],
    *,
    longest: int,
    batch_size: int,
    name: str = "answering",
    progress: Progress = silent,
) -> Voted:
    """Answer every example by each member (its soft prompt [P, H] or None, and the examples as it words them) in batches that mix the
    members, and take the majority's answer (Lester et al. 2021, section 6); among tied ones, the earliest member's. batch_size:
    examples, each with all members. Raises ForewordError when members were given different examples."""
    found = predict(
        backbone,
        template,
        [soft for soft, laid in members for _ in laid],
        [one for _, laid in members for one in laid],
        longest=longest,
        batch_size=batch_size * len(members),
        name=name,
        progress=progress,
    )
    told = iter(found.outputs)
    answers = [{one.example.id: next(told) for one in laid} for _, laid in members]
    voted = vote(answers)
    own = tuple(tuple(one[name] for name in voted) for one in answers)
    return Voted(tuple(voted.values()), own, found.seconds, sum(found.cut))


def budget_of(backbone: Backbone) -> Budget:
    """Of tokens held at once while this backbone answers."""
    return Budget(max(1, min(TOKEN_BUDGET, backbone.room)))


def _size(one: Laid) -> int:
    """Positions before the answer, soft prompt included."""
    return one.fitted.soft + one.row().length


def _choose(
    backbone: Backbone,
    template: Template,
    softs: Sequence[Prefix | None],
    laid: Sequence[Laid],
    batch_size: int,
    budget: Budget,
) -> list[str]:
    rows: list[Row] = []
    owners: list[int] = []
    for index, one in enumerate(laid):
        for ids in choice_ids(backbone, template, one.example.choices):
            rows.append(one.row(ids))
            owners.append(index)
    scores = [0.0] * len(rows)

    def score(places: list[int]) -> list[float]:
        return backbone.score([softs[owners[place]] for place in places], [rows[place] for place in places])

    sizes = backbone.sizes([softs[owner] for owner in owners], rows, 0)
    for places, values in budget.run(sizes, score, batch_size=batch_size, free=backbone.forget):
        for place, value in zip(places, values, strict=True):
            scores[place] = value
    found: list[str] = []
    for index, one in enumerate(laid):
        own = [score for score, owner in zip(scores, owners, strict=True) if owner == index]
        found.append(one.example.choices[own.index(max(own))])
    return found


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
