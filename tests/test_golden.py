"""Every golden case of every metric against the official tool's own answer, and `foreword score`; it refuses a case missed.

The golden folders stand beside the checkout; where they do not, only the hand-made cases run. What a scorer may leave out
is what the issue leaves open (METEOR and TER need other programs); what it gives has to be right.
"""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreword.metrics import METRICS, metric, scorers
from foreword.metrics.scorers._cases import TEXT, Case, cases, side
from foreword.util.errors import ForewordError

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"
FOLDERS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()) if GOLDEN.is_dir() else []
HALVES = {"blec": 450, "spider_match": 337, "mtop": 281, "squad_mrqa": 315, "glue_labels_t5": 115, "multirc": 110}
HALVES |= {
    "record": 76,
    "wsc_simple": 157,
    "totto": 200,
    "parent_original": 182,
    "dart": 189,
    "webnlg": 180,
    "e2e": 169,
}

# What the issue asks of each folder, as paths in `out` and in the corpus scores.
MUST = {
    "blec": (["blec", "unmatched"], ["blec"]),
    "spider_match": (["exact", "hardness", "parse_error", "partial"], ["easy", "medium", "hard", "extra", "all"]),
    "mtop": (["exact_match", "template", "intent", "invalid", "normalized_prediction"], ["exact_match"]),
    "totto": (["parent", "bleu_single.score"], ["parent"]),
    "parent_original": (["lambda_none"], ["lambda_none"]),
    "dart": (["multi_bleu"], ["multi_bleu", "multi_bleu_lc"]),
    "webnlg": (["multi_bleu_lc"], ["multi_bleu_lc"]),
    "e2e": (["coco_in_half.ROUGE_L", "coco_in_half.CIDEr"], ["mteval_perl.BLEU", "mteval_perl.NIST"]),
    "squad_mrqa": (["squad_v1.1", "mrqa", "t5_squad", "t5_trivia_qa"], ["squad_v1.1", "mrqa", "mrqa_skip_no_answer"]),
    "glue_labels_t5": (["t5"], []),
    "multirc": (["t5"], []),
    "record": (["t5", "hf_super_glue", "jiant"], ["t5_deduplicated", "t5_squad_without_dedup"]),
    "wsc_simple": (["predicted_label"], ["accuracy"]),
}
# Half of the last digit where the official tool prints rounded numbers; elsewhere 1e-9 of the value.
PRINTED = {
    "multi_bleu.bleu": 0.0051,
    "multi_bleu_lc.bleu": 0.0051,
    "mteval_perl": 0.000051,
    "mteval_perl_single": 0.000051,
}


def wrong(got: Any, want: Any, path: str = "") -> Iterator[str]:
    """The paths at which what a scorer gives is not the golden value."""
    if isinstance(got, dict) and isinstance(want, dict):
        for key in got:
            below = f"{path}.{key}".strip(".")
            yield from wrong(got[key], want[key], below) if key in want else [f"{below} is not in the golden file"]
    elif isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        for place, (actual, expected) in enumerate(zip(got, want, strict=True)):
            yield from wrong(actual, expected, f"{path}[{place}]")
    elif isinstance(got, int | float) and isinstance(want, int | float):
        room = next((room for name, room in PRINTED.items() if path.startswith(name)), 0.0)
        if not math.isclose(got, want, rel_tol=1e-9, abs_tol=max(room, 1e-12)):
            yield f"{path}: {got} is not {want}"
    elif got != want:
        yield f"{path}: {got!r} is not {want!r}"


def lacks(got: Any, want: Any, paths: list[str]) -> list[str]:
    """The paths that have to be given and are not, where the golden file has them."""

    def has(value: Any, path: str) -> bool:
        if not path:
            return True
        if not isinstance(value, dict):
            return False
        return any(has(value[key], path[len(key) + 1 :]) for key in value if path == key or path.startswith(f"{key}."))

    return [path for path in paths if has(want, path) and not has(got, path)]


def read(name: str) -> tuple[dict[str, Case], dict[str, dict[str, Any]], dict[str, Any]]:
    """The cases of a folder as its scorer reads them, the golden rows, and the corpus file."""
    path = GOLDEN / name / "cases.jsonl"
    rows = {row["id"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    corpus = json.loads((GOLDEN / name / "corpus.json").read_text(encoding="utf-8"))
    return {case.id: case for case in cases(path, scorers.module(name).FIELDS)}, rows, corpus


def chosen(entry: dict[str, Any], known: dict[str, Case]) -> list[Case]:
    """The cases of a corpus entry; some predictions left out, or other labels given, where the entry says so."""
    selection = [known[case_id] for case_id in entry["case_ids"]]
    selection = [
        case.but(prediction=None) if case.id in entry.get("missing_predictions", ()) else case for case in selection
    ]
    if "labels" in entry:
        selection = [case.but(label=label) for case, label in zip(selection, entry["labels"], strict=True)]
    return selection


@pytest.fixture(params=FOLDERS or [pytest.param("", marks=pytest.mark.skip("there are no golden folders here"))])
def name(request: pytest.FixtureRequest) -> str:
    if request.param not in scorers.names():
        pytest.skip(f"there is no scorer for the golden folder {request.param} yet")
    return str(request.param)


@pytest.fixture
def no_meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR starts another program for every set, which takes minutes; one slow test runs it."""
    monkeypatch.setattr("foreword.metrics.meteor._jar", lambda: None)


def test_every_case_scores_what_the_official_tool_said(name: str, no_meteor: None) -> None:
    agrees(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dart", "webnlg", "e2e"], indirect=True)
def test_every_case_scores_what_the_official_tool_said_with_meteor(name: str) -> None:
    agrees(name)


def agrees(name: str) -> None:
    """Every case of a folder, and all of them together, score what is written there."""
    known, rows, _ = read(name)
    result = scorers.score(name, GOLDEN / name / "cases.jsonl")
    assert [example["id"] for example in result["per_example"]] == list(rows)
    assert len(rows) >= HALVES[name] // 2, "the guard counts what it guards"
    missed = {}
    for example in result["per_example"]:
        for key in set(example) - {"id"}:
            bad = (
                [*wrong(example[key], rows[example["id"]][key]), *wrong(rows[example["id"]][key], example[key])]
                if key != "out"
                else []
            )
            if key == "out":
                bad = [
                    *wrong(example["out"], rows[example["id"]]["out"]),
                    *lacks(example["out"], rows[example["id"]]["out"], MUST[name][0]),
                ]
            if bad:
                missed[f"{example['id']} {key}"] = bad
    assert not missed, f"{len(missed)} of {len(rows)} cases of {name}: {dict(list(missed.items())[:5])}"
    assert len(known) == len(rows)


def test_every_corpus_scores_what_the_official_tool_said(name: str, no_meteor: None) -> None:
    known, _, corpus = read(name)
    missed, set_count = {}, 0
    for entry in corpus.get("corpora", ()):
        if "case_ids" not in entry or "scores" not in entry:
            continue
        set_count += 1
        result = scorers.module(name).score(chosen(entry, known), GOLDEN / name)
        scores = {key: value for key, value in result["corpus"].items() if key in entry["scores"]}
        bad = [*wrong(scores, entry["scores"]), *lacks(scores, entry["scores"], MUST[name][1])]
        for key in set(result) & set(entry):
            bad += wrong(result[key], entry[key], key)
        if bad:
            missed[entry["name"]] = bad[:5]
    assert not missed, f"{len(missed)} of {set_count} sets of {name}: {missed}"
    assert set_count or "corpora" not in corpus


def test_the_whole_of_spider_dev() -> None:
    """1,034 predictions that the Spider repository ships, with the official verdict on each."""
    path = GOLDEN / "spider_match" / "full_dev.jsonl"
    if not path.is_file():
        pytest.skip("there are no golden folders here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    result = scorers.score("spider_match", path)
    for row, example in zip(rows, result["per_example"], strict=True):
        assert (example["out"]["exact"], example["out"]["hardness"]) == (row["exact"], row["hardness"]), row
    entry = next(corpus for corpus in read("spider_match")[2]["corpora"] if corpus["name"] == "full_dev")
    assert not list(wrong(result["corpus"], entry["scores"]))
    assert result["corpus"]["all"]["count"] == 1034


# Without the golden folders


def write(folder: Path, *lines: str, name: str = "cases.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_shelf_holds_every_metric_of_the_issue() -> None:
    assert set(scorers.names()) <= set(MUST)
    assert set(MUST) - set(scorers.names()) <= {"totto", "parent_original", "dart", "webnlg", "e2e"}
    assert scorers.module("spider-match") is scorers.module("spider_match")
    with pytest.raises(ForewordError, match="no scorer 'blek'; did you mean 'blec'"):
        scorers.module("blek")


@pytest.mark.parametrize("scorer", scorers.names())
def test_a_case_that_lacks_a_field_is_refused_by_file_line_and_field(scorer: str, tmp_path: Path) -> None:
    path = write(tmp_path, "", '{"id": "a"}')
    with pytest.raises(ForewordError, match=rf"Line 2 of {path}, field '\w+': there is no such field; write"):
        scorers.score(scorer, path)


def test_malformed_case_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    right = '{"id": "a", "logic_str": "x", "prediction": "y", "gold": "z"}'
    for line, pattern in (
        (right[:-9], "Line 2 of .* is not JSON"),
        (right.replace('"y"', "3"), "Line 2 of .*, field 'prediction': 3 stands where a text is expected"),
        (right, "Line 2 of .*, field 'id': 'a' stands in an earlier line too"),
        ("[1]", "Line 2 of .* holds a JSON list"),
        (right.replace('"id": "a", ', ""), "Line 2 of .*, field 'id': there is no such field"),
    ):
        with pytest.raises(ForewordError, match=pattern):
            scorers.score("blec", write(tmp_path, right, line))
    with pytest.raises(ForewordError, match="There is no file"):
        scorers.score("blec", tmp_path / "none.jsonl")


def test_every_metric_scores_a_file_of_outputs(tmp_path: Path) -> None:
    """The guide promised `json_fields`, and there was no such scorer."""
    rows = [
        {"output": '{"a": 1, "b": 2}', "target": '{"a": 1, "b": 3}'},
        {"output": "x", "targets": ['{"c": 1}', '{"d": 1}']},
    ]
    path = write(tmp_path, *map(json.dumps, rows))
    result = scorers.score("json_fields", path)
    assert [row["out"]["json_fields"] for row in result["per_example"]] == [50.0, 0.0]
    assert result["corpus"] == {"json_fields": 40.0} and result["signature"] == metric("json_fields").signature()
    assert scorers.score("exact_match", path)["corpus"] == {"exact_match": 0.0}
    free = [name for name, each in METRICS.items() if not (each.needs or each.labels or each.absence())]
    for name in set(free) - set(scorers.names()):
        expected = metric(name).score([row["output"] for row in rows], [[rows[0]["target"]], rows[1]["targets"]])
        assert scorers.score(name, path)["corpus"] == {name: expected}
    own = tmp_path / "my_metric.py"
    own.write_text("def score(output, references):\n    return float(output == 'x')\n")
    assert scorers.score(f"{own}:score", path)["corpus"] == {f"{own}:score": 50.0}


def test_what_a_case_of_a_metric_lacks_is_named(tmp_path: Path) -> None:
    right = {"output": "x", "target": "y"}
    for name, row, pattern in (
        (
            "bleu",
            {"target": "y"},
            r"field 'output': .*; a line holds .*output \(a text\) and target \(a text\) or targets",
        ),
        ("bleu", {"output": "x"}, "field 'target': there is no such field; write the answer there, or several"),
        ("bleu", {"output": "x", "targets": "y"}, "field 'targets': 'y' stands where a list of texts"),
        ("multirc_em", {"output": "True", "target": "True"}, "field 'group': there is no such field"),
        ("parent", right, "field 'table': there is no such field"),
        ("mrpc_f1", right, "takes the labels .*'y' is none of them"),
        ("spider_execution", {**right, "database_path": "gone"}, f"no database in {tmp_path}/gone"),
        ("blue", right, "no metric 'blue'; did you mean 'bleu'.*json_fields"),
        (
            "blec",
            {"id": "a"},
            r"a line holds logic_str \(a text\), prediction \(a text\) and gold \(a text\)",
        ),
    ):
        with pytest.raises(ForewordError, match=pattern):
            scorers.score(name, write(tmp_path, json.dumps(row)))


def test_side_files_are_named_when_they_lack(tmp_path: Path) -> None:
    path = write(tmp_path, '{"id": "a", "db_id": "d", "gold": "x", "prediction": "y"}')
    with pytest.raises(ForewordError, match=r"reads the file tables\.jsonl beside the cases"):
        scorers.score("spider_match", path)
    table = '{"db_id": "e", "table_names_original": ["t"], "column_names_original": [[-1, "*"]], "foreign_keys": []}'
    write(tmp_path, table, name="tables.jsonl")
    with pytest.raises(ForewordError, match=r"Line 1 of .*cases.*, field 'db_id': tables\.jsonl has no 'd'"):
        scorers.score("spider_match", path)
    write(tmp_path, table.replace('[-1, "*"]', "7").replace('"e"', '"d"'), name="tables.jsonl")
    with pytest.raises(
        ForewordError, match=r"Line 1 of .*tables\.jsonl, field 'column_names_original': this is no Spider"
    ):
        scorers.score("spider_match", path)
    assert side(tmp_path, "tables.jsonl", {}, "db_id")["d"].where.startswith("Line 1 of")


def test_cases_without_ids_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path, '{"a": "x"}', "", '{"a": "y"}')
    assert [(case.id, case.where) for case in cases(path, {"a": TEXT})] == [
        ("1", f"Line 1 of {path}"),
        ("2", f"Line 3 of {path}"),
    ]
    packed = path.with_name("cases.jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert cases(packed, {"a": TEXT}) == cases(path, {"a": TEXT}), "which was refused as a text that is not UTF-8"


def test_reading_answers_by_hand(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "answers": ["The Cat", "dog"], "prediction": "cat!"},
        {"id": "2", "answers": ["a"], "prediction": "the"},
        {"id": "3", "answers": ["half-time"], "prediction": "half time"},
        {"id": "4", "answers": ["dog"], "prediction": None},
    ]
    result = scorers.score("squad_mrqa", write(tmp_path, *map(json.dumps, rows)))
    outs = [example["out"] for example in result["per_example"]]
    assert outs[0]["squad_v1.1"] == {"exact_match": 100.0, "f1": 100.0}
    assert outs[1]["squad_v1.1"] == {"exact_match": 100.0, "f1": 0.0}
    assert outs[2]["t5_squad"] == {"em": 0.0, "f1": 0.0} and outs[2]["t5_trivia_qa"] == {"em": 100.0, "f1": 100.0}
    assert result["corpus"]["mrqa"]["exact_match"] == 50.0
    assert result["corpus"]["mrqa_skip_no_answer"]["exact_match"] == pytest.approx(200 / 3)
    assert "t5_squad" not in result["corpus"]


def test_labels_multirc_record_and_wsc_by_hand(tmp_path: Path) -> None:
    label = {"label_classes": ["entailment", "contradiction", "neutral"], "id": "1", "task": "cb"}
    row = label | {"targets": [0, 0, 1], "predictions": ["entailment", "Entailment", "neutral"]}
    out = scorers.score("glue_labels_t5", write(tmp_path, json.dumps(row)))["per_example"][0]["out"]
    assert out["t5"] == pytest.approx({"mean_3class_f1": 100 * 2 / 9, "accuracy": 100 / 3})
    assert out["hf_super_glue"] == pytest.approx({"accuracy": 1 / 3, "f1": 2 / 3 / 4})
    row = {"id": "1", "task": "stsb", "targets": [1.0, 2.0, 3.0], "predictions": ["1", "x", "3e0"]}
    out = scorers.score("glue_labels_t5", write(tmp_path, json.dumps(row)))["per_example"][0]["out"]
    assert out["t5"] == pytest.approx({"pearson_corrcoef": 50.0, "spearman_corrcoef": 50.0})
    items = [
        {"paragraph": 0, "question": question, "label": label, "prediction": prediction}
        for question, label, prediction in ((0, 1, "True"), (0, 0, "False"), (1, 1, "true"), (1, 0, "False"))
    ]
    out = scorers.score("multirc", write(tmp_path, json.dumps({"id": "1", "items": items})))["per_example"][0]["out"]
    assert out == {"t5": {"f1": pytest.approx(200 / 3), "exact_match": 50.0}}
    rows = [
        {"id": str(k), "passage": 1, "query": 2, "answers": ["Iran"], "prediction": prediction}
        for k, prediction in enumerate(("Iran", "x"))
    ]
    result = scorers.score("record", write(tmp_path, *map(json.dumps, rows)))
    assert result["corpus"] == {
        "t5_deduplicated": {"em": 100.0, "f1": 100.0},
        "t5_squad_without_dedup": {"em": 50.0, "f1": 50.0},
    }
    for referent, prediction, want in (
        ("The cat", "cat", 1), ("the black cat", "cat", 1), ("cat", "dog", 0), ("cat", "the", -1),
        ("cat's tail", "cat", 0), ("the  cat", "dog", 0), ("a", "the  cat", 1),
    ):  # fmt: skip
        row = {"id": "1", "referent": referent, "prediction": prediction, "label": 1}
        result = scorers.score("wsc_simple", write(tmp_path, json.dumps(row)))
        assert result["per_example"][0]["out"]["predicted_label"] == want, (referent, prediction)
        assert result["corpus"] == {"accuracy": 100.0 * (want == 1)}


# The metrics that read an example's facts

TABLES = {"table_names_original": ["t"], "column_names_original": [[-1, "*"], [0, "a"], [0, "b"]], "foreign_keys": []}
FACTED = {
    "blec": ("the most is 3", {"logic_str": "eq { max { all_rows ; a } ; 3 } = true"}),
    "spider_match": ("SELECT a FROM t WHERE b = 3", {"schema": TABLES}),
    "wsc": ("the cat", {"label": 1}),
    "multirc_em": ("True", {"group": "1"}),
}


def test_metrics_of_facts_keep_the_contract_of_the_shelf() -> None:
    assert {candidate.name for candidate in METRICS.values() if candidate.needs} >= set(FACTED)
    for name, (reference, facts) in FACTED.items():
        fact_metric = metric(name)
        rows = fact_metric.numbers([reference, "False"], [[reference], [reference]], [facts, facts | {"group": "2"}])
        assert rows.shape == (2, 2) and fact_metric.from_sums(rows.sum(axis=0)) == 50.0, name
        assert fact_metric.per_example(rows).tolist() == [100.0, 0.0]
        assert fact_metric.score([reference], [[reference]], [facts]) == fact_metric.best
        assert "\n" not in fact_metric.signature() and len(fact_metric.source) > 20
        with pytest.raises(ForewordError, match=f"The metric '{name}' reads the fact '{fact_metric.needs[0]}'"):
            fact_metric.numbers([reference], [[reference]], [{}])
        with pytest.raises(ForewordError, match="reads the fact"):
            fact_metric.score([reference], [[reference]])


def test_a_question_of_multirc_is_right_only_as_a_whole() -> None:
    facts = [{"group": group} for group in ("1", "1", "2", "1")]
    multirc_em = metric("multirc_em")
    assert multirc_em.score(["True", "False", "True", "True"], [["True"]] * 4, facts) == 50.0
    assert multirc_em.score(["True"] * 4, [["True"]] * 4, facts) == 100.0


def test_the_verb_prints_one_document(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps({"id": "a", "gold": "[IN:A [SL:B x ] ]", "prediction": "[IN:A [SL:B y ] ]"}))
    command = [sys.executable, "-m", "foreword", "score", "mtop", str(path)]
    completed = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    document = json.loads(completed.stdout)
    assert document["per_example"][0]["id"] == "a" and document["per_example"][0]["out"]["template"] == 1
    assert document["corpus"] == {"exact_match": 0.0, "template_accuracy": 1.0}
    assert "template_accuracy" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    command[-1] = str(tmp_path / "none.jsonl")
    completed = subprocess.run(command, capture_output=True, text=True)
    assert completed.returncode == 2 and completed.stderr.count("\n") == 1 and "There is no file" in completed.stderr
