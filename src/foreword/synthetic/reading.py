"""Reading tasks over whole texts: whether two say the same, and what a passage says of one entity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from foreword.synthetic import forms, names
from foreword.synthetic.domains import Domain
from foreword.synthetic.forms import Fact

Pair = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True)
class Maker:
    """A drawn task. make: one example of it. legend: the task shown once with signs for values; None where that shows nothing."""

    make: Callable[[Random], Pair]
    legend: Callable[[], Pair] | None = None


_VERDICTS = (
    ("yes", "no"),
    ("true", "false"),
    ("same", "other"),
    ("one", "two"),
    ("right", "wrong"),
    ("good", "bad"),
    ("equal", "different"),
)


def judge(domain: Domain, known: list[Fact], rng: Random) -> Maker:
    """Two texts: do they say the same? Where they do not, one value differs, or the thing itself."""
    first, second = forms.sentence_form(domain, rng), forms.sentence_form(domain, rng)
    if rng.random() < 0.3:
        first = forms.data_form(domain, rng)
    if rng.random() < 0.2:
        first, second = forms.question_form(domain, rng), forms.question_form(domain, rng)
    facts = known[:2]
    again = [Fact(f.attribute, f.key, rng.choice(f.attribute.says)) for f in facts]
    same, other = rng.choice(_VERDICTS) if rng.random() < 0.7 else (forms.strange(rng), forms.strange(rng))
    first_mark, second_mark, between = rng.choice(
        (
            ("", "", " | "),
            ("first : ", "second : ", " ; "),
            ("a = ", "b = ", "\n"),
            ("", "", " ## "),
            ("1 . ", "2 . ", " "),
        )
    )

    def make(rng: Random) -> Pair:
        name = names.name(rng)
        values = [names.value(fact.attribute.kind, rng) for fact in facts]
        alike = rng.random() < 0.5
        second_name, second_values = name, list(values)
        if not alike:
            place = rng.randrange(len(facts))
            second_values[place] = names.value(facts[place].attribute.kind, rng)
            if rng.random() < 0.3:
                second_name = names.name(rng)
        alike = second_name == name and second_values == values
        texts = (
            first(name, list(zip(facts, values, strict=True))),
            second(second_name, list(zip(again, second_values, strict=True))),
        )
        return first_mark + texts[0] + between + second_mark + texts[1], same if alike else other

    return Maker(make)


def answer(domain: Domain, known: list[Fact], rng: Random) -> Maker:
    """A passage on two or three things, and a question for one value of one of them."""
    facts = known[:2]
    things = rng.choice((1, 2, 2, 3))
    form = forms.sentence_form(domain, rng)
    asking = rng.choice(
        (
            "what is the {k} of {s} ?",
            "{s} : {k} ?",
            "the {k} of {s}",
            "tell me the {k} of {s} .",
            "{s} has which {k} ?",
            "find {k} for {s}",
        )
    )
    back = rng.choice(("which {n} {c} ?", "who {c} ?", "what {c} ?", "name the {n} that {c} ."))
    layout = rng.choice(("{p} ; question : {q}", "{p}\n{q}", "question : {q} ; text : {p}", "{q} | {p}", "{p} ? {q}"))

    def make(rng: Random) -> Pair:
        shown = {names.name(rng): [names.value(f.attribute.kind, rng) for f in facts] for _ in range(things)}
        lines = [form(name, list(zip(facts, values, strict=True))) for name, values in shown.items()]
        name, place = rng.choice(sorted(shown)), rng.randrange(len(facts))
        value = shown[name][place]
        if rng.random() < 0.6:
            question, reply = asking.format(k=facts[place].key, s=name), value
        else:
            clause = facts[place].says.replace("{v}", value)
            question, reply = back.format(n=domain.noun, c=clause), name
        return layout.format(p=" ".join(lines), q=question), reply

    return Maker(make)
