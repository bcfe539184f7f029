"""Tests over a grid of cells: differences adjusted for their number, tied sets, what seeds and examples each contribute; it refuses a
winner where the test tells none."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from foreword.results.stats.crossed import Difference, Sample, difference
from foreword.results.stats.multiple import holm_factors
from foreword.results.stats.planning import detectable
from foreword.util import phrases

ALPHA = 0.05  # of every test
Key = TypeVar("Key")


@dataclass(frozen=True)
class AdjustedDifference:
    """A tested difference as one of several that are judged together; alone where factor is 1. factor: by which Holm's method multiplies
    p."""

    tested: Difference
    factor: float = 1.0

    @property
    def points(self) -> float:
        """By which the first score is above the second, as the scores say."""
        return self.tested.observed

    @property
    def p(self) -> float:
        """Adjusted: below 0.05 where `ci95` leaves out zero."""
        return min(1.0, self.tested.p * self.factor)

    @property
    def significant(self) -> bool:
        """Whether the test tells the two apart."""
        return self.p < ALPHA

    @property
    def level(self) -> float:
        """The level at which Holm's method judges."""
        return 1.0 - ALPHA / self.factor

    @property
    def ci95(self) -> tuple[float, float]:
        """The interval at that level."""
        return self.tested.interval(self.level)

    @property
    def reach(self) -> float:
        """The smallest difference that such a test tells from 0 four times in five."""
        return detectable(self.tested, level=self.level)

    @property
    def tells(self) -> str:
        """The same in words."""
        return "no difference" if self.reach > self.tested.widest else f"a difference of {phrases.points(self.reach)}"

    @property
    def one_seed(self) -> bool:
        """Whether a tuned side has one seed alone, which speaks of that prompt and not of its method."""
        return self.tested.of_prompts

    @property
    def above(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.ci95[0] > 0

    @property
    def sure(self) -> int:
        """1 where it is surely above zero, -1 where surely below, 0 where that is not told."""
        if not self.significant or self.one_seed:
            return 0
        return 1 if self.points > 0 else -1

    def reversed(self) -> AdjustedDifference:
        """The second score less the first."""
        tested = replace(self.tested, observed=-self.tested.observed, centre=-self.tested.centre)
        return AdjustedDifference(tested, self.factor)

    def __str__(self) -> str:
        return f"{phrases.points(self.points)}{'*' * self.significant} ({phrases.between(*self.ci95)})"


def adjusted(gaps: Mapping[Key, AdjustedDifference]) -> dict[Key, AdjustedDifference]:
    """The same with p and interval adjusted by Holm for their number."""
    factors = holm_factors([gap.tested.p for gap in gaps.values()])
    return {
        key: AdjustedDifference(gap.tested, factor) for (key, gap), factor in zip(gaps.items(), factors, strict=True)
    }


def all_pairs(methods: Sequence[Sample], *, span: float = 100.0) -> dict[tuple[int, int], AdjustedDifference]:
    """All ordered pairs of methods by their places, adjusted over all pairs: as the best one is chosen by the same scores, it takes part as
    if any other could have been it."""
    pairs = itertools.combinations(range(len(methods)), 2)
    gaps = adjusted({(a, b): AdjustedDifference(difference(methods[a], methods[b], span=span)) for a, b in pairs})
    return gaps | {(b, a): gap.reversed() for (a, b), gap in gaps.items()}


def tied_with_best(methods: Mapping[Key, Sample], *, span: float = 100.0) -> list[Key]:
    """The methods that are not told from the one with the highest score (over all pairs), that one first, then by their scores."""
    ranked = sorted(methods, key=lambda key: -methods[key].score)
    between = all_pairs([methods[key] for key in ranked], span=span)
    return [key for place, key in enumerate(ranked) if place == 0 or not between[0, place].sure]


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
