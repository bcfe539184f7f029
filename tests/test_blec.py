"""BLEC by hand: words, numbers, negation and their quirks, each from its definition; it refuses a lenient reading."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.metrics import metric
from foreword.metrics.blec import NUMBERS, ORDINALS, WORDS, unmatched
from foreword.util.errors import ForewordError


def missing(logic: str, text: str, gold: str | None = None) -> list[str]:
    """What the text lacks; the gold text says everything, unless given."""
    return unmatched(logic, text, logic if gold is None else gold)


@pytest.mark.parametrize(
    ("logic", "text", "lacks"),
    [
        ("eq { max { all_rows ; a } ; 3 } = true", "the highest is 3", []),
        ("eq { max { all_rows ; a } ; 3 } = true", "it is three", ["max"]),
        ("max { argmax } ; max", "nothing said", ["not", "max", "argmax", "max"]),
        ("max", "Highest", ["max"]),  # case counts
        ("only", "someone", []),  # parts of words count
        ("filter_less_eq { x }", "before noon", []),
        ("most_greater { x }", "most of them", []),
        ("count { filter_eq { hop ; diff } } ; and | round_eq", "", []),  # never checked
        ("maximum ; MAX ; max rank", "", []),  # no function names
        ("", "", []),
    ],
)
def test_functions_need_one_of_their_words(logic: str, text: str, lacks: list[str]) -> None:
    assert missing(logic, text) == lacks


@pytest.mark.parametrize(
    ("number", "text", "matches"),
    [
        ("3", "in 1993", True),
        ("3", "a third of it", True),
        ("3", "three", True),
        ("3", "Three", False),
        ("1", "none at all", True),
        ("8", "eight", False),
        ("8", "nine", True),
        ("8", "the eighth", True),
        ("10", "tenth", True),
        ("0", "zero", True),
        ("007", "seven", True),
        ("11", "eleven", False),
        ("1500", "1,500 people", True),
        ("1500", "1500 people", True),
        ("1500", "1 500 people", False),
        ("٣", "three", True),  # another script's digit
        ("3.5", "", True),  # not digits alone: never checked
        ("-3", "", True),
        ("3rd", "", True),
    ],
)
def test_numbers_match_as_figures_words_or_ordinals(number: str, text: str, matches: bool) -> None:
    assert missing(f"eq {{ x ; {number} }}", text) == ([] if matches else [number])


def test_a_number_that_the_gold_text_lacks_too_is_forgiven() -> None:
    assert missing("eq { 42 ; 43 }", "nil", gold="43 of them") == ["43"]


def test_not_is_asked_of_the_logic_form_once() -> None:
    assert missing("max", "not another top") == ["not"]
    assert missing("not ; max", "not the top") == []
    assert missing("not_eq", "nothing") == ["not"]


def test_a_superscript_is_no_number() -> None:
    assert missing("²", "x² is said") == []
    with pytest.raises(ValueError):
        missing("²", "nothing")
    with pytest.raises(ForewordError, match="logic form '²'"):
        metric("blec").score(["x"], [["²"]], [{"logic_str": "²"}])


def test_the_older_script_reads_small_numbers_as_words_only() -> None:
    assert unmatched("5", "5", "five", digits=False) == ["5"]
    assert unmatched("5", "five", "five", digits=False) == []
    assert unmatched("55", "55", "55", digits=False) == []


def test_the_lists_are_those_of_the_tool() -> None:
    assert len(WORDS) == 29 and len(ORDINALS) == len(NUMBERS) == 11
    assert NUMBERS[8] == "nine" and ORDINALS[8] == "eighth"
    assert not {"eq", "count", "hop", "diff", "and", "filter_eq", "filter_all"} & set(WORDS)
    assert (
        len(WORDS["max"]) == 17 and len(WORDS["min"]) == 14 and WORDS["most_less"][:3] == ("majority", "most", "major")
    )


def test_the_lists_equal_the_golden_ones() -> None:
    path = Path(__file__).parents[2] / "shared" / "golden" / "blec" / "word_lists.json"
    if not path.is_file():
        pytest.skip("there are no golden folders here")
    theirs = json.loads(path.read_text(encoding="utf-8"))
    assert {name: set(words) for name, words in theirs["functions"].items() if words} == {
        k: set(v) for k, v in WORDS.items()
    }
    assert tuple(theirs["ordinal_words_0_to_10"]) == ORDINALS and tuple(theirs["number_words_0_to_10"]) == NUMBERS


@given(st.lists(st.sampled_from([*WORDS, "eq", "7", "1200", "x y", "not"])), st.text(max_size=30))
def test_more_text_never_loses_a_word(tokens: list[str], text: str) -> None:
    logic = " { ".join(tokens)
    before, after = missing(logic, text), missing(logic, text + " top of all")
    assert [word for word in after if word != "not"] == [word for word in before if word in after and word != "not"]
    assert all(word == "not" or word in tokens for word in before)


def test_ten_thousand_answers_take_a_moment() -> None:
    rng = random.Random("blec")
    logic = "eq { count { filter_greater { all_rows ; year ; 1990 } } ; 12 } = true"
    texts = [" ".join(rng.choices(("more", "than", "12", "in", "1990", "top"), k=12)) for _ in range(10_000)]
    scores = metric("blec").numbers(
        texts, [["more than 12 since 1990"]] * len(texts), [{"logic_str": logic}] * len(texts)
    )
    assert 0 < scores[:, 0].mean() < 1
