"""Retrievers: never the example itself nor its question, exactly k, best last, whatever the order or batch."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreword.data.examples import Example
from foreword.prompts.retrieve import RETRIEVERS, Pool, fixed, make
from foreword.util.errors import ForewordError
from retrieving import as_tuples, encode, example, make_one

SHARED = Path(__file__).parents[2] / "shared"
TEXTS = st.text(alphabet="ab c1_é漢", max_size=8)
EXAMPLES = st.builds(lambda number, text: example(number, text), st.integers(0, 6), TEXTS)
POOLS = st.lists(EXAMPLES, min_size=1, max_size=12)
every = pytest.mark.parametrize("name", sorted(RETRIEVERS))


def allowed(pool: Sequence[Example], query: Example) -> set[str]:
    """The questions that may be shown: they have an example of another id and are not the asked one."""
    return {
        candidate.question for candidate in pool if candidate.id != query.id and candidate.question != query.question
    }


@every
@settings(deadline=None, max_examples=80)
@given(pool=POOLS, query=EXAMPLES, k=st.integers(1, 5), seed=st.integers(0, 3))
def test_never_itself_never_its_question_never_one_twice(
    name: str, pool: list[Example], query: Example, k: int, seed: int
) -> None:
    hits = make_one(name, pool, seed).find(query, k)
    questions = [hit.example.question for hit in hits]
    assert all(hit.example.id != query.id for hit in hits)
    assert query.question not in questions
    assert len(set(questions)) == len(questions)
    assert set(questions) <= allowed(pool, query)
    assert len(hits) == min(k, len(allowed(pool, query)))
    assert all(hit.example in pool for hit in hits)


@every
@settings(deadline=None, max_examples=60)
@given(pool=POOLS, queries=st.lists(EXAMPLES, max_size=6), k=st.integers(1, 4), data=st.data())
def test_many_at_once_and_in_any_order_are_as_each_alone(
    name: str, pool: list[Example], queries: list[Example], k: int, data: st.DataObject
) -> None:
    whole = make_one(name, pool).find_all([*queries, *pool], k)
    alone = [make_one(name, pool).find(query, k) for query in [*queries, *pool]]
    assert [as_tuples(hits) for hits in whole] == [as_tuples(hits) for hits in alone]
    shuffled = data.draw(st.permutations(queries))
    again = make_one(name, pool).find_all(shuffled, k)
    assert sorted(map(repr, map(as_tuples, again))) == sorted(map(repr, map(as_tuples, whole[: len(queries)])))


@every
@settings(deadline=None, max_examples=60)
@given(pool=POOLS, query=EXAMPLES, k=st.integers(1, 4), data=st.data())
def test_best_last_and_the_pools_order_matters_for_ties_only(
    name: str, pool: list[Example], query: Example, k: int, data: st.DataObject
) -> None:
    distinct = list({candidate.id: candidate for candidate in pool}.values())
    hits = make_one(name, distinct).find(query, k)
    other = make_one(name, data.draw(st.permutations(distinct))).find(query, k)
    assert name not in ("bm25", "dense") or None not in [hit.similarity for hit in hits]
    if name == "random" or None in [hit.similarity for hit in hits]:  # one that measures no similarity
        assert [hit.similarity for hit in hits] == [None] * len(hits)
        unique = len({candidate.question for candidate in distinct}) == len(distinct)
        assert not unique or as_tuples(hits) == as_tuples(other)
    else:
        similarities = [hit.similarity for hit in hits]
        assert similarities == sorted(similarities)
        assert similarities == [hit.similarity for hit in other]


@every
def test_equal_similarity_keeps_the_pools_order_and_the_first_of_a_question(name: str) -> None:
    pool = [example(1, "red cat"), example(2, "red cat"), example(3, "cat red"), example(4, "blue dog")]
    hits = make_one(name, pool).find(example("q", "red cat now"), 3)
    assert {hit.example.id for hit in hits} == {"1", "3", "4"}
    if name != "random":
        assert [hit.example.id for hit in hits] == ["4", "3", "1"]


@every
def test_a_training_example_is_not_shown_its_own_question_under_another_id(name: str) -> None:
    pool = [example(number, "the same triple") for number in range(5)] + [example(9, "something else")]
    assert [hit.example.id for hit in make_one(name, pool).find(pool[2], 3)] == ["9"]


@every
def test_nothing_left_to_show_gives_nothing(name: str) -> None:
    pool = [example(1, "a"), example(2, "a")]
    assert make_one(name, pool).find(example("q", "a"), 2) == []
    assert make_one(name, pool).find_all([], 2) == []


@every
def test_texts_without_any_word_do_not_matter(name: str) -> None:
    pool = [example(1, "!!"), example(2, "??"), example(3, "")]
    assert len(make_one(name, pool).find(example("q", "..."), 2)) == 2


def test_random_is_a_function_of_seed_and_id() -> None:
    pool = [example(number, f"text {number}") for number in range(50)]
    first = make_one("random", pool).find(example("q", "x"), 3)
    assert as_tuples(first) == as_tuples(make_one("random", pool[::-1]).find(example("q", "other"), 3))
    assert as_tuples(first) != as_tuples(make_one("random", pool, seed=1).find(example("q", "x"), 3))
    assert as_tuples(first) != as_tuples(make_one("random", pool).find(example("r", "x"), 3))


def test_random_shows_every_other_question_equally_often() -> None:
    pool = [example(number, f"text {number}") for number in range(5)]
    retriever = make_one("random", pool)
    counts = dict.fromkeys("01234", 0)
    for number in range(2000):
        counts[retriever.find(example(f"q{number}", "text 2"), 1)[0].example.id] += 1
    assert counts.pop("2") == 0
    assert all(400 < count < 600 for count in counts.values()), counts


def test_another_process_finds_the_same() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_retrieve as t\n"
        "pool = [t.example(n, f'word{n % 7} tok{n % 5} {n}') for n in range(40)]\n"
        "query = t.example('q', 'word3 tok2')\n"
        "for name in t.RETRIEVERS: print(t.as_tuples(t.make_one(name, pool).find(query, 4)))\n"
        "print([demonstration.id for demonstration in t.fixed(pool, 4, 0)])"
    )
    root, outputs = Path(__file__).parents[1], set()
    for seed in ("1", "2"):
        world = {**os.environ, "PYTHONHASHSEED": seed}
        outputs.add(subprocess.check_output([sys.executable, "-c", code], cwd=root, env=world))
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 4


# real questions


@pytest.mark.skipif(not (SHARED / "data/e2e_nlg/devset.csv").exists(), reason="the shared data are not here")
@every
def test_no_leak_on_real_data_where_each_question_has_many_rows(name: str) -> None:
    with (SHARED / "data/e2e_nlg/devset.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[:1500]
    pool = [example(number, row["mr"], row["ref"]) for number, row in enumerate(rows)]
    assert len({candidate.question for candidate in pool}) < len(pool) / 2
    queries = Random(0).sample(pool, 60)
    for query, hits in zip(queries, make_one(name, pool).find_all(queries, 3), strict=True):
        assert len(hits) == 3
        assert len({shown.example.question for shown in hits} | {query.question}) == 4


# refusals and fixed demonstrations


@every
def test_an_empty_pool_and_k_below_one_are_refused(name: str) -> None:
    with pytest.raises(ForewordError, match="pool of demonstrations is empty; give the task training examples"):
        make_one(name, [])
    with pytest.raises(ForewordError, match="0 demonstrations were asked for; ask for 1 or more"):
        make_one(name, [example(1, "a")]).find(example(2, "b"), 0)


def test_an_unknown_retriever_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ForewordError, match=r"There is no retriever 'bm52'; did you mean 'bm25'\? Known: bm25, dense, random"
    ):
        make("bm52", [example(1, "a")])


def test_every_retriever_bears_its_name() -> None:
    pool = Pool([example(1, "a")], encode=encode)
    assert {name: kind.make(pool).name for name, kind in RETRIEVERS.items()} == {name: name for name in RETRIEVERS}


@settings(deadline=None, max_examples=80)
@given(pool=POOLS, k=st.integers(1, 6), seed=st.integers(0, 3), data=st.data())
def test_fixed_gives_k_distinct_questions_whatever_the_order(
    pool: list[Example], k: int, seed: int, data: st.DataObject
) -> None:
    distinct = list({candidate.id: candidate for candidate in pool}.values())
    drawn = fixed(distinct, k, seed)
    assert len(drawn) == min(k, len({candidate.question for candidate in distinct}))
    assert len({demonstration.question for demonstration in drawn}) == len(drawn)
    assert fixed(data.draw(st.permutations(distinct)), k, seed) == drawn


@settings(deadline=None, max_examples=60)
@given(
    labels=st.lists(st.sampled_from("abc"), min_size=1, max_size=20),
    k=st.integers(1, 8),
    seed=st.integers(0, 5),
)
def test_fixed_shows_each_label_in_turn(labels: list[str], k: int, seed: int) -> None:
    pool = [example(number, f"text {number}", label, ("a", "b", "c")) for number, label in enumerate(labels)]
    shown = [demonstration.targets[0] for demonstration in fixed(pool, k, seed)]
    for label in set(labels):
        fair = k // len(set(labels))
        assert shown.count(label) >= min(fair, labels.count(label))
    turn = shown[: len(set(labels))]
    assert len(set(turn)) == len(turn)


def test_fixed_draws_which_label_comes_first() -> None:
    pool = [example(number, f"text {number}", "ab"[number % 2], ("a", "b")) for number in range(10)]
    assert {fixed(pool, 1, seed)[0].targets[0] for seed in range(20)} == {"a", "b"}


def test_fixed_depends_on_the_seed_and_refuses_nothing_to_show() -> None:
    pool = [example(number, f"text {number}") for number in range(40)]
    assert fixed(pool, 3, 0) != fixed(pool, 3, 1)
    with pytest.raises(ForewordError, match="pool of demonstrations is empty"):
        fixed([], 1, 0)
    with pytest.raises(ForewordError, match="-1 demonstrations were asked for"):
        fixed(pool, -1, 0)
