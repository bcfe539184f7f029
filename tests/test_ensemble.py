"""The majority vote: by hand, on ties, and whatever the answers; it refuses trials that answered different examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.ensemble import majority, vote
from foreword.errors import ForewordError


@pytest.mark.parametrize(
    ("outputs", "winner"),
    [
        (["a"], "a"),
        (["a", "b", "b"], "b"),
        (["b", "a", "a", "b"], "b"),
        (
            ["c", "a", "b", "a", "b"],
            "a",
        ),  # a and b are tied; a came from the earlier trial; c, earlier still, is not tied
        (["", "x", ""], ""),
        (["A", "a", "a "], "A"),
    ],
)
def test_by_hand(outputs: list[str], winner: str) -> None:
    assert majority(outputs) == winner


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9))
def test_no_answer_has_more_votes_and_no_tied_one_came_earlier(outputs: list[str]) -> None:
    winner = majority(outputs)
    assert all(outputs.count(other) <= outputs.count(winner) for other in outputs)
    earlier = outputs[: outputs.index(winner)]
    assert all(outputs.count(other) < outputs.count(winner) for other in earlier)


def test_each_example_is_voted_on_by_itself_in_the_first_trials_order() -> None:
    trials = [{"q2": "a", "q1": "x"}, {"q1": "y", "q2": "b"}, {"q1": "y", "q2": "c"}]
    assert vote(trials) == {"q2": "a", "q1": "y"}
    assert list(vote(trials)) == ["q2", "q1"]
    assert vote(trials[:1]) == trials[0]


def test_trials_of_different_examples_are_refused() -> None:
    with pytest.raises(ForewordError, match=r"Trial 1 .* differ in 2 examples, 'q1' for one"):
        vote([{"q1": "a"}, {"q2": "a"}])
    with pytest.raises(ForewordError, match="no trials"):
        vote([])
    with pytest.raises(ForewordError, match="no answers"):
        majority([])
