"""Intervals that cover, tests that are fair, and neither moved by the order of the examples; it refuses lucky seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_rel
from scipy.stats import t as student

from foreword.results.stats import (
    Difference,
    Sample,
    all_pairs,
    bins,
    bootstrap,
    chances_of_best,
    detectable,
    difference,
    holm,
    holm_factors,
    interval,
    mean_std,
    resampling,
    samples,
    seeds_needed,
    slope,
    units_needed,
)
from foreword.util.errors import ForewordError

Numbers = np.ndarray[Any, np.dtype[np.float64]]
numbers = st.floats(0, 100).map(lambda x: round(x, 3))


def ratio(sums: Numbers) -> Numbers:
    return np.asarray(sums[..., 0] / sums[..., 1])


def counted(scores: Any) -> Numbers:
    """Scores [S, N] as statistics [S, N, 2] whose ratio of sums is the mean."""
    scores = np.atleast_2d(np.asarray(scores, np.float64))
    return np.stack([scores, np.ones_like(scores)], axis=-1)


# Intervals


def test_the_interval_of_a_mean_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for k in range(300):
        lo, hi = bootstrap(counted(rng.exponential(5.0, size=80)), ratio, resamples=400, seed=k)
        hits += lo <= 5.0 <= hi
    assert 0.90 <= hits / 300 <= 0.99


def test_the_interval_covers_when_examples_and_ten_seeds_vary() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for k in range(300):
        scores = 50 + rng.normal(0, 10, size=60) + rng.normal(0, 1, size=(10, 1)) + rng.normal(0, 3, size=(10, 60))
        lo, hi = bootstrap(counted(scores), ratio, resamples=300, seed=k)
        hits += lo <= 50.0 <= hi
    assert 0.90 <= hits / 300 <= 0.99


def test_seeds_that_differ_widen_the_interval_and_one_seed_is_no_seed() -> None:
    scores = np.random.default_rng(4).normal(50, 10, size=100)
    alone = bootstrap(counted(scores), ratio)
    assert bootstrap(counted([scores, scores, scores]), ratio) == pytest.approx(alone)  # equal seeds add nothing
    lo, hi = bootstrap(counted([scores - 20, scores, scores + 20]), ratio)
    assert hi - lo > 3 * (alone[1] - alone[0])


def test_the_statistic_is_of_the_sums_not_a_mean_of_scores() -> None:
    rows = np.array([[[1.0, 1.0], [0.0, 9.0]]])  # one example counts nine times as much as the other
    assert bootstrap(rows, ratio) == (0.0, 1.0)
    drawn = [(1 + 1) / 2, (1 + 0) / 10, 0.0]
    lo, hi = bootstrap(rows, ratio, level=0.1)
    assert (lo, hi) == (drawn[1], drawn[1])  # the middle of the distribution is one of each: 1 / 10


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12), st.integers(0, 3), st.randoms())
def test_no_answer_depends_on_the_order_of_the_examples(rows: list[Any], seed: int, rng: Any) -> None:
    mixed = rng.sample(rows, len(rows))
    (a, b), (c, d) = np.array(rows).T, np.array(mixed).T
    statistics: list[Callable[[Any, Any], Any]] = [
        lambda x, y: bootstrap(counted([x, y]), ratio, resamples=50, seed=seed),
        lambda x, y: crossed(x, y).interval(),
        lambda x, y: crossed(x, y).p,
        lambda x, y: interval(samples([counted([x, y])], ratio, [False], ())[0], highest=100.0),
        lambda x, y: chances_of_best(samples([counted(x), counted(y)], ratio, [True, True], ()), draws=50, seed=seed),
        lambda x, y: slope(x, y, resamples=50, seed=seed),
        lambda x, y: bins(x, y, edges=3, resamples=50, seed=seed),
        lambda x, y: mean_std(x),
    ]
    for statistic in statistics:
        assert statistic(a, b) == statistic(c, d)


@settings(max_examples=40, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=15), st.integers(1, 4), st.floats(0.5, 0.99))
def test_intervals_lie_within_the_data_and_widen_with_the_level(values: list[float], seeds: int, level: float) -> None:
    scores = np.array([values] * seeds)
    lo, hi = bootstrap(counted(scores), ratio, resamples=60, level=level)
    assert min(values) - 1e-9 <= lo <= hi <= max(values) + 1e-9
    wide = bootstrap(counted(scores), ratio, resamples=60, level=0.995)
    assert wide[0] <= lo and hi <= wide[1]


def test_the_same_seed_gives_the_same_interval_and_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = counted(np.random.default_rng(6).normal(size=(2, 50)))
    whole = bootstrap(rows, ratio, resamples=200, seed=7)
    assert whole == bootstrap(rows, ratio, resamples=200, seed=7) != bootstrap(rows, ratio, resamples=200, seed=8)
    monkeypatch.setattr(resampling, "CELLS", 333)
    assert bootstrap(rows, ratio, resamples=200, seed=7) == pytest.approx(whole, abs=1e-12)


def test_every_resample_draws_as_many_examples_as_there_are() -> None:
    weights = np.concatenate(list(resampling._weights(13, 500, seed=0)))
    assert weights.shape == (500, 13) and (weights.sum(axis=1) == 13).all() and (weights >= 0).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(13), abs=0.2)
    assert weights.var() == pytest.approx(12 / 13, rel=0.1)


@pytest.mark.slow
def test_ten_thousand_examples_take_seconds() -> None:
    import time

    rows = np.random.default_rng(0).random((5, 10_000, 10))
    start = time.perf_counter()
    bootstrap(rows, ratio)
    assert time.perf_counter() - start < 5


# Paired tests


def crossed(a: Any, b: Any, fixed: bool = False) -> Any:
    """The difference of exact scores [S, N] of two methods."""
    return difference(*samples([counted(a), counted(b)], ratio, [fixed, fixed], ()), span=1.0)


def test_the_variance_is_that_of_the_two_way_model() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4, 9)) + rng.normal(size=(4, 1)) * 3
    variance, df = Sample(values).seed_variance()
    grand, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    ms_seeds = 9 * ((rows - grand) ** 2).sum() / 3
    ms_rest = ((values - rows[:, None] - columns + grand) ** 2).sum() / (3 * 8)
    assert variance == pytest.approx((ms_seeds - ms_rest) / 36)
    assert df == pytest.approx((ms_seeds - ms_rest) ** 2 / (ms_seeds**2 / 3 + ms_rest**2 / 24))
    assert Sample(values[:1]).seed_variance() == (0.0, 0.0)
    same = Sample(np.repeat(values[:1], 3, axis=0))
    assert same.seed_variance() == (0.0, 0.0), "equal seeds add nothing"


def test_a_variance_between_seeds_just_above_none_does_not_take_all_degrees_of_freedom() -> None:
    gains = np.random.default_rng(8).normal(scale=20.0, size=400)  # what one seed gains on an example, the other loses
    gains -= gains.mean()
    a, b = 100.0 + np.stack([gains + 1.05, -gains - 1.05]), np.full((2, 400), 30.0)
    _, df = Sample(a).seed_variance()
    assert 0 < df < 0.1, "the mean square between seeds is hardly above that of the rest"
    gap = crossed(a, b)
    assert gap.observed > 50 * gap.error and gap.df >= 1, "two seeds have one degree of freedom"
    assert gap.p < 0.05
    low, high = interval(Sample(a))
    assert low > 70 and high < 130, "not without end"


def test_two_runs_of_many_examples_are_the_paired_t_test() -> None:
    a, b = np.random.default_rng(5).normal(size=(2, 1, 4000))
    ours, theirs = crossed(a + 0.05, b), ttest_rel(a[0] + 0.05, b[0])
    low, high = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue, rel=0.02)
    assert ours.interval() == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_jackknife_values_of_a_mean_are_its_scores_and_their_mean_is_the_score_of_any_metric() -> None:
    scores = np.random.default_rng(6).random((3, 40))
    (sample,) = samples([counted(scores)], ratio, [False], ())
    assert np.sort(sample.values.ravel()) == pytest.approx(np.sort(scores.ravel()))
    rows = np.random.default_rng(7).random((2, 30, 2)) + 0.1
    (sample,) = samples([rows], ratio, [False], ())
    assert sample.values.mean(axis=1) == pytest.approx(ratio(rows.sum(axis=1)))
    # the variance of a ratio of sums, by the delta method
    x, y = rows[0].T
    delta = (x - x.sum() / y.sum() * y) / y.mean()
    assert sample.values[0].std() == pytest.approx(delta.std(), rel=0.05)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(numbers, min_size=6, max_size=6), min_size=2, max_size=6), st.floats(0.5, 0.999))
def test_p_and_interval_are_one_test(rows: list[list[float]], level: float) -> None:
    gap = crossed(rows[::2], rows[1::2])
    low, high = gap.interval(level)
    if abs(gap.p - (1 - level)) > 1e-9:
        assert (gap.p < 1 - level) == (low > 0 or high < 0)
    wide = gap.interval(0.9999)
    assert wide[0] <= low + 1e-9 and high <= wide[1] + 1e-9
    assert crossed(rows[1::2], rows[::2]).p == pytest.approx(gap.p)


def exact_p(plus: int, minus: int) -> float:
    """Two-sided p of so many differences of one size each way, by all sign flips."""
    return float(binomtest(plus, plus + minus).pvalue)


@pytest.mark.parametrize(("plus", "N"), [(3, 3), (6, 6), (8, 8), (6, 200), (12, 100), (1, 50)])
def test_few_examples_that_all_agree_are_no_more_proof_than_sign_flips_give(plus: int, N: int) -> None:
    a = np.r_[np.ones(plus), np.zeros(N - plus)]
    p = crossed(a, np.zeros(N), fixed=True).p
    assert 0.5 * exact_p(plus, 0) < p < 0.01 + 2 * exact_p(plus, 0)
    assert (p < 0.05) == (exact_p(plus, 0) < 0.05)


def test_a_method_against_itself_is_no_difference_and_no_proof_of_none() -> None:
    a = np.random.default_rng(5).normal(size=(1, 30))
    gap = crossed(a, a)
    assert gap.observed == gap.centre == 0.0 and gap.p == 1.0
    low, high = gap.interval()
    assert low == -high and 0.05 < high < 0.15, "30 equal answers do not show that none would differ"
    assert crossed(np.full((3, 5), 0.1), np.full((2, 5), 0.1)).p == 1.0  # 0.1 three times over 3 is only nearly 0.1


def test_the_interval_of_a_score_stays_on_the_scale_and_is_never_empty() -> None:
    low, high = interval(Sample(np.zeros((1, 20)), True), highest=100.0)
    assert low == 0.0 and 10 < high < 20  # 0 of 20: Wilson's with t
    low, high = interval(Sample(np.full((1, 20), 100.0), True), highest=100.0)
    assert high == 100.0 and 80 < low < 90
    half = Sample(100.0 * (np.arange(400) % 2)[None], True)
    low, high = interval(half, highest=100.0)
    assert (low, high) == (pytest.approx(45.1, abs=0.1), pytest.approx(54.9, abs=0.1))
    low, high = interval(Sample(np.linspace(0, 9, 50)[None], True))
    assert 0 < low < 4.5 < high < 9, "a scale without an upper end"


def test_seeds_that_differ_widen_the_interval() -> None:
    scores = np.random.default_rng(4).normal(50, 10, size=100)
    single, same, wide = (Sample(np.array(rows)) for rows in ([scores], [scores] * 3, [scores - 9, scores, scores + 9]))
    assert interval(same, highest=100.0) == pytest.approx(interval(single, highest=100.0))
    widths = [high - low for low, high in (interval(single, highest=100.0), interval(wide, highest=100.0))]
    assert widths[1] > 3 * widths[0]
    assert single.one_seed and not same.one_seed and not Sample(np.array([scores]), fixed=True).one_seed
    assert difference(single, same).of_prompts and not difference(same, wide).of_prompts


def test_chances_of_being_best_add_up_and_follow_the_scores() -> None:
    rng = np.random.default_rng(8)
    hard = rng.normal(50, 20, size=200)
    methods = [Sample(hard + up + rng.normal(0, 5, size=(3, 200))) for up in (0.0, 0.0, 5.0)]
    chances = chances_of_best(methods)
    assert sum(chances) == pytest.approx(1.0) and chances[2] > 0.99
    even = chances_of_best([Sample(methods[0].values), Sample(methods[0].values)])
    assert even == [pytest.approx(0.5, abs=0.02)] * 2
    gap = difference(methods[0], methods[1])
    share = float(student.cdf(gap.observed / gap.error, gap.df))
    assert chances_of_best(methods[:2])[0] == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("seed", range(12))
def test_the_chance_of_two_methods_is_that_of_their_test(seed: int) -> None:
    """Also where seeds vary by hardly more than chance: then the variance between them has next to no degrees of freedom."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(50, 20, size=80)
    spread = rng.choice([0.0, 0.3, 1.0])
    up = rng.choice([0.0, 3.0, 40.0])
    a, b = (Sample(hard + rng.normal(0, 12, size=(3, 80)) + spread * rng.normal(size=(3, 1)) + up * n) for n in (1, 0))
    gap = difference(a, b)
    expected = float(student.cdf(gap.observed / gap.error, gap.df))
    assert chances_of_best([a, b])[0] == pytest.approx(expected, abs=0.04)


def test_what_it_takes_to_tell_a_difference_is_what_it_takes() -> None:
    rng = np.random.default_rng(9)
    gap = crossed(rng.normal(size=(1, 100)), rng.normal(size=(1, 100)), fixed=True)
    size = detectable(gap)
    assert units_needed(gap, size) == 0
    more = units_needed(gap, size / 2)
    assert more is not None and 290 <= more <= 310, "half the difference takes four times as many"
    significant = 0
    for _ in range(400):
        a, b = rng.normal(size=(2, 1, 100))
        significant += crossed(a + size, b, fixed=True).p < 0.05
    assert 0.7 <= significant / 400 <= 0.9, "four times in five"
    spread = crossed(rng.normal(size=(3, 100)) + np.array([[-1.0], [0.0], [1.0]]), rng.normal(size=(3, 100)))
    assert units_needed(spread, 0.1) is None
    seeds = seeds_needed(spread, 1.0, 3)
    assert seeds is not None and seeds > 3 and seeds_needed(spread, 0.01, 3) is None


@pytest.mark.parametrize(("seeds", "low"), [(2, 0.68), (3, 0.7), (10, 0.74)])
def test_few_seeds_tell_what_is_said_that_they_tell(seeds: int, low: float) -> None:
    """The test is read from t with the seeds' few degrees of freedom; what it tells was read from the normal distribution, and was told
    in 27 of 100 studies of two seeds."""
    rng = np.random.default_rng(seeds)

    def study(size: float) -> Difference:
        a, b = (
            Sample(rng.normal(0, 1, (seeds, 1)) + rng.normal(0, 7, 100) + rng.normal(up, 7, (seeds, 100)))
            for up in (size, 0)
        )
        return difference(a, b)

    size = float(np.mean([detectable(study(0)) for _ in range(300)]))
    share = np.mean([study(size).p < 0.05 for _ in range(1000)])
    assert low <= share <= 0.87, "four times in five, as far as a study knows how widely its seeds spread"


def test_a_difference_that_no_metric_can_have_is_not_told() -> None:
    """Two seeds and many pairs made intervals of thousands of points on a metric of a hundred."""
    rng = np.random.default_rng(4)
    wide = [
        Sample(rng.normal(40, 20, 30) + rng.normal(0, 15, (2, 1)) + rng.normal(0, 5, (2, 30)), widest=100.0)
        for _ in range(5)
    ]
    gaps = all_pairs(wide)
    assert all(-100 <= gap.ci95[0] <= gap.ci95[1] <= 100 for gap in gaps.values())
    worst = max(gaps.values(), key=lambda gap: gap.reach)
    assert worst.reach > 100 and worst.tells == "no difference" and not worst.significant
    free = [replace(sample, widest=float("inf")) for sample in wide]
    for place, gap in all_pairs(free).items():
        assert gap.p == gaps[place].p and (gap.ci95[0] > 0) == (gaps[place].ci95[0] > 0)


def test_what_is_planned_is_what_more_of_the_same_would_be() -> None:
    rng = np.random.default_rng(3)
    gap = crossed(rng.normal(size=(3, 60)) + rng.normal(size=(3, 1)), rng.normal(size=(4, 60)))
    same = gap.planned()
    assert (same.error, same.df) == pytest.approx((gap.error, gap.df))
    twice = gap.planned(units=120, more_seeds=2.0)
    assert twice.error < gap.error and twice.df > gap.df and twice.seed_variance == pytest.approx(gap.seed_variance / 2)


def test_holm_s_factor_makes_the_interval_agree() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm_factors(p) == pytest.approx([3.0, 1.5, 2.0, 4.0])
    assert [p_value * factor for p_value, factor in zip(p, holm_factors(p), strict=True)] == pytest.approx(holm(p))
    assert holm_factors([0.0, 0.5]) == [2.0, 1.0]


def test_holm_equals_the_worked_example() -> None:
    # 4 tests: 0.005*4, 0.01*3, max(0.03, 0.03*2), max(0.06, 0.04*1)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2] and holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.randoms())
def test_holm_keeps_the_order_of_p_and_lies_between_p_and_bonferroni(p: list[float], rng: Any) -> None:
    adjusted = holm(p)
    assert all(raw <= new <= min(1.0, raw * len(p)) + 1e-12 for raw, new in zip(p, adjusted, strict=True))
    mixed = rng.sample(range(len(p)), len(p))
    assert holm([p[k] for k in mixed]) == [adjusted[k] for k in mixed]
    assert [adjusted[k] for k in np.argsort(p, kind="stable")] == sorted(adjusted)


def test_mean_and_deviation() -> None:
    assert mean_std([2.0, 4.0, 6.0]) == (4.0, 2.0)
    assert mean_std([5.0]) == (5.0, 0.0)


# Refusals


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: bootstrap(np.ones((2, 3)), ratio), r"shape \(2, 3\)"),
        (lambda: bootstrap(np.ones((1, 0, 2)), ratio), r"shape \(1, 0, 2\)"),
        (lambda: bootstrap(np.full((1, 2, 2), np.nan), ratio), "NaN"),
        (lambda: bootstrap(np.ones((1, 2, 2)), ratio, level=95), "level 95"),
        (lambda: bootstrap(np.ones((1, 2, 2)), ratio, resamples=0), "0 resamples"),
        (
            lambda: samples([np.ones((1, 2, 2)), np.ones((1, 3, 2))], ratio, [True, True], ()),
            "2 examples with 2 numbers and 3",
        ),
        (lambda: difference(Sample(np.ones((1, 2))), Sample(np.ones((1, 3)))), "2 and 3 examples"),
        (lambda: crossed([[1.0, 2.0]], [[2.0, 1.0]]).interval(95), "level 95"),
        (lambda: holm([0.5, 1.5]), "between 0 and 1"),
        (lambda: holm([float("nan")]), "between 0 and 1"),
        (lambda: mean_std([]), "no values"),
        (lambda: slope([1.0, 2.0], [1.0]), "one number per example"),
        (lambda: bins([1.0], [1.0], edges=0), "0 bins"),
        (lambda: bins([1.0], [1.0], edges=[2.0, 1.0]), "rising"),
        (lambda: bins([1.0], [1.0], edges=[2.0, 3.0]), "widen the edges"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(ask: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ForewordError, match=sentence):
        ask()
