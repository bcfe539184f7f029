"""Batches of the prefix-LM objective out of a stream of texts, with the place in the stream after each; rows of like lengths are padded
together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import numpy as np

from foreword.engine import Backbone, Row
from foreword.train.pretrain.spans import SHORTEST, halved
from foreword.train.pretrain.texts import Mark, Texts
from foreword.util.errors import ForewordError

CHUNK = 1024
"""Pieces of text that are sorted by length together."""
BARREN = 10_000
"""Texts in a row too short to be parted before the stream is given up."""
STEP = 32
"""Inputs go together whose lengths differ by less than this."""


@dataclass(frozen=True)
class TextPlace:
    """Where a stream of batches stands: so many chunks done, so many batches of the next one done, whose first text is at `mark`."""

    chunk: int = 0
    batch: int = 0
    mark: Mark = field(default=Mark())


def pairs(
    backbone: Backbone, texts: Texts, *, seed: int, length: int, budget: int, place: TextPlace
) -> Iterator[tuple[list[Row], TextPlace]]:
    """An endless stream of batches from `place` on, each with the place after it.

    A text is cut into pieces of `length` tokens (its last one may be shorter), and a piece at a random point into what is read and
    the target, as in T5's `prefix_lm`: no two texts share a piece, and the target ends with the tokenizer's end.
    budget: padded tokens of a batch at most, specials among them, but where a single row is longer.
    """
    for chunk in itertools.count(place.chunk):
        rows, after = _rows(backbone, texts, place.mark, np.random.default_rng([seed, chunk]), length)
        groups = _groups(rows, budget, backbone.specials)
        Random(f"{seed}/pairs/{chunk}").shuffle(groups)
        first = place.batch if chunk == place.chunk else 0
        for index in range(first, len(groups)):
            last = index + 1 == len(groups)
            yield groups[index], TextPlace(chunk + 1, 0, after) if last else TextPlace(chunk, index + 1, place.mark)
        place = TextPlace(chunk + 1, 0, after)


def _rows(
    backbone: Backbone, texts: Texts, mark: Mark, chance: np.random.Generator, length: int
) -> tuple[list[Row], Mark]:
    """The rows of the next texts, at least CHUNK of them, and the mark after those texts."""
    rows: list[Row] = []
    tokenizer = backbone.tokenizer
    for number, (text, after) in enumerate(texts.read(mark)):
        if number > BARREN and not rows:
            raise ForewordError(
                f"{texts.name} holds no text of {SHORTEST} tokens or more that could be parted; give longer texts."
            )
        ids = np.array(tokenizer.ids(((text, False),), first=True), dtype=np.int64)
        for start in range(0, len(ids) - SHORTEST + 1, length):
            first_half, second_half = halved(ids[start : start + length], chance)
            rows.append(Row((), tuple(first_half.tolist()), (*tokenizer.start, *second_half.tolist(), *tokenizer.end)))
        if len(rows) >= CHUNK:
            return rows, after
    raise AssertionError("texts never end")


def _groups(rows: list[Row], budget: int, specials: int) -> list[list[Row]]:
    """Rows of like lengths in both parts, as many together as the budget holds."""
    groups: list[list[Row]] = [[]]
    widest = (0, 0)
    for row in sorted(rows, key=lambda row: (len(row.own) // STEP, len(row.answer))):
        wider = max(widest[0], len(row.own) + specials), max(widest[1], len(row.answer))
        if groups[-1] and (len(groups[-1]) + 1) * sum(wider) > budget:
            groups.append([])
            wider = len(row.own) + specials, len(row.answer)
        groups[-1].append(row)
        widest = wider
    return groups
