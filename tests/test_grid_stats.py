"""Tests over grids: adjustments against their definitions, levels and power against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from foreword.results import stats
from foreword.results.stats.spread import _sign_flip


def sample(scores: np.ndarray, fixed: bool = False) -> stats.Sample:
    return stats.Sample(np.asarray(scores, float), fixed)


def test_a_grid_is_judged_together_and_says_what_it_could_have_told() -> None:
    rng = np.random.default_rng(0)
    base = 50 + 20 * rng.standard_normal((3, 200))
    cells = {
        "far": (sample(base + 10 + rng.standard_normal((3, 200))), sample(base)),
        "same": (sample(base + rng.standard_normal((3, 200))), sample(base)),
    }
    gaps = {key: stats.AdjustedDifference(stats.difference(*pair)) for key, pair in cells.items()}
    tests = stats.adjusted(gaps)
    assert (tests["far"].sure, tests["same"].sure) == (1, 0)
    assert tests["far"].above and tests["same"].ci95[0] < 0 < tests["same"].ci95[1]
    assert [test.factor for test in tests.values()] == pytest.approx([2.0, 1.0]), "Holm's method for two"
    for key, test in tests.items():
        assert (test.p < 0.05) == (not test.ci95[0] <= 0 <= test.ci95[1]), key
        assert gaps[key].points == test.points and 0 < gaps[key].reach <= test.reach < 3
    prompt = stats.AdjustedDifference(stats.difference(sample(base[:1] + 30), sample(base[:1])))
    assert prompt.p < 0.05 and prompt.above and not prompt.sure, "one seed speaks of its prompt"
    assert stats.adjusted({}) == {}


def test_those_that_are_not_told_apart_are_tied() -> None:
    rng = np.random.default_rng(1)
    base = 50 + 20 * rng.standard_normal((1, 300))

    def noisy(shift: float) -> stats.Sample:
        return sample(base + shift + 3 * rng.standard_normal((3, 300)))

    tied = stats.tied_with_best({"low": noisy(-20), "a": noisy(0.0), "b": noisy(0.1)})
    assert set(tied) == {"a", "b"}
    assert stats.tied_with_best({"alone": noisy(0)}) == ["alone"]


def test_seeds_and_items_are_told_apart() -> None:
    rng = np.random.default_rng(2)
    seeds, items = 6.0 * rng.standard_normal((40, 1)), 30.0 * rng.standard_normal((1, 400))
    both = stats.components(sample(50 + seeds + items + 5.0 * rng.standard_normal((40, 400))))
    assert both.seeds == pytest.approx(float(seeds.std(ddof=1)), rel=0.05)
    assert both.items == pytest.approx(30.4 / 400**0.5, rel=0.1)
    assert 0.9 < both.share_of_seeds < 1.0
    calm = stats.components(sample(50 + items + np.zeros((3, 1))))
    assert (
        calm.seeds == pytest.approx(0.0, abs=1e-9)
        and calm.share_of_seeds == pytest.approx(0.0, abs=1e-9)
        and calm.seeds_known
    )
    assert not stats.components(sample(np.ones((1, 5)))).seeds_known


def test_the_test_of_spread_holds_its_level_and_has_the_power_that_it_says() -> None:
    """At no difference a p below 0.05 is as rare as that; at a ratio of 3 it comes as often as `power` says."""
    rng = np.random.default_rng(4)
    logs = np.log(
        rng.standard_normal((400, 6, 3)).std(axis=2, ddof=1) / rng.standard_normal((400, 6, 3)).std(axis=2, ddof=1)
    )
    false = sum(_sign_flip(row, 0) < 0.05 for row in logs)
    assert false <= 32, "0.05 of 400 is 20; more than 32 would be seen once in 200 times"
    true = sum(_sign_flip(row - np.log(3), 0) < 0.05 for row in logs)
    expected_power = stats.power([(3, 3)] * 6)
    assert true / 400 == pytest.approx(expected_power, abs=0.07)
    assert stats.power([(3, 3)] * 6, ratio=1.0) < 0.07
    assert stats.power([(3, 3)]) == 0.0, "one task of three seeds each can show nothing"


def test_five_tasks_can_show_it_and_four_cannot() -> None:
    calm, wild = [50.0, 50.1, 49.9], [40.0, 60.0, 55.0]
    five = stats.lower_spread([(calm, wild)] * 5)
    assert five.significant and five.p == pytest.approx(1 / 32) == five.least
    assert five.ratio == pytest.approx(0.1) and five.cells == 5, "a ratio beyond ten counts as ten"
    four = stats.lower_spread([(calm, wild)] * 4)
    assert not four.significant and four.power == 0.0
    other = stats.lower_spread([(wild, calm)] * 5)
    assert other.p == 1.0 and other.ratio == pytest.approx(10.0)
    same = stats.lower_spread([(calm, calm)] * 5)
    assert same.p == 1.0 and same.ratio == 1.0
    zero = stats.lower_spread([([1.0, 1.0], [1.0, 3.0])] * 5)
    assert zero.ratio == pytest.approx(0.1), "a spread of nought is a tenth of the other"


def test_many_cells_are_drawn_and_give_the_same_again() -> None:
    rng = np.random.default_rng(5)
    cells = [(rng.standard_normal(3), 4 * rng.standard_normal(3)) for _ in range(14)]
    assert stats.lower_spread(cells) == stats.lower_spread(cells)
    assert stats.lower_spread(cells).p < 0.01
