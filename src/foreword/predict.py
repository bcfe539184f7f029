"""One answer per example: greedy text, or the likeliest of its choices; it refuses to let batch-mates change an answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from foreword.backbone import Backbone, Row
from foreword.layout import Laid
from foreword.pack import batches
from foreword.progress import Progress, silent
from foreword.template import Template

TOKEN_BUDGET = 32_768  # padded tokens, answers included, that go through the backbone at once


@dataclass(frozen=True)
class Prediction:
    """outputs: one text an example, in order. seconds: for all of them together."""

    outputs: tuple[str, ...]
    seconds: float


def predict(
    backbone: Backbone,
    template: Template,
    soft: Tensor | None,
    laid: Sequence[Laid],
    *,
    longest: int,
    batch_size: int,
    name: str = "answering",
    progress: Progress = silent,
) -> Prediction:
    """Answer every example. soft: [P, H] or None. longest: tokens of an answer at most. Examples with choices get the choice with
    the highest log-probability summed over its tokens (the first among equals); others a greedy answer, read by the template."""
    begun = time.perf_counter()
    values = None if soft is None else soft.to(backbone.device)
    outputs = [""] * len(laid)
    open_ones = [place for place, one in enumerate(laid) if not one.example.choices]
    closed = [place for place, one in enumerate(laid) if one.example.choices]
    sizes = [laid[place].row().length + laid[place].fitted.soft + longest for place in open_ones]
    done = 0
    for group in batches(sizes, batch_size=batch_size, token_budget=TOKEN_BUDGET):
        places = [open_ones[i] for i in group]
        found = backbone.generate(values, [laid[place].row() for place in places], longest, stop=template.stop)
        for place, ids in zip(places, found, strict=True):
            outputs[place] = template.read(backbone.answers.text(ids))
        done += len(places)
        progress(name, done, len(laid))
    for start in range(0, len(closed), batch_size):
        places = closed[start : start + batch_size]
        for place, choice in zip(
            places, _choose(backbone, template, values, [laid[p] for p in places], batch_size), strict=True
        ):
            outputs[place] = choice
        done += len(places)
        progress(name, done, len(laid))
    return Prediction(tuple(outputs), time.perf_counter() - begun)


def _choose(
    backbone: Backbone, template: Template, soft: Tensor | None, laid: Sequence[Laid], batch_size: int
) -> list[str]:
    rows: list[Row] = []
    owners: list[int] = []
    for index, one in enumerate(laid):
        for ids in choice_ids(backbone, template, one.example.choices):
            rows.append(one.row(ids))
            owners.append(index)
    scores = [0.0] * len(rows)
    for group in batches([row.length for row in rows], batch_size=batch_size, token_budget=TOKEN_BUDGET):
        for place, value in zip(group, backbone.score(soft, [rows[place] for place in group]), strict=True):
            scores[place] = value
    found: list[str] = []
    for index, one in enumerate(laid):
        own = [score for score, owner in zip(scores, owners, strict=True) if owner == index]
        found.append(one.example.choices[own.index(max(own))])
    return found


def choice_ids(backbone: Backbone, template: Template, choices: Sequence[str]) -> list[tuple[int, ...]]:
    """The tokens by which choices are compared: without the end token, unless one choice begins another, when all have it."""
    if backbone.kind == "seq2seq":
        return [backbone.answer_ids(template.reply(one)) for one in choices]
    bare = [backbone.answers.ids(template.reply(one), first=False) for one in choices]
    clash = any(a != b and b[: len(a)] == a for a in bare for b in bare)
    return [backbone.answer_ids(template.reply(one)) for one in choices] if clash else bare
