"""The slope of a trend and the bins of a curve: least squares at any scale, intervals that cover, each example once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from foreword.results.stats import bins, difference, slope, slopes


def test_a_slope_is_the_least_squares_one_at_any_scale() -> None:
    rng = np.random.default_rng(9)
    x = rng.random(200)
    y = 3 * x + rng.normal(0, 0.5, size=200)
    fit = slope(x, y)
    assert fit is not None and fit[1] < fit[0] < fit[2]
    assert fit[0] == pytest.approx(np.polyfit(x, y, 1)[0])
    far = slope(1e6 + 1e-3 * x, y)
    assert far is not None and far == pytest.approx([1e3 * coefficient for coefficient in fit], rel=1e-4)


def test_the_interval_of_a_slope_covers_the_truth() -> None:
    rng = np.random.default_rng(10)
    hits = 0
    for k in range(200):
        x = rng.random(80)
        fit = slope(x, 2 * x + rng.normal(size=80), resamples=300, seed=k)
        assert fit is not None
        hits += fit[1] <= 2.0 <= fit[2]
    assert 0.88 <= hits / 200 <= 0.99


def test_the_slopes_of_seeds_are_those_of_least_squares_also_in_clusters() -> None:
    rng = np.random.default_rng(11)
    x, y = 0.3 + 0.1 * rng.random(40), 100 * rng.random((3, 40))
    for names, units in (((), 40), ([f"t{n % 8}" for n in range(40)], 8)):
        sides = slopes(x, [y, y[:1]], [False, True], names)
        assert sides is not None and sides[0].values.shape == (3, units) and sides[1].fixed
        assert sides[0].values.mean(axis=1) == pytest.approx([np.polyfit(x, row, 1)[0] for row in y])
    for same in (np.full(40, 0.5), np.array([0.5] * 39 + [0.7])):
        assert slopes(same, [y, y], [False, False], ()) is None


def test_equal_methods_whose_prompts_slopes_lie_apart_are_rarely_told_apart() -> None:
    """Two seeds each, with slopes that vary as much as examples let them be known: over examples alone 17 % would be told."""
    rng = np.random.default_rng(12)
    significant = 0
    for _ in range(400):
        x = rng.random(100)
        own = 12.0 * rng.normal(size=(2, 2, 1)) * x + 30.0 * rng.normal(size=(2, 2, 100))
        sides = slopes(x, list(own), [False, False], ())
        assert sides is not None
        significant += difference(*sides).p < 0.05
    assert significant <= 0.05 * 400 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_a_slope_without_variation_is_none() -> None:
    assert slope([0.5, 0.5, 0.5], [1.0, 2.0, 3.0]) is None
    assert slope([1.0], [1.0]) is None
    assert slope([0.0] * 9 + [1.0], list(range(10))) is None  # a third of the resamples never meet the one that differs


def test_bins_hold_every_example_once() -> None:
    rng = np.random.default_rng(11)
    x, y = rng.random(300), rng.normal(size=300)
    groups = bins(x, y, edges=4)
    assert [group.count for group in groups] == np.histogram(x, 4)[0].tolist()
    assert [(a.high, b.low) for a, b in itertools.pairwise(groups)] == [(a.high, a.high) for a in groups[:-1]]
    assert (groups[0].low, groups[-1].high) == (x.min(), x.max())
    assert sum(group.count * (group.mean or 0.0) for group in groups) == pytest.approx(y.sum())
    assert all(
        group.lo is not None and group.hi is not None and group.lo <= (group.mean or 0) <= group.hi for group in groups
    )


def test_bins_at_the_edges() -> None:
    groups = bins([0.0, 0.5, 1.0], [1.0, 2.0, 4.0], edges=[0.0, 0.5, 0.75, 1.0])
    assert [(group.count, group.mean, group.lo) for group in groups] == [(1, 1.0, None), (1, 2.0, None), (1, 4.0, None)]
    empty = bins([0.0, 1.0], [1.0, 3.0], edges=3)[1]
    assert (empty.count, empty.mean, empty.lo, empty.hi) == (0, None, None, None)
    (same,) = bins([0.7, 0.7], [1.0, 3.0])
    assert (same.low, same.high, same.count, same.mean) == (0.7, 0.7, 2, 2.0)
