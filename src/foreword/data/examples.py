"""An Example: one question with its answers and an id, made from a row of a user's table; its wording is the Template's."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from foreword.data.conversations import flattened
from foreword.data.readers import hint
from foreword.data.readers.cells import blank, list_of, same_number, text_of
from foreword.util.errors import ForewordError, nearest
from foreword.util.files import canonical
from foreword.util.folding import folded

_NO_ANSWER = "write its text, leave the row out, or give --allow-empty where no answer is one"
_NO_FACTS: Mapping[str, Any] = MappingProxyType({})
_PLACE = re.compile(r"(\d{1,9})(?:\.0+)?")  # a whole number, also as a table with gaps has it: 1.0
LONGEST_CLUSTER = 60  # letters of what a cluster shares, before a digest stands for it


@dataclass(frozen=True)
class Example:
    """One question with its answers.

    id: distinct within a task. fields: what a template can name (`input`, ...). targets: every accepted answer,
    the first is the one trained on; empty where the answer is not known. choices: the answers to choose from,
    where there is a choice. facts: what only scoring looks at (a database's name, a table), never shown to a model;
    plain values that JSON can hold. Two of them have a meaning everywhere: `group` names the examples that are scored
    together, so that none is left out without the others, and `subset` the part of a split that has scores of its own. A
    name that ends in `_path` says where files lie on this machine, which is no part of the digest. cluster: what it shares with other
    examples (a passage, a table, a data base), as `shared` names it; its group where it has one and nothing else is said, empty where it
    stands alone. It changes no answer and no score, only how sure a score is, so that it is no part of the digest nor of any key.
    """

    id: str
    fields: Mapping[str, str]
    targets: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: _NO_FACTS, hash=False)
    cluster: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)) if self.facts else _NO_FACTS)
        if not self.cluster and self.group:
            object.__setattr__(self, "cluster", shared("group", self.group))

    @functools.cached_property
    def question(self) -> str:
        """The question itself, whatever its id, its case, its blanks and its Unicode form: two examples with equal `question` ask the
        same thing, so that one must not be shown before the other, nor stand in another split."""
        return _as_text({name: folded(value) for name, value in self.fields.items()})

    @functools.cached_property
    def exact(self) -> str:
        """The question character by character, whatever its id."""
        return _as_text(self.fields)

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
        """A digest of everything the example holds, but its cluster and where files lie."""
        whole: list[Any] = [self.id, dict(self.fields), list(self.targets), list(self.choices)]
        if self.facts:
            whole.append({name: value for name, value in self.facts.items() if not name.endswith("_path")})
        return hashlib.sha256(canonical(whole).encode()).hexdigest()


def shared(kind: str, *what: str) -> str:
    """The name of a cluster: `data base: concert_singer`. kind: of what its examples share. what: which one that is, by its name or by all
    of its text, of which a digest is kept where it is long; empty where there is none."""
    if not any(what):
        return ""
    whole = " / ".join(what)
    short = len(whole) <= LONGEST_CLUSTER and len(whole.splitlines()) == 1
    return f"{kind}: {whole if short else hashlib.sha256(canonical(list(what)).encode()).hexdigest()[:12]}"


def shared_kind(clusters: Iterable[str]) -> str:
    """What the examples of each of these clusters share; empty where that is not the same in all."""
    kinds = {cluster.partition(": ")[0] if ": " in cluster else "" for cluster in clusters}
    return kinds.pop() if len(kinds) == 1 else ""


def _as_text(fields: Mapping[str, str]) -> str:
    """Names and values with their lengths, so that no two mappings give the same text."""
    return "".join(f"{len(name)}:{name}={len(fields[name])}:{fields[name]};" for name in sorted(fields))


@dataclass(frozen=True)
class Columns:
    """Which column of a table is what. references: a column of lists of accepted answers; id: a column of distinct names; choices: a
    column of lists of answers to choose from, each row its own. index: the target column holds the answer's place among the choices,
    counted from this number. cluster: a column of what rows share (a passage, a document), empty or missing in a row that stands
    alone."""

    input: str = "input"
    target: str = "target"
    references: str | None = None
    id: str | None = None
    choices: str | None = None
    index: int | None = None
    cluster: str | None = None


def examples(
    rows: Sequence[Mapping[str, Any]],
    columns: Columns | None = None,
    *,
    choices: Sequence[str] = (),
    answers_needed: bool = True,
    empty_answers: bool = False,
    origin: str = "the data",
    fields_needed: Sequence[str] = (),
    prefix: str = "row",
) -> list[Example]:
    """The rows of a table as Examples.

    fields_needed: the names in the question template; `input` stands for the input column, any other name for
    the column of that name; columns that no template names are left out, so that equal questions are equal.
    Numbers become text; answers and choices are stripped of white space at their ends. A references column holds a list of
    accepted answers, or a JSON list as text; the target, where there is one too, comes first. answers_needed: when false, rows may
    lack their answer. empty_answers: an empty target is an answer. Ids come from
    the id column, or are prefix-1, prefix-2, ... Raises ForewordError naming origin, row and column: a column
    that is not there, an empty or null cell, a value that is no text, a target outside the choices, an id that
    was seen before. Rows of `messages`, or of `prompt` and `completion`, are read as `conversations.flattened` does.
    """
    if not rows:
        raise ForewordError(f"{origin} holds no rows; write at least one.")
    columns = columns or Columns()
    rows = flattened(
        rows, origin, input_column=columns.input, target_column=columns.target, answers_needed=answers_needed
    )
    shared = tuple(choice.strip() for choice in choices)
    if shared and columns.choices:
        raise ForewordError("Both choices and a column of choices are given; keep the one you mean.")
    if columns.cluster and not any(columns.cluster in row for row in rows):
        _there(rows[0], columns.cluster, f"row 1 of {origin}")
    names = _names(columns, fields_needed)
    parsed: list[Example] = []
    row_of: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        where = f"row {number} of {origin}"
        fields = {name: _text(row, columns.input if name == "input" else name, where) for name in names}
        own = _choices(row, columns.choices, where) if columns.choices else shared
        targets = _targets(row, columns, where, answers_needed, empty_answers)
        if columns.index is not None and targets and not own:
            raise ForewordError(
                f"The target in {where} is to be a place among choices, from {columns.index} on, and there are none; give --choices or "
                "--choices-column, or leave --target-index out."
            )
        targets = tuple(_chosen(target, own, row, columns, where) for target in targets) if own else targets
        name = _text(row, columns.id, where) if columns.id else f"{prefix}-{number}"
        if name in row_of:
            raise ForewordError(
                f"The id '{name}' in {where} stands in row {row_of[name]} already; give every row its own, "
                "or no id column."
            )
        row_of[name] = number
        cluster = _cluster(row, columns.cluster, where) if columns.cluster else ""
        parsed.append(Example(name, fields, tuple(dict.fromkeys(targets)), own, cluster=cluster))
    return parsed


def _cluster(row: Mapping[str, Any], column: str, where: str) -> str:
    if blank(row.get(column)):
        return ""
    kind = column.replace(": ", " ")  # a colon stands between it and which one it is
    return shared(kind, _text(row, column, where).strip())


def _names(columns: Columns, fields_needed: Sequence[str]) -> list[str]:
    """The fields that a question needs. Raises ForewordError where one of them is the answer."""
    names = list(dict.fromkeys(fields_needed)) or ["input"]
    for name in names:
        column = columns.input if name == "input" else name
        if column in (columns.target, columns.references):
            flag = "--input-column" if name == "input" else "--question"
            raise ForewordError(
                f"The question would show the column '{column}', which is the answer; name another column by {flag}, or the answer's "
                "own by --target-column."
            )
    return names


def _choices(row: Mapping[str, Any], column: str, where: str) -> tuple[str, ...]:
    what = f"'{column}' in {where}"
    _there(row, column, where)
    own = tuple(text.strip() for text in list_of(row[column], what, "choices"))
    twice = next((choice for place, choice in enumerate(own) if choice in own[:place]), None)
    if twice is not None or len(own) < 2:
        wrong = f"holds the choice '{twice}' twice" if twice is not None else "holds one choice"
        raise ForewordError(f"The value of {what} {wrong}; give every row at least two choices, each once.")
    return own


def _chosen(target: str, choices: tuple[str, ...], row: Mapping[str, Any], columns: Columns, where: str) -> str:
    """The choice that a target names: itself, by its place, by its label in a column of choices with labels, or as a number."""
    written = _PLACE.fullmatch(target)
    number = int(written[1]) if written else -1
    counts = [count for count in (0, 1) if 0 <= number - count < len(choices)]  # by which it is a place
    if columns.index is not None and (target.isdecimal() or target not in choices):
        if columns.index not in counts:
            last = columns.index + len(choices) - 1
            other = f", or give --target-index {counts[0]}" if counts else ""
            raise ForewordError(
                f"The target '{target}' in {where} is no place among its {len(choices)} choices, which are counted from "
                f"{columns.index} to {last}; mend that row{other}."
            )
        return choices[number - columns.index]
    if target in choices:
        return target
    labels = row[columns.choices].get("label") if columns.choices and isinstance(row[columns.choices], dict) else None
    if isinstance(labels, list) and len(labels) == len(choices) and target in map(str, labels):
        return choices[[str(label) for label in labels].index(target)]
    same = [choice for choice in choices if same_number(target, choice)]
    if len(same) == 1:
        return same[0]
    by_place = f"; where it is the answer's place among the choices, give --target-index {counts[0]}" if counts else ""
    raise ForewordError(f"The target '{target}' in {where} is none of the choices{by_place}{nearest(target, choices)}")


def _targets(row: Mapping[str, Any], columns: Columns, where: str, needed: bool, empty: bool) -> tuple[str, ...]:
    answers: list[str] = []
    single = columns.references is None or (columns.target in row and columns.target != columns.references)
    if single and (needed or not blank(row.get(columns.target))):
        _there(row, columns.target, where)
        what = f"'{columns.target}' in {where}"
        if isinstance(row[columns.target], list) and row[columns.target] and columns.references is None:
            raise ForewordError(
                f"The value of {what} is a list where text was expected; write it as text, or give --references-column {columns.target} "
                "where each of it is an accepted answer."
            )
        answers.append(text_of(row[columns.target], what, empty=empty, todo=_NO_ANSWER))
    if columns.references is not None and (needed or not blank(row.get(columns.references))):
        _there(row, columns.references, where)
        answers += list_of(row[columns.references], f"'{columns.references}' in {where}", empty=empty)
    return tuple(dict.fromkeys(answer.strip() for answer in answers))


def _there(row: Mapping[str, Any], column: str, where: str) -> None:
    if column not in row:
        names = [str(name) for name in row]
        flags = hint(names) if column in ("input", "target") else ""
        header = " (does the file start with a header line?)" if column in ("input", "target") and not flags else ""
        raise ForewordError(f"There is no column '{column}' in {where}{header}{flags}{nearest(column, names)}")


def _text(row: Mapping[str, Any], column: str, where: str) -> str:
    _there(row, column, where)
    return text_of(row[column], f"'{column}' in {where}")


def merged(examples: Iterable[Example], *, once: bool = True) -> list[Example]:
    """One example per question, character by character, in the order of first appearance, with the targets of all that ask it.
    once: each target stands there once, however often it was given; scores that average over references need it as often. Its cluster is
    the first that is named.
    An example with choices stays as it is: of two labels for one input one at least is wrong, and each counts."""
    first: dict[str, Example] = {}
    targets: dict[str, list[str]] = {}
    for example in examples:
        key = f"{example.exact}id={example.id}" if example.choices else example.exact
        earlier = first.setdefault(key, example)
        if example.cluster and not earlier.cluster:
            first[key] = replace(earlier, cluster=example.cluster)
        targets.setdefault(key, []).extend(example.targets)
    targets_of = {question: dict.fromkeys(repeated) if once else repeated for question, repeated in targets.items()}
    return [replace(example, targets=tuple(targets_of[question])) for question, example in first.items()]


def by_question(examples: Iterable[Example]) -> list[Example]:
    """The examples, those that ask one question as a cluster where they name none: copies of a row are no more evidence than one."""
    rows = list(examples)
    count = Counter(example.question for example in rows)
    return [
        replace(example, cluster=f"question: {hashlib.sha256(example.question.encode()).hexdigest()[:12]}")
        if count[example.question] > 1 and not example.cluster
        else example
        for example in rows
    ]


def divided(
    examples: Sequence[Example], sizes: Sequence[int], *, seed: int = 0, whole: bool = False
) -> list[list[Example]]:
    """Parts that share no question: `sizes` counts the distinct questions of each part, the last part gets the
    rest. whole: they share no cluster either, so that a part has about as many questions, and one cluster at least where there are enough.

    The questions are ordered by a digest of (seed, question as it is written), so that neither the order of the rows nor their
    number decides which questions come first; within a part the rows keep their order.
    """
    written: dict[str, str] = {}
    for example in examples:
        written[example.question] = min(example.exact, written.get(example.question, example.exact))
    units = together(examples) if whole else [[question] for question in written]
    units.sort(key=lambda unit: _rank(min(written[question] for question in unit), seed))
    part_of: dict[str, int] = {}
    for part, size in enumerate(sizes):
        behind = len(sizes) - part if whole else 0  # parts, each of which needs a unit
        chosen = _chosen_units([len(unit) for unit in units], size, len(units) - behind)
        part_of.update((question, part) for place in chosen for question in units[place])
        units = [unit for place, unit in enumerate(units) if place not in chosen]
    parts: list[list[Example]] = [[] for _ in range(len(sizes) + 1)]
    for example in examples:
        parts[part_of.get(example.question, len(sizes))].append(example)
    return parts


def _chosen_units(sizes: Sequence[int], size: int, most: int) -> set[int]:
    """The places of units that together hold about `size` questions: at most so many, in their order, without those that would go
    further beyond it than what is lacking; the smallest where each would."""
    chosen: set[int] = set()
    lacking = size
    for place, own in enumerate(sizes):
        if lacking <= 0 or len(chosen) >= most:
            break
        if own - lacking <= lacking:
            chosen.add(place)
            lacking -= own
    if not chosen and size > 0 and most > 0:
        return {min(range(len(sizes)), key=sizes.__getitem__)}
    return chosen


def together(examples: Iterable[Example]) -> list[list[str]]:
    """The questions of these examples by what may not be divided: those that share a cluster, or each of which shares one with a third."""
    clusters_of: dict[str, set[str]] = {}
    questions_of: dict[str, set[str]] = {}
    for example in examples:
        own = clusters_of.setdefault(example.question, set())
        if example.cluster:
            own.add(example.cluster)
            questions_of.setdefault(example.cluster, set()).add(example.question)
    units = []
    for first in list(clusters_of):
        waiting, unit = [first], []
        while waiting:
            if (question := waiting.pop()) in clusters_of:
                unit.append(question)
                waiting += [other for cluster in clusters_of.pop(question) for other in questions_of.pop(cluster, ())]
        units += [unit] if unit else []
    return units


def _rank(question: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/split/{question}".encode()).digest()


def shared_questions(train: Iterable[Example], scored: Iterable[Example]) -> int:
    """How many of the scored examples ask a question that also stands in train."""
    known = {example.question for example in train}
    return sum(example.question in known for example in scored)


def counted(count: int, noun: str) -> str:
    """`1 question`, `2,000 questions`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
