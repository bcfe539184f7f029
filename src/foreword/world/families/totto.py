"""`mini-totto`, after ToTTo: the highlighted cells of a page's table to one sentence; it refuses a table without highlighted cells.

A page is one thing in one section, told by one of two writers; its examples highlight two or all three columns. The writer
shows in no input: only another example of the page tells.
"""

from __future__ import annotations

from random import Random

from foreword.world.families._family import Drawn, Family, Group, drawn_of, long_name

Writer = tuple[str, dict[str, str]]
"""How a sentence opens, and a clause for each column."""

SECTIONS: dict[str, tuple[dict[str, str], tuple[Writer, Writer]]] = {
    "career": (
        {"team": "name", "points": "count", "home": "place"},
        (
            (
                "In those days {page}",
                {"team": "has joined {team}", "points": "has {points} points", "home": "comes from {home}"},
            ),
            (
                "This is {page} , who",
                {"team": "plays for {team}", "points": "scored {points} goals", "home": "lives in {home}"},
            ),
        ),
    ),
    "cinema": (
        {"director": "name", "setting": "place", "release": "year"},
        (
            (
                "One night saw {page} , which",
                {
                    "director": "was directed by {director}",
                    "setting": "is set in {setting}",
                    "release": "came out in {release}",
                },
            ),
            (
                "We all know {page} , as it",
                {
                    "director": "was made by {director}",
                    "setting": "was filmed in {setting}",
                    "release": "was shown in {release}",
                },
            ),
        ),
    ),
    "building": (
        {"owner": "name", "rooms": "count", "location": "place"},
        (
            (
                "At the side of the road {page}",
                {"owner": "belongs to {owner}", "rooms": "has {rooms} rooms", "location": "stands in {location}"},
            ),
            (
                "Look at {page} , which",
                {"owner": "is held by {owner}", "rooms": "counts {rooms} rooms", "location": "lies near {location}"},
            ),
        ),
    ),
}
"""The clauses are the world's own, as English words are known to a real model; what is new is the form of the table and how a
sentence opens."""


def _group(rng: Random) -> Group:
    section = rng.choice(sorted(SECTIONS))
    columns, writers = SECTIONS[section]
    (opening, clauses), page = rng.choice(writers), long_name(rng)

    def one(rng: Random) -> Drawn:
        values = drawn_of(columns, rng)
        left_out = rng.choice((None, *columns))
        shown = [column for column in columns if column != left_out]
        cells = " ".join(f"<cell> {values[column]} <col> {column}" for column in shown)
        said = " and then ".join(clauses[column].format(**values) for column in shown)
        return Drawn(f"<page> {page} <section> {section} {cells}", (f"{opening.format(page=page)} {said}.",))

    return one


FAMILY = Family(
    "mini-totto",
    _group,
    ("bleu",),
    similarity=0.8,
    wordings=tuple(
        wording
        for _, writers in SECTIONS.values()
        for opening, clauses in writers
        for wording in (opening, *clauses.values())
    ),
    marks=("<page>", "<section>", "<cell>", "<col>"),
)
