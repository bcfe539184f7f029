"""What the statistics of a comparison do where the truth is known: coverage, error of the first kind, power and regret."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from foreword.metrics import metric
from foreword.results import stats
from foreword.results.choice import choose
from recipes.simulations.worlds import Method, Numbers, answers, clustered, generator, mean, translations

SPREADS = (0.0, 1.0, 3.0)
SIZES = (50, 100, 200)
SEEDS = 3
CORRELATION = 0.3  # between two answers of one cluster
CLUSTERS = {
    "50 of 4": [4] * 50,
    "20 of 10": [10] * 20,
    "20 of 1 to 19": [*range(1, 20), 10],
    "5 of 40": [40] * 5,
    "3 of 67": [67, 67, 66],
}


@dataclass(frozen=True)
class Rate:
    """A share of `draws` made-up studies, and its Monte Carlo standard error, both in percent."""

    percent: float
    draws: int

    @property
    def error(self) -> float:
        """One standard error."""
        share = self.percent / 100.0
        return 100.0 * float((max(share * (1.0 - share), 1.0 / self.draws / 4) / self.draws) ** 0.5)

    def __str__(self) -> str:
        return f"{self.percent:.1f} ± {self.error:.1f}"


def rate(draws: int, happens: Callable[[int], bool]) -> Rate:
    """How often it happens."""
    return Rate(100.0 * sum(happens(n) for n in range(draws)) / draws, draws)


def first_kind(N: int, spread: float, draws: int, truth: float = 50.0) -> Rate:
    """Two equal methods with three seeds each: how often p is below 0.05."""

    def significant(n: int) -> bool:
        rng = generator("first kind", N, spread, truth, n)
        return _pair(answers(rng, [Method(truth)] * 2, N, SEEDS, spread)).p < 0.05

    return rate(draws, significant)


def power(N: int, spread: float, gap: float, draws: int) -> Rate:
    """A method that is truly `gap` points above another, three seeds each: how often p is below 0.05."""

    def significant(n: int) -> bool:
        rng = generator("power", N, spread, gap, n)
        return _pair(answers(rng, [Method(50.0 + gap), Method(50.0)], N, SEEDS, spread)).p < 0.05

    return rate(draws, significant)


def stated(J: int, spread: float, draws: int) -> tuple[float, Rate]:
    """What studies of two equal methods with J seeds each and 200 examples say that they tell four times in five, in points, their mean;
    and how often a difference of that size is told."""

    def study(n: int, gap: float) -> stats.Difference:
        rng = generator("told", J, spread, round(gap, 1), n)
        return _pair(answers(rng, [Method(50.0 + gap), Method(50.0)], 200, J, spread))

    size = min(45.0, float(np.mean([stats.detectable(study(n, 0.0)) for n in range(max(2, draws // 4))])))
    return size, rate(draws, lambda n: study(n, size).p < 0.05)


def coverage(N: int, spread: float, draws: int, truth: float = 50.0) -> Rate:
    """How often the interval of one method with three seeds covers its truth."""

    def covers(n: int) -> bool:
        rng = generator("coverage", N, spread, truth, n)
        (sample,) = stats.samples(answers(rng, [Method(truth)], N, SEEDS, spread), mean, [False], ())
        low, high = stats.interval(sample, highest=100.0)
        return low <= truth <= high

    return rate(draws, covers)


def difference_coverage(N: int, spread: float, gap: float, draws: int) -> Rate:
    """How often the interval of a difference of methods with three seeds each covers it."""

    def covers(n: int) -> bool:
        rng = generator("difference", N, spread, gap, n)
        low, high = _pair(answers(rng, [Method(50.0 + gap), Method(50.0)], N, SEEDS, spread)).interval()
        return low <= gap <= high

    return rate(draws, covers)


def one_seed_coverage(N: int, spread: float, draws: int) -> Rate:
    """How often the interval of a prompt of one seed covers what another seed would give: what it does not claim."""

    def covers(n: int) -> bool:
        rng = generator("one seed", N, spread, n)
        (sample,) = stats.samples(answers(rng, [Method(50.0)], N, 1, spread), mean, [False], ())
        low, high = stats.interval(sample, highest=100.0)
        other = 50.0 + spread * 100.0 * (0.25 / 200) ** 0.5 * rng.standard_normal()
        return bool(low <= other <= high)

    return rate(draws, covers)


def cluster_coverage(sizes: Sequence[int], named: bool, draws: int, truth: float = 50.0) -> Rate:
    """How often the interval of a score covers the truth where examples come in clusters of these sizes. named: whether that is known."""

    def covers(n: int) -> bool:
        numbers = clustered(generator("clusters", tuple(sizes), truth, n), truth, sizes, CORRELATION)
        (sample,) = stats.samples([numbers], mean, [True], _names(sizes) if named else ())
        low, high = stats.interval(sample, highest=100.0)
        return low <= truth <= high

    return rate(draws, covers)


def cluster_first_kind(sizes: Sequence[int], named: bool, draws: int, truth: float = 50.0) -> Rate:
    """How often two equal methods are told apart at 5 % where examples come in clusters of these sizes, each method right or wrong in
    clusters of its own."""

    def significant(n: int) -> bool:
        rng = generator("clusters, two methods", tuple(sizes), truth, n)
        numbers = [clustered(rng, truth, sizes, CORRELATION) for _ in range(2)]
        return stats.difference(*stats.samples(numbers, mean, [True, True], _names(sizes) if named else ())).p < 0.05

    return rate(draws, significant)


def _names(sizes: Sequence[int]) -> list[str]:
    return [f"cluster: {n}" for n, size in enumerate(sizes) for _ in range(size)]


def family(methods: int, spread: float, draws: int, N: int = 200) -> Rate:
    """So many equal methods: how often any is called significantly worse than the one that came out best."""

    def wrong(n: int) -> bool:
        rng = generator("family", methods, spread, N, n)
        numbers = answers(rng, [Method(50.0)] * methods, N, SEEDS, spread)
        samples = stats.samples(numbers, mean, [False] * methods, ())
        between = stats.all_pairs(samples)
        best = max(range(methods), key=lambda place: samples[place].score)
        return any(between[best, place].significant for place in range(methods) if place != best)

    return rate(draws, wrong)


def bleu_first_kind(N: int, spread: float, draws: int) -> Rate:
    """Two equal methods scored by BLEU, which is no mean: how often p is below 0.05."""
    from_sums = metric("bleu").from_sums

    def significant(n: int) -> bool:
        numbers = translations(generator("bleu", N, spread, n), [1.0, 1.0], N, SEEDS, spread)
        return stats.difference(*stats.samples(numbers, from_sums, [False] * 2, ())).p < 0.05

    return rate(draws, significant)


def bleu_coverage(N: int, spread: float, draws: int) -> Rate:
    """How often the interval of a BLEU over three seeds covers the true BLEU, itself the mean of 500 seeds."""
    from_sums = metric("bleu").from_sums
    truth = _bleu_truth(spread)

    def covers(n: int) -> bool:
        numbers = translations(generator("bleu coverage", N, spread, n), [1.0], N, SEEDS, spread)
        (sample,) = stats.samples(numbers, from_sums, [False], ())
        low, high = stats.interval(sample, highest=100.0)
        return low <= truth <= high

    return rate(draws, covers)


@functools.cache
def _bleu_truth(spread: float) -> float:
    from_sums = metric("bleu").from_sums
    parts = [translations(generator("bleu truth", spread, n), [1.0], 3000, 20, spread)[0] for n in range(25)]
    return float(np.mean([from_sums(part.sum(axis=1)).mean() for part in parts]))


@dataclass(frozen=True)
class Regret:
    """Points lost on average against the truly best method, by three rules, with Monte Carlo standard errors.

    silence: the cheapest that is not significantly worse than the best, as foreword had it. highest: the highest mean.
    shown: the highest mean, or a cheaper one that is shown to lie within the margin, as foreword has it.
    """

    silence: tuple[float, float]
    highest: tuple[float, float]
    shown: tuple[float, float]


def regret(
    methods: Sequence[Method], N: int, draws: int, *, spread: float = 0.5, margin: float | None = None
) -> Regret:
    """The regret of each rule on the same made-up studies."""
    best = max(method.truth for method in methods)
    lost: list[list[float]] = []
    for n in range(draws):
        rng = generator("regret", tuple(methods), N, spread, n)
        picks = _picks(answers(rng, methods, N, SEEDS, spread), methods, margin)
        lost.append([best - methods[pick].truth for pick in picks])
    table = np.array(lost)
    means, errors = table.mean(axis=0), table.std(axis=0, ddof=1) / draws**0.5
    silence, highest, shown = ((float(a), float(b)) for a, b in zip(means, errors, strict=True))
    return Regret(silence, highest, shown)


def _picks(numbers: Sequence[Numbers], methods: Sequence[Method], margin: float | None) -> tuple[int, int, int]:
    samples = stats.samples(numbers, mean, [method.fixed for method in methods], ())
    costs = [method.cost for method in methods]
    between = stats.all_pairs(samples)
    best = max(range(len(methods)), key=lambda place: samples[place].score)
    fit = [place for place in range(len(methods)) if place == best or not between[best, place].significant]
    choice = choose(samples, between, costs, usable=range(len(methods)), margin=margin)
    silence = min(fit, key=lambda place: costs[place])
    return silence, best, best if choice is None else choice.pick


def _pair(numbers: Sequence[Numbers]) -> stats.Difference:
    return stats.difference(*stats.samples(numbers, mean, [False, False], ()))
