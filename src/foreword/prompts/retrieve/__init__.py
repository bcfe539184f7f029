"""The shelf of Retrievers, which find training Examples to show before an Example."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from random import Random

from foreword.data.examples import Example
from foreword.prompts.retrieve.bm25 import bm25_retriever, bm25_signature
from foreword.prompts.retrieve.chance import random_retriever, random_signature
from foreword.prompts.retrieve.pool import Encode, Found, Pool, Retriever, at_least_one, by_id
from foreword.prompts.retrieve.vectors import dense_retriever, dense_signature, sentence_encoder
from foreword.util.errors import unknown

__all__ = ["RETRIEVERS", "Encode", "Found", "Pool", "Retriever", "fixed", "make", "sentence_encoder", "signature"]

RETRIEVERS: dict[str, Callable[[Pool], Retriever]] = {
    "random": random_retriever,
    "bm25": bm25_retriever,
    "dense": dense_retriever,
}
SIGNATURES: dict[str, Callable[[], str]] = {
    "random": random_signature,
    "bm25": bm25_signature,
    "dense": dense_signature,
}


def make(
    name: str, pool: Sequence[Example], *, seed: int = 0, encode: Encode | None = None, stem: str = ""
) -> Retriever:
    """The retriever of that name over the training examples; see Pool.

    Raises ForewordError for an unknown name, an empty pool, and `dense` without `encode`.
    """
    if name not in RETRIEVERS:
        raise unknown("retriever", name, RETRIEVERS)
    return RETRIEVERS[name](Pool(pool, seed, encode, stem))


def signature(name: str) -> str:
    """The constants and versions that decide what the retriever of that name shows: part of a trial's key. Raises ForewordError for an
    unknown name."""
    if name not in RETRIEVERS:
        raise unknown("retriever", name, RETRIEVERS)
    return SIGNATURES[name]()


def fixed(pool: Sequence[Example], k: int, seed: int) -> list[Example]:
    """k training examples of distinct questions, drawn by the seed, to show before every input.

    Where all examples have the same choices, the labels take turns, so that each is shown as often as the
    others. Fewer than k only where the pool has fewer questions. Raises ForewordError where the pool is empty
    or k < 1.
    """
    at_least_one(k)
    rng = Random(f"{seed}/fixed")
    drawn = [group[0] for group in Pool(by_id(pool)).groups]
    rng.shuffle(drawn)
    if drawn[0].choices and len({frozenset(example.choices) for example in drawn}) == 1:
        drawn = _in_turn(drawn, rng)
    return drawn[:k]


def _in_turn(drawn: Sequence[Example], rng: Random) -> list[Example]:
    """The same examples, one of each label in turn; the labels' order is drawn too."""
    lines: dict[str, list[Example]] = defaultdict(list)
    for example in drawn:
        lines[example.targets[0] if example.targets else ""].append(example)
    labels = sorted(lines)
    rng.shuffle(labels)
    turns = [(turn, place, example) for place, label in enumerate(labels) for turn, example in enumerate(lines[label])]
    return [example for _, _, example in sorted(turns, key=lambda entry: entry[:2])]
