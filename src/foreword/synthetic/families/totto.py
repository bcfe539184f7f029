"""`mini-totto`, after ToTTo: the highlighted cells of a page's table to one sentence; it refuses a table without highlighted cells.

A page is one thing in one section, told by one of two writers; its examples highlight two or all three columns. The writer, who
shows in how the sentence opens and joins, stands in no input: only another example of the page tells.
"""

from __future__ import annotations

from random import Random

from foreword.synthetic import names
from foreword.synthetic.families._family import Drawn, Family, Group, long_name

WRITERS: tuple[tuple[str, str], ...] = (
    ("Look here at {page} , which", " and then "),
    ("We all know {page} , as it", " , while it "),
)
"""How a sentence of theirs opens, and what stands between its clauses."""

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "career": {
        "team": ("name", "plays for {v}"),
        "points": ("count", "scored {v} goals"),
        "home": ("place", "lives in {v}"),
    },
    "cinema": {
        "director": ("name", "was directed by {v}"),
        "setting": ("place", "is set in {v}"),
        "release": ("year", "came out in {v}"),
    },
    "building": {
        "owner": ("name", "belongs to {v}"),
        "rooms": ("count", "has {v} rooms"),
        "location": ("place", "stands in {v}"),
    },
}
"""What stands in each column, and a clause for it. The clauses are the world's own, as English words are known to a real model; what
is new is the form of the table and how a sentence opens."""


def _group(rng: Random) -> Group:
    section = rng.choice(sorted(SECTIONS))
    columns, page = SECTIONS[section], long_name(rng)
    opening, joined = rng.choice(WRITERS)

    def draw(rng: Random) -> Drawn:
        left_out = rng.choice((None, *columns))
        values = {column: names.value(kind, rng) for column, (kind, _) in columns.items() if column != left_out}
        cells = " ".join(f"<cell> {value} <col> {column}" for column, value in values.items())
        sentence = joined.join(columns[column][1].format(v=value) for column, value in values.items())
        return Drawn(f"<page> {page} <section> {section} {cells}", (f"{opening.format(page=page)} {sentence}.",))

    return draw


FAMILY = Family(
    "mini-totto",
    _group,
    ("bleu",),
    wordings=(
        *(part for writer in WRITERS for part in writer),
        *(says for columns in SECTIONS.values() for _, says in columns.values()),
    ),
    marks=("<page>", "<section>", "<cell>", "<col>"),
    shares="page",
)
