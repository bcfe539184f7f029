"""The retriever `random`: demonstrations drawn by seed and id, whatever the order of the examples."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from foreword.data.examples import Example
from foreword.prompts.retrieve.pool import Kind, Pool, Ranked, Ranking, Retriever, by_id


def random_signature() -> str:
    """What this retriever's choice depends on, beside the examples and the seed."""
    return "random|by:seed,id|distinct-questions"


def random_retriever(pool: Pool) -> Retriever:
    """Distinct questions drawn by the seed, the asking example's id and the pool's ids alone."""
    ordered = Pool(by_id(pool.examples), pool.seed)

    def rank_one(example: Example, bars: Sequence[int], k: int) -> Ranking:
        free = len(ordered.groups) - len(bars)
        chosen = Random(f"{ordered.seed}/demonstrations/{example.id}").sample(range(free), min(k, free))
        return [(_past(number, bars), None) for number in chosen]

    def rank(examples: Sequence[Example], barred: Sequence[Sequence[int]], k: int) -> list[Ranking]:
        return [rank_one(example, bars, k) for example, bars in zip(examples, barred, strict=True)]

    return Ranked("random", ordered, rank)


def _past(number: int, bars: Sequence[int]) -> int:
    """The `number`-th of the numbers that are not among bars, which ascend."""
    for bar in bars:
        number += number >= bar
    return number


RETRIEVER = Kind("random", random_retriever, random_signature, seeded=True)
