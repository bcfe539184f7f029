"""`mini-spider`, after Spider: a question and a schema to SQL that the official grammar reads; it refuses more than one table.

A group is a data base: a table of one kind of people with some of its columns, the values that stand in them, one of two ways to
ask, and whether its queries name people by name or by id, as Spider's data bases differ in what they select for "who": only
another example of the data base tells. Its questions join what is asked (who, how many, which number) with a demand (a value, more
than a number). Values stand in quotation marks with blanks around them, so that they are the same tokens as in the question; exact
set match looks at no value.
"""

from __future__ import annotations

from random import Random

from foreword.synthetic import names
from foreword.synthetic.families._family import Drawn, Family, Group, long_name

TABLES: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "writers": ({"club": "name", "city": "place", "topic": "subject"}, ("pages", "age")),
    "doctors": ({"school": "name", "city": "place", "field": "subject"}, ("patients", "age")),
    "farmers": ({"partner": "name", "village": "place", "crop": "food"}, ("cows", "age")),
    "guests": ({"room": "name", "town": "place", "meal": "food"}, ("nights", "age")),
}
"""A table: its columns of words with what stands in them, its columns of numbers."""
PEOPLE = ("name", "id")
"""The columns of every table that tell one of its people from another."""

ACTS: tuple[tuple[str, str, str], ...] = (
    ("Who of the {table} has", "Give us those {table} with", "{who}"),
    ("How many {table} have", "Give us the count of {table} with", "count ( * )"),
    ("What {number} have the {table} with", "Give us the {number} of {table} with", "{number}"),
)
"""What is asked: two ways to say so, and what is selected."""
DEMANDS: tuple[tuple[str, str], ...] = (
    ("{word} {v}", '{word} = " {v} "'),
    ("more than {n} {limit}", "{limit} > {n}"),
)
"""A demand, and its condition."""
QUERY = "select {asked} from {table} where {condition}"


def _group(rng: Random) -> Group:
    base, style, who = long_name(rng), rng.randrange(2), rng.choice(PEOPLE)
    table = rng.choice(sorted(TABLES))
    words, numbers = TABLES[table]
    held = {word: [names.value(kind, rng) for _ in range(3)] for word, kind in words.items()}
    shown = rng.sample((*rng.sample(sorted(words), 2), *numbers), 4)
    whole = (*rng.sample(PEOPLE, 2), *shown)
    schema = f"| {base} | {table} : " + " , ".join(whole)
    columns = [[-1, "*"], *([0, column] for column in whole)]
    row = {"table_names_original": [table], "column_names_original": columns, "foreign_keys": []}

    def draw(rng: Random) -> Drawn:
        word = rng.choice([column for column in shown if column in words])
        number, limit = rng.sample(numbers, 2)
        act, demand = rng.choice(ACTS), rng.choice(DEMANDS)
        values = {"table": table, "who": who, "word": word, "number": number, "limit": limit}
        values |= {"v": rng.choice(held[word]), "n": names.value("count", rng)}
        question = f"{act[style]} {demand[0]} ?".format(**values)
        query = QUERY.format(asked=act[2].format(**values), table=table, condition=demand[1].format(**values))
        return Drawn(f"{question} ; structured knowledge: {schema}", (query,), {"schema": row})

    return draw


FAMILY = Family(
    "mini-spider",
    _group,
    ("spider_match", "exact_match"),
    wordings=(*(way for *ways, _ in ACTS for way in ways), *(wording for wording, _ in DEMANDS)),
    marks=("select name from", "count ( * ) from", "structured knowledge"),
    shares="data base",
)
