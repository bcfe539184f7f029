"""Which difference a test set can show, and how many more examples (clusters of them, where they come in such) or seeds it would take."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm
from scipy.stats import t as student

from foreword.results.stats.crossed import ROUNDING, Difference

POWER = 0.8
GRID = (np.arange(4000) + 0.5) / 4000  # quantiles over which the estimated error is averaged
MOST = 10**9  # examples, clusters or seeds that are thought of


@functools.lru_cache(maxsize=4096)
def _reach(level: float, df: float) -> float:
    """How many standard errors a difference must have to be significant at that level with a power of 80 %: the estimated error varies as
    chi does with these degrees of freedom, so that few seeds take far more than many."""
    critical = float(student.ppf((1.0 + level) / 2.0, df))
    bounds = critical * np.sqrt(chi2.ppf(GRID, df) / df)

    def lacks(reach: float) -> float:
        return float((norm.cdf(reach - bounds) + norm.cdf(-reach - bounds)).mean()) - POWER

    return float(brentq(lacks, 0.0, bounds[-1] + 10.0, xtol=1e-6))


def detectable(gap: Difference, *, level: float = 0.95) -> float:
    """The smallest difference that a test like this one shows with a power of 80 %."""
    return _reach(level, gap.df) * gap.error


def units_needed(gap: Difference, size: float, *, level: float = 0.95) -> int | None:
    """How many more units of this difference (examples, or clusters of as many examples) it takes to show a difference of that size with a
    power of 80 %; None where the seeds spread so widely that no number of them would do."""
    units = _fewest(lambda units: _shows(gap.planned(units=units), size, level), gap.units)
    return None if units is None else units - gap.units


def seeds_needed(gap: Difference, size: float, seeds: int, *, level: float = 0.95) -> int | None:
    """How many seeds in all, of `seeds` that there are, it takes to show a difference of that size with a power of 80 % on these
    examples; None where no number of seeds would do."""
    return _fewest(lambda count: _shows(gap.planned(more_seeds=count / seeds), size, level), seeds)


def _shows(gap: Difference, size: float, level: float) -> bool:
    return detectable(gap, level=level) <= size * (1.0 + ROUNDING)


def _fewest(shown: Callable[[int], bool], least: int) -> int | None:
    """The smallest count from `least` on that is enough, where more are never worse; None where none is."""
    if shown(least):
        return least
    if not shown(MOST):
        return None
    low, high = least, least * 2
    while not shown(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high
