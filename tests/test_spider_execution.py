"""Spider's execution accuracy on databases made here: results compared as the official tool does, SQL kept in its box; it
refuses a query that does more than read."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lookalike
from foreword import tasks
from foreword.data.task import SPLITS
from foreword.metrics import METRICS, metric
from foreword.metrics.spider_results import predicted, same_results, statement
from foreword.tasks._spider import tidied
from foreword.util.errors import ForewordError


def database(path: Path, rows: Iterable[tuple[Any, ...]]) -> Path:
    """The folder of a database with a table `t` of these rows and an empty table `bare`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(path)
    base.executescript("CREATE TABLE t (a, b, c); CREATE TABLE bare (a)")
    base.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    base.commit()
    base.close()
    return path.parent


ROWS = [(1, 10, "x"), (2, 20, "y"), (3, 10, "x"), (3, 30, "Ünï"), (None, 20, "y")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return database(tmp_path_factory.mktemp("base") / "shop" / "shop.sqlite", ROWS)


def right(folder: Path, gold: str, *predictions: str) -> list[bool]:
    """Which of the predictions return what the gold query does."""
    execution_metric, count = metric("spider_execution"), len(predictions)
    rows = execution_metric.numbers(list(predictions), [[gold]] * count, [{"database_path": str(folder)}] * count)
    return [bool(row) for row in rows[:, 0]]


# Results


values = st.sampled_from([0, 1, 1.0, 2, 10, "1", "1.0", "a", "", None, b"a", -1, 1.5])
results = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[values] * width), max_size=4))


def as_defined(gold: list[Any], ours: list[Any], in_order: bool) -> bool:
    """The official definition to the letter: sorted rows first, then every order of the columns."""
    if not gold and not ours:
        return True
    if len(gold) != len(ours) or len(gold[0]) != len(ours[0]):
        return False
    sorted_gold, sorted_ours = (
        [tuple(sorted(row, key=lambda x: str(x) + str(type(x)))) for row in rows] for rows in (gold, ours)
    )
    if sorted_gold != sorted_ours if in_order else set(sorted_gold) != set(sorted_ours):
        return False
    for order in itertools.permutations(range(len(gold[0]))):
        moved = [tuple(row[k] for k in order) for row in ours]
        if moved == gold if in_order else Counter(moved) == Counter(gold):
            return True
    return False


@settings(max_examples=400)
@given(results, results, st.randoms(use_true_random=False), st.booleans(), st.integers(0, 3))
def test_results_are_compared_as_the_definition_says(
    gold: list[Any], other: list[Any], rng: Any, in_order: bool, how: int
) -> None:
    order = list(range(len(gold[0]) if gold else 0))
    rng.shuffle(order)
    ours = other if how == 3 else [tuple(row[k] for k in order) for row in gold]
    if how == 1:
        rng.shuffle(ours)
    if how == 2 and ours:
        ours[0] = (rng.choice([1, "a", None]), *ours[0][1:])
    assert same_results(gold, ours, in_order) == as_defined(gold, ours, in_order)


def test_results_by_hand() -> None:
    assert same_results([], [], True)
    assert same_results([(1, "a"), (2, "b")], [("b", 2), ("a", 1)], False)
    assert not same_results([(1, "a"), (2, "b")], [("b", 2), ("a", 1)], True)
    assert same_results([(1, "a"), (2, "b")], [("a", 1), ("b", 2)], True)
    assert not same_results([(1,), (1,), (2,)], [(1,), (2,), (2,)], False), "a bag, not a set"
    assert same_results([(1,)], [(1.0,)], True) and not same_results([(1,)], [("1",)], False)
    assert not same_results([(1, 10)], [(1.0, 10)], False), "their texts sort otherwise: a quirk of the tool"
    # each column fits, both together do not
    assert not same_results([(0, 0), (1, 1)], [(0, 1), (1, 0)], False)
    wide = [tuple(k % 2 for k in range(n, n + 18)) for n in range(6)]
    assert same_results(wide, [row[::-1] for row in wide], False), "many columns alike"


# Queries


def test_what_is_run_of_a_text() -> None:
    assert statement("SELECT DISTINCT a FROM t WHERE b > = 3 AND c ! = 1") == "SELECT  a FROM t WHERE b >= 3 AND c != 1"
    assert statement("select count(distinct a), 'distinct', \"a distinct\" from t") == (
        "select count( a), 'distinct', \"a distinct\" from t"
    )
    assert statement("select distinct_a from t; drop table t") == "select distinct_a from t"
    assert (
        statement("select 'a;b', 'it''s; so' from t -- ; distinct") == "select 'a;b', 'it''s; so' from t -- ; distinct"
    )
    assert statement("select Year ( CurDate() ) - 1") == "select 2020- 1"
    assert statement("select 'open distinct") == "select 'open "
    assert predicted("select a from t where b = value and c = 1") == "select a from t where b = 1 and c = 1"
    assert statement("select value from t") == predicted("select  value from t").replace("  1 ", " value ")


# Execution


def test_what_returns_the_same_is_right(folder: Path) -> None:
    gold = "select a, b from t where a < 3"
    assert right(
        folder,
        gold,
        gold,
        "SELECT B, A FROM T WHERE A < 3 ORDER BY A DESC",
        "select distinct t1.a, t1.b from t as t1 where t1.a < = 2; drop table t",
        "select a, b from t",
        "select a from t where a < 3",
        "select a, b, b from t where a < 3",
        "select a, b from t where a < 3 limit 1",
        "select no_column, b from t where a < 3",
        "words that are no SQL",
        "",
        " ; ",
    ) == [True, True, True, *[False] * 8]


def test_order_distinct_values_and_types(folder: Path) -> None:
    ordered = "select a from t where a > 0 order by a"
    assert right(
        folder, ordered, "select a from t where a > 0 order by a desc", "select a from t where a is not null"
    ) == [
        False,
        True,
    ]
    assert right(folder, "select b from t", "select distinct b from t", "select b from t group by b") == [True, False]
    assert right(folder, "select count(distinct b) from t", "select count(b) from t", "select 3") == [True, False]
    assert right(folder, "select count(*) from t", "select 5.0", "select '5'", "select null") == [True, False, False]
    assert right(folder, "select a from t where c = 'Ünï'", "select a from t where c = 'ünï'", "select 3") == [
        False,
        True,
    ]
    assert right(folder, "select a from bare", "select a, b, c from t where a > 9", "delete from t", "") == [
        True,
        False,
        False,
    ]


def test_any_of_several_references_will_do(folder: Path) -> None:
    execution_metric = metric("spider_execution")
    facts = [{"database_path": str(folder)}]
    assert execution_metric.score(["select 3"], [["select 2", "select 1 + 2"]], facts) == 100.0
    assert execution_metric.score(["select 4"], [["select 2", "select 1 + 2"]], facts) == 0.0


def test_every_database_of_a_test_suite_is_asked(tmp_path: Path) -> None:
    folder = database(tmp_path / "shop" / "shop.sqlite", ROWS)
    gold, lucky, same = "select max(a) from t", "select 3", "select a from t order by a desc limit 1"
    assert right(folder, gold, lucky, same) == [True, True]
    database(folder / "other.sqlite", [(7, 7, "z")])
    assert right(folder, gold, lucky, same) == [False, True]


HOSTILE = (
    "DELETE FROM t",
    "DROP TABLE t",
    "INSERT INTO t VALUES (1, 2, 3) RETURNING 5",
    "UPDATE t SET a = 5",
    "CREATE TABLE u (a)",
    "CREATE TEMP TABLE u AS SELECT 5",
    "ATTACH 'evil.sqlite' AS evil",
    "VACUUM INTO 'evil.sqlite'",
    "PRAGMA journal_mode = WAL",
    "PRAGMA user_version = 5",
    "PRAGMA user_version",
    "SELECT * FROM pragma_user_version",
    "BEGIN EXCLUSIVE",
    "REINDEX",
    "ANALYZE",
    "SELECT load_extension('evil')",
    "SELECT writefile('evil', 5)",
    "SELECT ?",
    "SELECT 5 \x00",
    "SELECT '\ud800'",
    "SELECT length(zeroblob(500000000))",
    "SELECT 5 WHERE 'a' LIKE '" + "%a" * 9000 + "'",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
    "(" * 3000,
    "SELECT " + "+".join(["1"] * 5000),
)


def test_sql_that_does_more_than_read_is_wrong_and_does_nothing(folder: Path) -> None:
    path = folder / "shop.sqlite"
    before, changed = path.read_bytes(), path.stat().st_mtime_ns
    there = set(Path.cwd().iterdir())
    assert right(folder, "select count(*) from t", *HOSTILE, "select 5") == [*[False] * len(HOSTILE), True]
    assert path.read_bytes() == before and path.stat().st_mtime_ns == changed
    assert [file.name for file in folder.iterdir()] == ["shop.sqlite"] and set(Path.cwd().iterdir()) == there


LIMITS = """
import json, sys
from foreword.metrics import spider_execution as tested
tested.STEPS, tested.MEMORY = 20_000_000, 2**23
folder, gold, *predictions = sys.argv[1:]
print(json.dumps(tested.execution_scores([(n, one, [gold], folder) for n, one in enumerate(predictions)])))
"""


def test_what_takes_too_long_or_too_much_is_wrong(folder: Path) -> None:
    """In a process of its own with lower limits, as the limit of memory stays with a process."""
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n{}) SELECT count(*) FROM n"
    predictions = [
        endless.format(""),
        f"SELECT count(*) FROM {', '.join(['t'] * 12)}",
        "WITH n(x) AS (SELECT zeroblob(900000) FROM t, t, t) SELECT count(*) FROM (SELECT x FROM n ORDER BY random())",
        endless.format(" LIMIT 5"),
    ]
    completed = subprocess.run(
        [sys.executable, "-c", LIMITS, str(folder), "select 5", *predictions],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(completed.stdout) == [0.0, 0.0, 0.0, 1.0]
    completed = subprocess.run(
        [sys.executable, "-c", LIMITS, str(folder), predictions[0], "x"], capture_output=True, text=True
    )
    message = completed.stderr.splitlines()[-1]
    assert "example 0 (counted from 0) fails on" in message and "(it takes more than 20,000,000 steps)" in message


def test_a_gold_query_that_fails_is_refused_with_its_example_and_database(folder: Path, tmp_path: Path) -> None:
    execution_metric, facts = metric("spider_execution"), {"database_path": str(folder)}
    with pytest.raises(
        ForewordError,
        match=r"reference query of example 1 \(counted from 0\) fails on .*shop\.sqlite \(no such column: d\)",
    ) as caught:
        execution_metric.numbers(["select 1", "select 1"], [["select 1"], ["select d from t"]], [facts, facts])
    assert "\n" not in str(caught.value)
    with pytest.raises(
        ForewordError, match=r"There is no database in .*none; put the folder 'database' of spider\.zip"
    ):
        execution_metric.score(["select 1"], [["select 1"]], [{"database_path": str(tmp_path / "none")}])
    with pytest.raises(ForewordError, match="'spider_execution' reads the fact 'database_path'"):
        execution_metric.score(["select 1"], [["select 1"]], [{}])


@pytest.mark.parametrize("contents", [b"no database at all, but a long line of text" * 40, "half"])
def test_a_file_that_is_no_whole_database_is_named(contents: bytes | str, folder: Path, tmp_path: Path) -> None:
    whole = (folder / "shop.sqlite").read_bytes()
    (tmp_path / "shop.sqlite").write_bytes(contents if isinstance(contents, bytes) else whole[: len(whole) // 2])
    with pytest.raises(ForewordError, match=r"shop\.sqlite is no whole SQLite database \(.*\); download it again"):
        right(tmp_path, "select a from t", "select a from t")


def test_the_metric_keeps_the_contract_of_the_shelf(folder: Path) -> None:
    execution_metric, facts, gold = METRICS["spider_execution"], {"database_path": str(folder)}, "select a, b from t"
    rows = execution_metric.numbers([gold, "False"], [[gold]] * 2, [facts] * 2)
    assert rows.shape == (2, 2) and execution_metric.per_example(rows).tolist() == [100.0, 0.0]
    assert execution_metric.from_sums(rows.sum(axis=0)) == 50.0 and execution_metric.best == 100.0
    assert execution_metric.numbers([], [], []).shape == (0, 2)
    assert (
        "\n" not in execution_metric.signature()
        and sqlite3.sqlite_version in execution_metric.signature()
        and len(execution_metric.source) > 20
    )


# The task


def spider(root: Path) -> Path:
    return lookalike.write(root, "spider") / "spider"


@pytest.mark.parametrize("name", ["spider", "spider-with-cells"])
def test_the_task_is_scored_by_execution_where_its_databases_are(name: str, tmp_path: Path) -> None:
    spider(tmp_path)
    task = tasks.load(name, tmp_path)
    assert task.metrics == ("spider_match", "spider_execution", "exact_match")
    for split in SPLITS:
        examples = task.split(split)
        golds, facts = [example.targets for example in examples], [example.facts for example in examples]
        for which in task.metrics:
            assert metric(which).score([example.targets[0] for example in examples], golds, facts) == 100.0, (
                split,
                which,
            )


def test_without_databases_the_task_says_where_to_put_them(tmp_path: Path) -> None:
    folder = spider(tmp_path)
    whole = tasks.load("spider", tmp_path)
    shutil.rmtree(folder / "database")
    task = tasks.load("spider", tmp_path)
    assert task.metrics == ("spider_match", "exact_match")
    assert task.notes[-1] == (
        "Execution accuracy is not scored: 1 of the 1 databases that the test questions ask are not here; put the folder "
        "'database' of spider.zip beside tables.json."
    )
    assert not any("Execution" in note for note in whole.notes)
    assert [example.targets for example in task.test] == [example.targets for example in whole.test]


def test_the_fingerprint_knows_the_databases_and_not_their_place(tmp_path: Path) -> None:
    folder = spider(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    task, copied_task = (tasks.load("spider", tmp_path / name) for name in ("one", "two"))
    assert task.fingerprint == copied_task.fingerprint
    assert task.test[0].facts["database_path"] == str((folder / "database/shop").resolve())
    assert task.test[0].facts["database_path"] != copied_task.test[0].facts["database_path"]
    base = sqlite3.connect(folder / "database/shop/shop.sqlite")
    base.execute("UPDATE Item SET Price = 0")
    base.commit()
    base.close()
    assert tasks.load("spider", tmp_path / "one").fingerprint != task.fingerprint


def test_a_task_is_read_again_only_when_a_file_has_changed(tmp_path: Path) -> None:
    folder = spider(tmp_path)
    task = tasks.load("spider", tmp_path)
    assert tasks.load("spider", tmp_path) is task
    path = folder / "dev.json"
    path.write_text(path.read_text().replace("Who sells in", "Who is selling in"))
    again = tasks.load("spider", tmp_path)
    assert again is not task and again.test[0].fields["question"].startswith("Who is selling in")


QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
queries = st.lists(st.sampled_from(["SELECT", " , ", "  ", "'A  b'", '"It\'s , A"', "T1.Name", "=", "\n", "\t", "''"]))


@given(queries.map("".join))
def test_a_target_is_lower_case_but_for_quoted_text(query: str) -> None:
    tidy = tidied(query)
    assert tidy.lower().replace(" ", "") == "".join(query.lower().split())
    assert QUOTED.findall(tidy) == QUOTED.findall(query)
    assert not any(re.search(r"[A-Z\n\t]|  ", piece) for piece in QUOTED.split(tidy))


def test_targets_by_hand() -> None:
    assert tidied("SELECT  Name , T1.Age FROM T WHERE C  =  'New  York , NY' AND D LIKE \"%It's%\"") == (
        "select name, t1.age from t where c = 'New  York , NY' and d like \"%It's%\""
    )
