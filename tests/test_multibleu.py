"""multi-bleu and the scripts of DART and WebNLG against cases worked by hand; they refuse a fourth reference of DART's."""

from __future__ import annotations

import builtins
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from foreword import tasks
from foreword.metrics import METRICS, meteor, scorers
from foreword.metrics.multibleu import closest, dart_text, padded, webnlg_text, words
from foreword.util.errors import ForewordError, MissingExtraError

REFERENCE = "the cat sat on the mat"


@pytest.fixture(autouse=True)
def without_meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "_jar", lambda: None)


def score(name: str, folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return scorers.score(name, path)


def test_a_case_worked_by_hand() -> None:
    """5 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 fours; five words against six."""
    expected = 100 * math.exp(1 - 6 / 5) * (1 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert METRICS["multi_bleu"].score(["the cat sat on mat"], [[REFERENCE]]) == pytest.approx(expected)


def test_hits_are_clipped_by_one_reference_not_by_their_sum() -> None:
    rows = METRICS["multi_bleu"].statistics(["the the the the"], [["the cat", "the the dog"]])
    assert rows.tolist() == [[4, 3, 2, 1, 0, 0, 4, 3, 2, 1]]


def test_the_closest_length_is_the_shorter_of_two_as_near() -> None:
    assert closest(5, [7, 3]) == 3
    assert closest(5, [6, 3]) == 6
    assert closest(2, [5, 0]) == 0


def test_an_empty_reference_has_length_nought() -> None:
    bleu = METRICS["multi_bleu"]
    assert bleu.statistics(["a b"], [["a b c d e", ""]])[0, 1] == 0
    assert bleu.statistics(["a b c"], [["a b c d e", ""]])[0, 1] == 5
    long, short = "a b c d e f g h", "a b c d"
    assert bleu.score([long, short], [[long], [short + " e f g h i", ""]]) == pytest.approx(100.0)
    assert bleu.score([long, short], [[long], [short + " e f g h i"]]) < 70


def test_only_ascii_space_parts_and_only_ascii_letters_are_lowered() -> None:
    assert words("a\u00a0b\u2003c\td\re") == ("a\u00a0b\u2003c", "d", "e")
    assert words("ÉA", lowercase=True) == ("Éa",)
    assert METRICS["multi_bleu"].score([REFERENCE.upper()], [[REFERENCE]]) == 0.0
    assert METRICS["multi_bleu_lc"].score([REFERENCE.upper()], [[REFERENCE]]) == pytest.approx(100.0)


texts = st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join)
sets = st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(sets)
def test_it_is_sacrebleu_without_tokens_and_smoothing(rows: list[Any]) -> None:
    outputs, references = [output for output, _ in rows], [padded(many) for _, many in rows]
    tool = BLEU(tokenize="none", smooth_method="none", force=True)
    theirs = tool.corpus_score(outputs, [[many[k] for many in references] for k in range(3)])
    if theirs.ref_len:
        assert METRICS["multi_bleu"].score(outputs, references) == pytest.approx(theirs.score, abs=1e-9)
        assert METRICS["dart_bleu"].score(outputs, [many for _, many in rows]) == pytest.approx(theirs.score, abs=1e-9)


def test_dart_prints_as_multi_bleu_does(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "references": [REFERENCE, "", ""], "prediction": "the cat sat on mat"},
        {"id": "b", "references": [REFERENCE, "", ""], "prediction": "the"},
        {"id": "c", "references": [REFERENCE], "prediction": ""},
        {"id": "d", "references": [REFERENCE], "prediction": REFERENCE.title()},
    ]
    scores = score("dart", tmp_path, rows)
    outs = [example["out"]["multi_bleu"] for example in scores["per_example"]]
    assert outs[0] == {
        "bleu": 57.89,
        "precisions": [100.0, 75.0, 66.7, 50.0],
        "bp": 0.819,
        "ratio": 0.833,
        "hyp_len": 5,
        "ref_len": 6,
    }
    nothing = {"bleu": 0.0, "precisions": [0.0] * 4, "bp": 0.0, "ratio": 0.0, "hyp_len": 0, "ref_len": 0}
    assert outs[1] == outs[2] == nothing  # their closest reference is the missing one
    assert scores["corpus"]["multi_bleu"]["hyp_len"] == 5 + 1 + 6
    assert scores["corpus"]["multi_bleu"]["ref_len"] == 6 + 6
    assert scores["corpus"]["multi_bleu_lc"]["precisions"][0] == 100.0 > scores["corpus"]["multi_bleu"]["precisions"][0]
    assert scores["corpus"]["unifiedskg_sacrebleu"]["ref_len"] == 4 * 6
    assert "METEOR" in scores["absent"][0]


def test_dart_refuses_a_fourth_reference(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match=r"Line 1 of .*, field 'references': 4 stand there; keep 3 at most"):
        score("dart", tmp_path, [{"id": "a", "references": ["x"] * 4, "prediction": "x"}])


@pytest.mark.parametrize("name", ["dart", "webnlg", "e2e"])
@pytest.mark.parametrize(
    ("row", "field"),
    [({"prediction": "x"}, "references"), ({"references": ["x"]}, "prediction"), ({"references": "x"}, "references")],
)
def test_a_missing_field_is_named(tmp_path: Path, name: str, row: dict[str, Any], field: str) -> None:
    with pytest.raises(ForewordError, match=rf"Line 1 of .*cases.jsonl, field '{field}'"):
        score(name, tmp_path, [{"id": "a", **row}])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The 24.0 km/h ship's name_x!", "the 24 . 0 km / h ship ' s name_x !"),
        ("  two   spaces\tand ", "two spaces and"),
        ("'' ()", "' ' ( )"),
        ("", ""),
    ],
)
def test_webnlg_text(text: str, expected: str) -> None:
    assert webnlg_text(text) == expected


def test_dart_text() -> None:
    assert dart_text("In 1982, Jed's straight-four (İzmir).") == "in 1982 , jed ' s straight - four ( i\u0307zmir ) ."
    good = "a hawaii five - o episode"
    assert METRICS["dart_bleu"].score([good], [["x", "y", "A Hawaii Five-O episode"]]) == pytest.approx(100.0)
    assert METRICS["dart_bleu"].score([good], [["x", "y", "z", good]]) == 0.0, "a fourth reference is not read"


def test_a_task_of_dart_scores_as_its_script_does(shared: Path) -> None:
    """The references of the real test split become those of the script; real outputs get the published BLEU."""
    folder = shared / "golden" / "dart"
    rows = [json.loads(row) for row in (folder / "full_test.jsonl").read_text(encoding="utf-8").split("\n") if row]
    test = tasks.load("dart", shared / "data").test
    mine = [padded([dart_text(text) for text in example.targets[:3]]) for example in test]
    assert mine == [row["references"] for row in rows]
    bleu = METRICS["dart_bleu"].score([row["prediction"] for row in rows], [example.targets for example in test])
    assert bleu == pytest.approx(48.56, abs=0.005)


def test_entries_of_webnlg_are_seen_or_unseen_as_in_the_challenge(shared: Path) -> None:
    corpora = json.loads((shared / "golden" / "webnlg" / "corpus.json").read_text(encoding="utf-8"))["corpora"]
    official = next(corpus["scores"] for corpus in corpora if corpus["name"] == "full_test")
    counts = Counter(example.subset for example in tasks.load("webnlg", shared / "data").test)
    assert counts == {name: official[name]["n"] for name in ("seen", "unseen")}


def test_webnlg_writes_letters_in_ascii() -> None:
    pytest.importorskip("unidecode", reason="the extra `webnlg` is not installed")
    assert webnlg_text("Adolfo Suárez–Barajas ﬁn a\u00a0b") == "adolfo suarez - barajas fin a b"


def test_webnlg_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "unidecode":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"foreword\[webnlg\]"):
        webnlg_text("é")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "foreword[webnlg]" in METRICS["webnlg_bleu"].absence()
    assert webnlg_text("plain") == "plain"


def test_webnlg_reads_three_references(tmp_path: Path) -> None:
    good = "A cat sat here."
    rows = [
        {"id": "a", "references": ["x", "y", "z", good], "prediction": good},
        {"id": "b", "references": ["x", "y", good, "z"], "prediction": good.upper()},
    ]
    scores = score("webnlg", tmp_path, rows)
    first, second = (example["out"]["multi_bleu_lc"] for example in scores["per_example"])
    assert (first["bleu"], first["ref_len"]) == (0.0, 1)
    assert (second["bleu"], second["ref_len"]) == (100.0, 5)
    bleu = METRICS["webnlg_bleu"]
    assert bleu.score([good.upper()], [["x", "y", good, "z"]]) == pytest.approx(100.0)
    assert bleu.score([good], [["x", "y", "z", good]]) == 0.0
