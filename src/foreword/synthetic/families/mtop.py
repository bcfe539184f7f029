"""`mini-mtop`, after MTOP: an utterance to a bracketed parse; it refuses an intent inside a slot, which MTOP has.

A group is a speaker with one thing, one of two ways to open, and two values for each slot (the people, the places that one
speaks of); an example has one to three of the slots, in the order of the utterance. The opening tells the intent's verb.
"""

from __future__ import annotations

from random import Random

from foreword.synthetic import names
from foreword.synthetic.families._family import Drawn, Family, Group

OPENINGS: dict[str, str] = {
    "find": "where do we all get a {thing} that",
    "show": "one of us wants some {thing} which",
}
"""An intent's verb, and how an utterance of it opens."""
THINGS: dict[str, dict[str, tuple[str, str]]] = {
    "inn": {"food": ("food", "serves {v}"), "place": ("place", "is in {v}"), "owner": ("name", "belongs to {v}")},
    "ship": {
        "captain": ("name", "sails under {v}"),
        "port": ("place", "sails from {v}"),
        "crew": ("count", "carries {v} sailors"),
    },
    "book": {
        "author": ("name", "was written by {v}"),
        "pages": ("count", "has {v} pages"),
        "subject": ("subject", "deals with {v}"),
    },
    "band": {
        "style": ("style", "plays {v}"),
        "singer": ("name", "sings with {v}"),
        "place": ("place", "comes from {v}"),
    },
    "house": {
        "owner": ("name", "is held by {v}"),
        "place": ("place", "lies near {v}"),
        "colour": ("colour", "is painted {v}"),
    },
}
"""What stands in each slot of a thing, and a clause for it. Clauses and labels are the world's own (each label is what the world
calls its attribute most often, as a real model knows what a word means); the openings, the brackets and the form are new."""


def _group(rng: Random) -> Group:
    entity, verb = rng.choice(sorted(THINGS)), rng.choice(sorted(OPENINGS))
    phrases = THINGS[entity]
    held = {slot: [names.value(kind, rng) for _ in range(2)] for slot, (kind, _) in phrases.items()}

    def draw(rng: Random) -> Drawn:
        filled = [(slot, rng.choice(held[slot])) for slot in rng.sample(sorted(phrases), rng.randint(1, 3))]
        clauses = " and ".join(phrases[slot][1].format(v=value) for slot, value in filled)
        inside = " ".join(f"[sl:{slot} {value} ]" for slot, value in filled)
        return Drawn(f"{OPENINGS[verb].format(thing=entity)} {clauses}", (f"[in:{verb}_{entity} {inside} ]",))

    return draw


FAMILY = Family(
    "mini-mtop",
    _group,
    ("mtop_em", "mtop_template"),
    wordings=(*OPENINGS.values(), *(says for phrases in THINGS.values() for _, says in phrases.values())),
    marks=("[in:", "[sl:"),
    shares="speaker",
)
