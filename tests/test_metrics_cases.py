"""Metrics against cases worked by hand and against what the official tools returned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreword.metrics import METRICS
from foreword.util.errors import ForewordError

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"


# Hand-worked cases, which need no other file


@pytest.mark.parametrize(
    ("name", "output", "references", "expected"),
    [
        ("exact_match", " New  York\n", ["new york", "New York"], 100.0),
        ("exact_match", "new york", ["New York"], 0.0),
        ("exact_match", "New York.", ["New York"], 0.0),
        ("accuracy", "True", ["True"], 100.0),
        ("accuracy", " True", ["True"], 0.0),
        ("accuracy", "maybe", ["True"], 0.0),
        ("squad_em", "The  U.S.!", ["us"], 100.0),
        ("squad_em", "well-known", ["well known"], 0.0),
        ("squad_em", "a", ["the"], 100.0),
        ("token_f1", "a", ["the"], 0.0),
        ("token_f1", "the cat sat sat", ["a cat sat on it", "dog"], 100 * 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)),
        ("token_f1", "«кот»", ["кот"], 0.0),
        ("rouge_l", "a b c d", ["a x c y", "z"], 50.0),
        ("rouge_l", "Don't stop", ["don t stop"], 100.0),
        ("rouge_l", "кот", ["кот"], 0.0),
        (
            "bleu",
            "the the the the",
            ["the cat is here", "the dog is there"],
            100 * (1 / 4 * 1 / 6 * 1 / 8 * 1 / 8) ** 0.25,
        ),
        ("bleu", "a b c d", ["a b c d e f"], 100 * np.exp(1 - 6 / 4)),
        ("bleu", "a b c d e", ["a b c d", "a b c d e f"], 100.0),  # of two lengths as close, the shorter counts
        ("chrf", "ab", ["ac"], 100 * (1 / 2 + 0) / 2),
        ("chrf", "a b", ["ab"], 100.0),
    ],
)
def test_by_hand(name: str, output: str, references: list[str], expected: float) -> None:
    assert METRICS[name].score([output], [references]) == pytest.approx(expected, abs=1e-9)


def test_labels_by_hand() -> None:
    yes, no = "equivalent", "not_equivalent"
    truths = [[yes], [yes], [no], [no], [yes]]
    # right, missed, said wrongly, an answer that is no label (so it counts as said wrongly), no label (as missed)
    predictions = [yes, no, yes, "maybe", "Equivalent"]
    f1 = METRICS["mrpc_f1"]
    assert f1.score(predictions, truths) == pytest.approx(100 * 2 * 1 / (3 + 3))
    assert f1.per_example(f1.statistics(predictions, truths)).tolist() == [100.0, 0.0, 0.0, 0.0, 0.0]
    # entailment 2 * 1 / (2 + 1), contradiction 0, neutral 2 * 1 / (1 + 2); the third answer is no class
    predictions, truths = (
        ["entailment", "entailment", "dunno", "neutral"],
        [["entailment"], ["neutral"], ["contradiction"]],
    )
    score = METRICS["cb_f1"].score(predictions, [*truths, ["neutral"]])
    assert score == pytest.approx(100 * (2 / 3 + 0 + 2 / 3) / 3)
    with pytest.raises(ForewordError, match="reference 'yes', but its labels are not_duplicate, duplicate"):
        METRICS["qqp_f1"].score(["duplicate"], [["yes"]])


def test_json_by_hand() -> None:
    truth = '{"item": "lamp", "count": 2, "to": {"name": "Ana", "city": "Bonn"}}'
    cases = {  # valid, right of said, exact
        '{"to":{"city":"Bonn","name":"Ana"},\n "count":2.0,"item":"lamp"}': (1, 4, 4, 1),
        ' {"item": "lamp", "count": "2", "colour": "red"}': (1, 1, 3, 0),
        '{"item": "Lamp", "to": {"name": "Ana"}}': (1, 1, 2, 0),
        '{"item": "lamp", "to": "Ana"}': (1, 1, 2, 0),
        "{}": (1, 0, 0, 0),
        f"Here it is: {truth}": (0, 0, 0, 0),
        f"```json\n{truth}\n```": (0, 0, 0, 0),
        truth[:-1]: (0, 0, 0, 0),
        f"[{truth}]": (0, 0, 0, 0),
        '{"item": "lamp", "item": "lamp"}': (0, 0, 0, 0),
        '{"item": "lamp", "count": NaN}': (0, 0, 0, 0),
        '{"a":' * 100_000: (0, 0, 0, 0),
        f'{{"count": {"9" * 9000}}}': (0, 0, 0, 0),
    }
    for answer, (valid, right, predicted, exact) in cases.items():
        assert METRICS["json_valid"].score([answer], [[truth]]) == 100 * valid, answer
        assert METRICS["json_exact"].score([answer], [[truth]]) == 100 * exact, answer
        assert METRICS["json_fields"].statistics([answer], [[truth]]).tolist() == [[right, predicted, 4]], answer
    pooled = METRICS["json_fields"].score(list(cases), [[truth]] * len(cases))
    assert pooled == pytest.approx(100 * 2 * 7 / (11 + 4 * len(cases)))
    one_is_not_true = METRICS["json_fields"].score(['{"a": 1, "b": [1, 2]}'], [['{"a": true, "b": [2, 1]}']])
    assert one_is_not_true == 0.0
    assert METRICS["json_fields"].score(['{"a": 1}'], [['{"b": 1}', '{"a": 1, "c": 2}']]) == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize("reference", ["lamp", "[1]", '{"a": 1', "{}", ""])
@pytest.mark.parametrize("name", ["json_valid", "json_fields", "json_exact"])
def test_a_reference_that_is_no_json_object_is_refused(name: str, reference: str) -> None:
    with pytest.raises(ForewordError, match="is no JSON object with a field; write one"):
        METRICS[name].score(["{}"], [[reference]])


# Golden cases: what the official tools returned


def golden(name: str) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The cases of a metric by id, and the scored sets of them."""
    if not (GOLDEN / name).is_dir():
        pytest.skip(f"the golden cases of {name} are not here ({GOLDEN / name})")
    cases = {case["id"]: case for case in objects(f"{name}/cases.jsonl")}
    corpus = json.loads((GOLDEN / name / "corpus.json").read_text(encoding="utf-8"))
    return cases, corpus.get("corpora", [])


def objects(path: str) -> list[dict[str, Any]]:
    # Only "\n" ends a line of JSONL; splitlines() would also cut at characters within the texts.
    return [json.loads(line) for line in (GOLDEN / path).read_text(encoding="utf-8").split("\n") if line]


def answered(squad_metric: Any, cases: dict[str, Any]) -> Any:
    """What a metric counts of each case's prediction against its answers."""
    return squad_metric.statistics(
        [case["prediction"] for case in cases.values()], [case["answers"] for case in cases.values()]
    )


def test_squad_equals_the_official_script() -> None:
    cases, corpora = golden("squad_mrqa")
    for name, key in (("squad_em", "exact_match"), ("token_f1", "f1")):
        squad_metric = METRICS[name]
        rows = answered(squad_metric, cases)
        theirs = [c["out"]["squad_v1.1"][key] for c in cases.values()]
        assert len(theirs) > 300
        assert squad_metric.per_example(rows) == pytest.approx(theirs, rel=1e-9, abs=1e-9)
        place = {case: k for k, case in enumerate(cases)}
        whole = [corpus for corpus in corpora if not corpus["missing_predictions"]]
        assert len(whole) >= 10
        for corpus in whole:
            ours = squad_metric.from_sums(rows[[place[case] for case in corpus["case_ids"]]].sum(axis=0))
            assert ours == pytest.approx(corpus["scores"]["squad_v1.1"][key], rel=1e-9), corpus["name"]


def test_label_scores_equal_t5s() -> None:
    cases, _ = golden("glue_labels_t5")
    scored = {
        "mrpc": {"f1": "mrpc_f1", "accuracy": "accuracy"},
        "qqp": {"f1": "qqp_f1", "accuracy": "accuracy"},
        "cb": {"mean_3class_f1": "cb_f1", "accuracy": "accuracy"},
        "boolq": {"accuracy": "accuracy"},
        "rte": {"accuracy": "accuracy"},
    }
    counts = dict.fromkeys(scored, 0)
    for case in cases.values():
        for key, name in scored.get(case["task"], {}).items():
            counts[case["task"]] += 1
            truths = [[case["label_classes"][k]] for k in case["targets"]]
            ours = METRICS[name].score(case["predictions"], truths)
            assert ours == pytest.approx(case["out"]["t5"][key], rel=1e-9, abs=1e-9), (case["id"], name)
    assert all(count > 5 for count in counts.values()), counts


def test_multirc_f1_equals_t5s() -> None:
    cases, _ = golden("multirc")
    for case in cases.values():
        items = case["items"]
        ours = METRICS["multirc_f1"].score(
            [item["prediction"] for item in items], [[("False", "True")[item["label"]]] for item in items]
        )
        assert ours == pytest.approx(case["out"]["t5"]["f1"], rel=1e-9, abs=1e-9), case["id"]
    assert len(cases) > 100


def test_record_equals_t5s_squad() -> None:
    cases, _ = golden("record")
    for name, key in (("squad_em", "em"), ("token_f1", "f1")):
        squad_metric = METRICS[name]
        rows = answered(squad_metric, cases)
        theirs = [case["out"]["t5"][key] for case in cases.values()]
        assert squad_metric.per_example(rows) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_totto_bleu_equals_the_official_script() -> None:
    cases, corpora = golden("totto")
    references = {e["example_id"]: e["prepared"]["detok_references"] for e in objects("totto/examples.jsonl")}
    bleu = METRICS["bleu"]
    rows = bleu.statistics(
        [case["detok_prediction"] for case in cases.values()],
        [references[case["example_id"]] for case in cases.values()],
    )
    theirs = [case["out"]["bleu_single"] for case in cases.values()]
    assert len(theirs) > 200
    # Each case is a corpus of one line there, so without effective order: from_sums, not per_example.
    assert bleu.from_sums(rows) == pytest.approx([official["score"] for official in theirs], rel=1e-9, abs=1e-9)
    assert rows[:, 2:6].tolist() == [official["counts"] for official in theirs]
    place = {case: k for k, case in enumerate(cases)}
    scored = [corpus for corpus in corpora if "bleu" in corpus.get("scores", {})]
    assert len(scored) >= 10
    for corpus in scored:
        ours = bleu.from_sums(rows[[place[case] for case in corpus["case_ids"]]].sum(axis=0))
        assert ours == pytest.approx(corpus["scores"]["bleu"]["score"], rel=1e-9), corpus["name"]


def test_e2e_bleu_equals_mteval_on_real_outputs() -> None:
    _, corpora = golden("e2e")
    rows = objects("e2e/full_test.jsonl")
    ours = METRICS["bleu_lower"].score([r["prediction"] for r in rows], [r["references"] for r in rows])
    (theirs,) = [c["scores"]["mteval_perl"]["BLEU"] for c in corpora if c["name"] == "full_test"]
    assert len(rows) == 630
    assert ours / 100 == pytest.approx(theirs, abs=0.5e-4)
