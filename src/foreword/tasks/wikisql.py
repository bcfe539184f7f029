"""WikiSQL: a question on one table to SQL; it refuses a row without question or query.

Source: Zhong, Xiong and Socher 2017, as canonical SQL with the variables filled in (text2sql-data), samples of
10,000, 2,000 and 2,000 rows. The table's header is not in these files, so the columns can only be guessed from
the question. The shared alias of the only table (`TABLEalias0.`, `AS TABLEalias0`) and the closing ` ;` are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import PART, File, pick

NAME = "wikisql"
SUMMARY = "Questions on one table to SQL, header not shown (WikiSQL)"
LICENCE = "BSD 3-Clause"
PLACE = "wikisql"
GET = (
    "wikisql.json.bz2 from https://github.com/jkkummerfeld/text2sql-data (BSD 3-Clause), as "
    "train.compact10000.jsonl, dev.compact2000.jsonl and test.compact2000.jsonl with the fields question and sql"
)
METRICS = ("exact_match",)
FILES = (
    File("train", "train.compact10000.jsonl", {"rows": 10000}, kind=PART),
    File("dev", "dev.compact2000.jsonl", {"rows": 2000}, kind=PART),
    File("test", "test.compact2000.jsonl", {"rows": 2000}, kind=PART),
)
TEMPLATE = Template(instruction="Write the SQL query that answers the question.", question="Question: {input}\nSQL:")


def load(folder: Path | None) -> Task:
    """The task from its JSON-lines files."""
    assert folder is not None
    splits = {split: _read(pick(folder, FILES, split), split) for split in SPLITS}
    return Task(
        name=NAME,
        train=tuple(splits["train"]),
        dev=tuple(splits["dev"]),
        test=tuple(splits["test"]),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"WikiSQL (text2sql-data), {LICENCE}; samples of 10,000, 2,000 and 2,000 rows",
    )


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {"input": " ".join(parts.text(row, "question", path, number).split())}
        query = parts.text(row, "sql", path, number).replace("TABLEalias0.", "").replace(" AS TABLEalias0", "")
        return Example(f"{split}-{number}", fields, (" ".join(query.removesuffix(";").split()),))

    return parts.table(path, make)
