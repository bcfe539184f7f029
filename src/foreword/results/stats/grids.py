"""Tests over a grid of cells: paired differences adjusted for their number, tied sets, what seeds and examples each contribute; it refuses
a winner where the test tells none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from foreword.results.stats.crossed import Difference, Sample, difference
from foreword.results.stats.multiple import holm_factors
from foreword.results.stats.planning import detectable
from foreword.results.stats.resampling import Numbers
from foreword.util.errors import ForewordError

Key = TypeVar("Key")


@dataclass(frozen=True)
class Paired:
    """One cell of a grid of differences. p_holm: holds jointly over the grid at 5 % where it is below 0.05. p_bh: of those below 0.05,
    5 % are false in the mean. ci95: at the level at which Holm judges. detectable: the smallest difference that this test would tell from
    0 four times in five, at that level."""

    difference: Difference
    p_holm: float
    p_bh: float
    ci95: tuple[float, float]
    detectable: float

    @property
    def significant(self) -> bool:
        """Whether the two are told apart: jointly over the grid, and not of one seed alone."""
        return self.p_holm < 0.05 and not self.difference.of_prompts


def paired(pairs: Mapping[Key, tuple[Sample, Sample]], *, span: float = 100.0) -> dict[Key, Paired]:
    """The first sample less the second in every cell, tested together."""
    gaps = {key: difference(a, b, span=span) for key, (a, b) in pairs.items()}
    ps = [gap.p for gap in gaps.values()]
    factors, adjusted_bh = holm_factors(ps), benjamini_hochberg(ps)
    return {
        key: Paired(
            gap,
            min(1.0, gap.p * factor),
            q,
            gap.interval(1.0 - 0.05 / factor),
            detectable(gap, level=1.0 - 0.05 / factor),
        )
        for (key, gap), factor, q in zip(gaps.items(), factors, adjusted_bh, strict=True)
    }


def benjamini_hochberg(pvalues: Sequence[float]) -> list[float]:
    """p-values adjusted for the rate of false discoveries (Benjamini and Hochberg 1995), in the order given."""
    p = np.asarray(pvalues, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ForewordError(f"An adjustment was asked for {list(pvalues)}; a p-value lies between 0 and 1.")
    order = np.argsort(p, kind="stable")[::-1]
    ranks = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum.accumulate(p[order] * len(p) / ranks)
    return [float(min(1.0, value)) for value in adjusted]


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
    one seed's score between test sets of this size. error: of the mean over these seeds and examples. seeds_known: whether more than one
    seed ran."""

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


def clustered(sample: Sample, clusters: Sequence[str]) -> Sample:
    """The same score with whole clusters (questions of one table, paraphrases of one sentence) as its units: [J, N] -> [J, U]. Each
    cluster's mean counts by its size, so that the score stays, and examples that go together are no longer counted as if apart. Raises
    ForewordError where there is not one name an example."""
    N = sample.values.shape[1]
    if len(clusters) != N:
        raise ForewordError(f"Clusters were given for {len(clusters)} examples and there are {N}; name one for each.")
    names = list(dict.fromkeys(clusters))
    place = {name: n for n, name in enumerate(names)}
    member = np.zeros((N, len(names)))
    member[np.arange(N), [place[name] for name in clusters]] = 1.0
    sums: Numbers = sample.values @ member  # [J, U]
    return Sample(sums * (len(names) / N), sample.fixed)
