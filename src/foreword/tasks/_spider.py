"""Spider's files: questions, schemas and, where they are, the databases; it refuses a question whose database has no schema.

Schema and target are written as UnifiedSKG writes them: `db_id | table : column , column ( value , value ) | ...` and SQL,
all in lower case with single blanks. The databases are only ever opened for reading.
"""

from __future__ import annotations

import difflib
import functools
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreword.data import Example
from foreword.errors import ForewordError
from foreword.readers import read_rows
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, REMADE, File

LICENCE = "CC BY-SA 4.0"
PLACE, ALSO = "spider", ("spider_data",)
METRICS = ("spider_match", "exact_match")
FILES = (
    File("tables", "tables.json", {"databases": 166}),
    File("train", "train_spider.json", {"rows": 7000}),
    File("train", "train_pairs.compact.jsonl", {"rows": 7000}, kind=REMADE),
    File("dev", "dev.json", {"rows": 1034}),
    File("dev", "dev_pairs.compact.jsonl", {"rows": 1034}, kind=REMADE),
    File("train_others", "train_others.json", {"rows": 1659}, kind=BESIDE),
    File("train_gold", "train_gold.sql", {"queries": 8095}, kind=BESIDE),
    File("dev_gold", "dev.sql", {"lines": 2068}, kind=BESIDE),
    File("databases", "database", {"folders": 166}, kind=BESIDE),
)
DATABASES = File("databases", "database", {"folders": 166})
DEV = 300
MATCHED = ("table_names_original", "column_names_original", "foreign_keys")
SAME, MOST = 0.85, 2  # how alike a cell value and the words of a question must be, and how many values a column shows
COMMON = (  # words that alone are no value to look for
    "a an and any are as at be by do for from has have how in is it list many more most name number of "
    "on or show than that the their them there they to total type what when where which who whose with year yes no none all id"
)

Values = Callable[[str, str], list[str]]


@dataclass(frozen=True)
class Schema:
    """A database's tables, each with its columns, as `tables.json` names them. row: what exact set match reads of it there."""

    database: str
    tables: tuple[tuple[str, tuple[str, ...]], ...]
    row: Mapping[str, Any]

    def text(self, values: Values | None = None) -> str:
        """The schema in one line; `values(table, column)` gives the cell values to show behind a column."""
        listed = []
        for table, columns in self.tables:
            shown = []
            for column in columns:
                found = values(table, column) if values else []
                shown.append(f"{column} ( {' , '.join(found)} )" if found else column)
            listed.append(f"{table} : {' , '.join(shown)}")
        return " | ".join([self.database, *listed]).lower()


def schemas(path: Path) -> dict[str, Schema]:
    """The schema of every database. Raises ForewordError naming the row and the field that is damaged."""
    found = {}
    for number, row in enumerate(parts.read_list(path), 1):
        name = parts.text(row, "db_id", path, number)
        tables = parts.listed(row, "table_names_original", path, number)
        columns = parts.listed(row, "column_names_original", path, number)
        try:
            owned: list[list[str]] = [[] for _ in tables]
            for owner, column in columns:
                if owner >= 0:
                    owned[owner].append(str(column))
        except (TypeError, ValueError, IndexError) as error:
            raise ForewordError(
                f"The field 'column_names_original' in row {number} of {path} is no list of [number of a table, name]: "
                f"{error}; download the file again."
            ) from error
        pairs = zip(map(str, tables), map(tuple, owned), strict=True)
        kept = {key: parts.listed(row, key, path, number) for key in MATCHED}
        found[name] = Schema(name, tuple(pairs), kept)
    return found


def read(path: Path, split: str, known: Mapping[str, Schema], databases: Path | None = None) -> list[Example]:
    """The questions of a file; with the folder of databases, cell values that a question names stand in its schema."""
    plain = {name: schema.text() for name, schema in known.items()}
    made = []
    for number, row in enumerate(read_rows(path), 1):
        name = parts.text(row, "db_id", path, number)
        if name not in known:
            raise ForewordError(
                f"Row {number} of {path} asks the database '{name}', of which tables.json has no schema; take both from "
                "the same release."
            )
        question = " ".join(parts.text(row, "question", path, number).split())
        query = " ".join(parts.text(row, "query", path, number).split())
        if databases is None:
            schema = plain[name]
        else:
            schema = known[name].text(functools.partial(_matching, question, databases / name / f"{name}.sqlite"))
        fields = {"question": question, "schema": schema}
        made.append(
            Example(
                f"{split}-{number}",
                fields,
                (_tidy(query),),
                facts={"db_id": name, "query": query, "schema": known[name].row},
            )
        )
    return made


def _tidy(query: str) -> str:
    return query.replace(" , ", ", ").lower()


def _matching(question: str, path: Path, table: str, column: str) -> list[str]:
    """At most MOST values of a text column that the question names, the most alike first; numbers are not looked for."""
    scored = []
    for value in cells(path, table, column):
        alike = likeness(question.lower(), value.lower())
        if alike >= SAME:
            scored.append((-alike, -len(value), value))
    return [value for _, _, value in sorted(scored)[:MOST]]


def likeness(question: str, value: str) -> float:
    """How well some run of the question's words says the value: 1 where it stands there, else difflib's ratio (0 if common)."""
    said, asked = _words(value), _words(question)
    if not said or all(word in COMMON.split() or word.isdigit() for word in said):
        return 0.0
    runs = [" ".join(asked[k : k + len(said)]) for k in range(len(asked) - len(said) + 1)]
    whole = " ".join(said)
    if whole in runs:
        return 1.0
    near = [run for run in runs if run[:2] == whole[:2]]
    return max((difflib.SequenceMatcher(None, run, whole, autojunk=False).ratio() for run in near), default=0.0)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@functools.lru_cache(maxsize=4096)
def cells(path: Path, table: str, column: str) -> tuple[str, ...]:
    """The distinct texts of a column, in their order; the database is opened for reading only.

    Raises ForewordError naming the database, the table and the column that cannot be read.
    """
    if not path.is_file():
        raise ForewordError(f"There is no database {path}; put the folder 'database' of spider.zip there.")
    quoted = [name.replace('"', '""') for name in (column, table)]
    try:
        base = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        base.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            found: list[tuple[Any]] = base.execute('SELECT DISTINCT "{}" FROM "{}"'.format(*quoted)).fetchall()
        finally:
            base.close()
    except sqlite3.Error as error:
        raise ForewordError(
            f"The column '{column}' of the table '{table}' in {path} cannot be read ({error}); download the database again."
        ) from error
    return tuple(sorted({value.strip() for (value,) in found if isinstance(value, str) and value.strip()}))


UNITS: Mapping[str, Callable[[Any], int]] = {"databases": len}
