"""One answer per example: greedy text, or the likeliest of its choices; batch-mates do not change it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from foreword.data.template import Template
from foreword.engine import Backbone, JsonGrammar, Prefix, Prefixes, Request, each
from foreword.engine.memory import Budget
from foreword.infer.choosing import choose
from foreword.infer.decoding import GREEDY, Decoding
from foreword.infer.ensemble import vote
from foreword.prompts.layout import Laid
from foreword.util.progress import Progress, silent

TOKEN_BUDGET = 32_768  # tokens, answers included, that are held at once, at most: fewer where the memory or the backbone's own room is less


@dataclass(frozen=True)
class Prediction:
    """outputs: one text an example, in order. seconds: for all of them together. cut: for each, whether it was still going on when it
    had as many tokens as an answer may have; a chosen answer never is. probabilities: of each choice, for an example with choices;
    empty for the others."""

    outputs: tuple[str, ...]
    seconds: float
    cut: tuple[bool, ...] = ()
    probabilities: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True)
class Voted:
    """outputs: the majority's answer to each example. members: each prompt's own answers. seconds: for all of them together. cut: how
    many of the members' answers ended at the limit. probabilities: of each choice, where there is one member alone, whose they are."""

    outputs: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    seconds: float
    cut: int = 0
    probabilities: tuple[dict[str, float], ...] = ()


def predict(
    backbone: Backbone,
    template: Template,
    soft: Prefixes,
    laid: Sequence[Laid],
    *,
    longest: int,
    batch_size: int,
    choice_score: str = "sum",
    decoding: Decoding = GREEDY,
    name: str = "answering",
    progress: Progress = silent,
) -> Prediction:
    """Answer every example. soft: a prefix, such as a soft prompt [P, H], or None, or one of these for each example: prompts mix in a
    batch, and each is run once. longest: tokens of an answer at most. batch_size: examples that are answered together, fewer where they
    are long or the memory does not hold them; one that ends makes room for the next at once. Examples with choices get the
    likeliest of them (`choosing.choose`; choice_score: how they are compared); others an answer as `decoding` says, read by the
    template."""
    begun = time.perf_counter()
    softs = each(soft, len(laid))
    outputs, cut = [""] * len(laid), [False] * len(laid)
    probabilities: list[dict[str, float]] = [{} for _ in laid]
    grammar, template = decoding.grammar(backbone, template), decoding.reading(template)
    ended = backbone.ended(*template.stops)
    open_ones = [place for place in range(len(laid)) if not laid[place].example.choices]
    closed = [place for place in range(len(laid)) if laid[place].example.choices]
    closed.sort(key=lambda place: -_size(laid[place]))
    if closed:
        decoding.refuse_choices()
    how = (longest, template, decoding, grammar)
    requests = [_request(laid[place], softs[place], *how) for place in open_ones]
    budget = budget_of(backbone)
    done = 0

    def answer(chosen: list[int], tokens: int) -> Iterator[tuple[int, list[int]]]:
        waiting = [requests[at] for at in chosen]
        for at, ids in backbone.finishing(waiting, max_rows=batch_size, max_tokens=tokens):
            yield chosen[at], ids

    sizes = backbone.sizes([request.prefix for request in requests], [request.row for request in requests], longest)
    for at, ids in budget.stream(sizes, answer, free=backbone.forget):
        outputs[open_ones[at]] = template.read(backbone.answer_text(ids))
        cut[open_ones[at]] = len(ids) >= longest and not (ended(ids) or _whole(requests[at], ids))
        done += 1
        progress(name, done, len(laid))
    for start in range(0, len(closed), batch_size):
        places = closed[start : start + batch_size]
        before, examples = [softs[place] for place in places], [laid[place] for place in places]
        limits: dict[str, Any] = {"batch_size": batch_size, "budget": budget}
        chosen = choose(backbone, template, before, examples, score=choice_score, **limits)
        for place, answered in zip(places, chosen, strict=True):
            outputs[place], probabilities[place] = answered.choice, answered.probabilities
        done += len(places)
        progress(name, done, len(laid))
    return Prediction(tuple(outputs), time.perf_counter() - begun, tuple(cut), tuple(probabilities))


def predict_ensemble(
    backbone: Backbone,
    template: Template,
    members: Sequence[tuple[Prefix | Tensor | None, Sequence[Laid]]],
    *,
    longest: int,
    batch_size: int,
    choice_score: str = "sum",
    decoding: Decoding = GREEDY,
    name: str = "answering",
    progress: Progress = silent,
) -> Voted:
    """Answer every example by each member (its soft prompt [P, H] or None, and the examples as it words them) in batches that mix the
    members, and take the majority's answer (Lester et al. 2021, section 6); among tied ones, the earliest member's. batch_size:
    examples, each with all members. Raises ForewordError when members were given different examples."""
    prediction = predict(
        backbone,
        template,
        [soft for soft, laid in members for _ in laid],
        [laid_example for _, laid in members for laid_example in laid],
        longest=longest,
        batch_size=batch_size * len(members),
        choice_score=choice_score,
        decoding=decoding,
        name=name,
        progress=progress,
    )
    outputs = iter(prediction.outputs)
    answers = [{laid_example.example.id: next(outputs) for laid_example in laid} for _, laid in members]
    voted = vote(answers)
    own = tuple(tuple(by_id[name] for name in voted) for by_id in answers)
    alone = prediction.probabilities if len(members) == 1 else ()
    return Voted(tuple(voted.values()), own, prediction.seconds, sum(prediction.cut), alone)


def budget_of(backbone: Backbone) -> Budget:
    """Of tokens held at once while this backbone answers."""
    return Budget(max(1, min(TOKEN_BUDGET, backbone.room)))


def _request(
    laid: Laid, prefix: Prefix | None, longest: int, template: Template, decoding: Decoding, grammar: JsonGrammar | None
) -> Request:
    """An example as a session is asked for its answer."""
    sampling, constraint = decoding.sampling_of(laid.example), None if grammar is None else grammar.constraint()
    return Request(laid.row(), prefix, longest, template.stops, sampling=sampling, constraint=constraint)


def _whole(request: Request, ids: Sequence[int]) -> bool:
    """Whether nothing can follow an answer."""
    return request.constraint is not None and request.constraint.ended(ids)


def _size(laid_example: Laid) -> int:
    """Positions before the answer, soft prompt included."""
    return laid_example.fitted.soft + laid_example.row().length
