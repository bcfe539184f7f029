"""ROUGE-L and CIDEr as the COCO caption code computes them, on the tokens of `ptb`.

Words stand between single spaces; a text without any is one empty word for ROUGE-L and none for CIDEr. On the shelf of
metrics each text is cut by itself. CIDEr of an example depends on the references of all the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foreword.metrics.base import Metric, Numbers, divide, pairs
from foreword.metrics.multibleu import Words, grams
from foreword.metrics.ptb import tokenised
from foreword.metrics.subsequence import longest, places

BETA = 1.2
ORDER = 4
SIGMA = 6.0


def rouge_l(output: str, references: Sequence[str]) -> float:
    """ROUGE-L, 0..1: F1.2 of the best precision and the best recall, which may be against different references."""
    mine = output.split(" ")
    known = places(mine)
    shared = [
        (longest(known, len(mine), words), len(words)) for words in (reference.split(" ") for reference in references)
    ]
    precision = max(length for length, _ in shared) / len(mine)
    recall = max(length / size for length, size in shared)
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


@dataclass(frozen=True)
class _Vector:
    """The n-grams of a text, each weighed by how rare it is; length of each order's part; number of bigrams."""

    weights: Mapping[Words, float]
    norms: tuple[float, ...]
    bigrams: int


def cider(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr of each output, 0..10; an n-gram weighs by how few of these very examples have it in a reference.

    The length that the Gaussian penalty compares is the number of bigrams, as in the COCO code.
    """
    known = [[grams(tuple(reference.split())) for reference in accepted] for accepted in references]
    spread: Counter[Words] = Counter()
    for accepted in known:
        spread.update(set().union(*accepted))
    most = math.log(len(known)) if known else 0.0
    rarity = {gram: most - math.log(count) for gram, count in spread.items()}
    scores = []
    for output, accepted in zip(outputs, known, strict=True):
        mine = _vector(grams(tuple(output.split())), rarity, most)
        scores.append(10.0 * sum(_alike(mine, _vector(vector, rarity, most)) for vector in accepted) / len(accepted))
    return scores


def _vector(counts: Counter[Words], rarity: Mapping[Words, float], unknown: float) -> _Vector:
    weights = {gram: count * rarity.get(gram, unknown) for gram, count in counts.items()}
    squares = [0.0] * ORDER
    bigrams = 0
    for gram, weight in weights.items():
        squares[len(gram) - 1] += weight * weight
        if len(gram) == 2:
            bigrams += counts[gram]
    return _Vector(weights, tuple(map(math.sqrt, squares)), bigrams)


def _alike(output: _Vector, reference: _Vector) -> float:
    """The mean over the orders of the clipped cosine, less for texts of another length."""
    products = [0.0] * ORDER
    theirs = reference.weights
    for gram, weight in output.weights.items():
        if gram in theirs:
            products[len(gram) - 1] += min(weight, theirs[gram]) * theirs[gram]
    norms = [ours * its for ours, its in zip(output.norms, reference.norms, strict=True)]
    cosine = sum(product / norm if norm else product for product, norm in zip(products, norms, strict=True)) / ORDER
    return cosine * math.exp(-((output.bigrams - reference.bigrams) ** 2) / (2 * SIGMA**2))


def _statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    """[N, 2]: the ROUGE-L of each example, and 1."""
    scores = [
        rouge_l(tokenised([output])[0], [tokenised([reference])[0] for reference in accepted])
        for output, accepted in pairs(outputs, references)
    ]
    return np.stack([np.array(scores, dtype=np.float64), np.ones(len(scores))], axis=1)


def _mean(sums: Numbers) -> Numbers:
    return 100.0 * divide(sums[..., 0], sums[..., 1])


def _cider_statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    """[N, 2]: the CIDEr of each example among these, and 1."""
    rows = list(pairs(outputs, references))
    accepted = [[tokenised([text])[0] for text in texts] for _, texts in rows]
    scores = cider([tokenised([output])[0] for output, _ in rows], accepted)
    return np.stack([np.array(scores, dtype=np.float64), np.ones(len(scores))], axis=1)


def _cider_mean(sums: Numbers) -> Numbers:
    return divide(sums[..., 0], sums[..., 1])


METRICS = (
    Metric(
        name="cider_coco",
        best=math.inf,
        source="Vedantam et al. 2015, as the COCO caption code (CIDEr-D, sigma 6), Penn Treebank words, mean; scale 0 to 10.",
        statistics=_cider_statistics,
        from_sums=_cider_mean,
        signature=lambda: "cider_coco|n:1-4|sigma:6|idf:references-of-the-set|tok:ptb-3.4.1,lower,no-punctuation",
        of_set=True,
    ),
    Metric(
        name="rouge_l_coco",
        best=100.0,
        source="Lin 2004, as the COCO caption code: F1.2 of the best precision and recall, Penn Treebank words, mean.",
        statistics=_statistics,
        from_sums=_mean,
        signature=lambda: "rouge_l_coco|beta:1.2|tok:ptb-3.4.1,lower,no-punctuation|refs:best-p,best-r",
    ),
)
