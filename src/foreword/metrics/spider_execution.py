"""Spider's execution accuracy: a query is right when it returns what the gold query returns; SQL may only read.

Source: as foreword/metrics/spider_results.py says. Every file `*.sqlite` in the database's folder is asked: one is execution
accuracy, the many of a test suite make it test-suite accuracy. The SQL runs in a process of its own, on a database opened
read-only and immutable, under an authorizer that allows SELECT, reading, functions and recursion, and within STEPS
instructions of SQLite's machine, SECONDS, MEMORY bytes, and one row more than the gold query returns; what fails or
exceeds them is wrong. The official tool has no such limits (its 60 seconds never interrupt a query), takes a statement that
returns nothing for an empty result, and stops on a blank prediction; the last two are wrong here.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from foreword.metrics._spread import spread
from foreword.metrics.base import pairs, values_metric
from foreword.metrics.spider_results import Row, ordered, predicted, same_results, statement
from foreword.util.errors import ForewordError

LEAST = 500  # examples that are worth a process of their own
STEPS = 100_000_000  # instructions of SQLite's machine: the same on every processor, some seconds
SECONDS = 60.0
MEMORY = 2**30  # bytes
ROWS = 1_000_000  # of a gold query
LENGTH = 1_000_000  # bytes of a value or a row
PATTERN = 1_000  # letters of a LIKE pattern
_PULSE = 1_000  # instructions between two looks at the limits
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_FAILS = (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError)


def _executed(
    outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]]
) -> list[float]:
    rows = zip(pairs(outputs, references), facts, strict=True)
    jobs = [
        (place, output, list(accepted), str(known["database_path"]))
        for place, ((output, accepted), known) in enumerate(rows)
    ]
    return spread(execution_scores, jobs, least=LEAST, apart=True)


def execution_scores(jobs: Sequence[Any], _: Sequence[Any] = ()) -> list[float]:
    """1 or 0 for each job: place, output, reference queries, the folder of its databases. Not to be called where memory is
    not to be limited for good."""
    folders: dict[str, dict[str, list[tuple[int, int, str]]]] = {}
    for at, (place, output, accepted, folder) in enumerate(jobs):
        for reference in accepted:
            predictions = folders.setdefault(folder, {}).setdefault(statement(reference), [])
            predictions.append((at, place, predicted(output)))
    right = [0.0] * len(jobs)
    for folder, golds in folders.items():
        print(f"reading {folder}", file=sys.stderr, flush=True)  # what is told where the process stops
        for path in _databases(folder):
            with _opened(path) as base:
                golds = {gold: _standing(base, gold, predictions) for gold, predictions in golds.items() if predictions}
        for predictions in golds.values():
            for at, _place, _query in predictions:
                right[at] = 1.0
    return right


def _databases(folder: str) -> list[Path]:
    paths = sorted(Path(folder).glob("*.sqlite"))
    if not paths:
        raise ForewordError(f"There is no database in {folder}; put the folder 'database' of spider.zip there.")
    return paths


class _Base:
    """A database for reading."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self.connection = path, connection
        self.left, self.until = 0, 0.0

    def pulse(self) -> bool:
        """Whether to stop, asked every _PULSE instructions."""
        self.left -= 1
        return self.left < 0 or time.monotonic() > self.until

    def rows(self, query: str, most: int) -> list[Row]:
        """The first rows of a query, at most so many. Raises one of _FAILS; ForewordError where the file is damaged."""
        self.left, self.until = STEPS // _PULSE, time.monotonic() + SECONDS
        clock = threading.Timer(SECONDS, self.connection.interrupt)  # between two looks, an instruction may take long
        clock.start()
        try:
            with contextlib.closing(self.connection.execute(query)) as cursor:
                if cursor.description is None:
                    raise sqlite3.ProgrammingError("it is no query")
                return cursor.fetchmany(most)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                raise _damaged(self.path, error) from error
            raise
        finally:
            clock.cancel()
            clock.join()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Base]:
    location = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(location, uri=True, isolation_level=None)
        connection.execute("SELECT count(*) FROM sqlite_master").close()
    except sqlite3.Error as error:
        raise _damaged(path, error) from error
    with contextlib.closing(connection):
        connection.text_factory = lambda raw: raw.decode(errors="ignore")
        connection.execute(f"PRAGMA hard_heap_limit = {MEMORY}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LENGTH)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN)
        connection.set_authorizer(_only_reading)
        base = _Base(path, connection)
        connection.set_progress_handler(base.pulse, _PULSE)
        yield base


def _damaged(path: Path, error: sqlite3.Error) -> ForewordError:
    return ForewordError(f"{path} is no whole SQLite database ({error}); download it again.")


def _only_reading(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    allowed = action in _READING and second != "load_extension"
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _standing(base: _Base, gold: str, predictions: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Those of the predictions that return what the gold query does. Raises ForewordError where that itself fails."""
    why = ""
    try:
        rows = base.rows(gold, ROWS + 1)
        why = f"it returns more than {ROWS:,} rows" if len(rows) > ROWS else ""
    except _FAILS as error:
        why = str(error) or type(error).__name__
        if base.left < 0:
            why = f"it takes more than {STEPS:,} steps"
        elif time.monotonic() > base.until:
            why = f"it takes longer than {SECONDS:.0f} s"
    if why:
        raise ForewordError(
            f"The reference query of example {predictions[0][1]} (counted from 0) fails on {base.path} ({why}): '{gold}'; leave "
            "that example out, or score this task without 'spider_execution'."
        )
    return [prediction for prediction in predictions if _agrees(base, prediction[2], rows, ordered(gold))]


def _agrees(base: _Base, query: str, rows: Sequence[Row], in_order: bool) -> bool:
    try:
        return same_results(rows, base.rows(query, len(rows) + 1), in_order)
    except _FAILS:
        return False


METRICS = (
    values_metric(
        "spider_execution",
        needs=("database_path",),
        values=_executed,
        source="Spider's execution accuracy, test-suite accuracy on many databases (Zhong et al. 2020; "
        "taoyds/test-suite-sql-eval at 14784c3, --etype exec).",
        signature=lambda: (
            f"spider_execution|distinct:no|values:predicted|steps:{STEPS}|sqlite:{sqlite3.sqlite_version}|"
            "version:taoyds-testsuite-14784c3|refs:best"
        ),
    ),
)
