"""A Trial end to end on tiny models: each method leaves a whole record, nothing is computed twice, and a kill costs nothing."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.engine import Backbone
from foreword.metrics import metric
from foreword.prompts import store
from foreword.prompts.methods import parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.results.record import Record
from foreword.study import trial as trial_module
from foreword.study.spec import Spec
from foreword.study.trial import Trial
from foreword.util.errors import ForewordError

LABELS = ("zero", "few:2", "icl:2", "pt", "ipt", "ipt-fixed", "icl:random", "icl:dense:1")
TUNING = Tuning(prompt_length=3, max_steps=4, eval_every=2, batch_size=4, warmup_steps=1, dev_limit=5)
SYLLABLES = ("ba", "lo", "ri", "tem", "na", "sho", "ku", "der", "fin", "ost")


@functools.cache
def task(choices: tuple[str, ...] = ()) -> Task:
    examples = []
    for index in range(36):
        words = [SYLLABLES[(index * 3 + place * place) % 10] for place in range(2 + index % 4)]
        text = f"{' '.join(words)} {index}"
        target = choices[index % len(choices)] if choices else words[-1]
        examples.append(Example(f"e{index}", {"input": text}, (target,), choices))
    template = Template(instruction="Say the last word.", question="Input: {input}\nOutput:")
    return Task(
        "toy", tuple(examples[:24]), tuple(examples[24:30]), tuple(examples[30:]), template, ("exact_match", "token_f1")
    )


def spec(label: str, seed: int = 0, **options: Any) -> Spec:
    row = parse(label, shots=1, retriever="bm25", retrievers=list(RETRIEVERS))
    return Spec(label, row, seed, options.pop("tuning", TUNING), options.pop("longest", 4), **options)


def make(family: str, label: str, out: Path, seed: int = 0, toy: Task | None = None, **options: Any) -> Trial:
    return Trial(spec(label, seed, **options), tiny.backbone(family), toy or task(), out)


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("label", LABELS)
def test_every_method_leaves_a_whole_record(family: str, label: str, tmp_path: Path) -> None:
    trial = make(family, label, tmp_path)
    record = trial.run()
    row, toy = trial.spec.method, task()
    assert [answer.id for answer in record.answers] == [example.id for example in toy.test]
    assert record.key == trial.key and trial.path.is_file() and Record.read(trial.path) == record
    assert (record.label, record.method, record.task) == (label, label.split(":")[0], "toy")
    assert record.primary == "exact_match" and set(record.scores) == {"exact_match", "token_f1"}
    assert record.deterministic == (not row.random())
    for name in toy.metrics:
        measure = metric(name)
        outputs = [answer.output for answer in record.answers]
        whole = measure.statistics(outputs, [answer.targets for answer in record.answers])
        assert record.scores[name] == pytest.approx(float(measure.from_sums(whole.sum(axis=0))))
        assert [answer.scores[name] for answer in record.answers] == pytest.approx(list(measure.per_example(whole)))
    for answer in record.answers:
        assert len(answer.shown) == (row.k if row.demonstrations != "none" else 0)
        assert all(shown.id.startswith("e") and int(shown.id[1:]) < 24 for shown in answer.shown)
        assert [shown.similarity is not None for shown in answer.shown] == [row.retriever in ("bm25", "dense")] * len(
            answer.shown
        )
        assert answer.input == toy.template.ask(Example("", {"input": answer.input.split("Input: ")[1].split("\n")[0]}))
    assert record.costs.prefix_tokens == pytest.approx(np.mean([answer.prefix_tokens for answer in record.answers]))
    assert record.costs.prefix_tokens >= (3 if row.soft else 0) + (1 if row.demonstrations != "none" else 0)
    assert record.costs.seconds_per_answer > 0
    assert record.costs.trainable_parameters == (3 * trial.backbone.hidden if row.soft else 0)
    assert (record.costs.train_seconds > 0) == row.soft == bool(record.curve) == bool(record.prompt)
    assert record.fingerprints["backbone"] == trial.backbone.fingerprint
    assert record.versions["torch"] != "absent" and record.hardware and record.metric_signatures["exact_match"]
    assert not (tmp_path / "work").exists() or not list((tmp_path / "work").iterdir())


def test_choices_are_answered_by_choices(tmp_path: Path) -> None:
    toy = task(("ba", "lo ri", "na"))
    for label in ("zero", "ipt"):
        record = make("llama", label, tmp_path, toy=toy).run()
        assert all(answer.output in ("ba", "lo ri", "na") for answer in record.answers)


def test_a_second_run_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {label: make("llama", label, tmp_path).run() for label in ("zero", "ipt")}

    def never(*arguments: object, **more: object) -> None:
        raise AssertionError("computed again")

    for name in ("train", "predict", "make"):
        monkeypatch.setattr(trial_module, name, never)
    for label, record in first.items():
        trial = make("llama", label, tmp_path)
        before = trial.path.read_bytes()
        assert trial.run() == record
        assert trial.path.read_bytes() == before


def test_a_record_written_twice_is_the_same_bytes(tmp_path: Path) -> None:
    trial = make("llama", "icl", tmp_path)
    record = trial.run()
    record.write(tmp_path / "again.json")
    Record.read(tmp_path / "again.json").write(tmp_path / "and again.json")
    assert (
        (tmp_path / "again.json").read_bytes() == trial.path.read_bytes() == (tmp_path / "and again.json").read_bytes()
    )


def plain(record: Record) -> dict[str, Any]:
    """All of a record but its stop-watch readings."""
    fields = {name: value for name, value in vars(record).items() if name != "costs"}
    return fields | {"prefix": record.costs.prefix_tokens, "trained": record.costs.trainable_parameters}


@pytest.mark.parametrize("label", ["icl:random", "ipt", "zero"])
def test_the_same_trial_elsewhere_gives_the_same_record(label: str, tmp_path: Path) -> None:
    first, second = (make("llama", label, tmp_path / name).run() for name in "ab")
    assert plain(first) == plain(second)


class Killed(KeyboardInterrupt):
    """Ctrl-C at a chosen moment."""


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("moment", [("tuning", 1), ("tuning", 2), ("tuning", 3), ("tuning", 4), ("answering", 6)])
def test_a_kill_at_any_moment_changes_nothing(family: str, moment: tuple[str, int], tmp_path: Path) -> None:
    whole = make(family, "ipt", tmp_path / "whole").run()

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        if what.endswith(moment[0]) and done == moment[1]:
            raise Killed

    trial = make(family, "ipt", tmp_path / "killed")
    with pytest.raises(Killed):
        Trial(trial.spec, trial.backbone, trial.task, trial.out, progress=progress).run()
    assert trial.finished() is None
    assert plain(trial.run()) == plain(whole)
    saved = [store.load(tmp_path / name / whole.prompt) for name in ("whole", "killed")]
    assert saved[0].digest == saved[1].digest


def test_a_saved_prompt_answers_as_its_trial_did(tmp_path: Path) -> None:
    record = make("llama", "ipt", tmp_path).run()
    prompt = store.load(tmp_path / record.prompt)
    assert prompt.digest == record.fingerprints["soft_prompt"]
    assert prompt.provenance.scores == record.scores and prompt.provenance.label == "ipt"
    assert prompt.provenance.method == make("llama", "ipt", tmp_path).spec.method.as_dict()
    still = TUNING.model_copy(update={"max_steps": 0})
    again = make("llama", "ipt", tmp_path, start_prompt=prompt, tuning=still)
    assert again.key != record.key
    repeated = again.run()
    assert [answer.output for answer in repeated.answers] == [answer.output for answer in record.answers]
    assert repeated.scores == record.scores and repeated.costs.train_seconds == 0


def test_a_given_prompt_of_another_model_is_refused(tmp_path: Path) -> None:
    record = make("llama", "pt", tmp_path).run()
    prompt = store.load(tmp_path / record.prompt)
    with pytest.raises(ForewordError, match="was tuned on tiny-llama-0, and tiny-qwen2-0 is another model"):
        make("qwen2", "pt", tmp_path, start_prompt=prompt).run()


def test_a_warm_start_starts_from_the_given_prompt(tmp_path: Path) -> None:
    prompt = SoftPrompt(tiny.soft(tiny.backbone("llama"), 5), store.Provenance(backbone="x"))  # type: ignore[arg-type]
    trial = make("llama", "pt", tmp_path, start_prompt=prompt)
    record = trial.run()
    assert store.load(tmp_path / record.prompt).length == 5
    assert record.spec["given"] == prompt.digest


def test_select_by_metric(tmp_path: Path) -> None:
    tuning = TUNING.model_copy(update={"select_by": "metric"})
    record = make("llama", "pt", tmp_path, tuning=tuning).run()
    assert all(-100 <= entry["dev"] <= 0 for entry in record.curve)


# -- the window -----------------------------------------------------------------------------------------------------------


def test_a_small_window_drops_whole_demonstrations_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = make("llama", "icl:4", tmp_path / "roomy").run()
    assert roomy.dropped_demonstrations == 0
    trial = make("llama", "icl:4", tmp_path / "tight")
    monkeypatch.setattr(trial.backbone, "window", 60)
    tight = trial.run()
    assert tight.dropped_demonstrations == sum(answer.dropped for answer in tight.answers) > 0
    for before, after in zip(roomy.answers, tight.answers, strict=True):
        assert after.shown == before.shown[after.dropped :], "the farthest go first"
        assert len(after.shown) + after.dropped == 4
        assert after.prefix_tokens + after.input_tokens + 4 <= 60


def test_an_input_beyond_the_window_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = make("llama", "pt", tmp_path)
    monkeypatch.setattr(trial.backbone, "window", 12)
    with pytest.raises(ForewordError, match=r"Example 'e\d+' needs \d+ positions \(soft prompt 3\) and the model has"):
        trial.run()
    assert trial.finished() is None


# -- keys -----------------------------------------------------------------------------------------------------------------


def test_the_key_follows_the_contents(tmp_path: Path) -> None:
    base = make("llama", "ipt", tmp_path)
    others = [
        make("qwen2", "ipt", tmp_path),
        make("llama", "ipt:2", tmp_path),
        make("llama", "pt", tmp_path),
        make("llama", "ipt", tmp_path, 1),
        make("llama", "ipt", tmp_path, longest=5),
        make("llama", "ipt", tmp_path, tuning=TUNING.model_copy(update={"learning_rate": 0.2})),
        make("llama", "ipt", tmp_path, toy=task().limited({"test": 3})),
        make("llama", "ipt", tmp_path, split="dev"),
    ]
    keys = [trial.key for trial in (base, *others)]
    assert len(set(keys)) == len(keys)
    assert make("llama", "ipt:bm25:1", tmp_path).key == base.key, "the same row under another label is the same trial"


def test_settings_that_change_nothing_do_not_change_the_key(tmp_path: Path) -> None:
    other = TUNING.model_copy(update={"learning_rate": 0.2})
    assert make("llama", "icl", tmp_path, 1, tuning=other).key == make("llama", "icl", tmp_path).key
    assert make("llama", "icl", tmp_path, encoder="any").key == make("llama", "icl", tmp_path).key
    assert make("llama", "icl:dense", tmp_path, encoder="any").key != make("llama", "icl:dense", tmp_path).key
    assert make("llama", "icl:random", tmp_path, 1).key != make("llama", "icl:random", tmp_path).key


def test_a_task_without_the_split_is_refused(tmp_path: Path) -> None:
    toy = Task("bare", task().train, (), (), task().template)
    with pytest.raises(ForewordError, match="has no test examples to score"):
        make("llama", "zero", tmp_path, toy=toy).run()
    with pytest.raises(ForewordError, match="has no dev examples to choose the best prompt by"):
        make("llama", "ipt", tmp_path, toy=toy).run()


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    trial = make("llama", "zero", tmp_path)
    trial.run()
    trial.path.write_text(trial.path.read_text(encoding="utf-8")[:-30], encoding="utf-8")
    with pytest.raises(ForewordError, match=r"The record at .* is damaged"):
        trial.run()


def backbones_are_left_alone() -> list[Backbone]:
    return [tiny.backbone(family) for family in ("llama", "t5")]


def test_trials_leave_the_backbone_as_it_was(tmp_path: Path) -> None:
    before = [backbone.weights_digest() for backbone in backbones_are_left_alone()]
    for family in ("llama", "t5"):
        make(family, "ipt-fixed", tmp_path).run()
    assert [backbone.weights_digest() for backbone in backbones_are_left_alone()] == before
