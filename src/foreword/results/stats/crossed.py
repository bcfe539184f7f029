"""The crossed model of seeds and examples, from which an interval and its p-value both come, for paired examples.

A score of a method is a mean over its seeds and over the examples, and both are drawn from more of their kind: another
seed would train another prompt, another test set would ask other questions. The variance of such a mean is

    variance between examples / N  +  variance between seeds / J  -  the part that both count twice,

estimated as in a two-way analysis of variance without replication, and t has Satterthwaite's degrees of freedom, at least those of
its smallest mean square. Where the metric is a mean of example scores, these scores are what is analysed; for any other metric
they are its jackknife values, N times the score less N - 1 times the score without the example, which for a mean are the example
scores themselves. Where examples come in clusters, a whole cluster takes the place of the example throughout, U of them that of N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from foreword.results.stats.resampling import FromSums, Numbers, cube, in_own_order, joined, slope_of
from foreword.util.errors import ForewordError

ROUNDING = 1e-9  # relative to the largest value: a smaller difference of two values is rounding


@dataclass(frozen=True)
class Sample:
    """One method's values [J, N], or [J, U] where `clustered`: each seed's mean over them is that seed's score.

    fixed: one run stands for every seed, so that nothing varies between seeds. clustered: the units are clusters of examples. widest: the
    largest difference that two scores can have.
    """

    values: Numbers
    fixed: bool = False
    clustered: bool = False
    widest: float = float("inf")

    @property
    def score(self) -> float:
        """The mean over seeds and examples."""
        return float(self.values.mean())

    @property
    def one_seed(self) -> bool:
        """Whether another seed would give another score, and how far is not known."""
        return not self.fixed and len(self.values) < 2

    def seed_variance(self) -> tuple[float, float]:
        """(variance of the mean between seeds, its degrees of freedom); both 0 where seeds do not vary or are not known to."""
        J, N = self.values.shape
        if J < 2 or N < 2:
            return 0.0, 0.0
        by_seed, by_example = self.values.mean(axis=1), self.values.mean(axis=0)
        residual = self.values - by_seed[:, None] - by_example[None] + self.values.mean()
        between = float(by_seed.var(ddof=1)) / J
        both = float((residual**2).sum()) / ((J - 1) * (N - 1)) / (J * N)
        if between - both <= ROUNDING * both:
            return 0.0, 0.0
        weight = between**2 / (J - 1) + both**2 / ((J - 1) * (N - 1))
        return between - both, (between - both) ** 2 / weight


@dataclass(frozen=True)
class Difference:
    """One method's score less another's on the same examples.

    observed: as the scores say. centre, error, df: of the t distribution that interval and p are read from; centre is observed
    drawn a little to 0 (by the factor N / (N + 2)). units: how many examples, or clusters of them where `clustered`. unit_variance:
    of one unit's difference, over a whole population of them. seed_variance: of the difference of means; seed_free: its
    degrees of freedom, seed_df the fewest that a part's mean square has, 0 where seeds add nothing. of_prompts: a
    side has one seed, so that this speaks of the prompts at hand and not of the methods. widest: the largest difference that there can be.
    """

    observed: float
    centre: float
    error: float
    df: float
    units: int
    unit_variance: float
    seed_variance: float
    of_prompts: bool
    clustered: bool = False
    seed_free: float = 0.0
    seed_df: int = 0
    widest: float = float("inf")

    @property
    def p(self) -> float:
        """Two-sided p of no difference; below 1 - level exactly where `interval(level)` leaves 0 out."""
        if self.error == 0.0:
            return 1.0 if self.centre == 0.0 else 0.0
        return float(2.0 * student.sf(abs(self.centre) / self.error, self.df))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of the difference at that level, within what differences there can be."""
        half = _quantile(level, self.df) * self.error
        return max(-self.widest, self.centre - half), min(self.widest, self.centre + half)

    def planned(self, *, units: int | None = None, more_seeds: float = 1.0) -> Difference:
        """The same with so many units, and so many times the seeds, that vary as these do."""
        units = self.units if units is None else units
        by_example, df = self.unit_variance / (units + 2), max(units - 1, 1)
        seed_variance = self.seed_variance / more_seeds
        least = min(df, (self.seed_df + 1) * more_seeds - 1) if self.seed_df else df
        parts = [(by_example, float(df)), (seed_variance, self.seed_free * more_seeds)]
        error = (by_example + seed_variance) ** 0.5
        return replace(self, error=error, df=_degrees(parts, least), units=units, seed_variance=seed_variance)


def samples(
    methods: Sequence[Numbers],
    from_sums: FromSums,
    fixed: Sequence[bool],
    clusters: Sequence[str],
    *,
    widest: float = float("inf"),
) -> list[Sample]:
    """The values of several methods on the same examples: each [J, N, d] -> [J, N], or [J, U] where some examples share a cluster.

    clusters: which cluster each example is of (see `joined`); none where all stand alone. Every caller says so, for what is not said
    makes intervals too narrow. widest: the width of the metric's scale. Raises ForewordError where the examples or numbers of two
    methods differ in count.
    """
    cubes = [cube(each) for each in methods]
    shapes = {each.shape[1:] for each in cubes}
    if len(shapes) > 1:
        counts = " and ".join(sorted(f"{N} examples with {d} numbers" for N, d in shapes))
        raise ForewordError(
            f"A paired difference was asked for {counts} each; both sides need the same examples and the same metric."
        )
    seeds = np.cumsum([len(each) for each in cubes])[:-1]
    whole = np.concatenate(cubes)
    ordered = in_own_order(joined(whole, clusters))
    clustered = ordered.shape[1] < whole.shape[1]
    return [
        Sample(_jackknife(each, from_sums), deterministic, clustered, widest)
        for each, deterministic in zip(np.split(ordered, seeds), fixed, strict=True)
    ]


def _jackknife(numbers: Numbers, from_sums: FromSums) -> Numbers:
    """[J, N, d] -> [J, N]: N times the score less N - 1 times the score without each example, moved so that its mean is the
    score."""
    N = numbers.shape[1]
    sums = numbers.sum(axis=1)  # [J, d]
    scores = from_sums(sums)[:, None]
    if N == 1:
        return np.asarray(scores, np.float64)
    without = from_sums(sums[:, None] - numbers)  # [J, N]
    values = N * scores - (N - 1) * without
    return np.asarray(values - values.mean(axis=1, keepdims=True) + scores)


def slopes(
    x: Numbers, methods: Sequence[Numbers], fixed: Sequence[bool], clusters: Sequence[str]
) -> list[Sample] | None:
    """The values of several methods' least-squares slopes on the same x [N]: their examples' own scores, each [J, N] -> [J, N] or [J, U],
    of which each seed's mean is its slope. See `samples`. None where x does not vary, or one example or cluster alone makes it vary."""
    width = float(np.ptp(x))
    if width == 0.0:
        return None
    u = (x - np.sort(x).mean()) / width
    cubes = [np.stack(np.broadcast_arrays(1.0, u, y, u * u, u * y), axis=-1) for y in methods]
    each = samples(cubes, slope_of, fixed, clusters)
    if not all(np.isfinite(sample.values).all() for sample in each):
        return None
    return [replace(sample, values=sample.values / width) for sample in each]


def difference(a: Sample, b: Sample, *, span: float = 100.0) -> Difference:
    """a less b, paired over examples; the seeds of the two are independent. span: the width of the metric's scale, by which
    examples that never differ are judged.

    Two examples are added, which differ as the others do (the root mean square of what is not 0), one in each direction: what
    Bonett and Price (2012) add for the difference of paired proportions. So a handful of examples that all agree are no proof:
    p is then near that of the exact sign-flip test. Where differences vary anyway the two change next to nothing.
    """
    if a.values.shape[1] != b.values.shape[1]:
        raise ForewordError(
            f"A paired difference was asked for {a.values.shape[1]} and {b.values.shape[1]} examples; "
            "both sides need the same ones."
        )
    gaps = a.values.mean(axis=0) - b.values.mean(axis=0)  # [N]
    size = max(float(np.abs(a.values).max()), float(np.abs(b.values).max()))
    gaps = np.where(np.abs(gaps) > ROUNDING * size, gaps, 0.0)
    N = len(gaps)
    usual = usual_gap(gaps) or span
    added = np.concatenate([gaps, [usual, -usual]])
    centre, variance = float(added.mean()), float(added.var(ddof=1))
    by_example, df = variance / (N + 2), max(N - 1, 1)
    seeds = [each.seed_variance() for each in (a, b)]
    seed_variance = sum(part for part, _ in seeds)
    whole = by_example + seed_variance
    parts = [(by_example, float(df)), *seeds]
    least = min([df, *(len(each.values) - 1 for each, (_, free) in zip((a, b), seeds, strict=True) if free)])
    return Difference(
        observed=float(gaps.mean()),
        centre=centre,
        error=whole**0.5,
        df=_degrees(parts, least),
        units=N,
        unit_variance=variance,
        seed_variance=seed_variance,
        of_prompts=a.one_seed or b.one_seed,
        clustered=a.clustered,
        seed_free=_degrees(seeds, 0) if seed_variance else 0.0,
        widest=min(a.widest, b.widest),
        seed_df=min((len(each.values) - 1 for each, (_, free) in zip((a, b), seeds, strict=True) if free), default=0),
    )


def usual_gap(gaps: Numbers) -> float:
    """The root mean square of the differences that are not 0; 0 where all are."""
    some = gaps[gaps != 0.0]
    return float((some**2).mean() ** 0.5) if len(some) else 0.0


def interval(
    sample: Sample, *, level: float = 0.95, lowest: float = 0.0, highest: float = float("inf")
) -> tuple[float, float]:
    """The interval of one method's score; of its prompt's, where it has one seed.

    On a scale with two ends it is Wilson's, for as many right-or-wrong examples as would give the same variance, so that it
    stays on the scale and is not empty where every example scores the same. On a scale with one end it is that of t. A single
    example, or cluster of them, says nothing of others: the interval is the whole scale; on a scale with one end as wide as if others
    lay apart as far as this one from 0.
    """
    J, N = sample.values.shape
    if N == 1:
        half = _quantile(level, 1.0) * abs(sample.score)
        return (lowest, highest) if np.isfinite(highest) else (max(lowest, sample.score - half), sample.score + half)
    by_example = float(sample.values.mean(axis=0).var(ddof=1)) / N
    seed_variance, free = sample.seed_variance()
    whole = by_example + seed_variance
    of_examples = N - 1
    least = min(J - 1, of_examples) if free else of_examples
    quantile = _quantile(level, _degrees([(by_example, float(of_examples)), (seed_variance, free)], least))
    if not np.isfinite(highest):
        half = quantile * whole**0.5
        return max(lowest, sample.score - half), sample.score + half
    width = highest - lowest
    share = min(max((sample.score - lowest) / width, 0.0), 1.0)
    spread = share * (1.0 - share)
    count = spread * width**2 / whole if whole > 1e-12 * width**2 and spread > 1e-12 else float(N)
    below = 1.0 + quantile**2 / count
    middle = (share + quantile**2 / (2.0 * count)) / below
    half = quantile / below * (spread / count + (quantile / (2.0 * count)) ** 2) ** 0.5
    ends = lowest + width * (middle - half), lowest + width * (middle + half)
    return max(lowest, min(ends[0], sample.score)), min(highest, max(ends[1], sample.score))


def _degrees(parts: Sequence[tuple[float, float]], least: float) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances, each with its own (0 where it is known to be none), and not fewer than
    `least`, of the smallest mean square: a variance between seeds that is the difference of two mean squares and just above 0 would
    have next to none (Gaylor and Hopper 1969)."""
    weight = sum(part**2 / free for part, free in parts if free)
    whole = sum(part for part, _ in parts)
    return max(whole**2 / weight, float(least)) if weight else parts[0][1]


def _quantile(level: float, df: float) -> float:
    if not 0.0 < level < 1.0:
        raise ForewordError(f"An interval at the level {level} was asked for; give e.g. 0.95.")
    return float(student.ppf((1.0 + level) / 2.0, df))
