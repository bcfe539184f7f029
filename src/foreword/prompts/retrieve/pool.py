"""A Pool of training Examples by question: an example is never shown before itself or its own question."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from foreword.data.examples import Example
from foreword.util.errors import ForewordError

Vectors: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Encode: TypeAlias = Callable[[Sequence[str]], Vectors]  # N texts -> [N, H]
Ranking: TypeAlias = list[tuple[int, float | None]]  # (question's number in the pool, similarity), best first
Rank: TypeAlias = Callable[[Sequence[Example], Sequence[Sequence[int]], int], list[Ranking]]


@dataclass(frozen=True)
class RetrievedExample:
    """A training example to show.

    similarity: on the retriever's own scale (BM25 score as a part of the question's own, cosine); None where nothing is compared.
    """

    example: Example
    similarity: float | None


class Retriever(Protocol):
    """What finds demonstrations: the best LAST, and exactly k unless the pool has fewer other questions."""

    @property
    def name(self) -> str:
        """Its name on the shelf."""

    def find(self, example: Example, k: int) -> list[RetrievedExample]:
        """The k training examples to show before `example`. Raises ForewordError where k < 1."""

    def find_all(self, examples: Sequence[Example], k: int) -> list[list[RetrievedExample]]:
        """For each example what `find` gives for it alone, in fewer passes."""


@dataclass(frozen=True)
class Pool:
    """The training examples, grouped by question, in the order of each question's first example.

    encode: gives the vectors of texts, [N, H]; only `dense` needs it. Raises ForewordError where there is no example.
    """

    examples: Sequence[Example]
    seed: int = 0
    encode: Encode | None = None

    def __post_init__(self) -> None:
        if not self.examples:
            raise ForewordError(
                "The pool of demonstrations is empty; give the task training examples, "
                "or choose a method that shows none (zero, pt)."
            )

    @functools.cached_property
    def groups(self) -> list[list[Example]]:
        """The examples of each distinct question."""
        groups: dict[str, list[Example]] = defaultdict(list)
        for example in self.examples:
            groups[example.question].append(example)
        return list(groups.values())

    @functools.cached_property
    def texts(self) -> list[str]:
        """The text of each distinct question: what retrieval compares."""
        return [group[0].text for group in self.groups]

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {group[0].question: number for number, group in enumerate(self.groups)}

    @functools.cached_property
    def _alone(self) -> dict[str, list[int]]:
        """An id to the questions that have no example of another id."""
        alone: dict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(self.groups):
            if len({example.id for example in group}) == 1:
                alone[group[0].id].append(number)
        return alone

    def barred(self, example: Example) -> list[int]:
        """The numbers of the questions that may not be shown before `example`, ascending."""
        own = self._numbers.get(example.question)
        return sorted({*self._alone.get(example.id, ()), *(() if own is None else (own,))})

    def shown(self, number: int, example: Example) -> Example:
        """The first training example of a question that is not barred whose id is not that of `example`."""
        return next(candidate for candidate in self.groups[number] if candidate.id != example.id)


@dataclass(frozen=True)
class Kind:
    """An entry of the shelf of retrievers. make: the retriever over a pool. signature: the constants and versions that decide what it
    shows, part of a trial's key. seeded: whether the seed changes what it shows."""

    name: str
    make: Callable[[Pool], Retriever]
    signature: Callable[[], str]
    seeded: bool = False


@dataclass(frozen=True)
class Ranked:
    """A Retriever made of a pool and a function that ranks its questions; it decides what may be shown."""

    name: str
    pool: Pool
    rank: Rank

    def find(self, example: Example, k: int) -> list[RetrievedExample]:
        """See Retriever."""
        return self.find_all([example], k)[0]

    def find_all(self, examples: Sequence[Example], k: int) -> list[list[RetrievedExample]]:
        """See Retriever."""
        at_least_one(k)
        barred = [self.pool.barred(example) for example in examples]
        rankings = self.rank(examples, barred, k)
        return [
            [RetrievedExample(self.pool.shown(number, example), similarity) for number, similarity in reversed(ranking)]
            for example, ranking in zip(examples, rankings, strict=True)
        ]


def at_least_one(k: int) -> None:
    """Raises ForewordError where k < 1."""
    if k < 1:
        raise ForewordError(
            f"{k} demonstrations were asked for; ask for 1 or more, or choose a method that shows none (zero, pt)."
        )


def by_id(examples: Iterable[Example]) -> list[Example]:
    """The examples in order of their ids, so that the order they came in does not matter."""
    return sorted(examples, key=lambda example: example.id)
