"""Intervals, tests, trends and plans over examples and seeds; no models, metrics or files.

Shapes: J seeds, N examples, U clusters of them, d numbers that add up over examples, Q resamples; from_sums maps [..., d] to [...].
No result depends on the order of the examples, and none on a generator that walks on from another question.
"""

from __future__ import annotations

from foreword.results.stats.crossed import Difference, Sample, difference, interval, samples, slopes
from foreword.results.stats.grids import (
    ALPHA,
    AdjustedDifference,
    Components,
    adjusted,
    all_pairs,
    components,
    tied_with_best,
)
from foreword.results.stats.multiple import chances_of_best, holm, holm_factors
from foreword.results.stats.planning import detectable, seeds_needed, units_needed
from foreword.results.stats.resampling import Bin, bins, bootstrap, joined, mean_std, slope
from foreword.results.stats.spread import SpreadTest, lower_spread, power

__all__ = [
    "ALPHA",
    "AdjustedDifference",
    "Bin",
    "Components",
    "Difference",
    "Sample",
    "SpreadTest",
    "adjusted",
    "all_pairs",
    "bins",
    "bootstrap",
    "chances_of_best",
    "components",
    "detectable",
    "difference",
    "holm",
    "holm_factors",
    "interval",
    "joined",
    "lower_spread",
    "mean_std",
    "power",
    "samples",
    "seeds_needed",
    "slope",
    "slopes",
    "tied_with_best",
    "units_needed",
]
