"""Index arithmetic: every place exactly once, no batch over its limits, and an order that is a function of seed and step alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.engine.batching import batches, order, padding_share, step_places, visited

LENGTHS = st.lists(st.integers(1, 60), max_size=60)


@given(LENGTHS, st.integers(1, 9), st.integers(1, 200) | st.none())
def test_batches_hold_every_place_once_and_keep_their_limits(lengths: list[int], size: int, budget: int | None) -> None:
    groups = batches(lengths, batch_size=size, token_budget=budget)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    for group in groups:
        assert 1 <= len(group) <= size
        padded = len(group) * max(lengths[place] for place in group)
        assert budget is None or len(group) == 1 or padded <= budget
    tops = [max(lengths[place] for place in group) for group in groups]
    assert tops == sorted(tops, reverse=True), "the longest go first, so that a batch too big fails at once"
    if groups:
        assert max(lengths) in [lengths[place] for place in groups[0]]


@given(LENGTHS, st.integers(1, 9))
def test_grouping_by_length_never_pads_more(lengths: list[int], size: int) -> None:
    lengths = lengths[: len(lengths) // size * size]  # a last batch that is not full costs least where it is shortest
    as_given = [list(range(at, min(at + size, len(lengths)))) for at in range(0, len(lengths), size)]
    grouped = batches(lengths, batch_size=size)
    assert padding_share(lengths, grouped) <= padding_share(lengths, as_given) + 1e-12


def test_ties_break_by_position() -> None:
    assert batches([5, 5, 9, 5], batch_size=2) == [[2, 0], [1, 3]]


def test_padding_share() -> None:
    assert padding_share([4, 2, 3, 3], [[0, 1], [2, 3]]) == pytest.approx(2 / 14)
    assert padding_share([], []) == 0.0


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3))
def test_an_epoch_visits_every_place_once(size: int, batch: int, seed: int) -> None:
    width = min(batch, size)
    steps = 2 * size  # width epochs and more
    visits = [place for step in range(steps) for place in step_places(size, batch, step, seed=seed)]
    assert all(len(step_places(size, batch, step, seed=seed)) == width for step in range(5))
    for epoch in range(2 * width):
        assert sorted(visits[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 30), st.integers(0, 3))
def test_a_step_is_the_same_whatever_was_asked_before(size: int, batch: int, step: int, seed: int) -> None:
    alone = step_places(size, batch, step, seed=seed)
    order.cache_clear()
    for earlier in range(step):
        step_places(size, batch, earlier, seed=seed)
    assert step_places(size, batch, step, seed=seed) == alone


def test_seeds_and_epochs_go_in_different_orders() -> None:
    orders = {order(30, seed=seed, epoch=epoch) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 30))
def test_visited_is_what_the_steps_see(size: int, batch: int, steps: int) -> None:
    places = {place for step in range(steps) for place in (step_places(size, batch, step, seed=1) if size else [])}
    assert visited(size, batch, steps, seed=1) == sorted(places)
