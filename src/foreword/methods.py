"""Methods are rows of choices from which a Context follows; this room refuses to branch on a method's name, and to train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from foreword.context import Context, Segment, Shown, Vectors, Words
from foreword.data import Example
from foreword.errors import ForewordError, unknown
from foreword.retrieve import Found
from foreword.template import Template


@dataclass(frozen=True)
class Method:
    """One way of putting something before the input.

    soft: a tuned soft prompt. demonstrations: "none", "fixed" (the same for every input) or "retrieved" (for each input its own).
    instruction: the template's instruction is said. k: demonstrations shown. retriever: a name on the retrievers' shelf.
    weights: the backbone's own weights are tuned, in a copy.
    """

    soft: bool
    demonstrations: str
    instruction: bool
    k: int = 0
    retriever: str = ""
    weights: bool = False

    @property
    def trains(self) -> bool:
        """Whether anything is trained."""
        return self.soft or self.weights

    def random(self) -> bool:
        """Whether the seed changes anything."""
        return self.trains or self.demonstrations == "fixed" or self.retriever == "random"

    def bare(self) -> Method:
        """The same row without demonstrations: the least that it puts before an input."""
        return replace(self, demonstrations="none", k=0, retriever="")

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values: part of a trial's key."""
        return asdict(self)


METHODS: dict[str, Method] = {
    "zero": Method(soft=False, demonstrations="none", instruction=True),
    "few": Method(soft=False, demonstrations="fixed", instruction=True),
    "icl": Method(soft=False, demonstrations="retrieved", instruction=True),
    "pt": Method(soft=True, demonstrations="none", instruction=False),
    "ipt-fixed": Method(soft=True, demonstrations="fixed", instruction=False),
    "ipt": Method(soft=True, demonstrations="retrieved", instruction=False),
}

"""Rows that change the backbone instead of what stands before its input: what the others are held against."""
REFERENCES: dict[str, Method] = {
    "mt": Method(soft=False, demonstrations="none", instruction=False, weights=True),
}


def parse(label: str, *, shots: int, retriever: str, retrievers: Sequence[str]) -> Method:
    """The row that a label names: a method, then optionally a retriever and a number of demonstrations, as in `icl`,
    `icl:random`, `icl:bm25:3`, `few:4`. Raises ForewordError for anything else."""
    name, *rest = label.split(":")
    rows = METHODS | REFERENCES
    if name not in rows:
        raise unknown("method", name, rows)
    row = rows[name]
    if row.demonstrations == "none":
        if rest:
            raise ForewordError(
                f"The method '{label}' asks for demonstrations, but '{name}' shows none; write '{name}' alone."
            )
        return row
    row = replace(row, k=shots, retriever=retriever if row.demonstrations == "retrieved" else "")
    for part in rest:
        if part.isdigit() and int(part) > 0:
            row = replace(row, k=int(part))
        elif row.demonstrations == "retrieved" and part in retrievers:
            row = replace(row, retriever=part)
        elif row.demonstrations == "retrieved":
            raise unknown("retriever", part, retrievers)
        else:
            raise ForewordError(
                f"The method '{label}' has '{part}' where a number of demonstrations is expected, as in '{name}:4'."
            )
    return row


def context(
    method: Method,
    template: Template,
    example: Example,
    *,
    soft: int = 0,
    fixed: Sequence[Example] = (),
    find: Callable[[Example, int], list[Found]] | None = None,
) -> Context:
    """What this method puts before this example. soft: the soft prompt's length. fixed: the trial's fixed demonstrations.
    find: the retriever's verb."""
    segments: list[Segment] = []
    if method.soft:
        segments.append(Vectors(soft))
    if method.instruction and template.instruction:
        segments.append(Words(template.opening()))
    if method.demonstrations == "fixed":
        others = [one for one in fixed if one.id != example.id and one.question != example.question]
        segments += [
            Shown(one.id, template.demonstration(one), None, True, template.shown(one)) for one in others[-method.k :]
        ]
    if method.demonstrations == "retrieved":
        if find is None:
            raise ForewordError(
                "This method retrieves demonstrations, and there is no retriever; give --data with training examples."
            )
        segments += [
            Shown(f.example.id, template.demonstration(f.example), f.similarity, False, template.shown(f.example))
            for f in find(example, method.k)
        ]
    return Context(tuple(segments))
