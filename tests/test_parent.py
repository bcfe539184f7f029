"""PARENT, ToTTo's preparation and Moses' detokeniser against cases worked by hand; they refuse a table PARENT cannot read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from foreword.metrics import METRICS, scorers
from foreword.metrics.moses import detokenised
from foreword.metrics.parent import SMALL, TableError, entailing, parent, to_tell
from foreword.metrics.subsequence import common_subsequence
from foreword.metrics.totto import NEEDS, output_line, reference_lines, tables
from foreword.metrics.totto import words as tokens
from foreword.util.errors import ForewordError

SHARED = Path(__file__).parents[2] / "shared" / "golden"
PAIR = [(("name",), ("a", "b"))]


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# PARENT


def test_a_case_worked_by_hand() -> None:
    """Output "a b", reference "a c", table value "a b": only "c" is not entailed, orders 3 and 4 are empty."""
    scores = parent(words("a b"), [words("a c")], entailing(PAIR), to_tell(PAIR), (None, 0.5, 0.0))
    precision = (1 * 1 * SMALL * SMALL) ** 0.25
    from_reference = (1 * SMALL * 1 * 1) ** 0.25  # "a" told; "a c" not; no order 3 and 4 in the reference
    for score, recall in zip(scores, (from_reference**0.5, from_reference**0.5, from_reference), strict=True):
        assert score.precision == pytest.approx(precision)
        assert score.recall == pytest.approx(recall)
        assert score.f == pytest.approx(2 * precision * recall / (precision + recall + 1e-8))


def test_repeated_words_are_clipped_by_the_reference_and_forgiven_by_the_table() -> None:
    (score,) = parent(words("x x x x"), [words("x y z w")], frozenset(), (("q",),))
    # one of four "x" is in the reference; no other order is right
    assert score.precision == pytest.approx((1 / 4 * SMALL**3) ** 0.25)
    (score,) = parent(words("x x x x"), [words("x y z w")], frozenset({"x"}), (("x",),))
    assert score.precision == pytest.approx(1.0)


def test_nothing_right_is_precision_zero_and_small_recall() -> None:
    (score,) = parent(words("x y"), [words("a b")], entailing(PAIR), to_tell(PAIR))
    assert (score.precision, score.f) == (0.0, 0.0)
    assert score.recall == pytest.approx(SMALL)
    (score,) = parent((), [words("a b c d e")], entailing(PAIR), to_tell(PAIR))
    assert (score.precision, score.f) == (0.0, 0.0)


def test_a_reference_without_table_words_has_recall_one_and_lambda_one() -> None:
    (whole,) = parent(words("a b"), [words("p q r s t")], entailing(PAIR), to_tell(PAIR))
    assert whole.recall == pytest.approx(1.0)  # lambda is 1, and the table is told in full
    (half,) = parent(words("b a"), [words("p q r s t")], entailing(PAIR), to_tell(PAIR))
    assert half.recall == pytest.approx(0.5)  # "b a" tells only one word of "a b" in its order


def test_the_reference_with_the_best_f_counts_and_the_first_of_equals() -> None:
    known, values = entailing(PAIR), to_tell(PAIR)
    alone = [
        parent(words("a b c d"), [words(reference)], known, values)[0] for reference in ("z z z z", "a b c d", "a b x")
    ]
    (both,) = parent(words("a b c d"), [words("z z z z"), words("a b c d"), words("a b x")], known, values)
    assert both == max(alone, key=lambda score: score.f) == alone[1]


def test_triples_are_told_by_head_and_tail() -> None:
    triples = [(("ann",), ("likes",), ("tea",))]
    assert entailing(triples) == {"ann", "tea"}
    assert to_tell(triples) == (("ann", "tea"),)


@pytest.mark.parametrize(
    ("entries", "stops"),
    [
        ([(("a",), ("b",)), (("a",), ("b",), ("c",))], "ValueError"),
        ([(("a",),)], "ValueError"),
        ([], "ValueError"),
        ([(("a",), ())], "ZeroDivisionError"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(entries: Any, stops: str) -> None:
    with pytest.raises(TableError) as caught:
        to_tell(entries) if stops == "ZeroDivisionError" else entailing(entries)
    assert caught.value.stops == stops
    assert "PARENT found" in str(caught.value) and str(caught.value).endswith(".")


texts = st.lists(st.sampled_from("abcde"), max_size=9).map(tuple)


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(texts, min_size=1, max_size=3), st.lists(texts.filter(bool), min_size=1, max_size=4))
def test_parent_stays_in_range_and_a_copy_of_the_reference_is_precise(
    output: Any, references: Any, values: Any
) -> None:
    known = frozenset(word for value in values for word in value)
    for score in parent(output, references, known, values, (None, 0.5, 0.0)):
        assert 0.0 <= score.precision <= 1 + 1e-9 and 0.0 < score.recall <= 1 + 1e-9 and 0.0 <= score.f <= 1 + 1e-9
    long = references[0] * 4
    if long:
        (copy,) = parent(long, [long], known, values)
        assert copy.precision == pytest.approx(1.0)


@settings(max_examples=100, deadline=None)
@given(texts, texts)
def test_the_longest_subsequence_is_symmetric(left: Any, right: Any) -> None:
    assert common_subsequence(left, right) == common_subsequence(right, left) <= min(len(left), len(right))


def test_parent_original_reads_lines_as_the_script_does(tmp_path: Path) -> None:
    """Empty references at the ends vanish, a mixed table or an empty value is the script's error."""
    case = {"table": "name|||A b", "references": ["a c"], "prediction": "A B"}
    rows = [
        {"id": "plain", **case},
        {"id": "empty-last", **case, "references": ["A C", ""]},
        {"id": "mixed", **case, "table": "name|||A b\ta|||b|||c"},
        {"id": "empty", **case, "table": "name||| \tx|||y"},
    ]
    scores = scorers.score("parent_original", write(tmp_path, "cases.jsonl", rows))
    outs = {example["id"]: example["out"] for example in scores["per_example"]}
    assert outs["plain"] == outs["empty-last"]
    assert outs["plain"]["lambda_none"]["precision"] == pytest.approx(SMALL**0.5)
    assert outs["mixed"]["lambda_0"] == {"error": "ValueError"}
    assert outs["empty"]["lambda_none"] == {"error": "ZeroDivisionError"}
    assert scores["corpus"]["lambda_none"] == pytest.approx(outs["plain"]["lambda_none"])


# ToTTo


EXAMPLE = {
    "example_id": 7,
    "table": [
        [{"value": " Name ", "is_header": True}, {"value": "Pts|All", "is_header": True}],
        [{"value": "Ann", "is_header": False}, {"value": "", "is_header": False}],
        [{"value": "Bob", "is_header": False}, {"value": "10", "is_header": False}],
    ],
    "highlighted_cells": [[2, 1], [2, 0]],
    "table_page_title": "The Cup",
    "table_section_title": "",
    "table_section_text": "Final .",
    "sentence_annotations": [{"final_sentence": "Bob won 10 points ."}],
}


def test_tottos_lines() -> None:
    assert output_line("  ") == "<null>"
    assert output_line(" Bob won , twice ") == "bob won, twice"
    assert reference_lines(["Bob won ."]) == ["bob won.", "<null>", "<null>"]
    assert reference_lines(["A", "B", "C", "D"]) == ["a", "b", "c"]
    lines = tables(EXAMPLE)
    assert lines.full == (
        "header|||name\theader|||pts-all\tcell|||ann\tcell|||bob\tcell|||10\tpage_title|||the cup\tsection_text|||final."
    )
    assert lines.highlighted == "cell|||10\tcell|||bob\tpage_title|||the cup"
    with pytest.raises(ForewordError, match=r"not in ToTTo's form.*IndexError"):
        tables({**EXAMPLE, "highlighted_cells": [[9, 9]]})


def test_the_shelfs_parent_and_bleu_of_totto() -> None:
    facts = {name: EXAMPLE[name] for name in NEEDS}
    parent_metric = METRICS["parent"]
    assert set(parent_metric.needs) == set(NEEDS)
    good, bad = "Bob won 10 points in the cup", "nothing of it"
    references = [["Bob won 10 points in the Cup."]] * 2
    rows = parent_metric.numbers([good, bad], references, [facts, facts])
    assert parent_metric.per_example(rows)[0] > 70 > 5 > parent_metric.per_example(rows)[1]
    assert parent_metric.from_sums(rows.sum(axis=0)) == pytest.approx(parent_metric.per_example(rows).mean())
    unreadable = {**facts, "highlighted_cells": [], "table_page_title": "<skipped>"}
    with pytest.raises(ForewordError, match=r"Example 1 .*no word in the value"):
        parent_metric.numbers([good, good], references, [facts, unreadable])
    bleu = METRICS["totto_bleu"]
    # "<null>" is a real reference: an empty output has its three tokens, and no fourth
    assert bleu.statistics([""], [["Bob won ."]]).tolist() == [[3, 3, 3, 2, 1, 0, 3, 2, 1, 0]]
    assert bleu.score(["BOB WON 10 POINTS ."], [["Bob won 10 points."]]) == pytest.approx(100.0)


marks = [*"ab1.,-'&;()<|$ \t\n\x0b\x1c\u00a0\u3000éΣς東²", "1.5", "-\n", "&amp;", "&lt;", "<skipped>", "..", " . "]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(marks), max_size=12).map("".join))
def test_words_tokenised_one_by_one_are_the_lines(line: str) -> None:
    assert tokens(line) == tuple(Tokenizer13a()(line.strip().lower()).split())


def test_totto_scores_raw_predictions(tmp_path: Path) -> None:
    write(tmp_path, "examples.jsonl", [EXAMPLE])
    rows = [
        {"id": "a", "example_id": 7, "prediction": "Bob won 10 points."},
        {"id": "b", "example_id": 7, "prediction": ""},
    ]
    scores = scorers.score("totto", write(tmp_path, "cases.jsonl", rows))
    first, second = (example["out"] for example in scores["per_example"])
    assert first["bleu_single"]["score"] == pytest.approx(100.0)
    assert second["bleu_single"]["counts"] == [3, 2, 1, 0] and second["bleu_single"]["ref_len"] == 3
    assert second["parent"]["recall"] == pytest.approx(100 * SMALL)
    assert scores["corpus"]["parent"]["f"] == pytest.approx((first["parent"]["f"] + second["parent"]["f"]) / 2)
    assert scores["corpus"]["bleu"]["sys_len"] == 5 + 3


@pytest.mark.parametrize(
    ("example", "case", "message"),
    [
        (EXAMPLE, {"example_id": 8}, r"Line 1 of .*cases.jsonl, field 'example_id': examples.jsonl has no 8"),
        (EXAMPLE, {"example_id": "7"}, r"Line 1 of .*cases.jsonl, field 'example_id'"),
        ({**EXAMPLE, "table": "none"}, {}, r"Line 1 of .*examples.jsonl, field 'table'"),
        ({**EXAMPLE, "table": [["x"]]}, {}, r"Line 1 of .*examples.jsonl: A table is not in ToTTo's form"),
        (
            {**EXAMPLE, "sentence_annotations": [{}]},
            {},
            r"examples.jsonl, field 'sentence_annotations'.*final_sentence",
        ),
    ],
)
def test_a_damaged_totto_file_is_named(tmp_path: Path, example: Any, case: Any, message: str) -> None:
    write(tmp_path, "examples.jsonl", [example])
    path = write(tmp_path, "cases.jsonl", [{"id": "a", "example_id": 7, "prediction": "x", **case}])
    with pytest.raises(ForewordError, match=message):
        scorers.score("totto", path)


def test_totto_without_its_tables_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "cases.jsonl", [{"id": "a", "example_id": 7, "prediction": "x"}])
    with pytest.raises(ForewordError, match=r"examples.jsonl beside the cases"):
        scorers.score("totto", path)


# Moses' detokeniser


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("it was 50 % , they said .", "it was 50%, they said."),
        ("they 're sure it is n't", "they're sure it is n't"),
        ("( a ) [ b ] { c }", "(a) [b] {c}"),
        ('he said " hello " twice', 'he said "hello" twice'),
        ("the jones ' house", "the jones' house"),
        ("the ' old ' house", "the 'old' house"),
        ("$ 10 and £ 5", "$10 and £5"),
        ("a @-@ b &amp; c &#124; d", "a-b & c | d"),
        ("東 京 is big", "東京 is big"),
        ("in 東京 .", "in 東京."),
        ("<null>", "<null>"),
        ("< null >", "< null >"),
        ("  a   b  ", "a b"),
        ("a\tb ,", "a\tb,"),
        ("", ""),
    ],
)
def test_detokenised(line: str, expected: str) -> None:
    assert detokenised(line) == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["a", "(", ")", "'", '"', ",", "%", "'s", "東", "$", ""]), max_size=9).map(" ".join))
def test_detokenising_moves_spaces_only(line: str) -> None:
    assert detokenised(line).replace(" ", "") == line.replace(" ", "")


def test_tottos_preparation_equals_the_recorded_lines() -> None:
    if not (SHARED / "totto").is_dir():
        pytest.skip(f"the golden cases of totto are not here ({SHARED})")
    rows = (SHARED / "totto" / "examples.jsonl").read_text(encoding="utf-8").split("\n")
    for row in filter(None, rows):
        example = json.loads(row)
        ours, theirs = tables(example), example["prepared"]
        assert (ours.full, ours.highlighted) == (theirs["detok_precision_table"], theirs["detok_recall_table"])
        sentences = [annotation["final_sentence"] for annotation in example["sentence_annotations"]]
        assert reference_lines(sentences) == theirs["detok_references"]


def test_the_mean_of_parent_weights_is_a_geometric_one() -> None:
    known, values = entailing(PAIR), to_tell(PAIR)
    none, half, _ = parent(words("a b c"), [words("a x c")], known, values, (0.0, 0.5, 1.0))
    (table,) = parent(words("a b c"), [words("a x c")], known, values, (1.0,))
    assert half.recall == pytest.approx(math.sqrt(none.recall * table.recall))
