"""A Task: Examples in splits, a Template, metrics, and a fingerprint of them all."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from foreword.data.examples import Example, shared_questions
from foreword.data.template import Template
from foreword.util.errors import ForewordError
from foreword.util.files import canonical

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Task:
    """metrics: names on the metrics shelf, the first is the primary one. source: where the examples come
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
        split_of: dict[str, str] = {}
        for split in SPLITS:
            for example in self.split(split):
                if example.id in split_of:
                    raise ForewordError(
                        f"The task '{self.name}' has the id '{example.id}' in {split_of[example.id]} and in {split}; "
                        "ids must be distinct."
                    )
                split_of[example.id] = split

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of train, dev or test."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[name]

    @functools.cached_property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and what the examples at hand show: for each scored split how many of its questions also stand in
        train, and how many answers would be cut off."""
        remarks = list(self.notes)
        for split in ("dev", "test"):
            shared = shared_questions(self.train, self.split(split))
            if shared:
                total = len(self.split(split))
                remarks.append(
                    f"{shared:,} of {total:,} {split} examples ask a question that also stands in train: those train rows are never shown "
                    "as their demonstration, but whatever is tuned has seen them with their answers, and its scores there say little of "
                    "new questions."
                )
        return (*remarks, *self._wording())

    def _wording(self) -> list[str]:
        """What in the template a user may not have meant: targets that an answer cannot give back, braces that are no places."""
        template, remarks = self.template, []
        read = Counter(
            t.strip() for name in SPLITS for example in self.split(name) if not example.choices for t in example.targets
        )
        for stop in template.stops:
            cut = sum(count for target, count in read.items() if stop in target)
            if cut:
                remarks.append(
                    f"{cut:,} targets hold the stop text {stop!r}, where an answer is cut; give the template "
                    "another stop text."
                )
        whole = [target for target in read if not any(stop in target for stop in template.stops)]
        _, first = template.misread(whole)
        if first:
            lost = sum(read[target] for target in whole if template.misread([target])[0])
            other = template.mended(whole)
            todo = (
                f"give --answer {other.answer!r} --stop {other.stop!r}" if other else "give another --answer or --stop"
            )
            remarks.append(
                f"{lost:,} targets cannot be read back as {template.answer!r} words them: {first!r} is read as "
                f"{template.read(template.reply(first))!r}; {todo}."
            )
        for part, text in (("instruction", template.instruction), ("answer", template.answer.replace("{target}", ""))):
            braces = re.findall(r"\{[^{}]*\}", text)
            if braces:
                remarks.append(
                    f"The {part} holds {braces[0]!r}, which stays as it is there: only the question has places for columns."
                )
        return remarks

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
    if any(example.group for example in examples):
        return _draw_groups(examples, size)
    chosen = sorted(Random("limit").sample(range(len(examples)), size))
    return tuple(examples[index] for index in chosen)


def _draw_groups(examples: tuple[Example, ...], size: int) -> tuple[Example, ...]:
    sizes = Counter(example.group for example in examples)
    taken: set[str] = set()
    for name in Random("limit").sample(list(sizes), len(sizes)):
        size -= sizes[name]
        if size < 0 and taken:
            break
        taken.add(name)
    return tuple(example for example in examples if example.group in taken)
