"""Vectors of texts, small enough to stand in a log: the mean input embedding of the tokens, on few fixed random directions; it refuses to
compare vectors of two models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foreword.engine import Backbone
from foreword.engine.tokenizer_adapter import TokenizerAdapter
from foreword.results.stats.resampling import generator

SIZE = 16  # D, numbers of a vector
SCHEME = 1
CHUNK = 4096  # tokens whose embeddings are projected at once
DECIMALS = 4


class Sketch:
    """What makes the vectors of a model. kind: names the model and the rule, so that only vectors of one kind are compared. words: the
    tokenizer, which belongs to the thread that calls. whole: every token is projected now, and the model not asked again."""

    def __init__(self, backbone: Backbone, words: TokenizerAdapter | None = None, *, whole: bool = False) -> None:
        model = hashlib.sha256(backbone.fingerprint.encode()).hexdigest()[:16]
        self.kind = f"mean-embedding/{SIZE}/{SCHEME}/{model}"
        self._backbone, self._words = backbone, words or backbone.tokenizer
        directions = generator(SCHEME, "directions").standard_normal((backbone.hidden, SIZE))
        self._directions = directions / (backbone.hidden**0.5 * (backbone.scale or 1.0))
        self._table = np.full((backbone.vocab, SIZE), np.nan)  # [V, D], filled as tokens come
        for start in range(0, backbone.vocab if whole else 0, CHUNK):
            self._fill(range(start, min(start + CHUNK, backbone.vocab)))

    def _fill(self, ids: Sequence[int]) -> None:
        self._table[list(ids)] = self._backbone.embed(ids).cpu().numpy().astype(np.float64) @ self._directions

    def vector(self, text: str) -> tuple[float, ...]:
        """D numbers of a text; those of no token at all are 0."""
        ids = list(self._words.ids(((text, False),), first=True))
        if not ids:
            return (0.0,) * SIZE
        unseen = sorted({token for token in ids if np.isnan(self._table[token, 0])})
        if unseen:
            self._fill(unseen)
        return tuple(round(float(value), DECIMALS) + 0.0 for value in self._table[ids].mean(axis=0))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Texts -> [N, D]."""
        return np.array([self.vector(text) for text in texts], np.float64).reshape(-1, SIZE)
