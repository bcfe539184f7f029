"""`mini-dart`, after DART: triples about one thing to a sentence, three references; it refuses a set of no triples.

A thing is of one of three kinds with four relations each. A group has a kind, an order of its relations and one relation whose
value all its things share; an example has that relation and up to two others.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from foreword.synthetic import names
from foreword.synthetic.families._family import Drawn, Family, Group, long_name


@dataclass(frozen=True)
class Relation:
    """kind: what its values are. says: the clause to train on. also: another way to say it."""

    kind: str
    says: str
    also: str


KINDS: dict[str, dict[str, Relation]] = {
    "player": {
        "club": Relation("name", "signed for {v}", "plays for {v}"),
        "birth": Relation("year", "was born in {v}", "is from {v}"),
        "goals": Relation("count", "made {v} goals", "scored {v} goals"),
        "town": Relation("place", "grew up in {v}", "lives in {v}"),
    },
    "ship": {
        "captain": Relation("name", "sails under {v}", "is commanded by {v}"),
        "harbour": Relation("place", "is kept at {v}", "sails from {v}"),
        "launched": Relation("year", "first sailed in {v}", "was built in {v}"),
        "crew": Relation("count", "carries {v} sailors", "has {v} sailors"),
    },
    "book": {
        "author": Relation("name", "was written by {v}", "is by {v}"),
        "printed": Relation("year", "came out in {v}", "was printed in {v}"),
        "pages": Relation("count", "runs to {v} pages", "has {v} pages"),
        "subject": Relation("subject", "tells of {v}", "deals with {v}"),
    },
}
"""Keys and clauses are the world's own, as English words are known to a real model; what is new is the form of the triples, which of
its clauses a relation takes, and the sentence around them."""
FRAMES = (
    "Of the {kind} {s} they say : it",
    "{s} , it is said , is a {kind} which",
    "Here stands the {kind} {s} , which",
)


def sentences(kind: str, entity: str, pairs: list[tuple[str, str]]) -> tuple[str, str, str]:
    """The references for (relation, value) pairs: the one to train on, one in other words, one in the other order."""
    says = [KINDS[kind][relation].says.format(v=value) for relation, value in pairs]
    also = [KINDS[kind][relation].also.format(v=value) for relation, value in pairs]
    first, second, third = (frame.format(kind=kind, s=entity) for frame in FRAMES)
    return (
        f"{first} {' , then '.join(says)} .",
        f"{second} {' and '.join(also)}.",
        f"{third} {' and '.join(reversed(says))}.",
    )


def _group(rng: Random) -> Group:
    kind = rng.choice(sorted(KINDS))
    relations = KINDS[kind]
    order = rng.sample(sorted(relations), len(relations))
    fixed = next(relation for relation in order if relations[relation].kind in ("name", "place"))
    shared = long_name(rng)

    def draw(rng: Random) -> Drawn:
        entity = names.name(rng)
        others = rng.sample([relation for relation in order if relation != fixed], rng.randint(0, 2))
        pairs = [
            (relation, shared if relation == fixed else names.value(relations[relation].kind, rng))
            for relation in order
            if relation == fixed or relation in others
        ]
        triples = " | ".join(f"{entity} :: {relation} :: {value}" for relation, value in pairs)
        return Drawn(triples, sentences(kind, entity, pairs))

    return draw


FAMILY = Family(
    "mini-dart",
    _group,
    ("bleu",),
    wordings=(
        *FRAMES,
        *(
            clause
            for relations in KINDS.values()
            for relation in relations.values()
            for clause in (relation.says, relation.also)
        ),
    ),
    marks=tuple(f" :: {relation} :: " for relations in KINDS.values() for relation in relations),
    shares="source",
)
