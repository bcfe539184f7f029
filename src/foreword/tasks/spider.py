"""Spider: a question on a database to SQL, the schema shown; it refuses a question whose database has no schema.

Source: Yu et al. 2018 (arXiv 1809.08887). The official dev split (1,034) is scored, as its test answers are
hidden; dev is 300 questions cut from train by seed 0. Schema and target are written as UnifiedSKG writes them,
without matched cell values: ` | db_id | table : column , column | ...` and SQL in lower case with single
blanks. The metric here is exact match of that text; the official exact set match compares parsed queries.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreword.data import Example
from foreword.errors import ForewordError
from foreword.readers import read_rows
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "spider"
SUMMARY = "Questions on 166 databases to SQL (Spider, CC BY-SA 4.0)"
PLACE = "spider"
GET = "spider.zip (train_spider.json, dev.json, tables.json) from https://yale-lily.github.io/spider (CC BY-SA 4.0)"
DEV = 300
TEMPLATE = Template(
    instruction="Write the SQL query that answers the question.",
    question="{question} ; structured knowledge: {schema}\nSQL:",
)


def load(folder: Path | None) -> Task:
    """The task from train_spider.json (or compact pairs), dev.json (likewise) and tables.json."""
    assert folder is not None
    schemas = _schemas(parts.first_file(folder, "tables.json"))
    train = _read(parts.first_file(folder, "train_spider.json", "train_pairs.compact.jsonl"), "train", schemas)
    scored = _read(parts.first_file(folder, "dev.json", "dev_pairs.compact.jsonl"), "test", schemas)
    rest, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(rest),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=("exact_match",),
        source="Spider, CC BY-SA 4.0; the official dev split is the test split here",
        notes=(parts.DEV_SCORED, parts.CARVED.format(size=DEV)),
    ).noted()


def _read(path: Path, split: str, schemas: dict[str, str]) -> list[Example]:
    made = []
    for number, row in enumerate(read_rows(path), 1):
        database = parts.text(row, "db_id", path, number)
        if database not in schemas:
            raise ForewordError(
                f"Row {number} of {path} asks the database '{database}', of which tables.json has no schema."
            )
        question = " ".join(parts.text(row, "question", path, number).split())
        fields = {"question": question, "schema": schemas[database]}
        made.append(Example(f"{split}-{number}", fields, (_tidy(parts.text(row, "query", path, number)),)))
    return made


def _tidy(query: str) -> str:
    return " ".join(query.split()).replace(" , ", ", ").lower()


def _schemas(path: Path) -> dict[str, str]:
    schemas = {}
    for number, row in enumerate(parts.read_list(path), 1):
        tables = parts.get(row, "table_names_original", path, number)
        columns = parts.get(row, "column_names_original", path, number)
        try:
            schemas[row["db_id"]] = _schema(str(row["db_id"]), tables, columns)
        except (TypeError, ValueError, KeyError) as error:
            raise ForewordError(
                f"Row {number} of {path} is no Spider schema ({error}); download the file again."
            ) from error
    return schemas


def _schema(database: str, tables: list[str], columns: list[Any]) -> str:
    listed = [
        f"{table} : {' , '.join(name for owner, name in columns if owner == k)}" for k, table in enumerate(tables)
    ]
    return " | ".join([database, *listed]).lower()
