"""Forms write one entity's facts: as data on one side, as sentences, queries and parses on the other; each is drawn anew, so that a
reader must look at the examples to know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from foreword.synthetic import names
from foreword.synthetic.domains import Attribute, Domain

_FILLERS = """
the a an of in on at to by for with from and or but so then also that this which who it they has have is
was are were one two three first last next old new good great known called named said made kept found
seen given taken between during before after under over here there now once often never always only both
each some many more most very according list record note data people life world day time house work name
number part place case week point group fact way man woman child water road side end line book story
start hand home town school team game select count where order group limit filter greater sum total top row
rows table column caption age votes rounds cows patients nights pages venue guest guests award coach club city
topic field village crop room meal partner writer writers doctor doctors farmer farmers get
"""
FILLERS = tuple(_FILLERS.split())


def words(rng: Random, least: int, most: int) -> str:
    """Some plain words, among them (one in four) words that no one has read before."""
    count = rng.randint(least, most)
    return " ".join(strange(rng) if rng.random() < 0.25 else rng.choice(FILLERS) for _ in range(count))


def strange(rng: Random) -> str:
    """A word of this document alone, `stimel` or `vadorin`: to write it again one must copy it, piece by piece."""
    return "".join(names.new_word(rng).lower()[: rng.choice((2, 3, 4, 6))] for _ in range(rng.choice((1, 1, 2))))


def odd(rng: Random) -> str:
    """A strange word, or drawn letters, `tereoh`; sometimes with a capital."""
    letters = "eeeetttaaaooiinnsshhrrddllcummwfgypbvk"
    word = strange(rng) if rng.random() < 0.5 else "".join(rng.choices(letters, k=rng.randint(2, 7)))
    return word.capitalize() if rng.random() < 0.1 else word


def _opened(text: str, capital: bool) -> str:
    return text[:1].upper() + text[1:] if capital else text


@dataclass(frozen=True)
class Fact:
    """One attribute of one entity, by the key and the clause that its run of examples uses."""

    attribute: Attribute
    key: str
    says: str


Renderer = Callable[[str, Sequence[tuple[Fact, str]]], str]
"""(entity name, [(fact, value)]) -> text."""


def facts(domain: Domain, count: int, rng: Random) -> list[Fact]:
    """`count` different attributes of a domain in a drawn order, each with a key and a clause."""
    chosen = rng.sample(domain.attributes, min(count, len(domain.attributes)))
    return [Fact(attribute, _key(attribute, rng), rng.choice(attribute.says)) for attribute in chosen]


def _key(attribute: Attribute, rng: Random) -> str:
    """Most often the attribute's first key: what goes without saying, as words do to those who know a language."""
    chance = rng.random()
    if chance < 0.15:
        return strange(rng)
    return attribute.keys[0] if chance < 0.55 else rng.choice(attribute.keys)


def data_form(domain: Domain, rng: Random) -> Renderer:
    """A way to write facts as data: an attribute list, a row, triples, tags, a call or lines."""
    kind = rng.choice(("pairs", "row", "triples", "tags", "call", "pairs", "triples"))
    head = rng.choice(("name", "title", "id", domain.noun, domain.noun, ""))
    return {"pairs": _pairs, "row": _row, "triples": _triples, "tags": _tags, "call": _call}[kind](head, domain, rng)


def _pairs(head: str, domain: Domain, rng: Random) -> Renderer:
    between = rng.choice((" , ", " ; ", " | ", " / ", ", ", "; ", " and "))
    equals = rng.choice((" : ", " = ", " is ", ": ", " -> ", "[ ", "( "))
    closing = {"[ ": " ]", "( ": " )"}.get(equals, "")
    return lambda name, filled: between.join(
        f"{key}{equals.rstrip()} {text}{closing}"
        for key, text in [(head or domain.noun, name)] + [(f.key, v) for f, v in filled]
    )


def _row(head: str, domain: Domain, rng: Random) -> Renderer:
    bar = rng.choice((" | ", " ; ", " , ", " / ", " - "))
    named = rng.random() < 0.5
    line = rng.choice((" :: ", " || ", " ; row : ", " . ", " >> "))

    def render(name: str, filled: Sequence[tuple[Fact, str]]) -> str:
        cells = bar.join([name] + [v for _, v in filled])
        return bar.join([head or domain.noun] + [f.key for f, _ in filled]) + line + cells if named else cells

    return render


def _triples(head: str, domain: Domain, rng: Random) -> Renderer:
    inner = rng.choice((" | ", " , ", " - ", " ; ", " / ", " "))
    opening, closing = rng.choice((("( ", " )"), ("[ ", " ]"), ("< ", " >"), ("", " ."), ("", " ;"), ("", "")))
    between = rng.choice((" ", " , ", " & ", " + ")) if closing else rng.choice((" && ", " ; ", " , "))
    order = rng.choice(("srv", "srv", "rsv", "svr"))

    def triple(name: str, fact: Fact, value: str) -> str:
        return opening + inner.join({"s": name, "r": fact.key, "v": value}[part] for part in order) + closing

    return lambda name, filled: between.join(triple(name, fact, value) for fact, value in filled)


def _tags(head: str, domain: Domain, rng: Random) -> Renderer:
    left, right = rng.choice((("<", ">"), ("[", "]"), ("{", "}"), ("(", ")")))
    closed = rng.random() < 0.5

    def tag(key: str, text: str) -> str:
        return f"{left}{key}{right} {text}" + (f" {left}/{key}{right}" if closed else "")

    return lambda name, filled: " ".join(
        tag(k, v) for k, v in [(head or domain.noun, name)] + [(f.key, v) for f, v in filled]
    )


def _call(head: str, domain: Domain, rng: Random) -> Renderer:
    word = rng.choice(("say", "tell", "show", "give", "inform", "fact", domain.noun))
    return lambda name, filled: f"{word} ( {name} ; " + " ; ".join(f"{f.key} ( {v} )" for f, v in filled) + " )"


def sentence_form(domain: Domain, rng: Random) -> Renderer:
    """A way to write facts as a sentence: an opening, the subject, one clause a fact, joined."""
    stop = rng.choice((".", " .", "", " !"))
    opening = "" if rng.random() < 0.4 else f"{words(rng, 1, 4)} , "
    capital = rng.random() < 0.4
    subject = rng.choice(
        ("{s}", "{s}", "the {n} {s}", "{s} is a {n} that", "the {n} called {s}", "{s} , a {n} ,", "our {n} {s}")
    )
    joiner = rng.choice((" and ", " , and ", " and it ", ". it ", " , ", " ; ", " but ", " , which ", " while it "))
    ending = "" if rng.random() < 0.75 else " " + words(rng, 1, 4)

    def render(name: str, filled: Sequence[tuple[Fact, str]]) -> str:
        clauses = joiner.join(fact.says.replace("{v}", value) for fact, value in filled)
        said_of = subject.replace("{s}", name).replace("{n}", domain.noun)
        return _opened(f"{opening}{said_of} {clauses}{ending}{stop}", capital)

    return render


def free_form(slots: int, rng: Random, *, whole: bool = False) -> Renderer:
    """A sentence no one would say: drawn words around the name and `slots` values in a drawn order; unless `whole` is asked
    for, one of them may be left out."""
    order = rng.sample(range(slots + 1), slots + 1 if whole else rng.randint(max(1, slots), slots + 1))
    pieces = [words(rng, *rng.choice(((0, 0), (1, 1), (1, 3)))) for _ in range(len(order) + 1)]
    stop, capital = rng.choice((".", " .", "", "")), rng.random() < 0.4

    def render(name: str, filled: Sequence[tuple[Fact, str]]) -> str:
        values = [name, *(value for _, value in filled)]
        parts = [pieces[0]]
        for piece, slot in zip(pieces[1:], order, strict=True):
            parts += [values[slot], piece]
        return _opened(" ".join(part for part in parts if part) + stop, capital)

    return render


def parse_form(domain: Domain, rng: Random) -> Renderer:
    """A bracketed parse: an intent made of two words and a labelled slot for each value."""
    style = rng.choice(("colon", "round", "square", "angle", "plain"))
    upper = rng.random() < 0.4
    verb = rng.choice(("get", "find", "show", "set", "add", "send", "play", "open", strange(rng), strange(rng)))
    case: Callable[[str], str] = (lambda word: word.upper()) if upper else (lambda word: word)
    intent = case(f"{verb}_{domain.noun}") if rng.random() < 0.6 else case(verb)
    first = case(rng.choice(("name", "title", "who", "what", domain.noun)))
    frames = {
        "colon": (f"{intent} {{", " {k} : {v}", " }}"),
        "round": (f"( {intent}", " ( {k} {v} )", " )"),
        "square": (f"[{intent}", " [{k} {v} ]", " ]"),
        "angle": (f"<{intent}>", " <{k}> {v}", " </>"),
        "plain": (f"{intent} :", " {k} = {v} ;", ""),
    }
    head, slot, tail = frames[style]

    def render(name: str, filled: Sequence[tuple[Fact, str]]) -> str:
        pairs = [(first, name)] + [(case(f.key), v) for f, v in filled]
        return head.replace("{{", "{") + "".join(slot.format(k=k, v=v) for k, v in pairs) + tail.replace("}}", "}")

    return render


def query_form(domain: Domain, rng: Random) -> Renderer:
    """A query for the entities that have the values: `find x in ships with port = Karo`; the name itself is what is asked."""
    selected = rng.choice(("name", "title", "id", "x", "all", "count"))
    things = rng.choice((domain.noun, domain.plural))
    frame, between = rng.choice(
        (
            (f"find {selected} in {things} with ", " and "),
            (f"get ( {things} , {selected} ) if ", " & "),
            (f"{things} . {selected} : ", " ; "),
            (f"return {selected} of {things} having ", " , "),
            (f"table {things} keep {selected} when ", " also "),
        )
    )
    equals = rng.choice((" = ", " is ", " == ", " : ", " equals "))
    return lambda name, filled: frame + between.join(f"{f.key}{equals}{v}" for f, v in filled)


def question_form(domain: Domain, rng: Random) -> Renderer:
    """A question for the entities that have the values, by their clauses."""
    opening = rng.choice(
        (
            f"which {domain.noun}",
            f"what {domain.noun}",
            f"name the {domain.noun} that",
            f"tell me the {domain.plural} ; each",
            f"is there a {domain.noun} that",
            f"i want a {domain.noun} that",
        )
    )
    joiner = rng.choice((" and ", " and also ", " , ", " but "))
    stop, capital = rng.choice((" ?", "?", "", " .")), rng.random() < 0.4
    return lambda name, filled: (
        _opened(opening, capital) + " " + joiner.join(f.says.replace("{v}", v) for f, v in filled) + stop
    )


def field_form(slot: int) -> Renderer:
    """One value alone (`slot` -1: the name)."""
    return lambda name, filled: name if slot < 0 else filled[min(slot, len(filled) - 1)][1]
