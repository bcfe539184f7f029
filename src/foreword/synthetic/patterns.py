"""Patterns join what is asked with what is demanded, `who` or `how many` with `of a city` or `over an age`, on both sides of a task: in
words, as a query or as a nested form; which column an example is about, only its question tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from foreword.synthetic import names
from foreword.synthetic.domains import Domain
from foreword.synthetic.forms import FILLERS, Fact, odd, strange, words
from foreword.synthetic.reading import Maker, Pair


@dataclass(frozen=True)
class Column:
    """What a table holds of its things. values: what stands in it, of a kind of `names.value`."""

    key: str
    kind: str


@dataclass(frozen=True)
class Case:
    """What one example is about: the slots that a part may name, from letter to text."""

    slots: dict[str, str]

    def fill(self, part: str) -> str:
        return part.format_map(self.slots)


Frame = Callable[[str, list[str]], str]
"""(what is asked, what is demanded) -> one side of an example."""


def patterned(domain: Domain, known: list[Fact], rng: Random) -> Maker:
    """A task of two to four things to ask, each with up to two demands out of one to three; every combination may occur."""
    columns = _columns(known, rng)
    things = {"p": domain.plural if rng.random() < 0.6 else rng.choice(FILLERS), "t": domain.noun}
    sides = rng.choice(
        (("plain", "query"), ("plain", "query"), ("plain", "nested"), ("nested", "plain"), ("query", "plain"))
    )
    count = rng.choice((1, 2, 2, 3))
    acts = [_act(sides, rng) for _ in range(rng.choice((1, 2, 2, 3, 4)))]
    demands = [_demands(sides, rng) for _ in range(count)]
    most = rng.choice((0, 1, 1, 1, 2))
    frames = [_FRAMES[side](rng) for side in sides]
    context = _context(columns, things["p"], rng)
    held = _held(columns, rng)

    def make(rng: Random) -> Pair:
        case = _case(things, held, rng)
        act, chosen = rng.choice(acts), rng.sample(demands, min(most, len(demands)))
        query, reply = (
            case.fill(frame(act[side], [demand[side] for demand in chosen])) for side, frame in enumerate(frames)
        )
        return context(query), reply

    return Maker(make)


def _columns(known: list[Fact], rng: Random) -> list[Column]:
    """The facts' columns and some that no fact tells of, each with a key of its own."""
    columns = {fact.key: Column(fact.key, fact.attribute.kind) for fact in known}
    while len(columns) < 3:
        key = strange(rng) if rng.random() < 0.3 else rng.choice(FILLERS)
        columns[key] = Column(key, rng.choice(("name", "place", "count", "year")))
    return list(columns.values())


def _held(columns: list[Column], rng: Random) -> dict[Column, list[str]]:
    """The few values that stand in each column, or that are drawn for it."""
    return {column: [names.value(column.kind, rng) for _ in range(rng.choice((2, 3, 8)))] for column in columns}


def _case(things: dict[str, str], held: dict[Column, list[str]], rng: Random) -> Case:
    """k, v: a column and a value of it; l, w: another; n: a number; s: a name."""
    first, second = rng.sample(list(held), 2)
    slots = {"k": first.key, "v": rng.choice(held[first]), "l": second.key, "w": rng.choice(held[second])}
    return Case({**things, **slots, "n": names.count(rng), "s": names.name(rng)})


def _word(rng: Random) -> str:
    chance = rng.random()
    return strange(rng) if chance < 0.2 else odd(rng) if chance < 0.3 else rng.choice(FILLERS)


def _key(rng: Random) -> str:
    """A key word of a form: a word, two of them joined, or one in capitals."""
    chance = rng.random()
    if chance < 0.2:
        return f"{_word(rng)}_{rng.choice(FILLERS)}"
    return _word(rng).upper() if chance < 0.3 else _word(rng)


def _act(sides: tuple[str, str], rng: Random) -> tuple[str, ...]:
    """What is asked for, for each side: in words or as the inside of a form; some name a column, the things, a number or a name."""
    slot = rng.choice(("", "", "{l}", "{l}", "{l}", "{p}", "{n}", "{s}"))
    return tuple(_act_side(side, slot, rng) for side in sides)


def _act_side(side: str, slot: str, rng: Random) -> str:
    if side == "plain":
        tail = f"{rng.choice(FILLERS)} the {{p}}" if rng.random() < 0.4 else ""
        return " ".join(part for part in (words(rng, 1, 3), slot, tail) if part)
    if slot:
        return rng.choice((slot, slot, f"{_key(rng)} {slot}", f"{_key(rng)} ( {slot} )", f"{slot} {_key(rng)}"))
    return _key(rng) + rng.choice(("", "", "", " ( * )", " *", " ( {t} )", f" {_key(rng)}"))


def _demands(sides: tuple[str, str], rng: Random) -> tuple[str, ...]:
    """One demand, for each side: of a column and its value, of a column and a number, or of a column alone."""
    slots = rng.choice(("kv", "kv", "kv", "kv", "kn", "kn", "k", "kvw"))
    return tuple(_demand(side, slots, rng) for side in sides)


def _demand(side: str, slots: str, rng: Random) -> str:
    order = list(slots)
    if rng.random() < 0.25:
        rng.shuffle(order)
    named = [f"{{{slot}}}" for slot in order]
    if side == "plain":
        parts = [words(rng, 0, 2), *(part for slot in named for part in (slot, words(rng, 0, 2)))]
        return " ".join(part for part in parts if part)
    if side == "nested":
        inside = rng.choice((" ; ", " , ", " ")).join([*([_key(rng)] if rng.random() < 0.5 else []), *named])
        return f"{_key(rng)} {{{{ {inside} }}}}" if rng.random() < 0.7 else f"{_key(rng)} ( {inside} )"
    sign = rng.choice((" = ", " > ", " < ", " is ", " : ", " == ", f" {_word(rng)} "))
    quote = rng.choice(("", "", ' " ', " ' "))
    last = f"{quote.lstrip()}{named[-1]}{quote.rstrip()}"
    return (f"{_key(rng)} " if rng.random() < 0.3 else "") + sign.join([*named[:-1], last])


def _plain(rng: Random) -> Frame:
    """Words: an opening of the task's own, perhaps, what is asked, the demands, an end."""
    opening = f"{words(rng, 1, 4)} , " if rng.random() < 0.3 else ""
    joined, stop = rng.choice((" and ", " , ", " ", f" {_word(rng)} ")), rng.choice((" ?", " .", ".", ""))
    capital = rng.random() < 0.4

    def render(act: str, demands: list[str]) -> str:
        text = opening + " ".join(part for part in (act, joined.join(demands)) if part) + stop
        return text[:1].upper() + text[1:] if capital and text[:1] != "{" else text

    return render


def _query(rng: Random) -> Frame:
    """A query: a key word, what is asked, where from, a key word, the demands."""
    first = _key(rng)
    source = rng.choice((f" {_key(rng)} {{p}}", f" {_key(rng)} {{p}}", " {p}", ""))
    where, joined = rng.choice((f" {_key(rng)} ", f" {_key(rng)} ", " : ", " | ")), f" {_word(rng)} "
    stop = rng.choice(("", "", " ;", " end"))
    early = rng.random() < 0.2
    return lambda act, demands: (
        (f"{source.strip()} {first} {act}".strip() if early else f"{first} {act}{source}")
        + (where + joined.join(demands) if demands else "")
        + stop
    )


def _nested(rng: Random) -> Frame:
    """A form within a form: what is asked opens a bracket, the demands stand in it."""
    opening, closing = rng.choice(((" {{ ", " }}"), (" {{ ", " }}"), (" ( ", " )"), (" [ ", " ]")))
    between, around = rng.choice((" ; ", " , ", " ")), rng.choice(("", "", _key(rng)))
    rest, tail = rng.choice(("", "{p}", _key(rng))), rng.choice(("", f" = {_word(rng)}"))

    def render(act: str, demands: list[str]) -> str:
        inside = act + opening + between.join([part for part in (rest, *demands) if part] or ["{p}"]) + closing
        return f"{around}{opening}{inside}{tail}{closing}" if around else inside + tail

    return render


_FRAMES: dict[str, Callable[[Random], Frame]] = {"plain": _plain, "query": _query, "nested": _nested}


def _context(columns: list[Column], things: str, rng: Random) -> Callable[[str], str]:
    """What stands behind a question or before it: often the table with its columns, under a name."""
    if rng.random() < 0.4:
        return lambda query: query
    keys = [column.key for column in columns]
    rng.shuffle(keys)
    label = " ".join(_word(rng) for _ in range(rng.choice((0, 1, 2))))
    base = rng.choice(("", names.name(rng), f"{rng.choice(names.WORDS)} {rng.choice(names.WORDS)}"))
    listed = rng.choice((" , ", " | ", " ; ")).join(keys)
    sign = rng.choice((" : ", " | ", " ( "))
    table = f"{label}{sign}{base} {rng.choice((things, ''))}{sign}{listed}".replace("  ", " ").strip()
    between = rng.choice((" ; ", " | ", " // ", "\n"))
    return (lambda query: query + between + table) if rng.random() < 0.7 else (lambda query: table + between + query)
