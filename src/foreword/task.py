"""A Task is Examples in splits, a Template, metrics and a fingerprint of them all; it refuses to load a model."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from foreword.data import Example, shared_questions
from foreword.errors import ForewordError
from foreword.files import canonical
from foreword.template import Template

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Task:
    """metrics: names on the metrics shelf, the first is the one that decides. source: where the examples come
    from, licence.

    notes: what a reader of the scores should know of where the examples come from; not part of the fingerprint.
    """

    name: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    template: Template = field(default_factory=Template)
    metrics: tuple[str, ...] = ("exact_match",)
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ForewordError(f"The task '{self.name}' has no metric; name one, e.g. metrics=('exact_match',).")
        seen: dict[str, str] = {}
        for split in SPLITS:
            for example in self.split(split):
                if example.id in seen:
                    raise ForewordError(
                        f"The task '{self.name}' has the id '{example.id}' in {seen[example.id]} and in {split}; "
                        "ids must be distinct."
                    )
                seen[example.id] = split

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of train, dev or test."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[name]

    @functools.cached_property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and what the examples at hand show: for each scored split how many of its questions also stand in
        train, and how many answers would be cut off."""
        told = list(self.notes)
        for split in ("dev", "test"):
            shared = shared_questions(self.train, self.split(split))
            if shared:
                total = len(self.split(split))
                told.append(
                    f"{shared:,} of {total:,} {split} examples ask a question that also stands in train; "
                    "those train rows are never shown as their demonstration."
                )
        stop = self.template.stop
        if stop:
            cut = sum(stop in t.strip() for name in SPLITS for one in self.split(name) for t in one.targets)
            if cut:
                told.append(
                    f"{cut:,} targets hold the stop text {stop!r}, where an answer is cut; give the template "
                    "another stop text."
                )
        return tuple(told)

    def limited(self, sizes: Mapping[str, int | None]) -> Task:
        """The same task with at most so many examples in each split, drawn by a fixed seed, kept in their order; a group
        that is scored together is kept whole, and one group at least."""
        train, dev, test = (_draw(self.split(name), sizes.get(name)) for name in SPLITS)
        return replace(self, train=train, dev=dev, test=test)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the examples, their splits and order, the wording and the metrics; the name is not part of it."""
        digest = hashlib.sha256(canonical([self.template.as_dict(), list(self.metrics)]).encode())
        for split in SPLITS:
            digest.update(f"\n{split}\n".encode())
            for example in self.split(split):
                digest.update(example.digest().encode())
        return digest.hexdigest()


def _draw(examples: tuple[Example, ...], size: int | None) -> tuple[Example, ...]:
    if size is None or len(examples) <= size:
        return examples
    if any(one.group for one in examples):
        return _draw_groups(examples, size)
    chosen = sorted(Random("limit").sample(range(len(examples)), size))
    return tuple(examples[index] for index in chosen)


def _draw_groups(examples: tuple[Example, ...], size: int) -> tuple[Example, ...]:
    sizes = Counter(one.group for one in examples)
    taken: set[str] = set()
    for name in Random("limit").sample(list(sizes), len(sizes)):
        size -= sizes[name]
        if size < 0 and taken:
            break
        taken.add(name)
    return tuple(one for one in examples if one.group in taken)
