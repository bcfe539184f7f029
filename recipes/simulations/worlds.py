"""Made-up studies whose truth is known: right-or-wrong answers and BLEU counts over seeds and examples; no model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Numbers = NDArray[np.float64]

SHARED, OWN = 0.4, 0.3  # of an answer's variance: what all methods share of an example, and what is a method's own
REFERENCE = 200  # examples whose standard error is the unit in which seeds spread


@dataclass(frozen=True)
class Method:
    """truth: its true score in points. fixed: nothing varies between seeds. cost: for choosing among equals."""

    truth: float
    fixed: bool = False
    cost: float = 1.0


def answers(rng: np.random.Generator, methods: Sequence[Method], N: int, J: int, spread: float) -> list[Numbers]:
    """Right-or-wrong answers as statistics [J, N, 2] of each method, on examples whose difficulty the methods share.

    spread: the standard deviation of seeds, in standard errors of a score over 200 examples.
    """
    shared = SHARED**0.5 * rng.standard_normal(N)
    return [_answers(rng, each, shared, J, spread) for each in methods]


def _answers(rng: np.random.Generator, method: Method, shared: Numbers, J: int, spread: float) -> Numbers:
    share = method.truth / 100.0
    seeds = 1 if method.fixed else J
    place = float(norm.ppf(share))
    moved = 0.0
    if not method.fixed:  # the spread of scores as a spread of the threshold
        moved = spread * (share * (1.0 - share) / REFERENCE) ** 0.5 / float(norm.pdf(place))
        place *= (1.0 + moved**2) ** 0.5
    own = OWN**0.5 * rng.standard_normal(len(shared))
    noise = (1.0 - SHARED - OWN) ** 0.5 * rng.standard_normal((seeds, len(shared)))
    right = place + moved * rng.standard_normal((seeds, 1)) + shared + own + noise > 0
    return np.stack([right.astype(np.float64), np.ones_like(noise)], axis=-1)


def clustered(rng: np.random.Generator, truth: float, sizes: Sequence[int], correlation: float) -> Numbers:
    """Right-or-wrong answers of one run as statistics [1, N, 2], cluster after cluster: each cluster has a share of its own, of a beta
    distribution, so that two answers of one cluster have that correlation. truth: the mean share, in percent. sizes: of the clusters."""
    both = 1.0 / correlation - 1.0
    shares = rng.beta(both * truth / 100.0, both * (1.0 - truth / 100.0), size=len(sizes))
    right = rng.random(sum(sizes)) < np.repeat(shares, sizes)
    return np.stack([right.astype(np.float64), np.ones(sum(sizes))], axis=-1)[None]


def mean(sums: Numbers) -> Numbers:
    """[..., 2] -> [...]: exact match in points."""
    return np.asarray(100.0 * sums[..., 0] / sums[..., 1])


def translations(rng: np.random.Generator, levels: Sequence[float], N: int, J: int, spread: float) -> list[Numbers]:
    """Counts as BLEU adds them up, [J, N, 10] of each method: lengths, n-grams that match, n-grams there are.

    levels: how well each method does, in logits of a word that matches. spread: the standard deviation of seeds, in logits.
    """
    length = rng.integers(6, 30, size=N)
    hard = 0.8 * rng.standard_normal(N)
    studies = []
    for level in levels:
        own = 0.5 * rng.standard_normal(N)
        place = level + spread * rng.standard_normal((J, 1)) + hard + own + 0.5 * rng.standard_normal((J, N))
        word = 1.0 / (1.0 + np.exp(-place))
        hypothesis_lengths = np.maximum(4, length + rng.integers(-3, 4, size=(J, N)))
        total = np.stack([hypothesis_lengths - n for n in range(4)], axis=-1)
        right = np.stack([rng.binomial(hypothesis_lengths - n, word ** (n + 1)) for n in range(4)], axis=-1)
        lengths = np.stack([hypothesis_lengths, np.broadcast_to(length, hypothesis_lengths.shape)], axis=-1)
        studies.append(np.concatenate([lengths, right, total], axis=-1).astype(np.float64))
    return studies


def generator(*purpose: Any) -> np.random.Generator:
    """A generator for one purpose, the same in every run."""
    return np.random.default_rng([len(str(purpose)), *str(purpose).encode()])
