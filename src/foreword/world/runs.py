"""Runs put examples of one drawn task behind each other as a document; it refuses to show two documents the same task twice
on purpose: form, wording and layout are drawn for each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from foreword.world import drills, forms, names
from foreword.world.domains import DOMAINS
from foreword.world.forms import Fact, Renderer

Maker = Callable[[Random], tuple[str, str]]
"""One example of a task: (question, answer)."""


@dataclass(frozen=True)
class Document:
    """text: the whole document. answers: [start, end) character spans that can be told from what stands before them; the rest
    (mostly fresh names) can only be guessed."""

    text: str
    answers: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """What stands before a question, between it and its answer, and between examples."""

    before: str
    between: str
    after: str


DEFAULT = Layout("Input: ", "\nOutput:", "\n\n")
_LABELS = (
    ("Input", "Output"),
    ("Data", "Text"),
    ("Q", "A"),
    ("Question", "Answer"),
    ("Source", "Target"),
    ("Given", "Then"),
    ("From", "To"),
    ("Record", "Words"),
    ("In", "Out"),
    ("Facts", "Sentence"),
    ("Left", "Right"),
    ("Ask", "Reply"),
)


def draw_layout(rng: Random) -> Layout:
    """A layout: labelled lines (foreword's own wording among them) or arrows."""
    chance = rng.random()
    if chance < 0.3:
        return DEFAULT
    if chance < 0.75:
        question, answer = rng.choice(_LABELS)
        mark = rng.choice((":", " :", " =", ">", " ->"))
        return Layout(
            f"{question}{mark} ",
            rng.choice(("\n", "\n", " ; ")) + answer + mark,
            rng.choice(("\n\n", "\n", "\n###\n")),
        )
    arrow = rng.choice((" ->", " =>", " :", " ==", " //", " >>", "\n"))
    return Layout(rng.choice(("", "- ", "* ", "# ")), arrow, rng.choice(("\n", "\n\n", " .\n")))


def draw_task(rng: Random, ease: float = 0.0) -> Maker:
    """A task: a domain, some facts, a form for the question and one for the answer; with the chance `ease` a plain one, whose
    answers name one thing or two."""
    domain = rng.choice(DOMAINS)
    if rng.random() < ease:
        known = forms.facts(domain, 1, rng)
        slots = rng.choice((0, 0, 1))
        answer = rng.choice(
            (forms.field_form(rng.randrange(-1, 1)), forms.free_form(slots, rng), forms.sentence_form(domain, rng))
        )
        return _maker(forms.data_form(domain, rng), answer, known, 0.0)
    known = forms.facts(domain, rng.choice((1, 2, 2, 3, 3, 4)), rng)
    kind = rng.choices(("say", "free", "field", "read", "turn", "query", "parse", "ask"), (30, 26, 7, 6, 5, 11, 12, 3))[
        0
    ]
    whole = True
    if kind == "query":
        return _maker(forms.question_form(domain, rng), forms.query_form(domain, rng), known, 0.3)
    if kind == "parse":
        asked = (
            forms.sentence_form(domain, rng) if rng.random() < 0.3 else forms.free_form(len(known), rng, whole=whole)
        )
        return _maker(asked, forms.parse_form(domain, rng), known, 0.0)
    if kind == "read":
        return _maker(forms.sentence_form(domain, rng), forms.data_form(domain, rng), known, 0.3)
    data = forms.data_form(domain, rng)
    if kind == "say":
        return _maker(data, forms.sentence_form(domain, rng), known, 0.4)
    if kind == "free":
        return _maker(data, forms.free_form(len(known), rng), known, 0.0)
    if kind == "turn":
        return _maker(data, forms.data_form(domain, rng), known, 0.3)
    if kind == "ask":
        return _maker(data, forms.question_form(domain, rng), known, 0.3)
    return _maker(data, forms.field_form(rng.randrange(-1, len(known))), known, 0.0)


def _maker(question: Renderer, answer: Renderer, known: list[Fact], partly: float) -> Maker:
    """partly: how often an example lacks some of the facts."""

    def make(rng: Random) -> tuple[str, str]:
        shown = known
        if rng.random() < partly:
            shown = [fact for fact in known if rng.random() < 0.6] or [rng.choice(known)]
        name = names.name(rng)
        said = [(fact, names.value(fact.attribute.kind, rng)) for fact in shown]
        return question(name, said), answer(name, said)

    return make


def run(rng: Random, room: int, ease: float = 0.0) -> Document:
    """1 to 8 examples of one task (sometimes of two, in turn), about `room` characters at most."""
    layout = draw_layout(rng)
    tasks = [draw_task(rng, ease) for _ in range(1 if rng.random() < 0.85 else 2)]
    count = rng.choice((1, 2, 2, 3, 4, 5, 6, 8))
    text, answers = "", []
    for _ in range(count):
        question, answer = rng.choice(tasks)(rng)
        ahead = (layout.after if text else "") + layout.before + question + layout.between
        if text and len(text) + len(ahead) + len(answer) + 1 > room:
            break
        text += ahead
        answers.append((len(text), len(text) + 1 + len(answer) + len(layout.after)))
        text += " " + answer
    answers[-1] = (answers[-1][0], len(text))
    return Document(text, tuple(answers))


def passage(rng: Random) -> Document:
    """Plain prose: some sentences on one entity, each naming it."""
    domain = rng.choice(DOMAINS)
    name = names.name(rng)
    lines = []
    for fact in forms.facts(domain, rng.randint(2, 4), rng):
        form = forms.sentence_form(domain, rng)
        lines.append(form(name, [(fact, names.value(fact.attribute.kind, rng))]))
    text = " ".join(lines)
    return Document(text, ((len(lines[0]), len(text)),))


_WORD = re.compile(r"(?<![A-Za-z])[a-z]{2,}(?![A-Za-z])")


def reworded(document: Document, rng: Random) -> Document:
    """The same document with some of its plain words replaced, each by one odd word throughout: what it says can no longer be
    known, only read."""
    share = rng.choice((0.15, 0.3, 0.6))
    known = sorted(set(_WORD.findall(document.text)))
    other = {word: forms.odd(rng) for word in known if rng.random() < share}
    text, answers, last = "", [], 0

    def taken(part: str) -> str:
        return _WORD.sub(lambda found: other.get(found.group(), found.group()), part)

    for start, end in document.answers:
        text += taken(document.text[last:start])
        answer = taken(document.text[start:end])
        answers.append((len(text), len(text) + len(answer)))
        text += answer
        last = end
    return Document(text + taken(document.text[last:]), tuple(answers))


def documents(seed: int, *, start: int = 0, room: int = 700, drilled: int = 0, late: int = 0) -> Iterator[Document]:
    """The documents of a seed from number `start` on, without end; each is a function of (seed, number) alone.

    room: characters of a run at most (about a third as many tokens). drilled: the first third of this number are plain copy
    drills; from there to the number, drills of all kinds thin out from all documents to one in thirty, and so they stay, while
    the runs are plain ones. Up to three times the number, plain runs thin out to one in twenty. late: from this
    number on, three documents in five are reworded.
    """
    for number in itertools.count(start):
        rng = Random(f"{seed}/world/{number}")
        document = _document(number, rng, room, drilled)
        yield reworded(document, rng) if number >= late and rng.random() < 0.6 else document


def _document(number: int, rng: Random, room: int, drilled: int) -> Document:
    if 3 * number < drilled:
        return Document(*drills.plain_drill(rng))
    drill = max(1.5 * (1 - number / drilled), 1 / 30) if drilled else 1 / 30
    chance = rng.random()
    if chance < drill:
        return Document(*drills.drill(rng))
    if chance < drill + 0.03:
        return passage(rng)
    ease = min(1.0, max(0.05, 1.5 - 0.5 * number / drilled)) if drilled else 0.05
    return run(rng, room if rng.random() < 0.95 else 2 * room, ease)
