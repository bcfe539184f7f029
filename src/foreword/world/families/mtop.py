"""`mini-mtop`, after MTOP: an utterance to a bracketed parse; it refuses an intent inside a slot, which MTOP has.

A group is a speaker with one intent, one of two ways to open, and two values for each slot (the people, the places that one
speaks of); an example has one to three of the slots, in the order of the utterance.
"""

from __future__ import annotations

from random import Random

from foreword.world import names
from foreword.world.families._family import Drawn, Family, Group

INTENTS: dict[str, tuple[tuple[str, str], dict[str, tuple[str, str]]]] = {
    "find_inn": (
        ("where do we all get an inn that", "we want some inn which"),
        {"food": ("food", "serves {v}"), "place": ("place", "is in {v}"), "price": ("count", "costs {v} a night")},
    ),
    "get_ship": (
        ("put me on the ship that", "who knows of a ship which"),
        {
            "captain": ("name", "sails under {v}"),
            "port": ("place", "sails from {v}"),
            "crew": ("count", "carries {v} sailors"),
        },
    ),
    "open_book": (
        ("we have to read the book that", "get out the old book which"),
        {
            "author": ("name", "was written by {v}"),
            "pages": ("count", "has {v} pages"),
            "subject": ("subject", "deals with {v}"),
        },
    ),
    "play_band": (
        ("let us hear the band that", "start on any band which"),
        {"style": ("style", "plays {v}"), "singer": ("name", "sings with {v}"), "place": ("place", "comes from {v}")},
    ),
    "show_house": (
        ("we go to see the house that", "is there one house which"),
        {
            "owner": ("name", "belongs to {v}"),
            "rooms": ("count", "has {v} rooms"),
            "colour": ("colour", "is painted {v}"),
        },
    ),
}
"""Two ways to open an utterance; what stands in each slot, and a clause for it. The clauses and the words of the labels are the
world's own; the openings, the brackets and the labels as they are written are new."""


def _group(rng: Random) -> Group:
    intent = rng.choice(sorted(INTENTS))
    openings, phrases = INTENTS[intent]
    opening = rng.choice(openings)
    held = {slot: [names.value(kind, rng) for _ in range(2)] for slot, (kind, _) in phrases.items()}

    def one(rng: Random) -> Drawn:
        said = [(slot, rng.choice(held[slot])) for slot in rng.sample(sorted(phrases), rng.randint(1, 3))]
        utterance = f"{opening} " + " and ".join(phrases[slot][1].format(v=value) for slot, value in said)
        inside = " ".join(f"[sl:{slot} {value} ]" for slot, value in said)
        return Drawn(utterance, (f"[in:{intent} {inside} ]",))

    return one


FAMILY = Family(
    "mini-mtop",
    _group,
    ("mtop_em", "mtop_template"),
    wordings=tuple(
        wording
        for openings, phrases in INTENTS.values()
        for wording in (*openings, *(says for _, says in phrases.values()))
    ),
    marks=("[in:", "[sl:"),
)
