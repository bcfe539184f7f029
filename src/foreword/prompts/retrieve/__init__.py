"""The shelf of Retrievers, which find training Examples to show before an Example: every file here that holds a RETRIEVER, and those of
other packages."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from types import ModuleType
from typing import Any

from foreword.data.examples import Example
from foreword.prompts.retrieve.pool import Encode, Kind, Pool, Ranked, RetrievedExample, Retriever, at_least_one, by_id
from foreword.prompts.retrieve.vectors import sentence_encoder
from foreword.util.plugins import Plugin, Shelf, own_items

__all__ = [
    "RETRIEVERS",
    "Encode",
    "Kind",
    "Pool",
    "Ranked",
    "RetrievedExample",
    "Retriever",
    "fixed",
    "make",
    "seeded",
    "sentence_encoder",
    "signature",
]


@functools.cache
def _files() -> Mapping[str, Kind]:
    def of(module: ModuleType) -> tuple[Kind, ...]:
        return (module.RETRIEVER,) if hasattr(module, "RETRIEVER") else ()

    return own_items(__name__, __path__, "retriever", of)


def _accept(brought: Any, plugin: Plugin) -> Kind:
    if not isinstance(brought, Kind) or brought.name != plugin.point.name:
        raise plugin.fault("is no foreword.prompts.retrieve.Kind of that name")
    return brought


RETRIEVERS: Shelf[Kind] = Shelf("retriever", lambda: _files(), lambda name: _files()[name], _accept)


def make(name: str, pool: Sequence[Example], *, seed: int = 0, encode: Encode | None = None) -> Retriever:
    """The retriever of that name over the training examples; see Pool.

    Raises ForewordError for an unknown name, an empty pool, and `dense` without `encode`.
    """
    return RETRIEVERS.named(name).make(Pool(pool, seed, encode))


def signature(name: str) -> str:
    """The constants and versions that decide what the retriever of that name shows, and the contents of the package where it is another
    package's: part of a trial's key. Raises ForewordError for an unknown name."""
    identity = RETRIEVERS.named(name).signature()
    return f"{identity}|{RETRIEVERS.identity(name)}" if RETRIEVERS.identity(name) else identity


def seeded(name: str) -> bool:
    """Whether the seed changes what the retriever of that name shows; of none, nothing does."""
    return bool(name) and RETRIEVERS.named(name).seeded


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
