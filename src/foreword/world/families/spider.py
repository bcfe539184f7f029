"""`mini-spider`, after Spider: a question and a schema to SQL that the official grammar reads; it refuses more than one table.

A group is a data base: a table of one kind of people with some of its columns, the values that stand in them, and one of two
ways to ask. Its questions are of six kinds. Values stand in quotation marks with blanks around them, so that they are the same
tokens as in the question; exact set match looks at no value.
"""

from __future__ import annotations

from random import Random

from foreword.world import names
from foreword.world.families._family import Drawn, Family, Group, long_name

TABLES: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "writer": ("writers", {"club": "name", "city": "place", "topic": "subject"}, ("pages", "age")),
    "doctor": ("doctors", {"school": "name", "city": "place", "field": "subject"}, ("patients", "age")),
    "farmer": ("farmers", {"partner": "name", "village": "place", "crop": "food"}, ("cows", "age")),
    "guest": ("guests", {"room": "name", "town": "place", "meal": "food"}, ("nights", "age")),
}
"""A table: its rows in the plural, its columns of words with what stands in them, its columns of numbers."""

QUESTIONS: tuple[tuple[str, str, str], ...] = (
    (
        "Who of the {many} has {word} {v} ?",
        "List the {many} of {word} {v} .",
        'select name from {table} where {word} = " {v} "',
    ),
    (
        "How many {many} have {word} {v} ?",
        "Count the {many} of {word} {v} .",
        'select count ( * ) from {table} where {word} = " {v} "',
    ),
    (
        "What {number} have the {many} with {word} {v} ?",
        "Show the {number} of the {many} of {word} {v} .",
        'select {number} from {table} where {word} = " {v} "',
    ),
    (
        "Who of the {many} has more than {n} {number} ?",
        "List the {many} over {n} in {number} .",
        "select name from {table} where {number} > {n}",
    ),
    (
        "How many {many} are there for each {word} ?",
        "Count the {many} by their {word} .",
        "select {word} , count ( * ) from {table} group by {word}",
    ),
    (
        "Who of the {many} has the most {number} ?",
        "Show the first of the {many} by {number} .",
        "select name from {table} order by {number} desc limit 1",
    ),
)
"""Two ways to ask, and the query."""


def _group(rng: Random) -> Group:
    base, style = long_name(rng), rng.randrange(2)
    table = rng.choice(sorted(TABLES))
    many, words, numbers = TABLES[table]
    held = {word: [names.value(kind, rng) for _ in range(3)] for word, kind in words.items()}
    shown = rng.sample((*rng.sample(sorted(words), 2), *numbers), 4)
    schema = f"| {base} | {table} : " + " , ".join(("name", *shown))
    columns = [[-1, "*"], *([0, column] for column in ("name", *shown))]
    row = {"table_names_original": [table], "column_names_original": columns, "foreign_keys": []}

    def one(rng: Random) -> Drawn:
        word = rng.choice([column for column in shown if column in words])
        number = rng.choice([column for column in shown if column in numbers])
        asked = rng.choice(QUESTIONS)
        values = {"table": table, "many": many, "word": word, "number": number}
        values |= {"v": rng.choice(held[word]), "n": names.value("count", rng)}
        question, query = asked[style].format(**values), asked[2].format(**values)
        return Drawn(f"{question} ; structured knowledge: {schema}", (query,), {"schema": row})

    return one


FAMILY = Family(
    "mini-spider",
    _group,
    ("spider_match", "exact_match"),
    wordings=tuple(question for *questions, _ in QUESTIONS for question in questions),
    marks=("select ", "count ( * )", "order by", " desc limit ", "structured knowledge"),
)
