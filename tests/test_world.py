"""The world: seeded and varied; its held-out families have tests of their own."""

from __future__ import annotations

import hashlib
import itertools
import re
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from foreword.synthetic import Document, documents, drills, names
from foreword.synthetic.runs import reworded


def texts(seed: int, count: int, **more: int) -> list[str]:
    return [document.text for document in itertools.islice(documents(seed, **more), count)]


def test_a_seed_gives_the_same_documents_from_any_start() -> None:
    whole = texts(3, 60, drilled=30)
    assert whole == texts(3, 60, drilled=30)
    assert whole[25:] == texts(3, 35, start=25, drilled=30)
    assert whole != texts(4, 60, drilled=30)


def test_documents_are_short_and_varied() -> None:
    document_texts = texts(1, 2000)
    assert max(map(len, document_texts)) < 2500
    assert len(set(document_texts)) == len(document_texts)


def test_answers_are_spans_of_the_text_in_order() -> None:
    legends = 0  # documents that have room for nothing else
    for document in itertools.islice(documents(2, drilled=100), 1500):
        edges = [edge for span in document.answers for edge in span]
        legends += not edges
        assert edges == sorted(edges) and all(0 < edge <= len(document.text) for edge in edges)
        assert all(start < end for start, end in document.answers)
    assert legends < 30


def test_the_first_third_of_the_drilled_documents_is_nothing_but_repeats() -> None:
    for text in texts(5, 20, drilled=60):
        words = text.split()
        assert words[: len(words) // 2] == words[len(words) // 2 :]
        assert set(words) <= set(names.WORDS)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_what_a_drill_counts_stands_before_it(seed: int) -> None:
    text, spans = drills.drill(Random(f"drill/{seed}"))
    for start, end in spans:
        for word in text[start:end].split():
            assert word in text[:start].split() + text[:start].replace(":", " : ").split()


def test_rewording_replaces_a_word_throughout_and_keeps_the_answers_apart() -> None:
    plain = Document("Input: the red house Karo\nOutput: Karo is red", ((33, 45),))
    rewordings = {reworded(plain, Random(f"reword/{number}")).text for number in range(40)}
    assert len(rewordings) > 20
    for number in range(40):
        new = reworded(plain, Random(f"reword/{number}"))
        words = re.findall(r"\w+", new.text)
        assert words[0] == "Input" and words[4] == "Karo" == words[6] and words[2] == words[8]
        assert new.text[slice(*new.answers[0])].split() == words[6:]


def test_name_words_are_distinct() -> None:
    assert len(set(names.WORDS)) == len(names.WORDS) == 480


def test_the_world_is_still_the_one_that_the_shipped_model_read() -> None:
    """When this fails, the shipped model can no longer be made again: train a new one, or take the change back."""
    read = [
        d.text
        for start in (0, 4000, 20_000, 50_000)
        for d in itertools.islice(documents(0, start=start, drilled=9000), 100)
    ]
    assert hashlib.sha256("\0".join(read).encode()).hexdigest()[:16] == "ab3a0911048c45d0"
