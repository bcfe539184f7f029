"""The world: seeded, varied, and its held-out families kept out of pre-training."""

from __future__ import annotations

import hashlib
import itertools
import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreword.errors import ForewordError
from foreword.world import Document, documents, drills, families, names
from foreword.world.families import FAMILIES, TABLES, THINGS, Family, task
from foreword.world.runs import reworded

NEVER = 10**9


def texts(seed: int, count: int, *, late: int = NEVER, **more: int) -> list[str]:
    return [document.text for document in itertools.islice(documents(seed, late=late, **more), count)]


@pytest.fixture(scope="module")
def read() -> str:
    return "\n@@\n".join(texts(0, 12_000, drilled=300, late=4000))


def test_a_seed_gives_the_same_documents_from_any_start() -> None:
    whole = texts(3, 60, drilled=30)
    assert whole == texts(3, 60, drilled=30)
    assert whole[25:] == texts(3, 35, start=25, drilled=30)
    assert whole != texts(4, 60, drilled=30)


def test_documents_are_short_and_varied() -> None:
    found = texts(1, 2000)
    assert max(map(len, found)) < 2500
    assert len(set(found)) == len(found)


def test_answers_are_spans_of_the_text_in_order() -> None:
    for document in itertools.islice(documents(2, drilled=100, late=700), 1500):
        edges = [edge for span in document.answers for edge in span]
        assert edges == sorted(edges) and edges[0] > 0 and edges[-1] <= len(document.text)
        assert all(start < end for start, end in document.answers)


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
    seen = {reworded(plain, Random(f"reword/{number}")).text for number in range(40)}
    assert len(seen) > 20
    for number in range(40):
        new = reworded(plain, Random(f"reword/{number}"))
        words = re.findall(r"\w+", new.text)
        assert words[0] == "Input" and words[4] == "Karo" == words[6] and words[2] == words[8]
        assert new.text[slice(*new.answers[0])].split() == words[6:]


def test_name_words_are_distinct() -> None:
    assert len(set(names.WORDS)) == len(names.WORDS) == 480


def literals() -> list[str]:
    """What the held-out families say of themselves: their marks, and the fixed parts of their templates."""
    marks = ["<page>", "<section>", "<cell>", "<col>", "[in:", "[sl:", "filter_eq", "all_rows", "most_eq", "hop {"]
    marks += ["structured knowledge", "select name", "select count", "order by", "= true , caption"]
    marks += [f" : {relation} : " for relations, _ in THINGS for relation in relations]
    templates = [wording for _, _, wordings in TABLES for wording in wordings]
    templates += [wording for _, _, wordings in families._INTENTS for wording in wordings]
    templates += [wording for _, wordings in THINGS for wording in wordings]
    parts = [part for template in templates for part in re.split(r"\{\w+\}", template)]
    return marks + [part for part in parts if len(part.split()) >= 4]


def test_the_held_out_families_never_occur_in_pretraining(read: str) -> None:
    found = literals()
    assert len(found) >= 25
    assert [literal for literal in found if literal in read] == []


def test_some_words_of_the_families_never_occur_in_pretraining(read: str) -> None:
    known = set(re.findall(r"[a-z]+", read))
    for family in FAMILIES.values():
        made = task(family, train=100, dev=0, test=0).train
        said = {
            word
            for example in made
            for word in re.findall(r"\b[a-z]{3,}\b", example.text + " " + " ".join(example.targets))
        }
        assert len(said - known) >= 2, family.name


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_keeps_the_contract_of_a_task(name: str) -> None:
    made = task(FAMILIES[name])
    assert (len(made.train), len(made.dev), len(made.test)) == (1000, 100, 200)
    every = [*made.train, *made.dev, *made.test]
    assert len({example.question for example in every}) == len(every)
    assert all(example.targets and all(example.targets) for example in every)
    assert made.fingerprint == task(FAMILIES[name]).fingerprint
    assert made.fingerprint != task(FAMILIES[name], seed=2).fingerprint


def test_mini_dart_has_several_references() -> None:
    assert {len(example.targets) for example in task(FAMILIES["mini-dart"]).test} == {3}


def nearness(made: Family, dial: float) -> float:
    """Mean over the test examples of the largest share of words that a training example has in common."""
    split = task(made, train=300, dev=0, test=60, similarity=dial)
    pool = [set(example.text.split()) for example in split.train]
    best = []
    for example in split.test:
        words = set(example.text.split())
        best.append(max(len(words & other) / len(words | other) for other in pool))
    return sum(best) / len(best)


@pytest.mark.parametrize("name", ["mini-totto", "mini-logic2text", "mini-spider"])
def test_the_dial_turns_similarity(name: str) -> None:
    assert nearness(FAMILIES[name], 1.0) > nearness(FAMILIES[name], 0.0) + 0.03


def test_a_family_that_runs_out_of_examples_says_so() -> None:
    one = Family("mini-one", lambda rng: lambda rng: ("always", ("the same",)), ("bleu",), 0.5)
    with pytest.raises(ForewordError, match="no 5 different examples for train"):
        task(one, train=5, dev=0, test=0)


def test_the_world_is_still_the_one_that_the_shipped_model_read() -> None:
    """When this fails, the shipped model can no longer be made again: train a new one, or take the change back."""
    read = [
        d.text
        for start in (0, 4000, 20_000, 50_000)
        for d in itertools.islice(documents(0, start=start, drilled=9000), 100)
    ]
    assert hashlib.sha256("\0".join(read).encode()).hexdigest()[:16] == "83c645f944823114"
