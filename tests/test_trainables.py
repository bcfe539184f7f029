"""The contract of the shelf of trainables: each learns, resumes, leaves the backbone alone, and is what its entry says."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import tiny
from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.engine import Backbone, Row
from foreword.prompts import store
from foreword.prompts.inits import InitSource
from foreword.prompts.methods import METHODS, REFERENCES
from foreword.prompts.soft_prompt import Provenance
from foreword.train import trainables
from foreword.train.loop import Tuned, dev_loss, train
from foreword.train.trainables import TRAINABLES, Setup, Trainable, tuning_for, usable
from foreword.util.errors import ForewordError

FAMILIES = ("llama", "gpt2", "t5")  # output layer of its own, tied to the embeddings, encoder-decoder
ROWS = METHODS | REFERENCES
RATES = {"lora": {"lora_learning_rate": 0.02}}  # its default is for trained models, whose adapters have more to add to
STEPS = {"max_steps": 12, "eval_every": 3, "batch_size": 3, "warmup_steps": 2, "patience": 0}
each = pytest.mark.parametrize("name", sorted(TRAINABLES))


def rows_of(count: int = 7) -> list[Row]:
    """Every answer is the same two words: there is something to learn."""
    return [Row((), row.own, (5, 9)) for row in tiny.rows(count, seed="tune", longest=8)]


def tuning_of(name: str, **settings: Any) -> Tuning:
    """A short training at this trainable's default rate, unless another is given."""
    settings = {"prompt_length": 4} | STEPS | settings
    run = Run.model_validate({"model": "m", "tuning": settings} | RATES.get(name, {}))
    return tuning_for(run, name)


def run(name: str, folder: Path, backbone: Backbone, **options: Any) -> tuple[Backbone, Tuned]:
    """Train on the rows above, scored by the loss over the same rows."""
    tuning = options.pop("tuning", None) or tuning_of(name)
    score = options.pop("score", lambda answering: dev_loss(answering, rows_of(), 8))
    setup = Setup(backbone, tuning, 3, InitSource())
    return train(TRAINABLES[name], setup, rows_of(), score, folder=folder, **options)


def loss_of(answering: Backbone, tuned: Tuned) -> float:
    """The loss of what a training left, with its prefix where it kept one."""
    return dev_loss(answering, rows_of(), 8)(tuned.best.get("prompt"))


@torch.no_grad()
def rounding_of(answering: Backbone, tuned: Tuned) -> float:
    """A step of float32 at the largest logit: a loss is the difference of two numbers of that size, however small it is itself."""
    engine: Any = answering.engine
    logits = engine.joined_logits if answering.kind == "causal" else engine.answer_logits
    largest = logits(tuned.best.get("prompt"), rows_of())[0].abs().max()
    return float(torch.finfo(torch.float32).eps * largest)


def same(first: tuple[Backbone, Tuned], second: tuple[Backbone, Tuned]) -> bool:
    """Whether two trainings came to the identical result."""
    (answering, tuned), (again, also) = first, second
    equal = tuned.best.keys() == also.best.keys() and all(
        torch.equal(value, also.best[key]) for key, value in tuned.best.items()
    )
    curves = (tuned.curve, tuned.step, tuned.parameters) == (also.curve, also.step, also.parameters)
    return equal and curves and answering.weights_digest() == again.weights_digest()


# -- the shelf ------------------------------------------------------------------------------------------------------------


def test_every_row_trains_what_stands_on_the_shelf() -> None:
    assert {row.trainable for row in ROWS.values() if row.trains} == set(TRAINABLES)
    for row in ROWS.values():
        assert row.soft == (row.trains and TRAINABLES[row.trainable].prefix)


@each
def test_an_entry_says_all_of_itself(name: str) -> None:
    entry = TRAINABLES[name]
    assert entry.name == name and entry.trains and entry.rate.unit
    assert entry.settings <= set(Tuning.model_fields)
    assert bool(entry.keeps) == (entry.artifact is not None)
    assert entry.changes_model or entry.prefix, "something is other than with the bare backbone"


def test_a_file_is_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from dataclasses import replace\n"
        "from foreword.train.trainables.prompt import TRAINABLE as PROMPT\n"
        "TRAINABLE = replace(PROMPT, name='states')\n"
    )
    (tmp_path / "states.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(trainables, "__path__", [*trainables.__path__, str(tmp_path)])
    assert set(trainables._files()) == {*TRAINABLES, "states"}
    (tmp_path / "twin.py").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"Two trainables are called 'states'; the second is in trainables/twin\.py"):
        trainables._files()


def test_what_is_kept_can_be_used_afterwards() -> None:
    assert {name: usable(name) for name in ROWS} == {
        name: not row.trains or TRAINABLES[row.trainable].artifact is not None for name, row in ROWS.items()
    }
    assert usable("ipt:dense:3") and not usable("full-ft") and not usable("mt") and usable("a label of no method")


# -- its rate and its settings --------------------------------------------------------------------------------------------


@each
def test_the_setting_that_it_names_is_its_rate_and_no_other_ones(name: str) -> None:
    run = Run.model_validate({"model": "m"})
    *tables, last = TRAINABLES[name].rate.setting.split(".")
    values: dict[str, Any] = {last: 0.123}
    for table in reversed(tables):
        values = {table: values}
    changed = Run.model_validate({"model": "m", **values})
    for other in TRAINABLES:
        if other == name:
            assert tuning_for(changed, other).learning_rate == 0.123 != tuning_for(run, other).learning_rate
        else:
            assert tuning_for(changed, other) == tuning_for(run, other)
    assert tuning_for(run, "") == run.tuning


@each
def test_settings_of_others_change_nothing_of_it(name: str) -> None:
    settings: dict[str, Any] = {
        "prompt_length": 9,
        "init": "text",
        "init_text": "a b",
        "place": "front",
        "mlp_width": 3,
    }
    settings["reparameterisation"] = "mlp"
    tuning = tuning_for(Run.model_validate({"model": "m", "tuning": settings | {"max_steps": 7}}), name)
    plain = tuning_for(Run.model_validate({"model": "m", "tuning": {"max_steps": 7}}), name)
    read = {key for key in settings if getattr(tuning, key) != getattr(plain, key)}
    assert read == settings.keys() & TRAINABLES[name].settings and tuning.max_steps == 7


@each
def test_a_number_that_is_none_names_the_setting(name: str, tmp_path: Path) -> None:
    rate = TRAINABLES[name].rate
    assert rate.name in (rate.setting, f"--{rate.setting.split('.')[-1].replace('_', '-')}")
    with pytest.raises(ForewordError, match=rf"dev score is no longer a number at step 3; lower {rate.name} or use"):
        run(name, tmp_path, tiny.backbone("llama"), score=lambda answering: lambda prefix: float("nan"))


# -- it learns ------------------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_and_the_backbone_is_as_it_was(name: str, family: str, tmp_path: Path) -> None:
    backbone, entry = tiny.backbone(family), TRAINABLES[name]
    digest, before = backbone.weights_digest(), dev_loss(backbone, rows_of(), 8)(None)
    training = entry.begin(Setup(backbone, tuning_of(name), 3, InitSource()))
    start = dev_loss(training.backbone, rows_of(), 8)(training.prefix())
    answering, tuned = run(name, tmp_path, backbone, tuning=tuning_of(name, max_steps=20, eval_every=5))
    least = min(point["dev"] for point in tuned.curve)
    assert loss_of(answering, tuned) == pytest.approx(least, rel=1e-6, abs=rounding_of(answering, tuned))
    assert loss_of(answering, tuned) < start - 0.2
    assert (answering is not backbone) == (answering.model is not backbone.model) == entry.changes_model
    assert backbone.weights_digest() == digest and dev_loss(backbone, rows_of(), 8)(None) == before
    for model in (backbone.model, answering.model):
        assert not model.training and not any(value.requires_grad for value in model.parameters())
        assert all(value.grad is None for value in model.parameters())


@each
@pytest.mark.parametrize("family", FAMILIES)
def test_a_killed_run_resumes_to_the_identical_result(name: str, family: str, tmp_path: Path) -> None:
    backbone = tiny.backbone(family)
    whole = run(name, tmp_path / "whole", backbone)

    def stopped(stop: int, what: str, done: int, total: int, note: str = "") -> None:
        if done == stop:
            raise KeyboardInterrupt

    folder = tmp_path / "killed"
    for stop in (2, 4, 7, 11):
        with pytest.raises(KeyboardInterrupt):
            run(name, folder, backbone, progress=functools.partial(stopped, stop))
    assert same(run(name, folder, backbone), whole)
    assert same(run(name, folder, backbone), whole), "and a finished one is not done again"


def test_a_checkpoint_serves_no_other_trainable(tmp_path: Path) -> None:
    backbone = tiny.backbone("llama")
    alone = {name: run(name, tmp_path / name, backbone) for name in TRAINABLES}
    for name in (*TRAINABLES, *TRAINABLES):
        assert same(run(name, tmp_path / "shared", backbone), alone[name])


@each
def test_no_steps_leave_everything_as_it_is(name: str, tmp_path: Path) -> None:
    backbone, tuning = tiny.backbone("llama"), tuning_of(name, max_steps=0, reparameterisation="mlp")
    answering, tuned = run(name, tmp_path, backbone, tuning=tuning)
    assert answering.weights_digest() == backbone.weights_digest() and not list(tmp_path.iterdir())
    assert (tuned.curve, tuned.step, tuned.seconds) == ((), 0, 0.0)
    assert tuned.parameters == TRAINABLES[name].parameters(backbone, tuning, 4)


# -- what it costs and what it keeps --------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", ["none", "mlp"])
def test_its_parameters_are_counted_once(name: str, family: str, shape: str, tmp_path: Path) -> None:
    backbone, entry = tiny.backbone(family), TRAINABLES[name]
    tuning = tuning_of(name, max_steps=1, reparameterisation=shape, mlp_width=5)
    training = entry.begin(Setup(backbone, tuning, 3, InitSource()))
    memory = {value.data_ptr(): value.numel() for group in training.groups(1.0) for value in group["params"]}
    _, tuned = run(name, tmp_path, backbone, tuning=tuning)
    assert entry.parameters(backbone, tuning, 4) == tuned.parameters == sum(memory.values())


@each
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_its_flops_are_those_of_the_plain_computation(name: str, family: str) -> None:
    """Counted operation by operation, in units of a forward pass (2N a token): what a step takes beside it is all backward."""
    backbone, entry = tiny.backbone(family), TRAINABLES[name]
    training = entry.begin(Setup(backbone, tuning_of(name), 3, InitSource()))
    model = training.backbone.model

    def computed() -> Tensor:
        inputs = model.get_input_embeddings()(torch.tensor([tiny.ids(30, "flops")]))  # [1, T, H]
        prefix = training.prefix()
        if prefix is not None:
            inputs = torch.cat([prefix.unsqueeze(0), inputs], dim=1)  # [1, P + T, H]
        squares: Tensor = model(inputs_embeds=inputs, use_cache=False).logits.square().sum()
        return squares

    with torch.no_grad(), FlopCounterMode(display=False) as forward:
        computed()
    with FlopCounterMode(display=False) as step:
        torch.autograd.grad(computed(), list(training.named.values()), allow_unused=True)
    ratio = step.get_total_flops() / forward.get_total_flops()
    expected = entry.flops(backbone) / (2 * backbone.parameters)
    spared = 0.2 if name == "lora" else 0.01  # of so few layers the first, into which no gradient goes, is a large part
    assert expected * (1 - spared) <= ratio <= expected * 1.01


@each
def test_it_keeps_what_it_says(name: str, tmp_path: Path) -> None:
    backbone, entry = tiny.backbone("llama"), TRAINABLES[name]
    answering, tuned = run(name, tmp_path / "work", backbone)
    if entry.artifact is None:
        assert tuned.best == {} and answering is not backbone
        return
    artifact = entry.artifact(tuned.best, Provenance(backbone="tiny", fingerprint=backbone.fingerprint))
    store.save(artifact, tmp_path / "kept")
    loaded = store.load(tmp_path / "kept")
    assert loaded.digest == artifact.digest
    assert dev_loss(backbone, rows_of(), 8)(loaded.values) == loss_of(answering, tuned)


def test_every_entry_is_a_trainable() -> None:
    assert len(TRAINABLES) >= 2 and all(isinstance(entry, Trainable) for entry in TRAINABLES.values())
