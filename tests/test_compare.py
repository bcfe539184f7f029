"""The comparison end to end on tiny models: complete rows, records keyed by contents, costs counted, nothing computed twice."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

import entry
import tiny
from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.prompts import store
from foreword.prompts.methods import METHODS
from foreword.results.record import Record
from foreword.study import trial
from foreword.study.compare import Outcome, carry_out
from foreword.study.cost import estimate, summed
from foreword.study.plan import Plan, plan
from foreword.study.resolve import task_of
from foreword.util.errors import ForewordError

TUNING = {"prompt_length": 3, "max_steps": 4, "eval_every": 2, "batch_size": 4, "warmup_steps": 1}
ALL = ["zero", "few:2", "icl", "icl:random", "pt", "ipt-fixed", "ipt"]


@functools.cache
def data(folder: Path) -> Path:
    return entry.save_rows(folder / "own.jsonl", entry.rows(40))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data(tmp_path_factory.mktemp("data"))


def run(own: Path, out: Path, methods: list[str], seeds: list[int] | None = None, **more: Any) -> Run:
    tuning = Tuning(**(TUNING | more.pop("tuning", {})))
    settings: dict[str, Any] = {"max_new_tokens": 4, "data": str(own), "out": str(out), **more}
    return Run(model="tiny", methods=methods, seeds=seeds or [0, 1], tuning=tuning, **settings)


def planned(settings: Run, family: str = "llama", task: Task | None = None) -> Plan:
    return plan(settings, backbone=tiny.backbone(family), task=task)


def compare(settings: Run, family: str = "llama") -> Outcome:
    return carry_out(planned(settings, family))


def records(out: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in (out / "records").glob("*.json")}


def outputs(outcome: Outcome) -> dict[tuple[str, int], list[str]]:
    return {(record.label, record.seed): [answer.output for answer in record.answers] for record in outcome.records}


# -- rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_every_row_is_complete(own: Path, tmp_path: Path, family: str) -> None:
    outcome = compare(run(own, tmp_path, ALL, [4, 2]), family)
    rows = {row.method: row for row in outcome.summary.rows}
    assert list(rows) == ALL
    for label, row in rows.items():
        method = METHODS[label.split(":")[0]]
        fixed = label in ("zero", "icl")
        assert row.deterministic == fixed and row.seeds == ([4] if fixed else [2, 4])
        assert len(row.scores_by_seed) == len(row.seeds) and row.examples == 13
        assert row.ci95[0] <= row.mean <= row.ci95[1]
        assert row.trainable_parameters == (3 * 32 if method.soft else 0)
        assert (row.train_seconds > 0) == method.soft and row.seconds_per_answer > 0
        assert (row.prefix_tokens > 0) == (label != "zero")
    assert outcome.computed == len(outcome.records) == 12
    assert len(outcome.summary.comparisons) == len(ALL) - 1
    best = max(row.mean for row in rows.values())
    assert (outcome.summary.recommendation.method in ALL) == (best > 0), "random weights score nothing: none is marked"
    assert outcome.summary.sizes == {"train": 23, "dev": 4, "test": 13}
    assert "There is no dev split: 4 questions were cut from train by seed 0." in outcome.summary.notes


def test_what_is_kept(own: Path, tmp_path: Path) -> None:
    outcome = compare(run(own, tmp_path, ["zero", "pt"]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare.json", "prompts", "records", "report.html"]
    page = outcome.report.read_text(encoding="utf-8")
    assert outcome.report == tmp_path / "report.html" and "</html>" in page and "://cdn" not in page
    document = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in document["rows"]] == ["zero", "pt"] and document["report"] == str(outcome.report)
    for record in outcome.records:
        assert Record.read(tmp_path / "records" / f"{record.key}.json").answers == record.answers
        if record.prompt:
            prompt = store.load(tmp_path / record.prompt)
            assert prompt.digest == record.fingerprints["soft_prompt"] and prompt.provenance.scores == record.scores


def test_methods_without_chance_run_once(own: Path, tmp_path: Path) -> None:
    trials = planned(run(own, tmp_path, ALL, [0, 1, 2])).trials
    counted = {label: sum(planned_trial.spec.label == label for planned_trial in trials) for label in ALL}
    assert counted == {"zero": 1, "icl": 1} | dict.fromkeys(("few:2", "icl:random", "pt", "ipt-fixed", "ipt"), 3)
    assert len({planned_trial.key for planned_trial in trials}) == len(trials)


def test_the_order_of_seeds_and_methods_changes_nothing(own: Path, tmp_path: Path) -> None:
    first = compare(run(own, tmp_path / "a", ["zero", "few", "pt"], [0, 1]))
    second = compare(run(own, tmp_path / "b", ["pt", "few", "zero"], [1, 0]))
    score = {row.method: (row.mean, row.std, row.ci95, row.scores_by_seed) for row in first.summary.rows}
    assert score == {row.method: (row.mean, row.std, row.ci95, row.scores_by_seed) for row in second.summary.rows}
    assert set(records(tmp_path / "a")) == set(records(tmp_path / "b"))


def test_the_batch_size_changes_nothing(own: Path, tmp_path: Path) -> None:
    methods = ["zero", "few:2", "icl", "pt", "ipt"]
    single = compare(run(own, tmp_path / "one", methods, [0], batch_size=1))
    batched = compare(run(own, tmp_path / "many", methods, [0], batch_size=16))
    assert outputs(single) == outputs(batched)
    assert set(records(tmp_path / "one")) == set(records(tmp_path / "many"))
    prompts = [[record.fingerprints.get("soft_prompt") for record in outcome.records] for outcome in (single, batched)]
    assert prompts[0] == prompts[1]


# -- keyed by contents ----------------------------------------------------------------------------------------------------


def test_only_what_is_missing_runs(own: Path, tmp_path: Path) -> None:
    first = compare(run(own, tmp_path, ["zero", "icl"]))
    before = records(tmp_path)
    second = compare(run(own, tmp_path, ["zero", "icl", "few", "icl:bm25:2"], [0, 1]))
    assert (first.computed, second.computed, second.reused) == (2, 3, 2)
    assert {key: time for key, time in records(tmp_path).items() if key in before} == before
    third = compare(run(own, tmp_path, ["zero", "icl", "few", "icl:bm25:2"], [0, 1, 2]))
    assert third.computed == 1, "one more seed of the one method that chance touches"
    again = compare(run(own, tmp_path, ["icl:bm25:1"], [7]))
    assert again.computed == 0, "the same contents under another label and seed"
    assert (again.records[0].label, again.records[0].seed) == ("icl:bm25:1", 7)


def test_a_changed_k_remakes_its_own_records_only(own: Path, tmp_path: Path) -> None:
    methods = ["zero", "few", "icl", "pt"]
    compare(run(own, tmp_path, methods))
    before = set(records(tmp_path))
    outcome = compare(run(own, tmp_path, methods, shots=2))
    assert outcome.computed == 3, "few of two seeds, and icl"
    assert before < set(records(tmp_path))


CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "wording": ({"question": "Q: {input}\nA:"}, {"zero", "few", "icl", "pt"}),
    "metrics": ({"metrics": ["token_f1"]}, {"zero", "few", "icl", "pt"}),
    "answer length": ({"max_new_tokens": 5}, {"zero", "few", "icl", "pt"}),
    "training": ({"tuning": {"learning_rate": 0.2}}, {"pt"}),
    "retriever": ({"retriever": "dense"}, {"icl"}),
    "encoder": ({"encoder": "backbone:last"}, set()),
    "batch size": ({"batch_size": 2}, set()),
    "answers counted": ({"answers": 7}, set()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_is_what_decides_the_result(own: Path, tmp_path: Path, change: str) -> None:
    methods = ["zero", "few", "icl", "pt"]
    more, remade = CHANGES[change]
    before = {planned_trial.key for planned_trial in planned(run(own, tmp_path, methods)).trials}
    after = planned(run(own, tmp_path, methods, **more)).trials
    assert {planned_trial.spec.label for planned_trial in after if planned_trial.key not in before} == remade


def test_the_name_of_a_file_decides_nothing(own: Path, tmp_path: Path) -> None:
    compare(run(own, tmp_path / "run", ["zero", "pt"]))
    other = tmp_path / "renamed.jsonl"
    other.write_bytes(own.read_bytes())
    outcome = compare(run(other, tmp_path / "run", ["zero", "pt"]))
    assert (outcome.computed, outcome.summary.task) == (0, "renamed")
    other.write_bytes(own.read_bytes() + b'{"input": "one more", "target": "ba"}\n')
    assert len(planned(run(other, tmp_path / "run", ["zero", "pt"])).missing) == 3


def test_another_model_is_another_trial(own: Path, tmp_path: Path) -> None:
    settings = run(own, tmp_path, ["zero"])
    keys = {
        plan(settings, backbone=backbone).trials[0].key
        for backbone in (tiny.backbone("llama"), tiny.backbone("llama", seed=1))
    }
    assert len(keys) == 2


def test_a_limit_is_part_of_the_contents(own: Path, tmp_path: Path) -> None:
    small = planned(run(own, tmp_path, ["zero"], limit=2))
    assert [len(small.task.split(split)) for split in ("train", "dev", "test")] == [2, 2, 2]
    wide = planned(run(own, tmp_path, ["zero"], limit=2, train_limit=9))
    assert [len(wide.task.split(split)) for split in ("train", "dev", "test")] == [9, 2, 2]
    assert small.trials[0].key != planned(run(own, tmp_path, ["zero"])).trials[0].key
    again = task_of(run(own, tmp_path, ["zero"], limit=2))
    assert again.fingerprint == small.task.fingerprint, "drawn by a fixed seed"


def test_a_damaged_record_is_named(own: Path, tmp_path: Path) -> None:
    settings = run(own, tmp_path, ["zero"])
    (record,) = compare(settings).records
    path = tmp_path / "records" / f"{record.key}.json"
    path.write_text(path.read_text(encoding="utf-8")[:200], encoding="utf-8")
    with pytest.raises(ForewordError, match=rf"{record.key}.json is damaged"):
        compare(settings)


# -- costs ----------------------------------------------------------------------------------------------------------------


def counted_task(choices: tuple[str, ...] = ()) -> Task:
    """Inputs of one token each, whose lengths are told by the wording: nothing is hidden in the tokenizer."""
    examples = [
        Example(f"e{n}", {"input": text}, (choices[0] if choices else "q",), choices)
        for n, text in enumerate("abcdefghijkl")
    ]
    wording = Template(instruction="i", question="{input}", answer="{target}", separator="|", stop="\n")
    return Task("toy", tuple(examples[:6]), tuple(examples[6:8]), tuple(examples[8:]), wording, ("exact_match",))


@pytest.mark.parametrize("family", ["llama", "t5", "mamba"])
def test_costs_are_those_counted_by_hand(own: Path, tmp_path: Path, family: str) -> None:
    """4 questions of 1 token each, answers of 5 tokens at most; instruction and separator have 2 tokens, a demonstration 3."""
    tuning = {"max_steps": 10, "batch_size": 4, "prompt_length": 3}
    settings = run(
        own, tmp_path, ["zero", "few:2", "icl:bm25:2", "pt", "ipt-fixed:2"], [0], tuning=tuning, max_new_tokens=5
    )
    whole = planned(settings, family, counted_task())
    backbone = whole.backbone
    ends = backbone.specials  # of an encoder's input
    answer = len(backbone.answer_ids("q"))
    estimates = {row.method: row for row in map(estimate, whole.trials)}
    if backbone.engine.capabilities.prefix_cache:  # the shared prefix once, then each row
        answers = {
            "zero": 2 + 4 * 6,
            "few:2": 2 + 6 + 4 * 6,
            "icl:bm25:2": 2 + 4 * (6 + 6),
            "pt": 3 + 4 * 6,
            "ipt-fixed:2": 3 + 6 + 4 * 6,
        }
        training = {"pt": 10 * (3 + 4 * (1 + answer)), "ipt-fixed:2": 10 * (3 + 6 + 4 * (1 + answer))}
    else:  # everything in each row
        answers = {
            "zero": 4 * (8 + ends),
            "few:2": 4 * (14 + ends),
            "icl:bm25:2": 4 * (14 + ends),
            "pt": 4 * (9 + ends),
        }
        answers["ipt-fixed:2"] = 4 * (15 + ends)
        training = {"pt": 10 * 4 * (3 + 1 + ends + answer)}
    assert backbone.engine.capabilities.prefix_cache == (family == "llama")
    assert {label: row.answer_tokens for label, row in estimates.items()} == answers
    assert estimates["pt"].training_tokens == training["pt"]
    if "ipt-fixed:2" in training:
        assert estimates["ipt-fixed:2"].training_tokens in (training["ipt-fixed:2"], training["ipt-fixed:2"] - 10 * 3)
    assert estimates["pt"].tflop == pytest.approx(backbone.parameters * (4 * training["pt"] + 2 * answers["pt"]) / 1e12)
    assert estimates["zero"].training_tokens == 0 and {row.answers for row in estimates.values()} == {4}
    assert not any(row.finished for row in estimates.values()) and not list(tmp_path.iterdir())
    assert summed(list(estimates.values())).startswith("5 of 5 trials to run")


def test_choices_cost_what_they_are_long(own: Path, tmp_path: Path) -> None:
    whole = planned(run(own, tmp_path, ["pt"], [0]), "llama", counted_task(("q", "r", "s")))
    assert estimate(whole.trials[0]).answer_tokens == 3 + 4 * 3 * 2, (
        "each of three choices: the question's token and its own"
    )


def test_a_dry_run_computes_nothing(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **more: object) -> None:
        raise AssertionError("computed")

    for name in ("train", "predict"):
        monkeypatch.setattr(trial, name, never)
    whole = planned(run(own, tmp_path / "run", ALL))
    assert len([estimate(planned_trial) for planned_trial in whole.trials]) == len(whole.missing) == 12
    assert not (tmp_path / "run").exists()


# -- transfer -------------------------------------------------------------------------------------------------------------


def test_a_carried_prompt_is_used_as_it_is(own: Path, tmp_path: Path) -> None:
    (tuned,) = compare(run(own, tmp_path / "a", ["pt"], [0])).records
    folder = tmp_path / "a" / tuned.prompt
    carried = {"init": "warm_start", "init_prompt": str(folder)}
    still = run(own, tmp_path / "b", ["pt"], [0], tuning=carried | {"max_steps": 0})
    (as_it_is,) = compare(still).records
    assert as_it_is.fingerprints["soft_prompt"] == tuned.fingerprints["soft_prompt"]
    assert [answer.output for answer in as_it_is.answers] == [answer.output for answer in tuned.answers]
    assert as_it_is.costs.train_seconds == 0
    (warm,) = compare(run(own, tmp_path / "b", ["pt"], [0], tuning=carried)).records
    assert warm.fingerprints["soft_prompt"] != tuned.fingerprints["soft_prompt"] and warm.key != as_it_is.key


def test_a_prompt_of_another_model_is_not_carried(own: Path, tmp_path: Path) -> None:
    (tuned,) = compare(run(own, tmp_path / "a", ["pt"], [0])).records
    carried = {"init": "carried", "init_prompt": str(tmp_path / "a" / tuned.prompt), "max_steps": 0}
    with pytest.raises(ForewordError, match="another model"):
        plan(run(own, tmp_path, ["pt"], tuning=carried), backbone=tiny.backbone("llama", seed=1))


def test_fewer_demonstrations_than_a_label_says_are_noted(tmp_path: Path) -> None:
    """`few:5` showed the three that train has, and no word was lost on it."""
    few = entry.save_rows(tmp_path / "own.jsonl", entry.rows(5))
    settings = run(few, tmp_path / "out", ["zero", "few:5", "icl:bm25:3", "ipt:bm25:3", "icl:bm25:5", "few:2"], [0])
    expected = (
        "few:5 and icl:bm25:5: train has 3 distinct questions, so that 3 are shown.",
        "ipt:bm25:3: train has 3 distinct questions, so that 3 are shown, one fewer where the input is one of them.",
    )
    assert tuple(note for note in compare(settings).summary.notes if "distinct question" in note) == expected
    folded = planned(settings.model_copy(update={"data": str(data(tmp_path)), "methods": ["few:40"], "folds": 5}))
    (note,) = (note for note in folded.task.remarks if "distinct question" in note)
    assert note.startswith("few:40: train has 29 distinct questions in one of the folds, so that 29 are shown")


# -- real models ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name,task", [("tinystories-656k", "e2e"), ("g2p-bart-us", "g2p")])
def test_on_real_models(shared: Path, tmp_path: Path, name: str, task: str) -> None:
    command = (
        "compare",
        "-m",
        shared / "models" / name,
        "-t",
        task,
        "--data-dir",
        shared / "data",
        "--methods",
        "zero,icl,pt,ipt",
    )
    small = (
        "--limit",
        20,
        "--seeds",
        "0,1",
        "--max-steps",
        20,
        "--max-new-tokens",
        24,
        "--too-long",
        "drop",
        "--out",
        tmp_path,
    )
    result = entry.foreword(*command, *small, "--json")
    assert result.code == 0, result.err
    assert [row["method"] for row in result.json["rows"]] == ["zero", "icl", "pt", "ipt"]
    assert "trials run 0, found finished 6" in entry.foreword(*command, *small).out


# -- wording ----------------------------------------------------------------------------------------------------------------


def test_an_encoder_decoder_gets_the_bare_input_where_nobody_worded_it(own: Path, tmp_path: Path) -> None:
    wording = {
        family: planned(run(own, tmp_path, ["zero"]), family).task.template for family in ("llama", "t5", "bart")
    }
    assert wording["llama"].question == Template().question and wording["llama"].stop == "\n"
    for family in ("t5", "bart"):
        assert (wording[family].question, wording[family].answer, wording[family].stop) == ("{input}", "{target}", "")
    template = planned(run(own, tmp_path, ["zero"], question="Q {input} A"), "t5").task.template
    assert template.question == "Q {input} A" and template.answer == Template().answer
