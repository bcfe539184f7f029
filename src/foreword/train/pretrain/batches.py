"""Batches of a stream of documents: padded rows of few widths, one document a row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from tokenizers import Tokenizer

from foreword.synthetic import Document, documents
from foreword.train.pretrain.tokenizer import EOS_ID, PAD_ID

CHUNK = 4096
"""Documents that are sorted by length together."""

STEP = 64
"""Rows are as wide as a multiple of this, and batches of one width have one number of rows: few shapes, so compiling pays."""

LONGEST = 512
"""Tokens of a row at most; what is longer is cut."""


@dataclass(frozen=True)
class Batch:
    """ids [B, T]: a document a row, its end token, then padding (whole rows of it, where documents of the width ran out).
    counted [B, T]: the tokens whose loss counts. tokens: how many of the ids are no padding."""

    ids: np.ndarray
    counted: np.ndarray
    tokens: int


@dataclass(frozen=True)
class DocumentPlace:
    """Where a stream of batches stands: so many chunks done, so many batches of the next one done."""

    chunk: int = 0
    batch: int = 0


def batches(
    tokenizer: Tokenizer, *, seed: int, budget: int, share: float, drilled: int, place: DocumentPlace
) -> Iterator[tuple[Batch, DocumentPlace]]:
    """An endless stream of batches from `place` on, each with the place after it.

    budget: padded tokens of a batch at most. share: how many of the tokens outside answers count, 0 to 1 (they are mostly fresh
    names, which nothing foretells). drilled: see `foreword.synthetic.documents`.
    """
    for chunk in itertools.count(place.chunk):
        stream = documents(seed, start=chunk * CHUNK, drilled=drilled)
        rows = _rows(tokenizer, list(itertools.islice(stream, CHUNK)), np.random.default_rng([seed, chunk]), share)
        groups = _groups(rows, budget)
        Random(f"{seed}/batches/{chunk}").shuffle(groups)
        first = place.batch if chunk == place.chunk else 0
        for index in range(first, len(groups)):
            after = DocumentPlace(chunk, index + 1) if index + 1 < len(groups) else DocumentPlace(chunk + 1, 0)
            yield _pad(groups[index], budget), after


_Row = tuple[np.ndarray, np.ndarray]


def _rows(tokenizer: Tokenizer, texts: list[Document], rng: np.random.Generator, share: float) -> list[_Row]:
    """Each document's ids [T] and which of them count [T]."""
    rows = []
    for document, encoded in zip(texts, tokenizer.encode_batch([d.text for d in texts]), strict=True):
        starts = np.array([start for start, _ in encoded.offsets])
        counted = rng.random(len(starts)) < share
        for first, last in document.answers:
            counted |= (starts >= first) & (starts < last)
        ids = np.array([*encoded.ids, EOS_ID], dtype=np.int64)
        rows.append((ids[:LONGEST], np.append(counted, True)[:LONGEST]))
    return rows


def _groups(rows: list[_Row], budget: int) -> list[list[_Row]]:
    """Rows of one width, as many together as the budget holds."""
    by_width: dict[int, list[_Row]] = {}
    for row in rows:
        by_width.setdefault(-len(row[0]) // STEP * -STEP, []).append(row)
    groups = []
    for width, alike in sorted(by_width.items()):
        many = max(1, budget // width)
        groups += [alike[start : start + many] for start in range(0, len(alike), many)]
    return groups


def _pad(group: list[_Row], budget: int) -> Batch:
    width = -max(len(ids) for ids, _ in group) // STEP * -STEP
    shape = max(1, budget // width), width
    ids = np.full(shape, PAD_ID, dtype=np.int64)
    counted = np.zeros(shape, dtype=bool)
    for index, (row, mask) in enumerate(group):
        ids[index, : len(row)] = row
        counted[index, : len(row)] = mask
    return Batch(ids, counted, sum(len(row) for row, _ in group))
