"""Bootstrap intervals of scores, bins and slopes, for any score, over examples or over clusters of them; numbers that are not finite are
refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreword.util.errors import ForewordError

Numbers = NDArray[np.float64]
FromSums = Callable[[Numbers], Numbers]

CELLS = 4_000_000  # weights held at once: 32 MB


@dataclass(frozen=True)
class Bin:
    """The examples with low <= x < high (in the last bin also x = high) and how their y lies.

    mean: None in an empty bin. lo, hi: bootstrap interval of the mean; None with fewer than two examples, or clusters of them.
    """

    low: float
    high: float
    count: int
    mean: float | None
    lo: float | None
    hi: float | None


def bootstrap(
    stats: Numbers, from_sums: FromSums, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean score over seeds: stats [J, N, d] -> (lo, hi).

    Hierarchical: each resample draws J seeds and N examples with replacement, the same examples for every seed,
    and scores the sums. With one seed only the examples vary. The seeds' share of the variance is understated by
    the factor (J - 1) / J, as in any bootstrap of few units: simulated intervals at 95 % covered the truth 92 % of the
    time with 5 seeds, and 85 % with 3, where seeds spread three times as wide as the examples' standard error.
    """
    stats = cube(stats)
    scores = _resampled(in_own_order(stats), from_sums, resamples, seed)  # [Q, J]
    return _percentiles(_mean_over_seeds(scores, seed, "seeds"), level)


def mean_std(values: Sequence[float] | Numbers) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1 below the line); the deviation of a single value is 0."""
    if not len(values):
        raise ForewordError("A mean of no values was asked for; give at least one.")
    numbers = np.sort(np.asarray(values, np.float64))
    return float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0


def slope(
    x: Sequence[float] | Numbers,
    y: Sequence[float] | Numbers,
    *,
    clusters: Sequence[str] = (),
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float] | None:
    """Least-squares slope of y on x with its bootstrap interval over examples, or over clusters of them (`joined`): x [N], y [N] ->
    (slope, lo, hi).

    None where x does not vary, or so seldom that more than one resample in ten holds a single value of x, and for a single cluster.
    """
    x, y = _columns(x, y)
    width = float(np.ptp(x))
    if width == 0.0:
        return None
    u, v = (x - np.sort(x).mean()) / width, y - np.sort(y).mean()  # sorted: the same rounding in any order
    rows = np.stack([np.ones_like(u), u, v, u * u, u * v], axis=1)[None]  # [1, N, 5]
    estimate = float(slope_of(in_own_order(rows)[0].sum(axis=0)))
    units = in_own_order(joined(rows, clusters))  # [1, U, 5]
    if units.shape[1] < 2:
        return None
    drawn = _resampled(units, slope_of, resamples, seed)[:, 0]
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(estimate) or len(drawn) < 0.9 * resamples:
        return None
    lo, hi = _percentiles(drawn, level)
    return estimate / width, lo / width, hi / width


def bins(
    x: Sequence[float] | Numbers,
    y: Sequence[float] | Numbers,
    *,
    edges: int | Sequence[float] = 5,
    clusters: Sequence[str] = (),
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Bin]:
    """The y of examples grouped by their x: x [N], y [N] -> one Bin per interval between edges, empty ones too.

    edges: how many bins of equal width between the least and the greatest x (one bin where all x are equal), or
    the edges themselves, rising. clusters: see `joined`. Raises ForewordError when an x lies outside the edges.
    """
    x, y = _columns(x, y)
    cuts = _cuts(x, edges)
    place = np.minimum(np.searchsorted(cuts, x, side="right") - 1, len(cuts) - 2)
    ends = zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
    names = clusters or [""] * len(y)
    inside = [[name for name, at in zip(names, place, strict=True) if at == k] for k in range(len(cuts) - 1)]
    return [_bin(low, high, y[place == k], inside[k], resamples, level, seed) for k, (low, high) in enumerate(ends)]


def _cuts(x: Numbers, edges: int | Sequence[float]) -> Numbers:
    if isinstance(edges, int):
        if edges < 1:
            raise ForewordError(f"Grouping into {edges} bins was asked for; give 1 or more.")
        return np.linspace(x.min(), x.max(), (edges if x.min() < x.max() else 1) + 1)
    cuts = np.asarray(edges, np.float64)
    if len(cuts) < 2 or not (np.diff(cuts) > 0).all():
        raise ForewordError(f"Bins were asked for with the edges {list(edges)}; give at least two, rising.")
    if x.min() < cuts[0] or x.max() > cuts[-1]:
        raise ForewordError(
            f"Bins were asked for from {cuts[0]} to {cuts[-1]}, but the numbers lie in {x.min()} to {x.max()}; "
            "widen the edges."
        )
    return cuts


def _bin(low: float, high: float, y: Numbers, clusters: Sequence[str], resamples: int, level: float, seed: int) -> Bin:
    if not len(y):
        return Bin(low, high, 0, None, None, None)
    mean = float(np.sort(y).mean())
    rows = joined(np.stack([y, np.ones_like(y)], axis=1)[None], clusters)
    if rows.shape[1] == 1:
        return Bin(low, high, len(y), mean, None, None)
    lo, hi = bootstrap(rows, _ratio, resamples=resamples, level=level, seed=seed)
    return Bin(low, high, len(y), mean, lo, hi)


def _ratio(sums: Numbers) -> Numbers:
    return np.asarray(sums[..., 0] / sums[..., 1])


def slope_of(sums: Numbers) -> Numbers:
    """[..., 5] sums of 1, x, y, xx, xy, x scaled to a range of 1 -> [...] slopes; NaN where x does not vary."""
    n, x, y, xx, xy = (sums[..., k] for k in range(5))
    below = n * xx - x * x
    varies = below > 1e-12 * n * n
    return np.where(varies, (n * xy - x * y) / np.where(varies, below, 1.0), np.nan)


def _resampled(stats: Numbers, from_sums: FromSums, resamples: int, seed: int) -> Numbers:
    """[J, N, d] -> [Q, J]: each seed's score on each resample of the examples, the same for every seed."""
    if resamples < 1:
        raise ForewordError(f"A bootstrap of {resamples} resamples was asked for; give 1 or more.")
    J, N, d = stats.shape
    flat = np.ascontiguousarray(stats.transpose(1, 0, 2).reshape(N, J * d))  # [N, J * d]
    scores = [from_sums((w @ flat).reshape(-1, J, d)) for w in _weights(N, resamples, seed)]
    return np.concatenate(scores)


def _weights(N: int, resamples: int, seed: int) -> Iterator[Numbers]:
    """How often each example is drawn: multinomial counts, chunks of [<= Q, N], each row adding up to N."""
    rng = generator(seed, "examples")
    at_once = max(1, CELLS // N)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(0, N, size=(rows, N)) + N * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * N).reshape(rows, N).astype(np.float64)


def _mean_over_seeds(scores: Numbers, seed: int, purpose: str) -> Numbers:
    """[Q, J] -> [Q]: the mean of J seeds drawn with replacement, anew for each resample."""
    drawn = generator(seed, purpose).integers(0, scores.shape[1], size=scores.shape)
    return np.asarray(np.take_along_axis(scores, drawn, axis=1).mean(axis=1))


def _percentiles(values: Numbers, level: float) -> tuple[float, float]:
    if not 0.0 < level < 1.0:
        raise ForewordError(f"An interval at the level {level} was asked for; give e.g. 0.95.")
    lo, hi = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(lo), float(hi)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A fresh generator that depends on the seed and on what it is for, and on nothing else."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()))


def in_own_order(stats: Numbers) -> Numbers:
    """The examples of [J, N, d] in the order of their own numbers: no result depends on how they came."""
    return stats[:, _own_order(stats)]


def _own_order(stats: Numbers) -> NDArray[np.intp]:
    keys = stats.transpose(0, 2, 1).reshape(-1, stats.shape[1])  # [J * d, N]
    return np.lexsort(keys[::-1])


def joined(stats: Numbers, clusters: Sequence[str]) -> Numbers:
    """The numbers of each cluster added up, [J, N, d] -> [J, U, d]: what examples share (a passage, a table) makes them right or wrong
    together, so that whole clusters are the units that are drawn from more of their kind. clusters: a name for each example, "" for one
    that stands alone; none at all where all do. As they are where no two share one. Raises ForewordError where there is not one name an
    example."""
    J, N, d = stats.shape
    if clusters and len(clusters) != N:
        raise ForewordError(f"Clusters were given for {len(clusters)} examples and there are {N}; name one for each.")
    unit_of: dict[str | int, int] = {}
    units = [unit_of.setdefault(name or place, len(unit_of)) for place, name in enumerate(clusters)]
    if len(unit_of) == len(units):
        return stats
    order = _own_order(stats)  # so that the sums are rounded alike in any order
    sums = np.zeros((len(unit_of), J, d))
    np.add.at(sums, np.asarray(units)[order], stats.transpose(1, 0, 2)[order])
    return sums.transpose(1, 0, 2)


def cube(stats: Numbers) -> Numbers:
    """Statistics [J, N, d] as floats. Raises ForewordError for another shape, none of a kind, or what is not finite."""
    stats = np.asarray(stats, np.float64)
    if stats.ndim != 3 or not stats.size:
        raise ForewordError(
            f"An interval was asked for statistics of shape {stats.shape}; "
            "it needs [seeds, examples, numbers], at least one of each."
        )
    _finite(stats)
    return stats


def _columns(x: Any, y: Any) -> tuple[Numbers, Numbers]:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise ForewordError(
            f"A trend was asked for numbers of shapes {x.shape} and {y.shape}; "
            "both need one number per example, and one example at least."
        )
    _finite(x, y)
    return x, y


def _finite(*arrays: Numbers) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise ForewordError(
            "Statistics were asked for numbers with an infinity or a NaN among them; find their answer."
        )
