"""Methods: rows of choices from which Contexts follow; nothing branches on a method's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.prompts.context import Context, Demonstration, Instruction, Segment, Vectors
from foreword.prompts.retrieve import RetrievedExample, seeded
from foreword.util.errors import ForewordError, unknown
from foreword.util.plugins import Plugin, Shelf


@dataclass(frozen=True)
class Method:
    """One way of putting something before the input.

    soft: a trained prefix takes positions before the input. demonstrations: "none", "fixed" (the same for every input) or
    "retrieved" (for each input its own). instruction: the template's instruction is said. k: demonstrations shown. retriever: a
    name on the retrievers' shelf.
    trainable: what is trained, a name on the shelf of trainables; empty where nothing is.
    """

    soft: bool
    demonstrations: str
    instruction: bool
    k: int = 0
    retriever: str = ""
    trainable: str = ""

    @property
    def trains(self) -> bool:
        """Whether anything is trained."""
        return bool(self.trainable)

    def random(self) -> bool:
        """Whether the seed changes anything."""
        return self.trains or self.demonstrations == "fixed" or seeded(self.retriever)

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
    "pt": Method(soft=True, demonstrations="none", instruction=False, trainable="prompt"),
    "ipt": Method(soft=True, demonstrations="retrieved", instruction=False, trainable="prompt"),
    "ipt-fixed": Method(soft=True, demonstrations="fixed", instruction=False, trainable="prompt"),
}

"""Rows that change the backbone instead of what stands before its input: what the others are held against."""
REFERENCES: dict[str, Method] = {
    "full-ft": Method(soft=False, demonstrations="none", instruction=False, trainable="weights"),
    "lora": Method(soft=False, demonstrations="none", instruction=False, trainable="lora"),
}


def _accept(brought: Any, plugin: Plugin) -> Method:
    if not isinstance(brought, Method) or brought.demonstrations not in DEMONSTRATIONS:
        raise plugin.fault("is no foreword.Method")
    if brought.soft and not brought.trains:
        raise plugin.fault("has a soft prompt and names no trainable")
    return brought


DEMONSTRATIONS = ("none", "fixed", "retrieved")

"""Every row by its name: the methods, the references, those of other packages."""
ROWS: Shelf[Method] = Shelf(
    "method", lambda: (*METHODS, *REFERENCES), lambda name: (METHODS | REFERENCES)[name], _accept
)

"""Names that methods had in earlier versions, with those of today."""
FORMER: dict[str, str] = {"mt": "full-ft"}


def current(label: str) -> str:
    """The label with its method's name of today."""
    name = _name(label)
    return FORMER.get(name, name) + label[len(name) :]


def renames(labels: Sequence[str]) -> list[str]:
    """A sentence for each method among these labels that has another name today."""
    names = dict.fromkeys(map(_name, labels))
    return [f"The method '{name}' is now called '{FORMER[name]}'." for name in names if name in FORMER]


def _name(label: str) -> str:
    return label.partition(":")[0].partition("+")[0]


"""What may follow a method's name behind a plus sign, and what it changes."""
SWITCHES: dict[str, Callable[[Method], Method]] = {"instruction": lambda row: replace(row, instruction=True)}


def parse(label: str, *, shots: int, retriever: str, retrievers: Sequence[str]) -> Method:
    """The row that a label names: a method, where wanted a switch, then optionally a retriever and a number of demonstrations, as in
    `icl`, `icl:random`, `icl:bm25:3`, `few:4`, `pt+instruction`, `ipt+instruction:bm25:3`; a method's former name is read as its name
    of today. Raises ForewordError for anything else."""
    label = current(label)
    whole, *qualifiers = label.split(":")
    name, *switches = whole.split("+")
    row = ROWS.named(name)
    for switch in switches:
        row = _switched(row, label, name, switch)
    if row.demonstrations == "none":
        if qualifiers:
            raise ForewordError(
                f"The method '{label}' asks for demonstrations, but '{name}' shows none; write '{name}' alone."
            )
        return row
    row = replace(row, k=shots, retriever=retriever if row.demonstrations == "retrieved" else "")
    counts, names = [part for part in qualifiers if _counts(part)], [part for part in qualifiers if part in retrievers]
    for kind, named in (("numbers of demonstrations", counts), ("retrievers", names)):
        if len(named) > 1:
            raise ForewordError(
                f"The method '{label}' names {len(named)} {kind}, {' and '.join(named)}; keep the one you mean."
            )
    for part in qualifiers:
        if _counts(part):
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


def _counts(part: str) -> bool:
    """Whether a part of a label is a number of demonstrations: from 1 to six digits of ASCII."""
    return part.isascii() and part.isdecimal() and len(part) <= 6 and int(part) > 0


def _switched(row: Method, label: str, name: str, switch: str) -> Method:
    """The row with what a switch of its label changes. Raises ForewordError for a switch that is unknown, or that changes nothing."""
    if switch not in SWITCHES:
        raise unknown("switch of a method", switch, SWITCHES)
    changed = SWITCHES[switch](row)
    if changed == row:
        raise ForewordError(f"The method '{label}' asks for the {switch}, which '{name}' has already; write it once.")
    return changed


def context(
    method: Method,
    template: Template,
    example: Example,
    *,
    soft: int = 0,
    fixed: Sequence[Example] = (),
    find: Callable[[Example, int], list[RetrievedExample]] | None = None,
) -> Context:
    """What this method puts before this example. soft: the soft prompt's length. fixed: the trial's fixed demonstrations.
    find: the retriever's verb."""
    segments: list[Segment] = []
    if method.soft:
        segments.append(Vectors(soft))
    if method.instruction and template.instruction:
        segments.append(Instruction(template.opening()))
    if method.demonstrations == "fixed":
        others = [
            candidate for candidate in fixed if candidate.id != example.id and candidate.question != example.question
        ]
        segments += [_shown(template, other, None, shared=True) for other in others[-method.k :]]
    if method.demonstrations == "retrieved":
        if find is None:
            raise ForewordError(
                "This method retrieves demonstrations, and there is no retriever; give --data with training examples."
            )
        segments += [_shown(template, f.example, f.similarity) for f in find(example, method.k)]
    return Context(tuple(segments))


def _shown(template: Template, example: Example, similarity: float | None, *, shared: bool = False) -> Demonstration:
    question, answer = template.ask(example), template.reply(example.targets[0])
    return Demonstration(
        example.id, template.demonstration(example), similarity, shared, question, answer, template.shown(example)
    )
