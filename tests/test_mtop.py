"""MTOP by hand: re-spacing, templates, compact parses and trees, with their quirks; it refuses unbalanced brackets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.metrics import metric
from foreword.metrics.mtop import (
    NotATreeError,
    alternates,
    bracket_counts,
    brackets,
    expanded,
    ratios,
    respaced,
    template,
    tree,
    written,
)
from foreword.metrics.scorers import mtop as scorer
from foreword.metrics.scorers._cases import Case
from foreword.util.errors import ForewordError


@pytest.mark.parametrize(
    ("output", "want"),
    [
        ("Haley's party, at 6 p.m.?", "Haley 's party , at 6 p.m . ?"),
        ("Haley 's", "Haley  's"),  # the quirk: a blank that is there gets a second one
        ("Dr. Mr. Mrs. Jr. St. drs.", "Dr . Mr . Mrs . Jr . St . drs ."),
        ("N.Y. and O.J. in Portugal.", "N .Y . and O.J . in Portugal ."),
        ("6 a.m. or 7 p. m.", "6 a.m . or 7 p . m ."),
        ("don't! I'll", "don't! I'll"),
        ("", ""),
    ],
)
def test_respacing(output: str, want: str) -> None:
    assert respaced(output) == want


@pytest.mark.parametrize(
    ("parse", "want"),
    [
        ("[IN:GET_ALARM ]", "IN:GET_ALARM"),
        ("[IN:A [SL:Z x ] [SL:B y z ] [SL:Z q ] ]", "IN:A-SL:B-SL:Z"),
        ("[IN:A [SL:B [IN:C [SL:D x ] [SL:E ] ] ] ]", "IN:A-SL:B.IN:C.SL:D"),
        ("[IN:A x ]", "IN:A-"),
        ("  [IN:A   [SL:B  x  ]  ] ", "IN:A-SL:B"),
        ("[ IN:A ]", "-"),
        ("[ ]", ""),
        ("[IN get alarm = [SL ordinal = next]]", "IN:GET_ALARM-SL:ORDINAL"),
        ("[IN  get alarm =]", "IN:GET_ALARM"),
        ("", None),
        ("  ", None),
        ("words", None),
        ("]", None),
        ("[IN:A", None),
        ("[IN:A ] ]", None),
        ("[IN:A ] x", None),
        ("x [IN:A ]", None),
        ("[IN:A ] [IN:A ]", None),
        ("[[IN:A ] ]", None),
        ("[IN:A [SL:B x] ]", None),
    ],
)
def test_templates(parse: str, want: str | None) -> None:
    assert template(parse) == want


def test_a_compact_parse_is_written_out() -> None:
    assert expanded("[IN get info = [SL date time = at 7]]").split() == [
        "[IN:GET_INFO",
        "[SL:DATE_TIME",
        "at",
        "7",
        "]",
        "]",
    ]
    assert expanded("[IN:A [SL x = y]]") == "[IN:A [SL x = y]]"


def test_trees_are_equal_but_for_white_space_and_one_bracket() -> None:
    assert written(tree("[IN:A   [SL:B x ] ] ]")) == written(tree("[IN:A [SL:B x ] ]"))
    assert written(tree("[IN:A [SL:B x ] ]")) != written(tree("[IN:A [SL:B x y ] ]"))
    assert written(tree("")) == ""


@pytest.mark.parametrize(("parse", "label"), [("[IN:A", None), ("[XX:A ]", "XX:A"), ("[ ]", ""), ("x ] ] y", None)])
def test_what_is_no_tree_is_refused(parse: str, label: str | None) -> None:
    with pytest.raises(NotATreeError) as caught:
        tree(parse)
    assert caught.value.label == label


def test_intents_and_slots_alternate() -> None:
    assert alternates(tree("x [IN:A [SL:B [IN:C ] y ] z ] [IN:D ]"))
    for parse in ("[SL:A ]", "[IN:A [IN:B ] ]", "[IN:A [SL:B [SL:C ] ] ]"):
        assert not alternates(tree(parse))


def test_brackets_by_place_and_by_contents() -> None:
    plain, whole = brackets(tree("[IN:A [SL:B x y ] [SL:C z ] ]"))
    assert plain == {("IN:A", 0, 3): 1, ("SL:B", 0, 2): 1, ("SL:C", 2, 3): 1}
    other, others = brackets(tree("[IN:A [SL:B x q ] [SL:C z ] ]"))
    assert bracket_counts(plain, other) == (3, 3, 3)
    assert bracket_counts(whole, others) == (1, 3, 3)
    assert ratios(1, 2, 4) == {"precision": 0.5, "recall": 0.25, "f1": pytest.approx(1 / 3)}
    assert ratios(0, 0, 4) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_a_parse_nested_thousands_deep_is_read() -> None:
    deep = "[IN:A [SL:B " * 3000 + "x " + "] ] " * 3000
    assert alternates(tree(deep)) and sum(brackets(tree(deep[: 12 * 20] + "x " + "] ] " * 20))[0].values()) == 40
    assert template(deep).count(".") == 5998  # type: ignore[union-attr]


def case(gold: str, prediction: str) -> Case:
    mtop_case = Case(gold=gold, prediction=prediction)
    mtop_case.id, mtop_case.where = "1", "Line 1"
    return mtop_case


def test_a_case_by_three_scorers(tmp_path: Path) -> None:
    gold = "[IN:A [SL:B Haley 's ] ]"
    same, cleaned = scorer.score([case(gold, gold), case(gold, gold.replace(" 's", "'s"))], tmp_path)["per_example"]
    assert (same["out"]["exact_match"], same["out_casper"]["exact_match"], same["out_top_tree"]["exact_match"]) == (
        0,
        1,
        1,
    )
    assert (cleaned["out"]["exact_match"], cleaned["out_casper"]["exact_match"]) == (1, 0)
    with pytest.raises(ForewordError, match="Line 1, field 'gold': it is no tree"):
        scorer.score([case("[IN:A", "x")], tmp_path)


def test_metrics_take_cleaned_and_untouched_outputs() -> None:
    gold = "[IN:A [SL:B Haley 's ] ]"
    for output in (gold, gold.replace(" 's", "'s")):
        assert metric("mtop_em").score([output], [[gold]]) == 100.0
    assert metric("mtop_em").score([gold + " "], [[gold]]) == 0.0
    assert metric("mtop_tree").score([gold.replace(" ", "  ")], [[gold]]) == 100.0
    assert metric("mtop_template").score(["[IN:A [SL:B x ] ]"], [[gold]]) == 100.0
    assert metric("mtop_template").score(["[IN:A [SL:B x ]"], [[gold]]) == 0.0


parses = st.recursive(
    st.sampled_from(["x", "y z", ""]),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: f"[SL:B [IN:C {' '.join(parts)} ] ]"),
    max_leaves=12,
).map(lambda inner: f"[IN:A {inner} ]")


@given(parses, st.text(alphabet="[]: INSLxy'", max_size=30))
def test_any_tree_equals_itself_and_any_text_is_judged(parse: str, text: str) -> None:
    assert alternates(tree(parse)) and template(parse) is not None
    for name in ("mtop_em", "mtop_tree", "mtop_template"):
        measure = metric(name)
        assert measure.score([parse], [[parse]]) == 100.0
        assert measure.score([text], [[parse]]) in (0.0, 100.0)
