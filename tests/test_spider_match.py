"""Spider's exact set match by hand: the grammar, its quirks, each component, hardness; it refuses a reading that only seems right."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer

from foreword.metrics import metric
from foreword.metrics.spider_match import COMPONENTS, LEVELS, Verdict, elementai, judge, suite
from foreword.metrics.spider_sql import Schema, SqlError, parse, tokens, words
from foreword.util.errors import ForewordError

COLUMNS = [
    (-1, "*"),
    (0, "Id"),
    (0, "Name"),
    (0, "Age"),
    (1, "Id"),
    (1, "Singer_ID"),
    (1, "Title"),
    (2, "sid"),
    (2, "Year"),
]
KEYS = [(5, 1), (7, 1)]
SCHEMA = Schema.of(["Singer", "Song", "Show"], COLUMNS, KEYS)


def verdict(gold: str, prediction: str, fork: object = list) -> Verdict:
    return judge(gold, prediction, SCHEMA, fork)  # type: ignore[arg-type]


def kind(query: str) -> str:
    """The error with which the official tool stops on a query; empty where it reads it."""
    try:
        parse(query, SCHEMA)
    except SqlError as error:
        return error.kind
    return ""


# Tokens


def test_tokens_keep_quoted_text_and_join_comparisons() -> None:
    assert tokens("SELECT a.B,count(*) FROM t WHERE x>=3 AND y  ! = 'It is'") == (
        "select", "a.b", ",", "count", "(", "*", ")", "from", "t", "where", "x", ">", "=3", "and", "y", "!=", '"It is"',
    )  # fmt: skip
    assert tokens("x = 'a' ;") == ("x", "=", '"a"', ";")
    assert tokens("x='a'") == ("x=__val_2_4__",)
    assert tokens("") == ()
    with pytest.raises(SqlError, match="odd number"):
        tokens("x = 'a")


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from([*"ab1 .,:;()[]{}<>=!?*%&#@$-+/|_`“”«»\t", "--", "...", "cannot", "gonna ", "Wanna", "a.b"])
    )
)
def test_words_are_those_of_nltk(parts: list[str]) -> None:
    text = "".join(parts)
    assert words(text) == NLTKWordTokenizer().tokenize(text)


# The grammar


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM singer",
        "select count ( distinct name ) , max(age) from singer group by age having count(*) > 1 order by age desc limit 3;",
        "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id WHERE T2.title LIKE '%a%' OR T1.age > 3.5",
        "SELECT name FROM singer WHERE age NOT BETWEEN 1 AND 2 AND id NOT IN (SELECT singer_id FROM song)",
        "SELECT name FROM singer UNION SELECT title FROM song EXCEPT SELECT name FROM singer",
        "( SELECT name FROM singer )",
        "SELECT count(*) FROM (SELECT * FROM singer)",
        "SELECT age - id FROM singer",
        "SELECT name age FROM singer",  # a comma may be missing
        "SELECT name FROM singer song",  # and JOIN
        "SELECT name FROM singer WHERE age = 1 id = 2",  # and AND: though the tool stops on comparing it
        "SELECT name FROM singer ) nonsense ( (",  # what follows a whole query is not read
        "SELECT name FROM singer WHERE age = id OR nonsense = 3",  # lost with the right-hand side
    ],
)
def test_what_the_grammar_takes(query: str) -> None:
    assert kind(query) == ""


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", "IndexError"),
        ("name", "AssertionError"),
        ("SELECT name", "AssertionError"),
        ("SELECT nothing FROM singer", "AssertionError"),
        ("SELECT T3.name FROM singer AS T1", "KeyError"),
        ("SELECT name FROM nothing", "KeyError"),
        ("SELECT name FROM singer INNER JOIN song ON singer.id = song.singer_id", "KeyError"),
        ("SELECT name FROM singer, song", "KeyError"),
        ("SELECT s.name FROM singer s", "KeyError"),
        ("SELECT name FROM singer AS song", "AssertionError"),
        ("SELECT count(1) FROM singer", "AssertionError"),
        ("SELECT name AS n FROM singer", "AssertionError"),
        ("SELECT max(age) - min(age) FROM singer", "AssertionError"),
        ("SELECT name FROM singer WHERE age <> 3", "AssertionError"),
        ("SELECT name FROM singer WHERE NOT age > 3", "AssertionError"),
        ("SELECT name FROM singer WHERE age IS NOT NULL", "AssertionError"),
        ("SELECT name FROM singer WHERE age IN (1, 2)", "AssertionError"),
        ("SELECT name FROM singer HAVING count(*) > 1", "KeyError"),
        ("SELECT name FROM singer ORDER BY age LIMIT many", "ValueError"),
        ("SELECT name FROM singer LIMIT", "IndexError"),
        ("SELECT name FROM (SELECT name FROM singer)", "AssertionError"),
        ("SELECT count(*) FROM (SELECT * FROM singer) JOIN (SELECT * FROM song)", "KeyError"),
        ("SELECT name FROM singer UNION ALL SELECT title FROM song", "AssertionError"),
        ("SELECT name FROM singer WHERE name = 'it's", "AssertionError"),
        ("SELECT a.b.c FROM singer", "ValueError"),
    ],
)
def test_what_it_does_not_take_names_the_tools_error(query: str, error: str) -> None:
    assert kind(query) == error
    if query:
        judgement = verdict("SELECT name FROM singer", query)
        assert judgement.parse_error and not judgement.exact
    with pytest.raises(SqlError):
        verdict(query, "SELECT name FROM singer")


# Exact match

SAME = [
    ("SELECT name , age FROM singer", "select age,name from singer"),
    ("SELECT DISTINCT name FROM singer", "SELECT name FROM singer"),
    ("SELECT count(DISTINCT name) FROM singer", "SELECT count(name) FROM singer"),
    ("SELECT name FROM singer WHERE age = 3 AND id > 1", "SELECT name FROM singer WHERE id > 7 AND age = 'x'"),
    ("SELECT name FROM singer WHERE age = 3 AND id = 1 OR id = 2", "SELECT name FROM singer WHERE age = 3 OR id = 1 AND id = 2"),
    ("SELECT name FROM singer WHERE age = id OR age = 3", "SELECT name FROM singer WHERE age = id"),
    ("SELECT name FROM singer ORDER BY age LIMIT 3", "SELECT name FROM singer ORDER BY age ASC LIMIT 1"),
    ("SELECT name FROM singer ORDER BY age DESC , id ASC", "SELECT name FROM singer ORDER BY age ASC , id"),
    (
        "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id",
        "SELECT singer.name FROM song JOIN singer ON song.id = singer.age",
    ),
    (
        "SELECT T1.id FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id",
        "SELECT T2.singer_id FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id",
    ),
    ("SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer WHERE id = 3)",
     "SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer WHERE id = 4)"),
    ("SELECT id FROM singer GROUP BY singer.id", "SELECT id FROM singer GROUP BY id"),
    ("SELECT name FROM singer", "SELECT name FROM singer SELECT name FROM singer"),
]  # fmt: skip
DIFFERENT = [
    ("SELECT name FROM singer", "SELECT name FROM singer JOIN song", ()),
    ("SELECT name , age FROM singer", "SELECT name , name FROM singer", ("select", "select(no AGG)")),
    ("SELECT max(age) FROM singer", "SELECT min(age) FROM singer", ("select",)),
    ("SELECT name FROM singer WHERE age > 3", "SELECT name FROM singer WHERE age < 3", ("where",)),
    ("SELECT name FROM singer WHERE age > 3", "SELECT name FROM singer", ("where", "where(no OP)", "keywords")),
    ("SELECT name FROM singer WHERE age = 1 AND id = 2", "SELECT name FROM singer WHERE age = 1 OR id = 2", ("and/or", "keywords")),
    ("SELECT age FROM singer GROUP BY age", "SELECT age FROM singer GROUP BY id", ("group(no Having)", "group")),
    ("SELECT age FROM singer GROUP BY age , id", "SELECT age FROM singer GROUP BY id , age", ("group",)),
    (
        "SELECT age FROM singer GROUP BY age HAVING count(*) > 1",
        "SELECT age FROM singer GROUP BY age HAVING count(*) >= 1",
        ("group",),
    ),
    ("SELECT name FROM singer ORDER BY age", "SELECT name FROM singer ORDER BY age DESC", ("order", "keywords")),
    ("SELECT name FROM singer ORDER BY age LIMIT 1", "SELECT name FROM singer ORDER BY age", ("order", "keywords")),
    (
        "SELECT name FROM singer UNION SELECT title FROM song",
        "SELECT name FROM singer UNION SELECT id FROM song",
        ("IUEN",),
    ),
    (
        "SELECT name FROM singer UNION SELECT name FROM singer",
        "SELECT name FROM singer EXCEPT SELECT name FROM singer",
        ("IUEN", "keywords"),
    ),
    (
        "SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer LIMIT 1)",
        "SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer LIMIT 2)",
        ("where",),
    ),
    ("SELECT count(*) FROM (SELECT name FROM singer WHERE age = 1)", "SELECT count(*) FROM (SELECT name FROM singer WHERE age = 2)", ()),
    ("SELECT T1.id FROM song AS T1", "SELECT T1.singer_id FROM song AS T1", ("select", "select(no AGG)")),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "prediction"), SAME)
def test_these_are_the_same(gold: str, prediction: str) -> None:
    for reference, candidate in ((gold, prediction), (prediction, gold)):
        judgement = verdict(reference, candidate)
        assert judgement.exact and not judgement.parse_error and all(map(judgement.right, COMPONENTS))


@pytest.mark.parametrize(("gold", "prediction", "wrong"), DIFFERENT)
def test_these_differ_in_their_components(gold: str, prediction: str, wrong: tuple[str, ...]) -> None:
    judgement = verdict(gold, prediction)
    assert not judgement.exact and not judgement.parse_error
    assert tuple(component for component in COMPONENTS if not judgement.right(component)) == wrong


def test_an_unreadable_prediction_is_an_empty_query() -> None:
    judgement = verdict("SELECT name FROM singer", "nonsense")
    assert judgement.parse_error and not judgement.exact
    assert [component for component in COMPONENTS if judgement.right(component)] == [
        "where", "where(no OP)", "group(no Having)", "group", "order", "and/or", "IUEN", "keywords",
    ]  # fmt: skip
    assert judgement.totals["select"] == (1, 0, 0)


def test_conditions_that_do_not_alternate_stop_the_tool() -> None:
    bad = "SELECT name FROM singer WHERE age = 1 id = 2 OR id = 3"
    for gold, prediction, error in ((bad, bad, "IndexError"), ("SELECT name FROM singer", bad, "ValueError")):
        with pytest.raises(SqlError) as caught:
            verdict(gold, prediction)
        assert caught.value.kind == error


def test_foreign_keys_are_gathered_in_their_order() -> None:
    assert SCHEMA.merged == {
        "__singer.id__": "__singer.id__",
        "__song.singer_id__": "__singer.id__",
        "__show.sid__": "__singer.id__",
    }
    apart = Schema.of(["a", "b"], [(-1, "*"), (0, "w"), (0, "x"), (1, "y"), (1, "z")], [(1, 2), (3, 4), (2, 3)])
    assert apart.merged["__b.y__"] == "__b.y__" and apart.merged["__a.x__"] == "__a.w__"


@pytest.mark.parametrize(
    ("query", "level"),
    [
        ("SELECT name FROM singer", "easy"),
        ("SELECT name FROM singer WHERE age > 3", "easy"),
        ("SELECT name , age FROM singer", "medium"),
        ("SELECT name FROM singer WHERE age > 3 ORDER BY id", "medium"),
        ("SELECT name FROM singer WHERE age > 3 ORDER BY id LIMIT 1", "hard"),
        ("SELECT name FROM singer WHERE id IN (SELECT id FROM song)", "hard"),
        ("SELECT name FROM singer WHERE id NOT IN (SELECT id FROM song)", "hard"),
        ("SELECT name FROM singer UNION SELECT title FROM song", "hard"),
        ("SELECT name , age FROM singer UNION SELECT title , id FROM song", "extra"),
        ("SELECT name FROM singer WHERE age LIKE 'a' OR age LIKE 'b'", "extra"),
        ("SELECT max(age) FROM singer WHERE id NOT LIKE 'x'", "medium"),
        ("SELECT age FROM singer GROUP BY age HAVING count(*) > 1 AND count(*) < 3", "easy"),
        ("SELECT max(age) FROM singer GROUP BY age HAVING count(*) > 1 AND count(*) < 3", "medium"),
    ],
)
def test_hardness(query: str, level: str) -> None:
    assert verdict(query, query).hardness == level in LEVELS


def test_the_forks_read_more() -> None:
    gold = "SELECT count(*) FROM singer JOIN song ON singer.id = song.singer_id WHERE age != 3"
    prediction = "SELECT count(1) FROM singer INNER JOIN song ON singer.id = song.singer_id WHERE age <> 3"
    assert verdict(gold, prediction).parse_error
    assert verdict(gold, prediction, elementai).exact
    limits = "SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer LIMIT {})"
    assert not verdict(limits.format(1), limits.format(2)).exact
    assert verdict(limits.format(1), limits.format("many"), suite).exact


# In use


def test_the_metric_takes_the_schema_from_the_facts() -> None:
    row = {"table_names_original": ["Singer"], "column_names_original": [[-1, "*"], [0, "Name"]], "foreign_keys": []}
    match_metric, gold = metric("spider_match"), "SELECT name FROM singer"
    rows = match_metric.numbers(["select Name from Singer", "x"], [[gold]] * 2, [{"schema": row}] * 2)
    assert match_metric.per_example(rows).tolist() == [100.0, 0.0]
    with pytest.raises(ForewordError, match="cannot read the reference query 'nonsense'"):
        match_metric.score([gold], [["nonsense"]], [{"schema": row}])
    with pytest.raises(ForewordError, match="no Spider schema"):
        match_metric.score([gold], [[gold]], [{"schema": {}}])


def test_any_text_is_judged() -> None:
    rng = random.Random("spider")
    queries = [query for pair in SAME for query in pair] + [query for row in DIFFERENT for query in row[:2]]
    bits = [bit for query in queries for bit in query.split()] + ["(", ")", '"', "none", "'a'", "1e5", "nan", ";"]
    exact = 0
    for number in range(3000):
        gold = queries[number % len(queries)]
        prediction_bits = gold.split()
        for _ in range(rng.randint(0, 3)):
            prediction_bits.insert(rng.randrange(len(prediction_bits) + 1), rng.choice(bits))
            prediction_bits.pop(rng.randrange(len(prediction_bits)))
        try:
            exact += verdict(gold, " ".join(prediction_bits)).exact
        except SqlError as error:
            assert error.kind in ("ValueError", "TypeError", "IndexError")
    assert 700 < exact < 2500
    for query in ("(" * 5000, "SELECT * FROM " * 2000, " UNION ".join(["SELECT name FROM singer"] * 2000)):
        assert verdict("SELECT name FROM singer", query).parse_error
