"""Intervals that cover, tests that are fair, and neither moved by the order of the examples; it refuses lucky seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from foreword import stats
from foreword.errors import ForewordError
from foreword.stats import bins, bootstrap, bootstrap_difference, holm, mean_std, paired_test, slope

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


def test_the_interval_of_a_difference_covers_and_pairing_narrows_it() -> None:
    rng = np.random.default_rng(3)
    hits, paired, apart = 0, 0.0, 0.0
    for k in range(200):
        hard = rng.normal(0, 10, size=60)
        a = counted(52 + hard + rng.normal(0, 3, size=60) + rng.normal(0, 0.5, size=(2, 60)))
        b = counted(50 + hard + rng.normal(0, 3, size=60) + rng.normal(0, 0.5, size=(3, 60)))
        lo, hi = bootstrap_difference(a, b, ratio, resamples=300, seed=k)
        hits += lo <= 2.0 <= hi
        paired += hi - lo
        apart += sum(np.ptp(bootstrap(one, ratio, resamples=300, seed=k)) for one in (a, b)) / 2
    assert 0.90 <= hits / 200 <= 0.99
    assert paired < 0.5 * apart


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


def test_a_difference_of_a_thing_from_itself_is_zero() -> None:
    a = counted(np.random.default_rng(5).normal(size=(1, 30)))
    assert bootstrap_difference(a, a, ratio) == (0.0, 0.0)
    lo, hi = bootstrap_difference(a, counted(a[..., 0] - 3), ratio)
    assert lo == pytest.approx(3.0) and hi == pytest.approx(3.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12), st.integers(0, 3), st.randoms())
def test_no_answer_depends_on_the_order_of_the_examples(rows: list[Any], seed: int, rng: Any) -> None:
    mixed = rng.sample(rows, len(rows))
    (a, b), (c, d) = np.array(rows).T, np.array(mixed).T
    asked: list[Callable[[Any, Any], Any]] = [
        lambda x, y: bootstrap(counted([x, y]), ratio, resamples=50, seed=seed),
        lambda x, y: bootstrap_difference(counted(x), counted(y), ratio, resamples=50, seed=seed),
        lambda x, y: paired_test(x, y, seed=seed, resamples=99),
        lambda x, y: slope(x, y, resamples=50, seed=seed),
        lambda x, y: bins(x, y, edges=3, resamples=50, seed=seed),
        lambda x, y: mean_std(x),
    ]
    for ask in asked:
        assert ask(a, b) == ask(c, d)


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
    monkeypatch.setattr(stats, "CELLS", 333)
    assert bootstrap(rows, ratio, resamples=200, seed=7) == pytest.approx(whole, abs=1e-12)


def test_every_resample_draws_as_many_examples_as_there_are() -> None:
    weights = np.concatenate(list(stats._weights(13, 500, seed=0)))
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


def exact_p(differences: Numbers) -> float:
    """All 2^N sign flips, counted: twice the share that is at least as large, at most 1 (scipy's two-sided p)."""
    seen = differences.sum()
    flipped = [np.dot(signs, differences) for signs in itertools.product((1, -1), repeat=len(differences))]
    above = np.mean([one >= seen - 1e-9 for one in flipped])
    below = np.mean([one <= seen + 1e-9 for one in flipped])
    return float(min(1.0, 2 * min(above, below)))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_few_examples_are_tested_exactly(rows: list[tuple[int, int]]) -> None:
    a, b = np.array(rows, dtype=np.float64).T
    assert paired_test(a, b) == pytest.approx(exact_p(a - b))
    assert paired_test(a, b) == pytest.approx(paired_test(b, a))


def test_p_values_by_hand() -> None:
    assert paired_test(np.ones((1, 5)), np.zeros((1, 5))) == pytest.approx(2 / 32)
    assert paired_test(np.full((3, 5), 0.1), np.full((2, 5), 0.1)) == 1.0  # 0.1 three times over 3 is only nearly 0.1
    assert paired_test([[1.0, 0.0]], [[0.0, 1.0]]) == 1.0
    # examples without a difference take no part: the same p with a thousand of them
    assert paired_test(np.r_[np.ones(5), np.zeros(1000)], np.zeros(1005)) == pytest.approx(2 / 32)


def test_p_is_uniform_when_nothing_differs_and_small_when_something_does() -> None:
    rng = np.random.default_rng(8)
    null = []
    for k in range(150):
        hard = rng.normal(0, 5, size=40)
        null.append(
            paired_test(hard + rng.normal(size=(3, 40)), hard + rng.normal(size=(2, 40)), seed=k, resamples=399)
        )
    assert kstest(null, "uniform").pvalue > 0.01
    assert 0.005 <= np.mean(np.array(null) < 0.05) <= 0.12
    assert all(0 < p <= 1 for p in null)
    hard = rng.normal(0, 5, size=40)
    assert paired_test(hard + 1 + rng.normal(size=(3, 40)), hard + rng.normal(size=(2, 40))) < 0.001


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


# Trends


def test_a_slope_is_the_least_squares_one_at_any_scale() -> None:
    rng = np.random.default_rng(9)
    x = rng.random(200)
    y = 3 * x + rng.normal(0, 0.5, size=200)
    found = slope(x, y)
    assert found is not None and found[1] < found[0] < found[2]
    assert found[0] == pytest.approx(np.polyfit(x, y, 1)[0])
    far = slope(1e6 + 1e-3 * x, y)
    assert far is not None and far == pytest.approx([1e3 * one for one in found], rel=1e-4)


def test_the_interval_of_a_slope_covers_the_truth() -> None:
    rng = np.random.default_rng(10)
    hits = 0
    for k in range(200):
        x = rng.random(80)
        found = slope(x, 2 * x + rng.normal(size=80), resamples=300, seed=k)
        assert found is not None
        hits += found[1] <= 2.0 <= found[2]
    assert 0.88 <= hits / 200 <= 0.99


def test_a_slope_without_variation_is_none() -> None:
    assert slope([0.5, 0.5, 0.5], [1.0, 2.0, 3.0]) is None
    assert slope([1.0], [1.0]) is None
    assert slope([0.0] * 9 + [1.0], list(range(10))) is None  # a third of the resamples never meet the one that differs


def test_bins_hold_every_example_once() -> None:
    rng = np.random.default_rng(11)
    x, y = rng.random(300), rng.normal(size=300)
    groups = bins(x, y, edges=4)
    assert [one.count for one in groups] == np.histogram(x, 4)[0].tolist()
    assert [(a.high, b.low) for a, b in itertools.pairwise(groups)] == [(a.high, a.high) for a in groups[:-1]]
    assert (groups[0].low, groups[-1].high) == (x.min(), x.max())
    assert sum(one.count * (one.mean or 0.0) for one in groups) == pytest.approx(y.sum())
    assert all(one.lo is not None and one.hi is not None and one.lo <= (one.mean or 0) <= one.hi for one in groups)


def test_bins_at_the_edges() -> None:
    groups = bins([0.0, 0.5, 1.0], [1.0, 2.0, 4.0], edges=[0.0, 0.5, 0.75, 1.0])
    assert [(one.count, one.mean, one.lo) for one in groups] == [(1, 1.0, None), (1, 2.0, None), (1, 4.0, None)]
    empty = bins([0.0, 1.0], [1.0, 3.0], edges=3)[1]
    assert (empty.count, empty.mean, empty.lo, empty.hi) == (0, None, None, None)
    (same,) = bins([0.7, 0.7], [1.0, 3.0])
    assert (same.low, same.high, same.count, same.mean) == (0.7, 0.7, 2, 2.0)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: bootstrap(np.ones((2, 3)), ratio), r"shape \(2, 3\)"),
        (lambda: bootstrap(np.ones((1, 0, 2)), ratio), r"shape \(1, 0, 2\)"),
        (lambda: bootstrap(np.full((1, 2, 2), np.nan), ratio), "NaN"),
        (lambda: bootstrap(np.ones((1, 2, 2)), ratio, level=95), "level 95"),
        (lambda: bootstrap(np.ones((1, 2, 2)), ratio, resamples=0), "0 resamples"),
        (lambda: bootstrap_difference(np.ones((1, 2, 2)), np.ones((1, 3, 2)), ratio), "2 and 3 examples"),
        (lambda: paired_test(np.ones((1, 2)), np.ones((1, 3))), "same examples"),
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
