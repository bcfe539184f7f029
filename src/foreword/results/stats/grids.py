"""Tests over a grid of cells: paired differences adjusted for their number, tied sets, what seeds and examples each contribute; it refuses
a winner where the test tells none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from foreword.results.stats.crossed import Difference, Sample, difference
from foreword.results.stats.multiple import holm_factors
from foreword.results.stats.planning import detectable

Key = TypeVar("Key")


@dataclass(frozen=True)
class Paired:
    """One cell of a grid of differences. p_holm: holds jointly over the grid at 5 % where it is below 0.05. ci95: at the level at which
    Holm judges. detectable: the smallest difference that this test would tell from 0 four times in five, at that level."""

    difference: Difference
    p_holm: float
    ci95: tuple[float, float]
    detectable: float

    @property
    def significant(self) -> bool:
        """Whether the two are told apart: jointly over the grid, and not of one seed alone."""
        return self.p_holm < 0.05 and not self.difference.of_prompts


def paired(pairs: Mapping[Key, tuple[Sample, Sample]], *, span: float = 100.0) -> dict[Key, Paired]:
    """The first sample less the second in every cell, tested together."""
    gaps = {key: difference(a, b, span=span) for key, (a, b) in pairs.items()}
    factors = holm_factors([gap.p for gap in gaps.values()])
    return {
        key: Paired(
            gap,
            min(1.0, gap.p * factor),
            gap.interval(1.0 - 0.05 / factor),
            detectable(gap, level=1.0 - 0.05 / factor),
        )
        for (key, gap), factor in zip(gaps.items(), factors, strict=True)
    }


def tied_with_best(methods: Mapping[Key, Sample], *, span: float = 100.0) -> list[Key]:
    """The methods that are not told from the one with the highest score (Holm over all pairs), that one first, then by their scores."""
    ranked = sorted(methods, key=lambda key: -methods[key].score)
    best = ranked[0]
    every = [(a, b) for n, a in enumerate(ranked) for b in ranked[n + 1 :]]
    tests = paired({(a, b): (methods[a], methods[b]) for a, b in every}, span=span)
    return [best, *(key for key in ranked[1:] if not tests[best, key].significant)]


@dataclass(frozen=True)
class Components:
    """What a score would vary by. seeds: the standard deviation between training seeds, over a whole population of examples. items: of
    one seed's score between test sets of this size, of so many clusters where examples come in them. error: of the mean over these seeds
    and examples. seeds_known: whether more than one seed ran."""

    seeds: float
    items: float
    error: float
    seeds_known: bool

    @property
    def share_of_seeds(self) -> float:
        """The share of one run's variance that comes from its seed."""
        whole = self.seeds**2 + self.items**2
        return self.seeds**2 / whole if whole else 0.0


def components(sample: Sample) -> Components:
    """The variance of a score, training seeds apart from items."""
    J, N = sample.values.shape
    of_mean, _ = sample.seed_variance()
    by_example = float(sample.values.mean(axis=0).var(ddof=1)) / N if N > 1 else 0.0
    one_run = float(sample.values.var(axis=1, ddof=1).mean()) / N if N > 1 else 0.0
    return Components((of_mean * J) ** 0.5, one_run**0.5, (by_example + of_mean) ** 0.5, J > 1)
