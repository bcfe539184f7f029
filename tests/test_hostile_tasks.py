"""Files of the shelf's tasks and Spider's databases made to break their readers: each refused in one sentence, or read."""

from __future__ import annotations

import gzip
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import entry
import lookalike
from foreword import tasks
from foreword.data.readers import read_rows
from foreword.metrics import scorers, spider_execution
from foreword.tasks._spider import cells
from refusals import sentence

# -- task files -------------------------------------------------------------------------------------------------------------


def changed(path: Path, change: Callable[[Any], None]) -> None:
    """The first row of a JSON-lines file, changed."""
    first, rest = path.read_text().split("\n", 1)
    row = json.loads(first)
    change(row)
    path.write_text(json.dumps(row) + "\n" + rest)


def span(row: Any) -> None:
    row["table"][0][0]["column_span"] = "wide"


def no_table(row: Any) -> None:
    del row["table"]


def listed_label(row: Any) -> None:
    row["label"] = [0]


def worded_place(row: Any) -> None:
    row["target"]["span2_index"] = "3"


def listed_text(row: Any) -> None:
    row["passage"]["text"] = ["a", "b"]


WRONG: tuple[tuple[str, str, str, Callable[[Any], None]], ...] = (
    ("totto", "totto", "totto_train_data.jsonl", span),
    ("totto", "totto", "totto_dev_data.jsonl", no_table),
    ("copa", "superglue", "superglue/COPA/val.jsonl", listed_label),
    ("wsc", "superglue", "superglue/WSC/val.jsonl", worded_place),
    ("multirc", "superglue", "superglue/MultiRC/val.jsonl", listed_text),
    ("record", "superglue", "superglue/ReCoRD/val.jsonl", listed_text),
)


@pytest.mark.parametrize("place", range(len(WRONG)))
def test_a_wrong_kind_of_value_in_a_task_file(place: int, tmp_path: Path) -> None:
    name, folder, file, change = WRONG[place]
    lookalike.write(tmp_path, folder)
    path = tmp_path / (file if "/" in file else f"{folder}/{file}")
    changed(path, change)
    sentence(lambda: tasks.load(name, tmp_path), "1")
    tasks.check(name, tmp_path)


def test_an_empty_table_of_glue(tmp_path: Path) -> None:
    lookalike.write(tmp_path, "QQP")
    (tmp_path / "QQP/dev.tsv").write_text("")
    sentence(lambda: tasks.load("qqp", tmp_path), "dev.tsv", "header")


@pytest.mark.parametrize("encoding", ["undefined", "idna", "utf-7", "zlib", "cp037", "nonsense", "utf-32"])
def test_an_xml_file_of_an_odd_encoding(encoding: str, tmp_path: Path) -> None:
    lookalike.write(tmp_path, "dart")
    (path,) = (tmp_path / "dart").glob("*.xml")
    body = path.read_text().partition("?>")[2] or path.read_text()
    path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>{body}')
    sentence(lambda: tasks.load("dart", tmp_path), path.name)


def test_gzip_whose_inside_is_damaged(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in entry.rows(50)).encode()
    packed = bytearray(gzip.compress(lines, mtime=0))
    packed[20:24] = b"\xff\xff\xff\xff"
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    sentence(lambda: read_rows(tmp_path / "a.jsonl.gz"), "not a whole gzip file")
    lookalike.write(tmp_path, "mrqa", "squad")
    path = next((tmp_path / "mrqa").glob("*.gz"))
    path.write_bytes(bytes(path.read_bytes()[:18]) + b"\xff\xff\xff\xff" + path.read_bytes()[22:])
    name = next(
        name for name in tasks.names() if name.startswith("mrqa") and path.name in str(tasks.module(name).FILES)
    )
    sentence(lambda: tasks.load(name, tmp_path), path.name, "not a whole gzip file")


def test_golden_cases_of_the_wrong_kind(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"id": "a", "gold": "[IN:A ]", "prediction": "' + "[IN:A " * 3_000 + '"}\n')
    scorers.score("mtop", path)
    path.write_text('{"id": "a", "gold": "[IN:A ]", "prediction": ' + "[" * 3_000 + "}\n")
    sentence(lambda: scorers.score("mtop", path), "Line 1", "JSON")


# -- Spider's databases ------------------------------------------------------------------------------------------------------

ENDLESS = "CREATE VIEW v AS WITH RECURSIVE t(x) AS (SELECT {} UNION ALL SELECT {} FROM t) SELECT x AS a FROM t"


def base(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize(("first", "then"), [("1", "x + 1"), ("'a'", "x || 'a'"), ("'1'", "CAST(x + 1 AS TEXT)")])
def test_a_view_without_end(first: str, then: str, tmp_path: Path) -> None:
    path = base(tmp_path / "a.sqlite", ENDLESS.format(first, then))
    began = time.process_time()
    sentence(lambda: cells(path, "v", "a"), "'a' of the table 'v'", "cannot be read")
    assert time.process_time() - began < 8


def test_text_in_a_database_that_is_no_text(tmp_path: Path) -> None:
    path = base(tmp_path / "a.sqlite", "CREATE TABLE v (a)", "INSERT INTO v VALUES (CAST(x'ff80c041' AS TEXT)), ('b')")
    assert cells(path, "v", "a") == ("b", "\ufffd\ufffd\ufffdA")


def test_a_query_stops_at_its_time_where_each_step_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks at the clock lie a thousand instructions, each of which may take tens of milliseconds."""
    monkeypatch.setattr(spider_execution, "SECONDS", 0.3)
    path = base(tmp_path / "a.sqlite", "CREATE TABLE v (a)")
    long = "replace(hex(zeroblob(200000)), '0', 'ab')"
    query = f"WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t WHERE instr({long} || x, 'c') > 0"
    with spider_execution._opened(path) as opened:
        began = time.monotonic()
        with pytest.raises(sqlite3.Error, match="interrupted"):
            opened.rows(query, 10)
        assert time.monotonic() - began < 5
        assert opened.rows("SELECT 1", 10) == [(1,)], "and the next query has its own time"
