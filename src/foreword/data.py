"""An Example is one question with its answers and an id, made of a user's row; it refuses to know its wording."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from foreword.errors import ForewordError, nearest
from foreword.files import canonical
from foreword.folding import folded

_NO_FACTS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Example:
    """One question with its answers.

    id: distinct within a task. fields: what a template can name (`input`, ...). targets: every accepted answer,
    the first is the one trained on; empty where the answer is not known. choices: the answers to choose from,
    where there is a choice. facts: what only scoring looks at (a database's name, a table), never shown to a model;
    plain values that JSON can hold. Two of them have a meaning everywhere: `group` names the examples that are scored
    together, so that none is left out without the others, and `subset` the part of a split that has scores of its own. A
    name that ends in `_path` says where files lie on this machine, which is no part of the digest.
    """

    id: str
    fields: Mapping[str, str]
    targets: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: _NO_FACTS, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)) if self.facts else _NO_FACTS)

    @functools.cached_property
    def question(self) -> str:
        """The question itself, whatever its id, its case, its blanks and its Unicode form: two examples with equal `question` ask the
        same thing, so that one must not be shown before the other, nor stand in another split."""
        return _one_text({name: folded(value) for name, value in self.fields.items()})

    @functools.cached_property
    def exact(self) -> str:
        """The question character by character, whatever its id."""
        return _one_text(self.fields)

    @property
    def text(self) -> str:
        """The field values, one a line: what retrieval compares."""
        return "\n".join(self.fields.values())

    @property
    def group(self) -> str:
        """The group that it is scored with; empty where it stands alone."""
        return str(self.facts.get("group", ""))

    @property
    def subset(self) -> str:
        """The part of its split that has scores of its own; empty where there is none."""
        return str(self.facts.get("subset", ""))

    def digest(self) -> str:
        """A digest of everything the example holds."""
        whole: list[Any] = [self.id, dict(self.fields), list(self.targets), list(self.choices)]
        if self.facts:
            whole.append({name: value for name, value in self.facts.items() if not name.endswith("_path")})
        return hashlib.sha256(canonical(whole).encode()).hexdigest()


def _one_text(fields: Mapping[str, str]) -> str:
    """Names and values with their lengths, so that no two mappings give the same text."""
    return "".join(f"{len(name)}:{name}={len(fields[name])}:{fields[name]};" for name in sorted(fields))


@dataclass(frozen=True)
class Columns:
    """Which column of a table is what. references: a column of lists of accepted answers; id: a column of
    distinct names."""

    input: str = "input"
    target: str = "target"
    references: str | None = None
    id: str | None = None


def examples(
    rows: Sequence[Mapping[str, Any]],
    *,
    input_column: str = "input",
    target_column: str = "target",
    references_column: str | None = None,
    id_column: str | None = None,
    choices: Sequence[str] = (),
    answers_needed: bool = True,
    origin: str = "the data",
    fields_needed: Sequence[str] = (),
    prefix: str = "row",
) -> list[Example]:
    """The rows of a table as Examples.

    fields_needed: the names in the question template; `input` stands for the input column, any other name for
    the column of that name; columns that no template names are left out, so that equal questions are equal.
    Numbers become text. references_column holds a list of accepted answers, or a JSON list as text; the target,
    where there is one too, comes first. answers_needed: when false, rows may lack their answer. Ids come from
    the id column, or are prefix-1, prefix-2, ... Raises ForewordError naming origin, row and column: a column
    that is not there, an empty or null cell, a value that is no text, a target outside the choices, an id that
    was seen before.
    """
    if not rows:
        raise ForewordError(f"{origin} holds no rows; write at least one.")
    columns = Columns(input_column, target_column, references_column, id_column)
    names = list(dict.fromkeys(fields_needed)) or ["input"]
    for name in names:
        column = columns.input if name == "input" else name
        if column == columns.target:
            flag = "--input-column" if name == "input" else "--question"
            raise ForewordError(
                f"The question would show the column '{column}', which is the answer; name another column by {flag}, or the answer's "
                "own by --target-column."
            )
    made: list[Example] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        where = f"row {number} of {origin}"
        fields = {name: _text(row, columns.input if name == "input" else name, where) for name in names}
        targets = _targets(row, columns, where, answers_needed)
        for target in targets:
            if choices and target not in choices:
                raise ForewordError(
                    f"The target '{target}' in {where} is none of the choices{nearest(target, choices)}"
                )
        name = _text(row, columns.id, where) if columns.id else f"{prefix}-{number}"
        if name in seen:
            raise ForewordError(
                f"The id '{name}' in {where} stands in row {seen[name]} already; give every row its own, "
                "or no id column."
            )
        seen[name] = number
        made.append(Example(name, fields, targets, tuple(choices)))
    return made


def _targets(row: Mapping[str, Any], columns: Columns, where: str, needed: bool) -> tuple[str, ...]:
    answers: list[str] = []
    wanted = columns.references is None or columns.target in row
    if wanted and (needed or not _blank(row.get(columns.target))):
        answers.append(_text(row, columns.target, where))
    if columns.references is not None and (needed or not _blank(row.get(columns.references))):
        answers.extend(_references(row, columns.references, where))
    return tuple(dict.fromkeys(answers))


def _blank(value: Any) -> bool:
    return value is None or value == [] or value != value or (isinstance(value, str) and not value.strip())


def _text(row: Mapping[str, Any], column: str, where: str) -> str:
    if column not in row:
        header = " (does the file start with a header line?)" if column in ("input", "target") else ""
        raise ForewordError(f"There is no column '{column}' in {where}{header}{nearest(column, map(str, row))}")
    return _plain(row[column], f"'{column}' in {where}")


def _plain(value: Any, what: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise ForewordError(f"The value of {what} is null; write its text or leave the row out.")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        kinds = {"bool": "a truth value", "list": "a list", "dict": "an object", "bytes": "bytes"}
        found = kinds.get(type(value).__name__, type(value).__name__)
        raise ForewordError(f"The value of {what} is {found} where text was expected; write it as text.")
    text = value if isinstance(value, str) else str(value)
    if not text.strip():
        raise ForewordError(f"The value of {what} is empty; write its text or leave the row out.")
    return text


def _references(row: Mapping[str, Any], column: str, where: str) -> list[str]:
    if column not in row:
        raise ForewordError(f"There is no column '{column}' in {where}{nearest(column, map(str, row))}")
    value = row[column]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list) or not value:
        raise ForewordError(
            f"The value of '{column}' in {where} is no list of references; write at least one, as a JSON list: "
            '["one answer", "another"].'
        )
    return [_plain(one, f"'{column}' in {where}") for one in value]


def merged(given: Iterable[Example], *, once: bool = True) -> list[Example]:
    """One example per question, character by character, in the order of first appearance, with the targets of all that ask it.
    once: each target stands there once, however often it was given; scores that average over references need it as often.
    An example with choices stays as it is: of two labels for one input one at least is wrong, and each counts."""
    first: dict[str, Example] = {}
    targets: dict[str, list[str]] = {}
    for example in given:
        key = f"{example.exact}id={example.id}" if example.choices else example.exact
        first.setdefault(key, example)
        targets.setdefault(key, []).extend(example.targets)
    kept = {question: dict.fromkeys(found) if once else found for question, found in targets.items()}
    return [replace(example, targets=tuple(kept[question])) for question, example in first.items()]


def divided(given: Sequence[Example], sizes: Sequence[int], *, seed: int = 0) -> list[list[Example]]:
    """Parts that share no question: `sizes` counts the distinct questions of each part, the last part gets the
    rest.

    The questions are ordered by a digest of (seed, question as it is written), so that neither the order of the rows nor their
    number decides which questions come first; within a part the rows keep their order.
    """
    written: dict[str, str] = {}
    for example in given:
        written[example.question] = min(example.exact, written.get(example.question, example.exact))
    questions = sorted(written, key=lambda question: _rank(written[question], seed))
    part_of: dict[str, int] = {}
    start = 0
    for part, size in enumerate(sizes):
        part_of.update((question, part) for question in questions[start : start + size])
        start += size
    parts: list[list[Example]] = [[] for _ in range(len(sizes) + 1)]
    for example in given:
        parts[part_of.get(example.question, len(sizes))].append(example)
    return parts


def _rank(question: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/split/{question}".encode()).digest()


def shared_questions(train: Iterable[Example], scored: Iterable[Example]) -> int:
    """How many of the scored examples ask a question that also stands in train."""
    known = {example.question for example in train}
    return sum(example.question in known for example in scored)
