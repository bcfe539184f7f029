"""Two ways to make an input and a target of one text for an encoder-decoder: span corruption and prefix-LM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreword.util.errors import ForewordError

NOISE, SPAN = 0.15, 3.0
"""Share of the tokens that are taken out, and the mean length of a span (Raffel et al. 2020, section 3.3.4)."""
SENTINELS = tuple(f"<extra_id_{index}>" for index in range(32))
"""The sentinel words in T5's spelling: enough for a text of 640 tokens."""
SHORTEST = 2
"""Tokens that either way needs at least."""

Parted = tuple[np.ndarray, np.ndarray]
"""Ids for the encoder [E] and target ids for the decoder [T], without end tokens."""


def noise_mask(length: int, chance: np.random.Generator, *, noise: float = NOISE, span: float = SPAN) -> np.ndarray:
    """Which of `length` tokens are taken out: [length] of bool. Spans of text and of noise take turns, text first, noise last.

    `random_spans_noise_mask` of google-research/text-to-text-transfer-transformer (t5/data/preprocessors.py): the number of
    noise tokens is `length * noise` rounded, that of spans the noise tokens divided by `span` and rounded, each at least 1; both kinds are
    cut into that many spans of random lengths of at least 1. Halves are rounded to even, as there. Raises ForewordError below 2 tokens.
    """
    _long_enough(length)
    noisy = min(max(round(length * noise), 1), length - 1)
    spans = min(max(round(noisy / span), 1), length - noisy)
    lengths = np.stack(
        [_segments(length - noisy, spans, chance), _segments(noisy, spans, chance)], axis=1
    )  # [spans, 2]
    return np.repeat(np.tile([False, True], spans), lengths.reshape(-1))


def _segments(items: int, count: int, chance: np.random.Generator) -> np.ndarray:
    """Random lengths [count] of at least 1 that add up to `items`; every way to cut is equally likely."""
    starts = np.append(True, chance.permutation(np.arange(items - 1) < count - 1))
    return np.diff(np.append(np.flatnonzero(starts), items))


def corrupted(
    ids: np.ndarray, sentinels: Sequence[int], chance: np.random.Generator, *, noise: float = NOISE, span: float = SPAN
) -> Parted:
    """T5's span corruption of ids [N]: (ids with a sentinel in the place of each span, each sentinel followed by its span).

    sentinels: ids of the sentinel words, in the order in which they stand in. Raises ForewordError below 2 tokens, and when
    there are more spans than sentinels.
    """
    mask = noise_mask(len(ids), chance, noise=noise, span=span)
    return _marked(ids, mask, sentinels), _marked(ids, ~mask, sentinels)


def _marked(ids: np.ndarray, out: np.ndarray, sentinels: Sequence[int]) -> np.ndarray:
    """The ids with the next sentinel in the place of each run of what is left out."""
    first = out & ~np.append(False, out[:-1])
    count = int(first.sum())
    if count > len(sentinels):
        raise ForewordError(
            f"A text of {len(ids)} tokens has {count} spans, and there are {len(sentinels)} sentinels; cut it, or use more sentinels."
        )
    marked = ids.copy()
    marked[first] = sentinels[:count]
    marked_ids: np.ndarray = marked[first | ~out]
    return marked_ids


def halved(ids: np.ndarray, chance: np.random.Generator) -> Parted:
    """The prefix-LM objective of Lester et al. 2021's LM adaptation on ids [N]: (the text up to a random point, the rest of it).

    Every point that leaves both parts at least one token is equally likely. Raises ForewordError below 2 tokens.
    """
    _long_enough(len(ids))
    at = int(chance.integers(1, len(ids)))
    return ids[:at], ids[at:]


def _long_enough(length: int) -> None:
    if length < SHORTEST:
        raise ForewordError(f"A text of {length} tokens cannot be parted; give texts of {SHORTEST} tokens or more.")
