"""Examples, an encoder without a model and what a retriever hits, for its tests; it refuses to depend on the process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreword.data.examples import Example
from foreword.prompts.retrieve import RetrievedExample, Retriever, bm25, make

WIDTH = 16


def encode(texts: Sequence[str]) -> np.ndarray:
    """A bag of words as vectors [N, WIDTH]: each word has a place of its own, whatever the process."""
    counts = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in enumerate(texts):
        for piece in bm25.pieces(text):
            counts[row, sum(piece.encode()) % WIDTH] += 1
    return counts


def example(number: int | str, text: str, target: str = "yes", choices: tuple[str, ...] = ()) -> Example:
    """An example of one input."""
    return Example(str(number), {"input": text}, (target,), choices)


def make_one(name: str, pool: Sequence[Example], seed: int = 0) -> Retriever:
    """A retriever by name; the dense one encodes as above."""
    return make(name, pool, seed=seed, encode=encode if name == "dense" else None)


def as_tuples(hits: Sequence[RetrievedExample]) -> list[tuple[str, str, float | None]]:
    """Hits as ids, questions and similarities."""
    return [(hit.example.id, hit.example.question, hit.similarity) for hit in hits]
