"""Full fine-tuning: every weight of a copy learns, no weight of the backbone moves, a killed run resumes, and the record says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import entry
import tiny
from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.engine import Backbone, Row, wrap
from foreword.prompts.inits import InitSource
from foreword.results.record import Record
from foreword.train.loop import Tuned, dev_loss, train
from foreword.train.trainables import TRAINABLES, Setup, tuning_for
from foreword.train.trainables.weights import NOT_KEPT
from foreword.util.errors import ForewordError

TUNING = Tuning(max_steps=12, eval_every=3, batch_size=3, warmup_steps=2, patience=0, learning_rate=1e-2)
Scorer = Callable[[Backbone], Callable[[None], float]]


def rows_of(count: int = 7) -> list[Row]:
    """Every answer is the same two words: there is something to learn."""
    return [Row((), row.own, (5, 9)) for row in tiny.rows(count, seed="tune", longest=8)]


def by_loss(twin: Backbone) -> Callable[[None], float]:
    return dev_loss(twin, rows_of(), 8)


def run(folder: Path, backbone: Backbone, *, scorer: Scorer = by_loss, **options: Any) -> tuple[Backbone, Tuned]:
    tuning = options.pop("tuning", TUNING)
    setup = Setup(backbone, tuning, 3, InitSource())
    return train(TRAINABLES["weights"], setup, options.pop("rows", rows_of()), scorer, folder=folder, **options)


@pytest.mark.parametrize("family", ["llama", "opt", "bloom", "gemma", "t5", "bart", "mamba"])
def test_a_copy_learns_and_the_backbone_does_not_move(family: str, tmp_path: Path) -> None:
    backbone = tiny.backbone(family)
    digest, asks = backbone.weights_digest(), [value.requires_grad for value in backbone.model.parameters()]
    before = by_loss(backbone)(None)
    twin, tuned = run(tmp_path, backbone)
    assert backbone.weights_digest() == digest
    assert [value.requires_grad for value in backbone.model.parameters()] == asks and not any(asks)
    assert by_loss(twin)(None) < before - 0.5 and by_loss(backbone)(None) == before
    assert tuned.parameters == backbone.parameters and tuned.seconds > 0 and tuned.best == {}
    still = [
        name
        for (name, value), other in zip(twin.model.named_parameters(), backbone.model.parameters(), strict=True)
        if torch.equal(value, other)
    ]
    assert not [name for name in still if not never_read(family, name)]
    assert not any(value.requires_grad for value in twin.model.parameters())


def never_read(family: str, name: str) -> bool:
    """Weights that no loss depends on: a T5 with its own output layer has embeddings twice."""
    return family == "t5" and name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "bloom", "gemma2"])
@pytest.mark.parametrize("soft", [0, 3])
def test_a_shared_prefix_hands_every_weight_the_plain_gradient(family: str, soft: int) -> None:
    backbone = wrap("one", copy.deepcopy(tiny.model(family)), tiny.tokenizer(bos=True))
    assert backbone.engine.capabilities.prefix_cache
    rows = tiny.rows(5, seed="shared", prefix=tiny.ids(6, "prefix"))
    grads = []
    for capabilities in (backbone.engine.capabilities, replace(backbone.engine.capabilities, prefix_cache=False)):
        backbone.engine.capabilities = capabilities
        for value in backbone.model.parameters():
            value.requires_grad_(True)
            value.grad = None
        backbone.loss(tiny.soft(backbone, soft), rows)[0].backward()  # type: ignore[no-untyped-call]
        grads.append([value.grad.clone() for value in backbone.model.parameters() if value.grad is not None])
        assert len(grads[-1]) == len(list(backbone.model.parameters()))
    most = max(float(plain.norm()) for plain in grads[1])
    for shared, plain in zip(*grads, strict=True):  # a bias of keys has no gradient but rounding
        assert float((shared - plain).norm()) <= 1e-4 * float(plain.norm()) + 1e-6 * most


def test_the_best_weights_are_what_comes_back(tmp_path: Path) -> None:
    digests: list[str] = []
    scores = iter([9.0, 5.0, 2.0, 3.0, 2.0])

    def scorer(twin: Backbone) -> Callable[[None], float]:
        def score(_: None) -> float:
            digests.append(twin.weights_digest())
            return next(scores)

        return score

    twin, tuned = run(tmp_path, tiny.backbone("llama"), scorer=scorer)
    assert tuned.step == 6 and [point["dev"] for point in tuned.curve] == [5.0, 2.0, 3.0, 2.0]
    assert twin.weights_digest() == digests[2] and len(set(digests)) == 5
    assert tuned.start == 9.0


def test_answers_never_come_from_weights_of_before(tmp_path: Path) -> None:
    """The tokenizer's own start is a prefix whose keys and values are kept between answers."""
    backbone = tiny.backbone("llama", bos=True)
    rows = tiny.rows(4, seed="stale", answer=0)
    snapshots: list[tuple[list[list[int]], dict[str, torch.Tensor]]] = []

    def scorer(twin: Backbone) -> Callable[[None], float]:
        def score(_: None) -> float:
            answers = twin.generate(None, rows, 5)
            snapshots.append((answers, copy.deepcopy(twin.model.state_dict())))
            return -float(len(snapshots))

        return score

    twin, _ = run(tmp_path, backbone, scorer=scorer)
    for answers, weights in [*snapshots, (twin.generate(None, rows, 5), twin.model.state_dict())]:
        fresh = copy.deepcopy(backbone.model)
        fresh.load_state_dict(weights)
        assert wrap("fresh", fresh, tiny.tokenizer(bos=True)).generate(None, rows, 5) == answers
    assert len({str(answers) for answers, _ in snapshots}) > 1


# -- killed and resumed ---------------------------------------------------------------------------------------------------


class Killed(KeyboardInterrupt):
    """Ctrl-C at a chosen moment."""


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_a_killed_run_resumes_to_the_identical_weights(family: str, optimizer: str, tmp_path: Path) -> None:
    backbone, tuning = tiny.backbone(family), TUNING.model_copy(update={"optimizer": optimizer})
    whole, whole_tuned = run(tmp_path / "whole", backbone, tuning=tuning)
    for stop in (1, 3, 4, 11, 12):

        def progress(what: str, done: int, total: int, note: str = "", stop: int = stop) -> None:
            if done == stop:
                raise Killed

        folder = tmp_path / f"killed-{stop}"
        with pytest.raises(Killed):
            run(folder, backbone, tuning=tuning, progress=progress)
        twin, tuned = run(folder, backbone, tuning=tuning)
        assert twin.weights_digest() == whole.weights_digest()
        assert (tuned.curve, tuned.step, tuned.parameters) == (
            whole_tuned.curve,
            whole_tuned.step,
            whole_tuned.parameters,
        )


def test_no_steps_leave_the_model_as_it_is(tmp_path: Path) -> None:
    backbone = tiny.backbone("llama")
    twin, tuned = run(tmp_path, backbone, tuning=TUNING.model_copy(update={"max_steps": 0}))
    assert twin.weights_digest() == backbone.weights_digest() and twin.model is not backbone.model
    assert tuned.curve == () and tuned.seconds == 0.0 and not list(tmp_path.iterdir())


def test_half_precision_is_tuned_in_float32_and_says_so(tmp_path: Path) -> None:
    backbone = wrap("half", copy.deepcopy(tiny.model("llama")).to(torch.bfloat16), tiny.tokenizer())
    twin, _ = run(tmp_path, backbone, tuning=TUNING.model_copy(update={"learning_rate": 1e-5, "max_steps": 3}))
    assert (backbone.dtype, twin.dtype) == (torch.bfloat16, torch.float32)
    assert twin.notes == (
        NOT_KEPT,
        "Full fine-tuning computed in float32, methods that leave the model as it is in bfloat16.",
    )
    moved = [
        (a - b.float()).abs().max() for a, b in zip(twin.model.parameters(), backbone.model.parameters(), strict=True)
    ]
    assert all(0 < float(far) < 1e-3 for far in moved), "updates too small for bfloat16 are not lost"


# -- refusals -------------------------------------------------------------------------------------------------------------


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match="no training example"):
        run(tmp_path, tiny.backbone("llama"), rows=[])


def test_a_score_that_is_no_number_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match="dev score is no longer a number at step 3; lower model_learning_rate"):
        run(tmp_path, tiny.backbone("llama"), scorer=lambda twin: lambda _: float("nan"))


def test_its_rate_is_its_own() -> None:
    run = Run.model_validate(
        {"model": "m", "tuning": {"prompt_length": 7, "max_steps": 9, "reparameterisation": "mlp"}}
    )
    assert tuning_for(run, "weights") == Tuning(max_steps=9, learning_rate=3e-4)
    with pytest.raises(ForewordError, match="model_learning_rate is 0, but must be a number above 0"):
        Run.model_validate({"model": "m", "model_learning_rate": 0})


# -- the command line -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    entry.save_model(folder / "model")
    entry.save_rows(folder / "data.jsonl", entry.rows(40))
    return folder


def compare_argv(own: Path, out: Path, *more: str) -> list[str]:
    shared = ["--model", str(own / "model"), "--data", str(own / "data.jsonl"), "--out", str(out)]
    steps = ["--max-steps", "4", "--prompt-length", "3", "--max-new-tokens", "4", "--seeds", "0,1"]
    return ["compare", "--methods", "zero,pt,full-ft", *shared, *steps, "tuning.eval_every=2", *more]


def records(out: Path) -> dict[str, list[Record]]:
    by_label: dict[str, list[Record]] = {}
    for path in sorted((out / "records").iterdir()):
        record = Record.read(path)
        by_label.setdefault(record.label, []).append(record)
    return by_label


@pytest.mark.parametrize("select", ["loss", "metric"])
def test_the_row_in_a_comparison(own: Path, tmp_path: Path, select: str) -> None:
    weights = (own / "model" / "model.safetensors").read_bytes()
    result = entry.foreword(*compare_argv(own, tmp_path, f"tuning.select_by={select}", "--json"))
    assert result.code == 0, result.err
    rows = {row["method"]: row for row in result.json["rows"]}
    backbone = tiny.backbone("llama")
    assert rows["full-ft"]["trainable_parameters"] == backbone.parameters and rows["full-ft"]["train_seconds"] > 0
    assert rows["full-ft"]["prefix_tokens"] == 0 and rows["full-ft"]["seeds"] == [0, 1]
    by_label = records(tmp_path)
    assert [len(by_label[label]) for label in ("zero", "pt", "full-ft")] == [1, 2, 2]
    for record in by_label["full-ft"]:
        assert record.prompt == "" and NOT_KEPT in record.notes and "soft_prompt" not in record.fingerprints
        assert record.fingerprints["backbone"] == by_label["zero"][0].fingerprints["backbone"]
        assert [point["step"] for point in record.curve] == [2, 4]
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "prompts").iterdir()) == ["pt", "pt"]
    assert not (tmp_path / "work").exists() and (own / "model" / "model.safetensors").read_bytes() == weights


def test_a_prompt_tuned_after_it_is_the_prompt_tuned_alone(own: Path, tmp_path: Path) -> None:
    after = [*compare_argv(own, tmp_path / "after"), "methods=full-ft,pt"]
    after.remove("--methods")
    after.remove("zero,pt,full-ft")
    assert entry.foreword(*after).code == 0
    assert entry.foreword(*compare_argv(own, tmp_path / "alone")).code == 0
    both = [records(tmp_path / name)["pt"] for name in ("after", "alone")]
    assert [record.fingerprints for record in both[0]] == [record.fingerprints for record in both[1]]
    assert [record.answers for record in both[0]] == [record.answers for record in both[1]]


def test_keys_follow_what_matters_to_the_row(own: Path, tmp_path: Path) -> None:
    def keys(*more: str) -> dict[str, list[str]]:
        result = entry.foreword(*compare_argv(own, tmp_path, "--dry-run", "--json", *more))
        assert result.code == 0, result.err
        by_method: dict[str, list[str]] = {}
        for trial in result.json["trials"]:
            by_method.setdefault(trial["method"], []).append(trial["key"])
        return by_method

    base = keys()
    assert keys("tuning.learning_rate=0.1", "tuning.place=front")["full-ft"] == base["full-ft"]
    other = keys("model_learning_rate=1e-3")
    assert other["pt"] == base["pt"] and other["full-ft"] != base["full-ft"]
    assert len(set(base["full-ft"])) == 2


def test_its_former_name_is_accepted_wherever_it_is_written(own: Path, tmp_path: Path) -> None:
    """Methods, a configuration file, an override: what is kept and printed has the name of today, and stderr says so once."""
    data = ["--model", str(own / "model"), "--data", str(own / "data.jsonl"), "--seeds", "0", "--max-steps", "2"]
    file = tmp_path / "study.toml"
    file.write_text('methods = ["zero", "mt"]\nmodel_learning_rate = 1e-3\n', encoding="utf-8")
    written = (["--methods", "zero,mt"], ["methods=zero,mt"], ["--config", str(file)])
    keys = []
    for number, way in enumerate([["--methods", "zero,full-ft"], *written]):
        more = ["--max-new-tokens", "4", "model_learning_rate=1e-3"]
        out = ["--out", str(tmp_path / "run")]
        result = entry.foreword("compare", *data, *more, *way, *out, "--dry-run", "--json")
        assert result.code == 0, result.err
        assert result.err.count("The method 'mt' is now called 'full-ft'.") == bool(number)
        assert [trial["method"] for trial in result.json["trials"]] == ["zero", "full-ft"]
        keys.append([trial["key"] for trial in result.json["trials"]])
    assert keys.count(keys[0]) == len(keys)
    result = entry.foreword(
        "compare", *data, "--max-new-tokens", "4", "--config", str(file), "--out", str(tmp_path / "run")
    )
    assert result.code == 0, result.err
    assert result.err.count("is now called") == 1 and "full-ft" in result.out and "mt" not in result.out.split()
    assert sorted(records(tmp_path / "run")) == ["full-ft", "zero"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "full-ft" in page and ">mt<" not in page
    for record in records(tmp_path / "run")["full-ft"]:
        assert record.method == "full-ft" and record.spec["tuning"]["learning_rate"] == 1e-3


def test_both_of_its_names_are_one_method(own: Path, tmp_path: Path) -> None:
    shared = ("--model", str(own / "model"), "--data", str(own / "data.jsonl"), "--methods", "mt,full-ft")
    entry.refused(
        "compare", *shared, "--out", tmp_path, says=("methods holds 'full-ft' twice, once under a former name",)
    )


def test_what_it_will_cost(own: Path, tmp_path: Path) -> None:
    trials = entry.foreword(*compare_argv(own, tmp_path, "--dry-run", "--json")).json["trials"]
    pt, full = (next(trial for trial in trials if trial["method"] == label) for label in ("pt", "full-ft"))
    assert full["trainable_parameters"] == tiny.backbone("llama").parameters
    assert full["max_steps"] == 4 and 0 < full["training_tokens"] < pt["training_tokens"]
    assert full["tflop"] * 1e12 == pytest.approx(
        tiny.backbone("llama").parameters * (6 * full["training_tokens"] + 2 * full["answer_tokens"])
    )


def test_other_verbs_refuse_it(own: Path, tmp_path: Path) -> None:
    shared = ("--model", str(own / "model"), "--data", str(own / "data.jsonl"), "--method", "full-ft")
    entry.refused(
        "evaluate",
        *shared,
        "--out",
        tmp_path,
        says=("'full-ft' trains all weights of a copy of the model and keeps nothing",),
    )
    entry.refused("tune", *shared, "--out", tmp_path, says=("'full-ft' has no soft prompt to tune; name pt",))
    former = (*shared[:-1], "mt")
    entry.refused("evaluate", *former, "--out", tmp_path, says=("'full-ft' trains all weights of a copy",))
    entry.refused("tune", *former, "--out", tmp_path, says=("'full-ft' has no soft prompt to tune; name pt",))
    entry.refused("generate", *shared, says=("'full-ft' trains all weights of a copy of the model and keeps nothing",))
