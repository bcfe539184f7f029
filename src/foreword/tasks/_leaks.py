"""Which scored questions also stand in train, exactly or nearly; they are counted and named, not dropped.

Near means, field by field: the same words and signs once case, other marks and blanks are put aside (`alike`), or a Jaccard overlap
of the fields' sets of these of at least NEAR (`near`). Candidates come from an inverted index of each question's rarest, which by the
prefix principle (Chaudhuri et al. 2006; Bayardo et al. 2007) misses no pair of that overlap.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import regex

from foreword.data.examples import Example
from foreword.util.folding import folded, pieces

NEAR = 0.9
# Signs with a meaning: of mathematics, of money, pictures; - * / between numbers, and the minus of a number.
_SIGN = regex.compile(r"[\p{Sm}\p{Sc}\p{So}^]|[-*/](?<=\d\s*[-*/])(?=\s*\d)|-(?<!\w-)(?=\d)")
Words = tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Leak:
    """A scored question and a train question like it. how: exact, alike or near."""

    scored: str
    train: str
    how: str


def leaks(train: Iterable[Example], scored: Sequence[Example]) -> list[Leak]:
    """For each scored question that stands in train, its strongest likeness there; in the order of the scored ones."""
    first: dict[str, Example] = {}
    for example in train:
        first.setdefault(example.exact, example)
    distinct = list(first.values())
    plain: dict[tuple[str, ...], Example] = {}
    for example in distinct:
        plain.setdefault(_plain(example.fields), example)
    leak_of: dict[str, Leak] = {}
    unmatched = []
    for example in scored:
        if example.exact in first:
            leak_of[example.id] = Leak(example.id, first[example.exact].id, "exact")
        elif _plain(example.fields) in plain:
            leak_of[example.id] = Leak(example.id, plain[_plain(example.fields)].id, "alike")
        else:
            unmatched.append(example)
    for example, twin in _near(distinct, unmatched):
        leak_of[example.id] = Leak(example.id, twin.id, "near")
    return [leak_of[example.id] for example in scored if example.id in leak_of]


def _plain(fields: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(" ".join(_parts(fields[name])) for name in sorted(fields))


def _parts(text: str) -> tuple[str, ...]:
    """The words of a text and its signs, each in order; of a text of other marks alone, such as brackets, the text itself."""
    parts = (*pieces(text), *_SIGN.findall(text))
    return parts or tuple(filter(None, [folded(text)]))


def _words(example: Example) -> Words:
    """The word set of each field."""
    fields = example.fields
    return tuple(frozenset(_parts(fields[name])) for name in sorted(fields))


def _near(train: Sequence[Example], scored: Sequence[Example]) -> list[tuple[Example, Example]]:
    scored_words = [_words(example) for example in scored]
    train_words = [_words(example) for example in train]
    common = Counter(
        (k, word) for words in (*scored_words, *train_words) for k, field in enumerate(words) for word in field
    )
    index: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, words in enumerate(scored_words):
        for key in _rarest(words, common):
            index[key].append(place)
    best: dict[int, tuple[float, int]] = {}
    for number, words in enumerate(train_words):
        candidates = {place for key in _rarest(words, common) for place in index.get(key, ())}
        for place in candidates:
            overlap = _overlap(scored_words[place], words)
            if overlap >= NEAR and overlap > best.get(place, (0.0, 0))[0]:
                best[place] = (overlap, number)
    return [(scored[place], train[number]) for place, (_, number) in sorted(best.items())]


def _rarest(words: Words, common: Counter[tuple[int, str]]) -> list[tuple[int, str]]:
    """So many of the rarest words that two questions of overlap NEAR share one of them."""
    keys = sorted(((k, word) for k, field in enumerate(words) for word in field), key=lambda key: (common[key], key))
    return keys[: len(keys) - math.ceil(NEAR * len(keys)) + 1]


def _overlap(first: Words, second: Words) -> float:
    """The smallest Jaccard overlap of two questions' fields; two empty fields are equal."""
    least = 1.0
    for mine, yours in zip(first, second, strict=True):
        both, small, large = len(mine & yours), *sorted((len(mine), len(yours)))
        if small < NEAR * large:
            return 0.0
        least = min(least, both / (small + large - both) if large else 1.0)
    return least
