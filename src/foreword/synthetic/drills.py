"""Drills: the plainest reasons to copy, such as a list said twice or a key looked up."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from foreword.synthetic import names
from foreword.synthetic.forms import FILLERS, strange

Spans = tuple[tuple[int, int], ...]


def drill(rng: Random) -> tuple[str, Spans]:
    """A drill's text and the spans that can be told from what stands before them."""
    return rng.choice((plain_drill, _again, _lookup))(rng)


def plain_drill(rng: Random) -> tuple[str, Spans]:
    """One-word names, said twice without anything between: nothing but copying."""
    line = " ".join(rng.choice(names.WORDS) for _ in range(rng.randint(6, 30)))
    return f" {line} {line}", ((2 + len(line), 2 + 2 * len(line)),)


def _words(rng: Random, count: int) -> list[str]:
    makers: tuple[Callable[[Random], str], ...] = (names.name, names.place, names.year, names.count, _plain, strange)
    if rng.random() < 0.4:
        makers = (names.name,)
    return [rng.choice(makers)(rng) for _ in range(count)]


def _plain(rng: Random) -> str:
    return rng.choice(FILLERS)


def _again(rng: Random) -> tuple[str, Spans]:
    """A list of things, said two or three times."""
    between = rng.choice((" ", " , ", " ; ", " | ", " - "))
    line = between.join(_words(rng, rng.randint(3, 20)))
    again = rng.choice(("\n", " ; again :", "\n\n", " =", " ->"))
    text = again.join([" " + line] * rng.randint(2, 3))
    return text, ((1 + len(line) + len(again), len(text)),)


def _lookup(rng: Random) -> tuple[str, Spans]:
    """Pairs, then questions about some of them in another order."""
    size = rng.randint(2, 7)
    keys = list(dict.fromkeys(_words(rng, size)))
    values = _words(rng, len(keys))
    equals = rng.choice((" :", " =", " ->", " is"))
    between = rng.choice((" ;", " ,", "\n", " |"))
    text = between.join(f" {key}{equals} {value}" for key, value in zip(keys, values, strict=True)) + "\n"
    spans = []
    for index in rng.sample(range(len(keys)), len(keys)):
        text += f" {keys[index]}{equals}"
        spans.append((len(text), len(text) + len(values[index]) + 2))
        text += f" {values[index]}\n"
    return text, tuple(spans)
