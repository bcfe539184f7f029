"""The retriever `bm25`: demonstrations that share rare words with the question."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import bm25s
import numpy as np

from foreword.data.examples import Example
from foreword.prompts.retrieve.pool import Kind, Pool, Ranked, Ranking, Retriever, Vectors
from foreword.util.folding import pieces

K1 = 1.5  # Robertson and Zaragoza 2009: how soon a repeated word counts no more
B = 0.75  # how much a long text is held back for its length
METHOD = "lucene"
_PROBE = "Die Größe: naïve re-entry_2 x10 don't İstanbul ﬁn 3.5% दिन दीन कि สวัสดี 東京タワー 한국어 ПРИВЕТ Ⅳ e\u0301 a\u200db 😀"


def trigrams(text: str) -> list[str]:
    """The letter trigrams of each word piece, its ends marked: `cat` gives `^ca`, `cat`, `at$`."""
    marked = (f"^{piece}$" for piece in pieces(text))
    return [word[start : start + 3] for word in marked for start in range(len(word) - 2)]


def bm25_signature() -> str:
    """What this retriever's choice depends on, beside the examples. The tokenizer is identified by what it makes of a text in many scripts,
    so no number has to be raised when it changes."""
    cut = hashlib.sha256("\n".join([*pieces(_PROBE), "", *trigrams(_PROBE)]).encode()).hexdigest()[:12]
    return f"bm25|{METHOD}|k1:{K1}|b:{B}|pieces:{cut}|stem:no|ties:first|bm25s:{version('bm25s')}"


def bm25_retriever(pool: Pool) -> Retriever:
    """The highest BM25 scores (Lucene's form, k1 1.5, b 0.75) over the distinct questions of the pool.

    The similarity is the score as a part of what the question would score with itself (its words that the pool has), so that a long
    question is not called more similar for being long: 0 where no word is shared, and then the pool's first questions stand for all
    the others; 1 for the same words as often in as long a text, and never more, however often a text repeats them.
    """
    cut = _cutter(pool)
    cuts = [cut(text) for text in pool.texts]
    numbers = {piece: number for number, piece in enumerate(sorted({piece for pieces in cuts for piece in pieces}))}
    index = bm25s.BM25(method=METHOD, k1=K1, b=B, backend="numpy")
    if numbers:
        corpus = [[numbers[piece] for piece in pieces] for pieces in cuts]
        index.index((corpus, dict(numbers)), create_empty_token=False, show_progress=False)
    having = Counter(numbers[piece] for pieces in cuts for piece in set(pieces))
    rarity = [
        math.log(1 + (len(cuts) - having[number] + 0.5) / (having[number] + 0.5)) for number in range(len(numbers))
    ]
    mean = sum(map(len, cuts)) / len(cuts)

    def whole(known: Sequence[int], length: int) -> float:
        damped = K1 * (1 - B + B * length / mean)
        return sum(count * rarity[number] * count / (count + damped) for number, count in Counter(known).items())

    def rank_one(example: Example, bars: Sequence[int], k: int) -> Ranking:
        own = cut(example.text)
        known = [numbers[piece] for piece in own if piece in numbers]
        scores = index.get_scores_from_ids(known) if known else np.zeros(len(cuts), np.float32)  # [N]
        scores[list(bars)] = -np.inf
        most = whole(known, len(own)) if known else 1.0
        return [
            (int(place), min(1.0, float(scores[place]) / most)) for place in best(scores, min(k, len(cuts) - len(bars)))
        ]

    def rank(examples: Sequence[Example], barred: Sequence[Sequence[int]], k: int) -> list[Ranking]:
        return [rank_one(example, bars, k) for example, bars in zip(examples, barred, strict=True)]

    return Ranked("bm25", pool, rank)


def best(scores: Vectors, k: int) -> np.ndarray[Any, Any]:
    """The places of the k highest of scores [N], highest first; among equals the first places."""
    if k == 0:
        return np.empty(0, np.int64)
    edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > edge)
    equal = np.flatnonzero(scores == edge)[: k - len(above)]
    return np.concatenate([above[np.argsort(-scores[above], kind="stable")], equal])


def _cutter(pool: Pool) -> Callable[[str], list[str]]:
    """How texts are cut: into word pieces, or letter trigrams where most questions are one word.

    A one-word question shares its word with no other question, so whole words would tell nothing apart.
    """
    return trigrams if statistics.median(len(pieces(text)) for text in pool.texts) <= 1 else pieces


RETRIEVER = Kind("bm25", bm25_retriever, bm25_signature)
