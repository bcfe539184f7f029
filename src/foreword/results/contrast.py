"""Every pair of methods compared on the same examples; interval and p-value come from one test."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foreword.results import stats
from foreword.results.rows import ALPHA


@dataclass(frozen=True)
class Contrast:
    """One method less another. factor: by which Holm multiplies its p among all pairs."""

    gap: stats.Difference
    factor: float = 1.0

    @property
    def p_adjusted(self) -> float:
        """p after Holm."""
        return min(1.0, self.gap.p * self.factor)

    @property
    def level(self) -> float:
        """The level of the interval that leaves 0 out exactly where p_adjusted is below ALPHA."""
        return 1.0 - ALPHA / self.factor

    @property
    def interval(self) -> tuple[float, float]:
        """The interval at that level."""
        return self.gap.interval(self.level)

    @property
    def significant(self) -> bool:
        """Whether the test tells the two apart: the adjusted p-value lies below ALPHA."""
        return self.p_adjusted < ALPHA

    def reversed(self) -> Contrast:
        """The other method less the one."""
        return replace(self, gap=replace(self.gap, observed=-self.gap.observed, centre=-self.gap.centre))


def contrasts(methods: Sequence[stats.Sample], span: float) -> dict[tuple[int, int], Contrast]:
    """All ordered pairs of methods by their places, p adjusted by Holm over all pairs: as the best one is chosen by the same
    scores, it takes part as if any other could have been it."""
    pairs = list(itertools.combinations(range(len(methods)), 2))
    gaps = [stats.difference(methods[a], methods[b], span=span) for a, b in pairs]
    factors = stats.holm_factors([gap.p for gap in gaps])
    there = {pair: Contrast(gap, factor) for pair, gap, factor in zip(pairs, gaps, factors, strict=True)}
    return there | {(b, a): contrast.reversed() for (a, b), contrast in there.items()}
