"""Documents: examples of one drawn task one after another, with form, wording and layout drawn for each document."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from foreword.synthetic import drills, forms, names
from foreword.synthetic.domains import DOMAINS, Domain
from foreword.synthetic.forms import Fact, Renderer
from foreword.synthetic.patterns import patterned
from foreword.synthetic.reading import Maker, Pair, answer, judge


@dataclass(frozen=True)
class Document:
    """text: the whole document. answers: [start, end) character spans that can be told from what stands before them; the rest
    (mostly fresh names) can only be guessed."""

    text: str
    answers: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class DocumentLayout:
    """What stands before a question, between it and its answer, and between examples."""

    before: str
    between: str
    after: str


DEFAULT = DocumentLayout("Input: ", "\nOutput:", "\n\n")
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


def draw_layout(rng: Random) -> DocumentLayout:
    """A layout: labelled lines (foreword's own wording among them) or arrows."""
    chance = rng.random()
    if chance < 0.3:
        return DEFAULT
    if chance < 0.75:
        question, answer = rng.choice(_LABELS)
        mark = rng.choice((":", " :", " =", ">", " ->"))
        return DocumentLayout(
            f"{question}{mark} ",
            rng.choice(("\n", "\n", " ; ")) + answer + mark,
            rng.choice(("\n\n", "\n", "\n###\n")),
        )
    arrow = rng.choice((" ->", " =>", " :", " ==", " //", " >>", "\n"))
    return DocumentLayout(rng.choice(("", "- ", "* ", "# ")), arrow, rng.choice(("\n", "\n\n", " .\n")))


def draw_task(rng: Random, ease: float = 0.0) -> Maker:
    """A task: a domain, some facts, a form for the question and one for the answer; with the chance `ease` a plain one, whose
    answers name one thing or two."""
    domain = rng.choice(DOMAINS)
    if rng.random() < ease:
        known = forms.facts(domain, rng.choice((1, 1, 2)), rng)
        slots = rng.choice((0, 0, 1))
        answer = rng.choice(
            (
                forms.field_form(rng.randrange(-1, len(known))),
                forms.free_form(slots, rng),
                forms.sentence_form(domain, rng),
            )
        )
        return _maker(forms.data_form(domain, rng), answer, known, 0.0)
    known = forms.facts(domain, rng.choice((1, 2, 2, 3, 3, 4)), rng)
    kind = rng.choices(tuple(_KINDS), tuple(_KINDS.values()))[0]
    return _of_kind(kind, domain, known, rng)


_KINDS = {
    "say": 24,
    "free": 16,
    "field": 4,
    "read": 4,
    "turn": 4,
    "query": 6,
    "parse": 11,
    "pattern": 24,
    "ask": 3,
    "judge": 4,
    "answer": 6,
}
"""What a task asks for, and how often: data to a sentence (word for word by clause, or freely), to one value, a sentence to data,
data to data, a question to a query, a sentence to a parse, what is asked and demanded to a form or back, data to a question, whether
two texts say the same, a value of a passage."""


def _of_kind(kind: str, domain: Domain, known: list[Fact], rng: Random) -> Maker:
    if kind == "query":
        return _maker(forms.question_form(domain, rng), forms.query_form(domain, rng), known, 0.3)
    if kind == "parse":
        question = (
            forms.sentence_form(domain, rng) if rng.random() < 0.3 else forms.free_form(len(known), rng, whole=True)
        )
        return _maker(question, forms.parse_form(domain, rng), known, 0.0)
    if kind == "read":
        return _maker(forms.sentence_form(domain, rng), forms.data_form(domain, rng), known, 0.3)
    if kind == "pattern":
        return patterned(domain, known, rng)
    if kind == "judge":
        return judge(domain, known, rng)
    if kind == "answer":
        return answer(domain, known, rng)
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

    def make(rng: Random) -> Pair:
        shown = known
        if rng.random() < partly:
            shown = [fact for fact in known if rng.random() < 0.6] or [rng.choice(known)]
        name = names.name(rng)
        filled = [(fact, names.value(fact.attribute.kind, rng)) for fact in shown]
        return question(name, filled), answer(name, filled)

    def legend() -> Pair:
        filled = [(fact, f"[{fact.key}]") for fact in known]
        return question("[name]", filled), answer("[name]", filled)

    return Maker(make, legend)


def run(rng: Random, room: int, ease: float = 0.0) -> Document:
    """1 to 8 examples of one task (or of two or three, in turn), about `room` characters at most; one run in four opens with a legend:
    its tasks, each shown once with signs for values."""
    layout = draw_layout(rng)
    tasks = [draw_task(rng, ease) for _ in range(rng.choices((1, 2, 3), (70, 20, 10))[0])]
    pairs = []
    if rng.random() < 0.25:
        pairs += [legend() for legend in (task.legend for task in tasks) if legend]
        room += sum(len(part) for pair in pairs for part in pair)
    known = len(pairs)
    for _ in range(rng.choice((1, 2, 2, 3, 4, 5, 6, 8))):
        pairs.append(rng.choice(tasks).make(rng))
    text, answers = "", list[tuple[int, int]]()
    for place, (question, reply) in enumerate(pairs):
        ahead = (layout.after if text else "") + layout.before + question + layout.between
        if text and len(text) + len(ahead) + len(reply) + 1 > room:
            break
        text += ahead
        if place >= known:
            answers.append((len(text), len(text) + 1 + len(reply) + len(layout.after)))
        text += " " + reply
    if answers:
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
        return _WORD.sub(lambda match: other.get(match.group(), match.group()), part)

    for start, end in document.answers:
        text += taken(document.text[last:start])
        answer = taken(document.text[start:end])
        answers.append((len(text), len(text) + len(answer)))
        text += answer
        last = end
    return Document(text + taken(document.text[last:]), tuple(answers))


def documents(seed: int, *, start: int = 0, room: int = 800, drilled: int = 0) -> Iterator[Document]:
    """The documents of a seed from number `start` on, without end; each is a function of (seed, number) alone.

    room: characters of a run at most (about a third as many tokens). drilled: the first third of this number are plain copy
    drills; from there to the number, drills of all kinds thin out from all documents to one in thirty, and so they stay, while
    the runs are plain ones. Up to three times the number, plain runs thin out to one in twenty, and reworded documents grow to
    one in two.
    """
    for number in itertools.count(start):
        rng = Random(f"{seed}/world/{number}")
        far = min(1.0, max(0.0, (number / drilled - 1) / 2)) if drilled else 1.0  # how far behind the drills
        document = _document(number, rng, room, drilled, far)
        yield reworded(document, rng) if rng.random() < 0.5 * far else document


def _document(number: int, rng: Random, room: int, drilled: int, far: float) -> Document:
    if 3 * number < drilled:
        return Document(*drills.plain_drill(rng))
    drill = max(1.5 * (1 - number / drilled), 1 / 30) if drilled else 1 / 30
    chance = rng.random()
    if chance < drill:
        return Document(*drills.drill(rng))
    if chance < drill + 0.03:
        return passage(rng)
    return run(rng, room if rng.random() < 0.95 else 2 * room, max(0.05, 1 - far))
