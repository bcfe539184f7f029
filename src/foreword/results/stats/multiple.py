"""Several methods at once: p-values adjusted for their number, and the probability of being best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreword.results.stats.crossed import Sample, usual_gap
from foreword.results.stats.resampling import Numbers, generator
from foreword.util.errors import ForewordError

DRAWS = 20_000


def holm_factors(pvalues: Sequence[float]) -> list[float]:
    """By how much Holm (1979) multiplies each p-value, in the order given: p times its factor is below 0.05 exactly where the
    test holds jointly with the others at 5 %, and then the interval at the level 1 - 0.05 / factor leaves 0 out."""
    reached, steps = _steps(pvalues)
    factors = [up / p if p > 0 else step for p, up, step in zip(pvalues, reached, steps, strict=True)]
    return [float(factor) for factor in factors]


def holm(pvalues: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979), in the order given; those below 0.05 hold jointly at 5 %."""
    return [min(1.0, float(up)) for up in _steps(pvalues)[0]]


def _steps(pvalues: Sequence[float]) -> tuple[Numbers, Numbers]:
    """(the adjusted p before it is cut at 1, how many tests were left at its step) of each p."""
    p = np.asarray(pvalues, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ForewordError(f"Holm's adjustment was asked for {list(pvalues)}; a p-value lies between 0 and 1.")
    order = np.argsort(p, kind="stable")
    left = np.arange(len(p), 0, -1, dtype=np.float64)
    reached, steps = np.empty(len(p)), np.empty(len(p))
    reached[order], steps[order] = np.maximum.accumulate(p[order] * left), left
    return reached, steps


def chances_of_best(
    methods: Sequence[Sample], *, span: float = 100.0, draws: int = DRAWS, seed: int = 0
) -> list[float]:
    """The probability that each method has the highest true score, drawn from the crossed model: the scores as measured, with
    errors over examples that the methods share and errors over seeds of their own. They add up to 1.

    A method that has one seed counts with the score of its prompt.
    """
    N = methods[0].values.shape[1]
    by_example = np.stack([each.values.mean(axis=0) for each in methods])  # [M, N]
    M = len(methods)
    gaps = by_example - by_example.mean(axis=1, keepdims=True)
    usual = usual_gap(by_example.max(axis=0) - by_example.min(axis=0)) or span
    # Half of what two added examples give the difference of any two methods; see `crossed.difference`.
    added = usual**2 / ((N + 1) * (N + 2)) * np.eye(M)
    covariance = gaps @ gaps.T / (max(N - 1, 1) * N) + added
    rng = generator(seed, "who is best")
    wide = np.sqrt(max(N - 1, 1) / rng.chisquare(max(N - 1, 1), size=(draws, 1)))
    scores = np.array([each.score for each in methods]) + wide * rng.multivariate_normal(
        np.zeros(M), covariance, size=draws, method="eigh"
    )
    for place, each in enumerate(methods):
        variance, _ = each.seed_variance()
        if variance > 0.0:  # what is known of it is known from so many seeds
            scores[:, place] += variance**0.5 * rng.standard_t(len(each.values) - 1, size=draws)
    return [float(share) for share in np.bincount(scores.argmax(axis=1), minlength=M) / draws]
