"""Spider's files: questions, schemas and, where they are, the databases; a question whose database has no schema is refused.

Schema and target are written as UnifiedSKG writes them: `db_id | table : column , column ( value , value ) | ...` and SQL,
in lower case with single blanks. Quoted text is kept as it is, so that a target returns what its query does; UnifiedSKG
lower-cases all but the first and the last word of it. The databases are only ever opened for reading.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import itertools
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, shared
from foreword.data.readers import read_rows
from foreword.metrics import spider_sql as sql
from foreword.metrics.spider_match import judge, schema_of
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, REMADE, File
from foreword.util.errors import ForewordError

LICENCE = "CC BY-SA 4.0"
PLACE, ALSO = "spider", ("spider_data",)
EXECUTION = "spider_execution"
METRICS = ("spider_match", EXECUTION, "exact_match")
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
STEPS = 15_000_000  # instructions of SQLite's machine for one column, about a second; the largest of Spider's own takes 3 million
PULSE = 10_000  # instructions between two looks at their number
LETTERS, MOST_LETTERS = 1_000_000, 2**28  # of one text; of all texts of a column
HEADER = 100  # bytes at the head of an SQLite file, in which it counts its changes
NOT_EXECUTED = (
    "Execution accuracy is not scored: {lacking} of the {asked} databases that the test questions ask are not here; put the "
    "folder 'database' of spider.zip beside tables.json."
)
SAME, MOST = 0.85, 2  # how alike a cell value and the words of a question must be, and how many values a column shows
TEXTS = """SELECT DISTINCT "{1}"."{0}" FROM "{1}" WHERE typeof("{1}"."{0}") = 'text'"""
COMMON = (  # words that alone are no value to look for
    "a an and any are as at be by do for from has have how in is it list many more most name number of "
    "on or show than that the their them there they to total type what when where which who whose with year yes no none all id"
)

_QUOTED = re.compile(r"""('[^']*'|"[^"]*")""")
_COMMON = frozenset(COMMON.split())
_BLANKS = re.compile(r"\s+")

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
                cell_values = values(table, column) if values else []
                shown.append(f"{column} ( {' , '.join(cell_values)} )" if cell_values else column)
            listed.append(f"{table} : {' , '.join(shown)}")
        return " | ".join([self.database, *listed]).lower()


def schemas(path: Path) -> dict[str, Schema]:
    """The schema of every database. Raises ForewordError naming the row and the field that is damaged."""
    schema_of = {}
    for number, row in enumerate(parts.read_list(path), 1):
        name = parts.text(row, "db_id", path, number)
        if Path(name).name != name or len(name.encode()) > 200:
            raise ForewordError(
                f"The field 'db_id' in row {number} of {path} is '{name}', which no folder of a database can be called; mend it."
            )
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
        matched = {key: parts.listed(row, key, path, number) for key in MATCHED}
        schema_of[name] = Schema(name, tuple(pairs), matched)
    return schema_of


def database_facts(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What the facts say of each database that is in the folder: `database_path`, where its files `*.sqlite` are, and
    `database`, a digest of their names, sizes and headers; the contents of the largest would take seconds to read."""
    facts_of = {}
    for name in names:
        digest = hashlib.sha256()
        for path in sorted((folder / name).glob("*.sqlite")):
            with path.open("rb") as stream:
                digest.update(f"{path.name} {path.stat().st_size} ".encode() + stream.read(HEADER))
            facts_of[name] = {"database": digest.hexdigest()[:16], "database_path": str((folder / name).resolve())}
    return facts_of


def read(
    path: Path,
    split: str,
    known: Mapping[str, Schema],
    held: Mapping[str, Mapping[str, str]],
    databases: Path | None = None,
) -> list[Example]:
    """The questions of a file; with the folder of databases, cell values that a question names stand in its schema.

    held: what `database_facts` gives, for the facts.
    """
    plain = {name: schema.text() for name, schema in known.items()}
    examples = []

    @functools.lru_cache(maxsize=4)  # the questions on a database stand together, and its values may be many
    def values(name: str) -> Cells:
        assert databases is not None
        return Cells.of(databases / name / f"{name}.sqlite", known[name])

    for number, row in enumerate(read_rows(path), 1):
        name = parts.text(row, "db_id", path, number)
        if name not in known:
            raise ForewordError(
                f"Row {number} of {path} asks the database '{name}', of which tables.json has no schema; take both from "
                "the same release."
            )
        question = " ".join(parts.text(row, "question", path, number).split())
        if databases is None:
            schema = plain[name]
        else:
            schema = known[name].text(values(name).named(question))
        fields = {"question": question, "schema": schema}
        facts = {"db_id": name, "schema": known[name].row, **held.get(name, {})}
        query = tidied(parts.text(row, "query", path, number))
        cluster = shared("data base", name)
        examples.append(Example(f"{split}-{number}", fields, (query,), facts=facts, cluster=cluster))
    return examples


def rated(examples: Iterable[Example]) -> list[Example]:
    """The examples with the official hardness of their queries as subset; none where a query or its schema cannot be read."""
    schemas: dict[str, sql.Schema] = {}
    rated_examples = []
    for example in examples:
        name, query = example.facts["db_id"], example.targets[0]
        try:
            if name not in schemas:
                schemas[name] = schema_of(example.facts["schema"])
            rated_examples.append(
                replace(example, facts={**example.facts, "subset": judge(query, query, schemas[name]).hardness})
            )
        except ValueError:
            rated_examples.append(example)
    return rated_examples


def tidied(query: str) -> str:
    """The query with single blanks, none before a comma, in lower case; quoted text as it is."""
    pieces = _QUOTED.split(query)
    pieces[::2] = [_BLANKS.sub(" ", piece).replace(" , ", ", ").lower() for piece in pieces[::2]]
    return "".join(pieces)


Key = tuple[int, str]  # how many words, the first two letters


@dataclass(frozen=True)
class Cells:
    """A database's texts by what a run of a question's words has to begin with to be like them; numbers and common words
    alone are not looked for. Below the key, the words of each text: (table, column, text) of all that have them."""

    texts: Mapping[Key, Mapping[str, Sequence[tuple[str, str, str]]]]

    @classmethod
    def of(cls, path: Path, schema: Schema) -> Cells:
        """The cells of every column. Raises ForewordError as `cells` does."""
        index: dict[Key, dict[str, list[tuple[str, str, str]]]] = {}
        for table, columns in schema.tables:
            for column in columns:
                for value in cells(path, table, column):
                    words = _telling(value)
                    if words:
                        whole = " ".join(words)
                        same = index.setdefault((len(words), whole[:2]), {}).setdefault(whole, [])
                        same.append((table, column, value))
        return cls(index)

    def named(self, question: str) -> Values:
        """For each column at most MOST of its values that the question names, the most alike first."""
        scored: dict[tuple[str, str], dict[str, float]] = {}
        for run, count in _runs(question, {count for count, _ in self.texts}):
            for whole, places in self.texts.get((count, run[:2]), {}).items():
                if (
                    2 * min(len(run), len(whole)) >= SAME * (len(run) + len(whole))
                    and (alike := _alike(run, whole)) >= SAME
                ):
                    for table, column, value in places:
                        known = scored.setdefault((table, column), {})
                        known[value] = max(alike, known.get(value, 0.0))
        first = {
            place: sorted(known, key=lambda value: (-known[value], -len(value), value))[:MOST]
            for place, known in scored.items()
        }
        return lambda table, column: first.get((table, column), [])


def likeness(question: str, value: str) -> float:
    """How well some run of the question's words says the value: 1 where it stands there, else difflib's ratio (0 if common)."""
    words = _telling(value)
    whole = " ".join(words)
    runs = [run for run, _ in _runs(question, {len(words)}) if run[:2] == whole[:2]]
    return max((_alike(run, whole) for run in runs), default=0.0) if words else 0.0


def _alike(run: str, whole: str) -> float:
    return 1.0 if run == whole else difflib.SequenceMatcher(None, run, whole, autojunk=False).ratio()


def _runs(question: str, counts: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Every run of so many words of the question, with that number."""
    words = re.findall(r"\w+", question.lower())
    for count in counts:
        for start in range(len(words) - count + 1):
            yield " ".join(words[start : start + count]), count


def _telling(value: str) -> list[str]:
    """The words of a value; none where all are common or numbers."""
    words = re.findall(r"\w+", value.lower())
    return [] if all(word in _COMMON or word.isdigit() for word in words) else words


def cells(path: Path, table: str, column: str) -> tuple[str, ...]:
    """The distinct texts of a column, in their order; the database is opened for reading only. A view is read as a table is, within
    STEPS instructions of SQLite's machine and MOST_LETTERS letters, LETTERS of a text.

    Raises ForewordError naming the database, the table and the column that cannot be read, or not within these.
    """
    if not path.is_file():
        raise ForewordError(f"There is no database {path}; put the folder 'database' of spider.zip there.")
    quoted = [name.replace('"', '""') for name in (column, table)]
    try:
        base = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        base.text_factory = lambda raw: raw.decode("utf-8", "replace")
        base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LETTERS)
        pulses = itertools.count(PULSE, PULSE)
        base.set_progress_handler(lambda: next(pulses) > STEPS, PULSE)
        try:
            read = _texts(base.execute(TEXTS.format(*quoted)))
        finally:
            base.close()
    except (sqlite3.Error, ValueError, OverflowError) as error:
        why = f"it takes more than {STEPS:,} steps" if str(error) == "interrupted" else str(error)
        raise ForewordError(
            f"The column '{column}' of the table '{table}' in {path} cannot be read ({why}); download the database again."
        ) from error
    return tuple(sorted({value.strip() for value in read if value.strip()}))


def _texts(rows: Iterable[tuple[Any]]) -> list[str]:
    """The texts among the values. Raises OverflowError where they are more than MOST_LETTERS."""
    read, letters = [], 0
    for (value,) in rows:
        if isinstance(value, str):
            letters += len(value) + 1
            read.append(value)
        if letters > MOST_LETTERS:
            raise OverflowError(f"it holds more than {MOST_LETTERS:,} letters")
    return read


UNITS: Mapping[str, Callable[[Any], int]] = {"databases": len}
