"""Two-sample tests of a window of requests against a reference: kernel mean discrepancy of vectors, Kolmogorov-Smirnov of numbers,
chi-squared of categories; they refuse fewer values than a test can speak on."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from foreword.results.stats.resampling import generator
from foreword.util.errors import ForewordError

Numbers = NDArray[np.float64]

FEWEST = 20  # values on either side
STAGES = ((199, 0.2), (1_999, 0.02))  # permutations after which a test stops, and the p-value above which it does
MOST = 1_000_000  # permutations
AT_ONCE = 2_000


def permutations_for(level: float) -> int:
    """How many permutations a test needs to speak at this level: ten times as many as the least. Raises ForewordError for more than can
    be run."""
    count = max(999, math.ceil(10.0 / level))
    if count > MOST:
        raise ForewordError(
            f"A test at the level {level:.2g} would take {count:,} permutations; give a smaller --horizon or a greater --alpha."
        )
    return count


def discrepancy(reference: Numbers, window: Numbers, *, level: float, seed: int = 0) -> tuple[float, float]:
    """The squared maximum mean discrepancy (Gretton et al. 2012, unbiased) of vectors [M, D] and [N, D] under a Gaussian kernel as wide as
    the median distance of the pooled sample, and its permutation p-value. Permutations go on to what `level` needs only where the first
    say that it may be reached: p is valid at any level below those of STAGES."""
    pooled = np.concatenate([reference, window]).astype(np.float64)
    kernel = _kernel(pooled)
    sizes = len(reference), len(window)
    observed = float(_statistic(kernel, _indicator(sizes)[:, None], sizes)[0])
    tolerance = 1e-12 * (1.0 + abs(observed))
    reached, count, p = 0, 0, 1.0
    for planned, far in (*STAGES, (permutations_for(level), 1.0)):
        while count < planned:
            drawn = _drawn(sizes, seed, count, min(AT_ONCE, planned - count))
            reached += int((_statistic(kernel, drawn, sizes) >= observed - tolerance).sum())
            count += drawn.shape[1]
        p = (1 + reached) / (1 + count)
        if p > far:
            break
    return observed, p


@functools.lru_cache(maxsize=4)
def _drawn(sizes: tuple[int, int], seed: int, start: int, count: int) -> NDArray[np.float32]:
    """[M + N, count]: which rows are the window's in each permutation, the same for every window of a size."""
    rng = generator(seed, f"permutations from {start}")
    rows: NDArray[np.float32] = rng.permuted(np.tile(_indicator(sizes), (count, 1)), axis=1)
    return np.asarray(rows.T, np.float32, order="C")


def _indicator(sizes: tuple[int, int]) -> NDArray[np.float32]:
    return np.repeat(np.array([0.0, 1.0], np.float32), sizes)


def _kernel(pooled: Numbers) -> NDArray[np.float32]:
    """[M + N, M + N], its diagonal 0."""
    squares = (pooled**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None] - 2.0 * pooled @ pooled.T, 0.0)
    above = distances[np.triu_indices(len(pooled), 1)]
    width = float(np.median(above)) or float(above.mean()) or 1.0
    kernel: NDArray[np.float32] = np.exp(-distances / width).astype(np.float32)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _statistic(kernel: NDArray[np.float32], drawn: NDArray[np.float32], sizes: tuple[int, int]) -> Numbers:
    """drawn [M + N, R]: 1 where a row is the window's -> [R]."""
    M, N = sizes
    reach = kernel.sum(axis=1, dtype=np.float64)
    inside = np.asarray(((kernel @ drawn) * drawn).sum(axis=0), np.float64)  # within the window
    window_to_all = reach @ drawn
    across = window_to_all - inside
    rest = reach.sum() - 2.0 * window_to_all + inside  # within the reference
    return np.asarray(inside / (N * (N - 1)) + rest / (M * (M - 1)) - 2.0 * across / (M * N))


def distributions(reference: Numbers, window: Numbers) -> tuple[float, float]:
    """The two-sample Kolmogorov-Smirnov statistic of numbers [M] and [N], the greatest distance between their distribution functions,
    and its p-value (exact for small samples; on the safe side where values are tied)."""
    tested = ks_2samp(reference, window)
    return float(tested.statistic), min(1.0, float(tested.pvalue))


def categories(reference: Sequence[Any], window: Sequence[Any], *, level: float, seed: int = 0) -> tuple[float, float]:
    """Pearson's chi-squared of a table of two rows, and its p-value over tables with the same margins (exact up to the number of
    tables drawn), so that rare categories need no pooling."""
    names = sorted({*reference, *window}, key=str)
    rows = np.array([[side.count(name) for name in names] for side in (list(reference), list(window))], np.int64)
    whole = rows.sum(axis=0)
    expected = whole * (rows[1].sum() / whole.sum())
    observed = float(_chi_squared(rows[1][None], whole, expected)[0])
    count = permutations_for(level)
    rng = generator(seed, "tables with the same margins")
    drawn = rng.multivariate_hypergeometric(whole, int(rows[1].sum()), size=count)
    reached = int((_chi_squared(drawn, whole, expected) >= observed * (1.0 - 1e-12) - 1e-12).sum())
    return observed, (1 + reached) / (1 + count)


def _chi_squared(counts: NDArray[np.int64], whole: NDArray[np.int64], expected: Numbers) -> Numbers:
    """counts of the window [R, C] -> [R]; the reference has the rest of `whole`."""
    gaps = (counts - expected) ** 2
    return np.asarray((gaps / expected + gaps / (whole - expected)).sum(axis=1))
