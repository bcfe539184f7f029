"""The E2E scripts' BLEU, NIST, ROUGE-L, CIDEr and words against cases worked by hand; they refuse to drift."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from foreword import tasks
from foreword.metrics import METRICS, meteor, scorers
from foreword.metrics import mteval as m
from foreword.metrics.coco import cider, rouge_l
from foreword.metrics.ptb import tokenised

SHARED = Path(__file__).parents[2] / "shared" / "golden" / "e2e"


def perl(output: str, *references: str) -> m.Segment:
    return m.segment(output, references, m.perl_words)


def python(output: str, *references: str) -> m.Segment:
    return m.segment(output, references, m.python_words)


# mteval


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's £20-25, 1,000.5 km.", "It's £20 - 25 , 1,000.5 km ."),
        ("a-b (c) &amp; d&lt;e", "a-b ( c ) & d < e"),
        ("a <skipped>b-\nc\nd", "a bc d"),
        ("...", ". . ."),
        ("", ""),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    assert " ".join(m.tokens(text)) == expected


def test_perl_lowers_ascii_only_and_python_every_letter() -> None:
    assert m.perl_words("CAFÉ a-\nb") == ("cafÉ", "a-", "b")
    assert m.python_words("CAFÉ") == ("café",)
    assert (m.perl_words(" "), m.python_words(" ")) == ((), ("",))


def test_bleu_of_two_words_by_hand() -> None:
    """Half the words hit and no pair does; there is nothing of orders 3 and 4, which Perl counts as right."""
    assert m.perl_bleu([perl("a b", "a c")]) == pytest.approx((1 / 2 * 1 / (2 * 1)) ** 0.25)
    tiny = 1e-15
    assert m.python_bleu([python("a b", "a c")]) == pytest.approx((1 / 2 * tiny * (tiny / 1e-9) ** 2) ** 0.25)
    # one is added to the hits 1, 0, 0, 0 and to the totals 2, 1, 0, -1
    plus = m.python_bleu([python("a b", "a c")], smoothing=1.0)
    assert plus == pytest.approx((2 / 3 * 1 / 2 * 1 / 1 * 1 / 1e-9) ** 0.25)


def test_missed_orders_halve_again() -> None:
    score = METRICS["bleu_mteval"].score(["a x b y c"], [["a p b q c"]])
    assert score == pytest.approx(100 * (3 / 5 * (1 / 2) / 4 * (1 / 4) / 3 * (1 / 8) / 2) ** 0.25)
    assert m.perl_bleu([perl("a x b y c", "a p b q c")]) == pytest.approx(score / 100)


def test_perl_skips_empty_references_and_python_counts_them() -> None:
    segment = perl("a b", "a b c d e", "")
    assert (segment.nearest, segment.lengths) == (5, (5, 0))
    assert python("a b", "a b c d e", "").nearest == 1
    assert m.perl_bleu([]) == m.perl_nist([]) == m.perl_nist([perl("a", "")]) == 0.0
    assert m.perl_bleu([perl("", "a b")]) == 0.0


def test_nist_by_hand() -> None:
    """Six different words: each tells log2 6 bits, and nothing more is told by what follows it."""
    text = "a b c d e f"
    assert m.perl_nist([perl(text, text)]) == pytest.approx(math.log2(6))
    assert m.python_nist([python(text, text)]) == pytest.approx(math.log2(6))
    beta = -math.log(0.5) / math.log(1.5) ** 2
    shorter = m.python_nist([python("a b c d e", text)])
    assert shorter == pytest.approx(math.log2(6) * math.exp(-beta * math.log(5 / 6) ** 2))
    assert m.perl_nist([perl("a b c d", "a b c d e f")]) == pytest.approx(math.log2(6) / 2)


def test_after_a_nought_perl_takes_a_pair_for_a_word() -> None:
    text = "0 a 0 b c"
    single = (2 * math.log2(5 / 2) + 3 * math.log2(5)) / 5
    assert m.python_nist([python(text, text)]) == pytest.approx(single + 2 * math.log2(2 / 1) / 4)
    assert m.perl_nist([perl(text, text)]) == pytest.approx(single + 2 * math.log2(5 / 1) / 4)


def test_reference_lengths_are_averaged_over_the_set_or_over_each_example() -> None:
    rows = [("a b c d e", ("a b c d e f g h", "a b c d e f g h", "a b")), ("v w x y z", ("v w x y z",))]
    beta = -math.log(0.5) / math.log(1.5) ** 2
    whole = 23 / 4 * 2  # four references of 23 words, two outputs
    each = 18 / 3 + 5
    ours = m.perl_nist([perl(output, *many) for output, many in rows])
    theirs = m.python_nist([python(output, *many) for output, many in rows])
    assert ours / theirs == pytest.approx(math.exp(-beta * (math.log(10 / whole) ** 2 - math.log(10 / each) ** 2)))


# COCO


def test_rouge_takes_the_best_precision_and_the_best_recall() -> None:
    expected = (1 + 1.44) * 0.5 * 1.0 / (1.0 + 1.44 * 0.5)
    assert rouge_l("a b c d", ["a b", "x c d y z w"]) == pytest.approx(expected)
    assert rouge_l("", ["a"]) == 0.0
    assert rouge_l("", [""]) == 1.0
    assert METRICS["rouge_l_coco"].score(["A b, c d!"], [["a b", "x c d y z w"]]) == pytest.approx(100 * expected)


def test_cider_by_hand() -> None:
    references = [["a b c d", "a b c d"], ["e f g h"]]
    assert cider(["a b c d", "x"], references) == pytest.approx([10.0, 0.0])
    # every n-gram weighs log 2; "a b" has two words and a pair of "a b c d"'s four and three; lengths count pairs
    half = (2 / math.sqrt(2 * 4) + 1 / math.sqrt(1 * 3)) / 4 * math.exp(-((1 - 3) ** 2) / (2 * 6.0**2))
    assert cider(["a b", ""], references) == pytest.approx([10 * half, 0.0])
    assert cider(["a b c d"], [["a b c d"]]) == [0.0]  # in a set of one nothing is rare
    assert cider([], []) == []


def test_ciders_hits_are_clipped() -> None:
    references = [["a b"], ["c d"]]
    ours, theirs = math.sqrt(9), math.sqrt(2)
    expected = 10 * (1 / (ours * theirs)) / 4 * math.exp(-((2 - 1) ** 2) / 72)
    assert cider(["a a a", "x"], references)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Mill, a family-friendly pub.", "the mill a family-friendly pub"),
        ("It isn't O'Neill's; we can't!", "it is n't o'neill 's we ca n't"),
        ("Prices are £20-25 (20€).", "prices are # 20-25 -lrb- 20 $ -rrb-"),
        ("\"Great\" 'pub' “here”", "great pub here"),
        ("rated 5 out of 5.It is", "rated 5 out of 5 it is"),
        ("in the center.Near it", "in the center.near it"),
        ("30.99 and 1,000 and 10:30am", "30.99 and 1,000 and 10:30 am"),
        ("near St. John's, Alfred N. lives", "near st. john 's alfred n. lives"),
        ("vitamin B. The end", "vitamin b the end"),
        ("U.S. The No. 5 and no. five etc.", "u.s. the no. 5 and no five etc."),
        ("Acme Inc. The", "acme inc. the"),
        ("low., or", "low. or"),
        ("I cannot, gonna", "i can not gon na"),
        ("wow!! really?! ...", "wow !! really ?!"),
        ("a&amp;b &quot;x&quot; <unk> < 3", "a & b x <unk> < 3"),
        ("AT&T and/or 5-star 1 1/2", "at&t and/or 5-star 1 1/2"),
        ("Café ½ [x] {y}", "café 1/2 -lsb- x -rsb- -lcb- y -rcb-"),
        ("a — b – c -- d - e", "a b c d e"),
        ("a\u00a0b\u200bc", "a b c"),
        ("it’s don’t", "it 's do n't"),
        ("rock 'n' roll", "rock 'n' roll"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert tokenised([text]) == [expected]


def test_the_next_line_may_end_a_sentence() -> None:
    assert tokenised(["vitamin B.", "The end"]) == ["vitamin b", "the end"]
    assert tokenised(["vitamin B.", "no end"]) == ["vitamin b.", "no end"]
    assert tokenised([]) == []


def test_words_equal_the_recorded_ones() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"the golden cases of e2e are not here ({SHARED})")
    cases = [json.loads(row) for row in (SHARED / "cases.jsonl").read_text(encoding="utf-8").split("\n") if row]
    assert tokenised([case["prediction"] for case in cases]) == [case["ptb_prediction"] for case in cases]
    references = [reference for case in cases for reference in case["references"]]
    assert tokenised(references) == [reference for case in cases for reference in case["ptb_references"]]
    assert [" ".join(m.tokens(case["prediction"])) for case in cases] == [case["mteval_tokens"] for case in cases]


# The metrics of the shelf


def noisy(size: int = 60) -> tuple[list[str], list[list[str]]]:
    """References of one to four sentences, some of them twice, and outputs that are damaged references."""
    rng = random.Random(0)
    words = [f"w{n}" for n in range(40)] + ["The", "0", "3.5", "don't", "£9", "Café"]
    references = [
        [" ".join(rng.choices(words, k=rng.randint(3, 20))) for _ in range(rng.randint(1, 3))] for _ in range(size)
    ]
    references = [[*accepted, accepted[0]] if k % 3 == 0 else accepted for k, accepted in enumerate(references)]
    outputs = [" ".join(word for word in accepted[0].split() if rng.random() < 0.8) for accepted in references]
    return outputs, references


def test_nist_and_cider_of_the_shelf_are_those_of_the_whole_set() -> None:
    outputs, references = noisy()
    segments = [perl(output, *accepted) for output, accepted in zip(outputs, references, strict=True)]
    words = sum(sum(segment.lengths) for segment in segments)
    information = [sum(row) for row in zip(*m._information(segments, words, zero_is_no_prefix=True), strict=True)]
    totals = [sum(max(0, segment.length - n) for segment in segments) for n in range(m.NIST_ORDER)]
    mean = words / sum(len(segment.lengths) for segment in segments)
    ratio = sum(segment.length for segment in segments) / (mean * len(segments))
    by_hand = sum(a / b for a, b in zip(information, totals, strict=True)) * m._penalty(ratio)
    assert 0 < ratio < 1 and by_hand > 1
    assert METRICS["nist_mteval"].score(outputs, references) == pytest.approx(by_hand, rel=1e-12)
    scores = cider(tokenised(outputs), [tokenised(accepted) for accepted in references])
    assert METRICS["cider_coco"].score(outputs, references) == pytest.approx(sum(scores) / len(scores), rel=1e-9)
    once = [list(dict.fromkeys(accepted)) for accepted in references]
    assert METRICS["nist_mteval"].score(outputs, once) != pytest.approx(by_hand, rel=1e-4), (
        "a reference given twice counts"
    )


def test_a_task_of_e2e_scores_as_the_challenge_does(shared: Path) -> None:
    """630 real outputs against the references as the task reads them: the official program's four numbers."""
    rows = [json.loads(row) for row in (SHARED / "full_test.jsonl").read_text(encoding="utf-8").splitlines()]
    test = tasks.load("e2e", shared / "data").test
    assert [example.fields["input"] for example in test] == [row["mr"] for row in rows]
    corpora = json.loads((SHARED / "corpus.json").read_text(encoding="utf-8"))["corpora"]
    official = next(corpus["scores"] for corpus in corpora if corpus["name"] == "full_test")
    outputs, references = [row["prediction"] for row in rows], [example.targets for example in test]
    perl = official["mteval_perl"]
    assert METRICS["nist_mteval"].score(outputs, references) == pytest.approx(perl["NIST"], abs=0.00005)
    assert METRICS["bleu_mteval"].score(outputs, references) == pytest.approx(100 * perl["BLEU"], abs=0.005)
    assert METRICS["rouge_l_coco"].score(outputs, references) == pytest.approx(100 * official["ROUGE_L"], abs=1e-9)
    assert METRICS["cider_coco"].score(outputs, references) == pytest.approx(official["CIDEr"], abs=1e-9)


# The whole evaluation


def test_e2e_scores_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "_jar", lambda: None)
    good = "The Mill is a cheap pub."
    rows: list[dict[str, Any]] = [
        {"id": "a", "references": [good, "A cheap pub is The Mill."], "prediction": good},
        {"id": "b", "references": ["Blue Spice sells very good coffee."], "prediction": "the"},
        {"id": "c", "references": ["Blue Spice sells very good coffee."], "prediction": ""},
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    scores = scorers.score("e2e", path)
    first, second, third = (case["out"] for case in scores["per_example"])
    assert first["mteval_perl_single"]["BLEU"] == 1.0
    assert first["pymteval_single"]["bleu"] == pytest.approx(1.0)
    assert first["coco_in_half"]["ROUGE_L"] == 1.0 and first["coco_in_half"]["CIDEr"] > 4
    assert "METEOR" not in first["coco_in_half"] and "METEOR" in scores["absent"][0]
    assert second["pymteval_single"]["nist"] == {"error": "ZeroDivisionError"}
    assert third["mteval_perl_single"] == {"NIST": 0.0, "BLEU": 0.0}
    coco = [case["out"]["coco_in_half"] for case in scores["per_example"]]
    for name in ("ROUGE_L", "CIDEr"):
        assert scores["corpus"][name] == pytest.approx(sum(metrics[name] for metrics in coco) / 3)
    assert set(scores["corpus"]) == {"mteval_perl", "pymteval", "ROUGE_L", "CIDEr"}
