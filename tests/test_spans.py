"""Span corruption and prefix-LM: nothing is lost, as much is taken out as T5 takes out, sentinels stand in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.train.pretrain.spans import SENTINELS, corrupted, halved, noise_mask
from foreword.util.errors import ForewordError

MARKS = tuple(range(1000, 1000 + len(SENTINELS)))
lengths = st.integers(2, 640)
seeds = st.integers(0, 2**32 - 1)


def text(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 1]).integers(0, 1000, length)


def put_together(inputs: list[int], targets: list[int]) -> list[int]:
    """The text that T5 would make of an input and a target: each sentinel replaced by what stands behind it in the target."""
    spans: dict[int, list[int]] = {}
    for token in targets:
        if token in MARKS:
            spans[token] = []
        else:
            spans[list(spans)[-1]].append(token)
    return [original for token in inputs for original in (spans[token] if token in MARKS else [token])]


@given(lengths, seeds)
def test_nothing_is_lost_and_sentinels_stand_in_order(length: int, seed: int) -> None:
    ids = text(length, seed)
    inputs, targets = corrupted(ids, MARKS, np.random.default_rng(seed))
    assert put_together(inputs.tolist(), targets.tolist()) == ids.tolist()
    for part in (inputs, targets):
        marks = [token for token in part.tolist() if token in MARKS]
        assert marks == list(MARKS[: len(marks)])
    assert targets[0] == MARKS[0] and inputs[0] == ids[0], "text comes first"


@given(lengths, seeds)
def test_as_much_is_taken_out_as_t5_takes_out(length: int, seed: int) -> None:
    mask = noise_mask(length, np.random.default_rng(seed))
    noise = max(1, round(0.15 * length))
    spans = max(1, round(noise / 3))
    assert (len(mask), int(mask.sum())) == (length, noise)
    assert int((mask[1:] & ~mask[:-1]).sum()) == spans
    assert not mask[0] and mask[-1], "spans of text and of noise take turns, text first"


@given(st.integers(2, 80), st.floats(0.01, 0.99), st.floats(1, 10), seeds)
def test_any_share_and_length_leaves_some_of_both(length: int, noise: float, span: float, seed: int) -> None:
    mask = noise_mask(length, np.random.default_rng(seed), noise=noise, span=span)
    assert 1 <= mask.sum() <= length - 1


def test_every_way_to_cut_is_equally_likely() -> None:
    """Six tokens of which three are noise in two spans: 2 x 2 masks."""
    counts: dict[str, int] = {}
    for seed in range(2000):
        mask = noise_mask(6, np.random.default_rng(seed), noise=0.5, span=1.5)
        key = "".join("x" if noisy else "." for noisy in mask)
        counts[key] = counts.get(key, 0) + 1
    assert set(counts) == {".x..xx", ".xx..x", "..x.xx", "..xx.x"}
    assert all(400 < count < 600 for count in counts.values())


def test_too_few_sentinels_are_named() -> None:
    with pytest.raises(ForewordError, match="100 tokens has 5 spans, and there are 4 sentinels"):
        corrupted(text(100, 0), MARKS[:4], np.random.default_rng(0))


@given(lengths, seeds)
def test_a_prefix_and_its_rest_are_the_text(length: int, seed: int) -> None:
    ids = text(length, seed)
    prefix, rest = halved(ids, np.random.default_rng(seed))
    assert len(prefix) and len(rest)
    assert [*prefix, *rest] == ids.tolist()


def test_every_point_is_cut_at() -> None:
    cuts = [len(halved(np.arange(5), np.random.default_rng(seed))[0]) for seed in range(1000)]
    assert {cut: 180 < cuts.count(cut) < 320 for cut in set(cuts)} == {1: True, 2: True, 3: True, 4: True}


@pytest.mark.parametrize("length", (0, 1))
def test_what_cannot_be_parted_is_refused(length: int) -> None:
    for part in (halved, lambda ids, chance: corrupted(ids, MARKS, chance)):
        with pytest.raises(ForewordError, match=f"A text of {length} tokens cannot be parted"):
            part(np.arange(length), np.random.default_rng(0))
