"""Which difference a test set can show, and how many more examples (clusters of them, where they come in such) or seeds it would take."""

from __future__ import annotations

import math

from scipy.stats import norm

from foreword.results.stats.crossed import Difference

POWER = 0.8


def _reach(level: float) -> float:
    """How many standard errors a difference must have to be significant at that level with a power of 80 %."""
    return float(norm.ppf((1.0 + level) / 2.0) + norm.ppf(POWER))


def detectable(gap: Difference, *, level: float = 0.95) -> float:
    """The smallest difference that a test like this one shows with a power of 80 %."""
    return _reach(level) * gap.error


def units_needed(gap: Difference, size: float, *, level: float = 0.95) -> int | None:
    """How many more units of this difference (examples, or clusters of as many examples) it takes to show a difference of that size with a
    power of 80 %; None where the seeds spread so widely that no number of them would do."""
    left = (size / _reach(level)) ** 2 - gap.seed_variance
    if left <= 0:
        return None
    return max(0, math.ceil(gap.unit_variance / left - 1e-9) - gap.units - 2)  # two are added in any test


def seeds_needed(gap: Difference, size: float, seeds: int, *, level: float = 0.95) -> int | None:
    """How many seeds in all, of `seeds` that there are, it takes to show a difference of that size with a power of 80 % on these
    examples; None where no number of seeds would do."""
    left = (size / _reach(level)) ** 2 - gap.unit_variance / (gap.units + 2)
    if left <= 0:
        return None
    return max(seeds, math.ceil(seeds * gap.seed_variance / left))
