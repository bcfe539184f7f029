"""The gate before an alias: it promotes what is as good, keeps out what is worse or not shown, and writes down why."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import entry
import serving
import tiny
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.prompts import store
from foreword.prompts.soft_prompt import profile_digest
from foreword.registry import Registry
from foreword.serve.gate import Gate, _answers, _examples, decide
from foreword.serve.shelf import Shelf
from foreword.serve.views import Views
from foreword.study.remembered import questions_of
from foreword.util.errors import ForewordError

LONGEST, OWN = 6, ("ba", "lo")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store with four versions of a prompt, the first in production, and a test file whose targets are what the first answers: it
    scores 100, and so does the fourth, whose numbers are the same."""
    where = tmp_path_factory.mktemp("gate")
    backbone, registry = tiny.backbone("llama"), Registry(where / "store")
    wording = Template().as_dict()
    for number in range(3):
        store.save(serving.soft(backbone, 4, number, template=wording), where / f"p{number}")
        serving.keep(registry, "colours", where / f"p{number}", max_new_tokens=LONGEST)
    store.save(serving.soft(backbone, 4, 0, template=wording, task="the same numbers"), where / "twin")
    serving.keep(registry, "colours", where / "twin", max_new_tokens=LONGEST)
    registry.tag("colours@1", "production")
    shelf = Shelf(Views(backbone), registry, base="tiny")
    rows = entry.rows(64)
    served = shelf.get("colours@1")
    gate = Gate(registry.folder, "colours@2", where)
    outputs = _answers(shelf, served, _examples(rows, served, gate, {}), gate, lambda *_: None)
    rows = [row | {"target": answer} for row, answer in zip(rows, outputs, strict=True) if answer.strip()]
    assert len(rows) >= 60
    return registry.folder, entry.save_rows(where / "test.jsonl", rows)


def decided(place: tuple[Path, Path], candidate: str, **more: Any) -> Any:
    return decide(Gate(place[0], candidate, place[1], **more), tiny.backbone("llama"))


def test_what_is_worse_stays_out_and_the_history_says_why(place: tuple[Path, Path]) -> None:
    worse = decided(place, "colours@2", margin=5.0)
    assert (worse.promoted, worse.production_score) == (False, 100.0) and worse.difference < -5.0
    assert worse.difference == pytest.approx(worse.candidate_score - 100.0)
    assert worse.low <= worse.difference < worse.high + 1e-9
    index = Registry(place[0]).index("colours")
    assert index.decisions[-1] == worse.as_dict()
    assert index.decisions[-1]["test"] == hashlib.sha256(place[1].read_bytes()).hexdigest()
    _, version = Registry(place[0]).resolve("colours")
    assert version.number == 1
    shown = entry.foreword("registry", "show", "colours@2", "--store", place[0], "--json").json
    assert shown["decisions"] == [worse.as_dict()]


def test_a_dry_run_changes_nothing(place: tuple[Path, Path]) -> None:
    before = (place[0] / "colours" / "index.json").read_bytes()
    assert decided(place, "colours@4", margin=50.0, dry_run=True).promoted
    assert (place[0] / "colours" / "index.json").read_bytes() == before


def test_few_examples_that_agree_are_no_proof(place: tuple[Path, Path], tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(place[1].read_text(encoding="utf-8").splitlines(keepends=True)[:4]), encoding="utf-8")
    twin = decide(Gate(place[0], "colours@4", few, dry_run=True), tiny.backbone("llama"))
    assert (twin.difference, twin.promoted) == (0.0, False) and twin.more > 50
    assert "more examples would decide" in twin.sentence()


def test_examples_of_one_document_are_no_more_proof_than_it(place: tuple[Path, Path], tmp_path: Path) -> None:
    """The twin's 60 equal answers show it to be as good; not so where they are of 6 documents, and it says how many more of these."""
    rows = [json.loads(line) for line in place[1].read_text(encoding="utf-8").splitlines()]
    test = entry.save_rows(tmp_path / "test.jsonl", [row | {"doc": f"d{n % 6}"} for n, row in enumerate(rows)])
    alone, together = (
        decide(
            Gate(place[0], "colours@4", test, margin=8.0, dry_run=True, cluster_column=column), tiny.backbone("llama")
        )
        for column in ("", "doc")
    )
    assert alone.promoted and alone.clusters == 0 and "cluster" not in alone.sentence()
    assert (together.promoted, together.clusters, together.difference) == (False, 6, 0.0)
    assert f"{len(rows)} examples in 6 clusters" in together.sentence()
    assert "more clusters of examples would decide" in together.sentence() and together.more > 6
    model = entry.save_model(tmp_path / "model")
    argv = (
        "eval-gate",
        "colours@2",
        "--test",
        test,
        "--store",
        place[0],
        "--model",
        model,
        "--dry-run",
        "--cluster-column",
    )
    assert entry.foreword(*argv, "doc", "--json").json["clusters"] == 6
    entry.refused(*argv, "dok", says=("no column 'dok'", "did you mean 'doc'"))


def test_rows_that_ask_the_same_are_no_more_proof_than_one(place: tuple[Path, Path], tmp_path: Path) -> None:
    """8 inputs in 8 rows each are 8 examples; with choices they stay rows, in 8 clusters."""
    rows = [json.loads(line) for line in place[1].read_text(encoding="utf-8").splitlines()][:8]
    often = entry.save_rows(tmp_path / "often.jsonl", [row | {"note": f"n{n}"} for n in range(8) for row in rows])
    decision = decide(Gate(place[0], "colours@4", often, margin=8.0, dry_run=True), tiny.backbone("llama"))
    assert (decision.examples, decision.promoted, decision.difference) == (8, False, 0.0)
    stored, store_of = place[0].parent, Registry(tmp_path / "store")
    answers = ("ba", "lo", "ri")
    for name in ("p0", "twin"):
        serving.keep(store_of, "p", stored / name, choices=answers)
    store_of.tag("p@1", "production")
    labelled = [row | {"target": answers[n % 3]} for row in rows for n in range(8)]
    test = entry.save_rows(tmp_path / "labelled.jsonl", labelled)
    chosen = decide(Gate(store_of.folder, "p@2", test, margin=8.0, dry_run=True), tiny.backbone("llama"))
    assert (chosen.examples, chosen.clusters, chosen.promoted, chosen.difference) == (64, 8, False, 0.0)
    template = Template(question="{note} {input}").as_dict()
    store.save(serving.soft(tiny.backbone("llama"), 4, 0, template=template), tmp_path / "other")
    serving.keep(store_of, "q", stored / "p0")
    serving.keep(store_of, "q", tmp_path / "other")
    store_of.tag("q@1", "production")
    with pytest.raises(ForewordError, match=r"64 examples with 64 questions of .* and the one in production 8 with 8"):
        decide(Gate(store_of.folder, "q@2", often, dry_run=True), tiny.backbone("llama"))
    with pytest.raises(ForewordError, match="'blec' reads the fact 'logic_str'"):
        decide(Gate(place[0], "colours@4", often, metric="blec", dry_run=True), tiny.backbone("llama"))


def test_what_a_version_was_trained_on_is_counted(place: tuple[Path, Path], tmp_path: Path) -> None:
    backbone, registry = tiny.backbone("llama"), Registry(tmp_path / "store")
    train = tuple(Example(f"t{n}", {"input": row["input"]}, ("x",)) for n, row in enumerate(entry.rows(5)))
    profile = {"questions": questions_of(Task("t", train, (), ()))}
    sealed = {"profile": profile_digest(profile)}
    store.save(replace(serving.soft(backbone, 4, 7, settings=sealed, template={}), profile=profile), tmp_path / "p")
    serving.keep(registry, "colours", place[0].parent / "p0")
    serving.keep(registry, "colours", tmp_path / "p")
    registry.tag("colours@1", "production")
    test = entry.save_rows(tmp_path / "test.jsonl", entry.rows(8))
    decision = decide(Gate(registry.folder, "colours@2", test, dry_run=True), backbone)
    assert decision.trained_on == 5 and "one of them was trained on 5 of these" in decision.sentence()
    assert decided(place, "colours@4", dry_run=True).trained_on == 0


def test_choices_and_targets_are_read_from_the_columns_that_the_prompt_keeps(tmp_path: Path) -> None:
    """A target that is a place from 0 on, among choices of each row's own or of all."""
    backbone, registry = tiny.backbone("llama"), Registry(tmp_path / "store")
    columns = {"choices_column": "options", "target_index": 0, "input_column": "input", "references_column": ""}
    for number in range(4):
        own = columns if number < 2 else {**columns, "choices_column": ""}
        settings = own | {"choices": [] if number == 0 else list(OWN), "metrics": ["accuracy"]}
        store.save(serving.soft(backbone, 3, number % 2, settings=settings), tmp_path / f"p{number}")
        serving.keep(registry, "rows" if number < 2 else "all", tmp_path / f"p{number}")
    rows: list[dict[str, Any]] = [row | {"options": list(OWN), "target": n % 2} for n, row in enumerate(entry.rows(8))]
    test = entry.save_rows(tmp_path / "test.jsonl", rows)
    for name in ("rows", "all"):
        registry.tag(f"{name}@1", "production")
        gate = Gate(registry.folder, f"{name}@2", test, dry_run=True)
        decision = decide(gate, backbone)
        assert (decision.metric, decision.examples) == ("accuracy", 8)
        served = Shelf(Views(backbone), registry, base="tiny").get(f"{name}@1")
        assert served.stored is not None
        read = _examples(rows, served, gate, served.stored.provenance.columns)
        assert [(example.targets, example.choices) for example in read] == [(("ba",), OWN), (("lo",), OWN)] * 4


def test_a_version_without_columns_reads_those_of_the_other_or_of_flags(tmp_path: Path) -> None:
    """A version of words keeps none; it was refused for lack of 'input', with a hint of flags that the verb did not have."""
    backbone, registry = tiny.backbone("llama"), Registry(tmp_path / "store")
    settings = {"input_column": "text", "target_column": "label"}
    for name, own in (("tuned", settings), ("words", {})):
        store.save(serving.soft(backbone, 3, 0, settings=own, task=name), tmp_path / name)
    for name in ("tuned", "words"):
        serving.keep(registry, "colours", tmp_path / name, max_new_tokens=LONGEST)
        serving.keep(registry, "words", tmp_path / "words", choices=() if name == "tuned" else OWN)
    registry.tag("colours@1", "production")
    registry.tag("words@1", "production")
    rows = [{"text": row["input"], "label": "ba"} for row in entry.rows(8)]
    test = entry.save_rows(tmp_path / "test.jsonl", rows)
    assert decide(Gate(registry.folder, "colours@2", test, dry_run=True), backbone).examples == 8
    model = entry.save_model(tmp_path / "model")
    argv = ("eval-gate", "words@2", "--test", test, "--store", registry.folder, "--model", model, "--dry-run")
    entry.refused(*argv, says=("--input-column text --target-column label",))
    flags = ("--input-column", "text", "--target-column", "label", "--json")
    assert entry.foreword(*argv, *flags).json["examples"] == 8


def test_the_code_in_a_file_that_production_was_scored_by_is_named_again(tmp_path: Path) -> None:
    """It was decided by exact match, which the prompt was not tuned for, without a word."""
    backbone, registry = tiny.backbone("llama"), Registry(tmp_path / "store")
    code = tmp_path / "own.py"
    code.write_text("def score(output, references):\n    return 0.5\n", encoding="utf-8")
    for number in range(2):
        own = serving.soft(backbone, 3, number, scores={f"{code}:score": 50.0}, template={})
        store.save(own, tmp_path / f"p{number}")
        serving.keep(registry, "own", tmp_path / f"p{number}", max_new_tokens=LONGEST)
    registry.tag("own@1", "production")
    test, model = entry.save_rows(tmp_path / "test.jsonl", entry.rows(8)), entry.save_model(tmp_path / "model")
    argv = ("eval-gate", "own@2", "--test", test, "--store", registry.folder, "--model", model, "--dry-run")
    entry.refused(*argv, says=("own@1 was scored by", f"--metric {code}:score"))
    assert entry.foreword(*argv, "--metric", f"{code}:score", "--json").json["candidate_score"] == 50.0


def test_what_is_as_good_is_promoted(place: tuple[Path, Path]) -> None:
    """A twin with the same numbers answers all 60 the same, which shows that it is not worse by 8 points: the two added examples of the
    paired interval see to it that 60 are needed."""
    twin = decided(place, "colours@4", margin=8.0)
    assert twin.promoted and twin.difference == 0.0 and twin.low > -8.0
    registry = Registry(place[0])
    index, version = registry.resolve("colours")
    assert version.number == 4 and index.decisions[-1]["promoted"]
    assert registry.rollback("colours", "production").number == 1


def test_an_alias_that_moved_meanwhile_is_left_alone(place: tuple[Path, Path]) -> None:
    registry = Registry(place[0])
    with pytest.raises(ForewordError, match="has moved while its gate was deciding"):
        registry.decide("colours", "production", "f" * 64, {"candidate_digest": "", "production_digest": ""})


def test_the_command_exits_with_3_where_the_alias_stays(place: tuple[Path, Path], tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "model")
    argv = ("eval-gate", "colours@2", "--test", place[1], "--store", place[0], "--model", model, "--dry-run")
    ran = entry.foreword(*argv, "--json")
    assert (ran.code, ran.json["promoted"], ran.json["dry_run"]) == (3, False, True), ran.err
    own = tmp_path / "mine.py"
    own.write_text("def score(output, references):\n    return float(output in references)\n", encoding="utf-8")
    ran = entry.foreword(*argv, "--metric", f"{own}:score", "--json")
    assert ran.code == 3 and ran.json["metric"] == f"{own}:score", ran.err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("colours@1",), ("points to colours@1 already",)),
        (("colours@2", "--alias", "staging"), ("no alias 'staging'", "registry tag")),
        (("colours@2", "--margin", "0"), ("margin above 0",)),
        (("colours@2", "--alpha", "0.7"), ("alpha between 0 and 0.5",)),
        (("colours@9",), ("no such version",)),
        (("colours@2", "--max-new-tokens", "0"), ("may have 0 tokens", "--max-new-tokens 1 or more")),
    ],
)
def test_what_cannot_be_decided_is_refused(
    place: tuple[Path, Path], argv: tuple[str, ...], says: tuple[str, ...]
) -> None:
    entry.refused("eval-gate", *argv, "--test", place[1], "--store", place[0], "--model", "none", says=says)
