"""The Trainer: it learns, keeps the best, stops early, touches no weight, and a killed run resumes to the very same numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

import tiny
from foreword.config.tuning import Tuning
from foreword.engine import Backbone, Row, wrap
from foreword.prompts.inits import InitSource
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.train import loop as room
from foreword.train.loop import Tuned, dev_loss, train
from foreword.train.trainables import TRAINABLES, Setup
from foreword.train.trainables.prompt import PROMPT, Prompt, unit_of
from foreword.util.errors import ForewordError

FAST: dict[str, Any] = {
    "prompt_length": 4,
    "max_steps": 12,
    "eval_every": 3,
    "batch_size": 3,
    "warmup_steps": 2,
    "patience": 0,
}
KINDS = [("adamw", "none"), ("adafactor", "none"), ("adamw", "mlp"), ("adafactor", "mlp")]


def settings(**changes: Any) -> Tuning:
    return Tuning(**(FAST | changes))


def rows_of(count: int = 7) -> list[Row]:
    """Every answer is the same two words: there is something to learn."""
    return [Row((), row.own, (5, 9)) for row in tiny.rows(count, seed="tune", longest=8)]


def run(
    folder: Path,
    tuning: Tuning,
    *,
    backbone: Backbone | None = None,
    rows: list[Row] | None = None,
    evaluate: Callable[[Tensor], float] | None = None,
    progress: Any = room.silent,
    seed: int = 3,
) -> Tuned:
    backbone = backbone or tiny.backbone("llama")
    rows = rows if rows is not None else rows_of()
    start = tiny.soft(backbone, tuning.prompt_length)
    assert start is not None
    scored = evaluate or dev_loss(backbone, rows, 8)
    setup = Setup(backbone, tuning, seed, InitSource(prompt=SoftPrompt(start, Provenance(backbone=backbone.name))))
    answering, tuned = train(
        TRAINABLES["prompt"], setup, rows, lambda backbone: scored, folder=folder, progress=progress
    )
    assert answering is backbone
    return tuned


def values(tuned: Tuned) -> Tensor:
    """The soft prompt that was kept [P, H]."""
    return tuned.best[PROMPT]


@pytest.mark.parametrize("family", ["llama", "opt", "bloom", "gemma", "t5", "bart", "mamba"])
def test_only_the_prompt_moves(family: str, tmp_path: Path) -> None:
    backbone = tiny.backbone(family)
    before = backbone.weights_digest()
    tuned = run(tmp_path, settings(max_steps=4), backbone=backbone)
    assert backbone.weights_digest() == before
    start = tiny.soft(backbone, 4)
    assert start is not None and float((values(tuned) - start).abs().max()) > 0


def test_the_digest_sees_one_number(tmp_path: Path) -> None:
    backbone = tiny.backbone("llama", 7)
    before = backbone.weights_digest()
    value = next(iter(backbone.model.parameters()))
    with torch.no_grad():
        value.view(-1)[5] += 1e-6
        assert backbone.weights_digest() != before
        value.view(-1)[5] -= 1e-6


@pytest.mark.parametrize("family", ["llama", "gemma", "t5"])
@pytest.mark.parametrize(("optimizer", "shape"), KINDS)
def test_it_learns_with_one_rate_in_every_family(family: str, optimizer: str, shape: str, tmp_path: Path) -> None:
    backbone = tiny.backbone(family)
    before = dev_loss(backbone, rows_of(), 8)(tiny.soft(backbone, 4))  # type: ignore[arg-type]
    rate = 0.3
    tuned = run(
        tmp_path,
        settings(max_steps=20, eval_every=20, optimizer=optimizer, reparameterisation=shape, learning_rate=rate),
        backbone=backbone,
    )
    assert tuned.curve[-1]["dev"] < before - 0.5
    assert dev_loss(backbone, rows_of(), 8)(values(tuned)) == pytest.approx(tuned.curve[-1]["dev"], rel=1e-6)


def test_dev_loss_does_not_depend_on_its_batches() -> None:
    backbone, rows = tiny.backbone("llama"), tiny.rows(9, seed="dev")
    soft = tiny.soft(backbone, 4)
    assert soft is not None
    assert dev_loss(backbone, rows, 1)(soft) == pytest.approx(dev_loss(backbone, rows, 9)(soft), rel=1e-5)


# -- which prompt is kept, and when it ends -------------------------------------------------------------------------------


def test_the_best_is_kept(tmp_path: Path) -> None:
    prefixes: list[Tensor] = []
    scores = iter([9.0, 5.0, 2.0, 3.0, 2.0])

    def evaluate(prefix: Tensor) -> float:
        prefixes.append(prefix.clone())
        return next(scores)

    tuned = run(tmp_path, settings(), evaluate=evaluate)
    assert tuned.step == 6
    assert torch.equal(values(tuned), prefixes[2])
    assert tuned.start == 9.0
    torch.testing.assert_close(
        prefixes[0], tiny.soft(tiny.backbone("llama"), 4), rtol=2e-7, atol=0
    )  # divided by the unit, and back
    assert [entry["dev"] for entry in tuned.curve] == [5.0, 2.0, 3.0, 2.0]
    assert [entry["step"] for entry in tuned.curve] == [3, 6, 9, 12]


def test_the_curve_holds_the_mean_loss_since_the_last_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    step = room._step

    def heard(*arguments: Any) -> float:
        losses.append(step(*arguments))
        return losses[-1]

    monkeypatch.setattr(room, "_step", heard)
    tuned = run(tmp_path, settings(max_steps=8))
    expected = [sum(part) / len(part) for part in (losses[:3], losses[3:6], losses[6:])]
    assert [entry["loss"] for entry in tuned.curve] == pytest.approx(expected)


def test_patience_ends_it(tmp_path: Path) -> None:
    scores = iter([1.5, 5.0, 2.0, 3.0, 4.0, 1.0])
    tuned = run(tmp_path, settings(max_steps=30, patience=2), evaluate=lambda values: next(scores))
    assert [entry["step"] for entry in tuned.curve] == [3, 6, 9, 12]
    assert tuned.step == 6


def test_the_last_step_is_evaluated_though_it_is_not_due(tmp_path: Path) -> None:
    assert [entry["step"] for entry in run(tmp_path, settings(max_steps=5)).curve] == [3, 5]


def test_no_steps_leave_the_prompt_as_it_is(tmp_path: Path) -> None:
    start = tiny.soft(tiny.backbone("llama"), 4)
    tuned = run(tmp_path, settings(max_steps=0))
    assert torch.equal(values(tuned), start)  # type: ignore[arg-type]
    assert tuned.curve == () and tuned.seconds == 0.0 and not list(tmp_path.iterdir())


def test_numbers_trained_are_counted(tmp_path: Path) -> None:
    assert run(tmp_path / "a", settings(max_steps=1)).parameters == 4 * 32
    assert run(tmp_path / "b", settings(max_steps=1, reparameterisation="mlp", mlp_width=5)).parameters == 14 * 32


def test_a_reparameterised_prompt_starts_where_the_plain_one_does() -> None:
    start = tiny.soft(tiny.backbone("llama"), 4)
    assert start is not None
    prompt = Prompt(tiny.backbone("llama"), start, settings(reparameterisation="mlp"), 1)
    assert len(prompt.named) == 3 and torch.allclose(prompt.prefix(), start, atol=1e-6)


# -- killed and resumed ---------------------------------------------------------------------------------------------------


class Killed(KeyboardInterrupt):
    """Ctrl-C at a chosen moment."""


def stop_at(step: int) -> Any:
    def progress(what: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise Killed

    return progress


@pytest.mark.parametrize(("optimizer", "shape"), KINDS)
def test_a_killed_run_resumes_to_the_identical_result(optimizer: str, shape: str, tmp_path: Path) -> None:
    tuning = settings(optimizer=optimizer, reparameterisation=shape)
    whole = run(tmp_path / "whole", tuning)
    for step in (1, 3, 4, 7, 11, 12):
        folder = tmp_path / f"killed-{step}"
        with pytest.raises(Killed):
            run(folder, tuning, progress=stop_at(step))
        same(run(folder, tuning), whole)
    folder = tmp_path / "again and again"
    for step in (2, 4, 5, 8, 10):
        with pytest.raises(Killed):
            run(folder, tuning, progress=stop_at(step))
    same(run(folder, tuning), whole)


def same(tuned: Tuned, expected: Tuned) -> None:
    assert torch.equal(values(tuned), values(expected))
    assert tuned.curve == expected.curve
    assert (tuned.step, tuned.parameters) == (expected.step, expected.parameters)


def test_a_run_killed_while_it_evaluates_resumes_too(tmp_path: Path) -> None:
    backbone = tiny.backbone("llama")
    score = dev_loss(backbone, rows_of(), 8)
    calls = 0

    def evaluate(values: Tensor) -> float:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        return score(values)

    whole = run(tmp_path / "whole", settings())
    with pytest.raises(Killed):
        run(tmp_path / "killed", settings(), evaluate=evaluate)
    assert calls == 2
    same(run(tmp_path / "killed", settings()), whole)


def test_a_finished_run_is_not_done_again(tmp_path: Path) -> None:
    whole = run(tmp_path, settings())

    def never(values: Tensor) -> float:
        raise AssertionError("evaluated again")

    same(run(tmp_path, settings(), evaluate=never), whole)


def test_patience_counts_on_after_a_resume(tmp_path: Path) -> None:
    table = [5.0, 2.0, 3.0, 4.0, 1.0]
    whole_scores, scores = iter(table), iter(table)
    tuning = settings(max_steps=30, patience=2)
    whole = run(tmp_path / "whole", tuning, evaluate=lambda values: next(whole_scores))
    with pytest.raises(Killed):
        run(tmp_path / "killed", tuning, evaluate=lambda values: next(scores), progress=stop_at(9))
    same(run(tmp_path / "killed", tuning, evaluate=lambda values: next(scores)), whole)


def test_training_seconds_add_up_over_a_kill(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, settings(), progress=stop_at(9))
    state = room._resume(
        tmp_path / "checkpoint.safetensors",
        checkpoint_mark(tmp_path),
        Prompt(tiny.backbone("llama"), torch.zeros(4, 32), settings(), 0),
        room.optimizer("adamw", [{"params": [torch.zeros(4, 32)], "lr": 1.0}], 0.0),
    )
    assert state is not None and state.step == 9 and state.seconds > 0
    assert run(tmp_path, settings()).seconds > state.seconds


def checkpoint_mark(folder: Path) -> str:
    with safe_open(folder / "checkpoint.safetensors", framework="pt") as stream:
        return str((stream.metadata() or {})["mark"])


@pytest.mark.parametrize(
    "changed", [{"seed": 4}, {"rows": rows_of(8)}, {"rows": [*rows_of(6), Row((), (7, 7), (5, 9))]}, {"rate": 0.2}]
)
def test_the_checkpoint_of_another_training_is_ignored(changed: dict[str, Any], tmp_path: Path) -> None:
    tuning = settings(learning_rate=changed.get("rate", 0.1))
    changed = {name: value for name, value in changed.items() if name != "rate"}
    fresh = run(tmp_path / "fresh", tuning, **changed)
    run(tmp_path / "used", settings())
    same(run(tmp_path / "used", tuning, **changed), fresh)


@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(damage: str, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, settings(), progress=stop_at(6))
    path = tmp_path / "checkpoint.safetensors"
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "noise": b"\xff" * 300, "empty": b""}[damage])
    with pytest.raises(ForewordError, match=r"checkpoint .* is damaged .*delete it to train from the start"):
        run(tmp_path, settings())


# -- steps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_batch_in_parts_gives_the_same_step(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, tuning = tiny.backbone(family), settings(max_steps=2, batch_size=7, warmup_steps=0)
    rows = tiny.rows(7, seed="micro", longest=12)
    whole = run(tmp_path / "whole", tuning, backbone=backbone, rows=rows)
    parts: list[int] = []
    loss = Backbone.loss

    def counted(self: Backbone, soft: Any, some: Any) -> Any:
        parts.append(len(some))
        return loss(self, soft, some)

    monkeypatch.setattr(room, "PROCESSOR_TOKENS", 24)
    monkeypatch.setattr(Backbone, "loss", counted)
    tuned = run(tmp_path / "parts", tuning, backbone=backbone, rows=rows, evaluate=lambda values: 0.0)
    assert max(parts) < 7
    assert tuned.curve[0]["loss"] == pytest.approx(whole.curve[0]["loss"], rel=1e-5)
    moved = values(whole) - tiny.soft(backbone, 4)  # type: ignore[operator]
    assert (
        float((values(tuned) - values(whole)).norm() / moved.norm()) < 1e-2
    )  # Adam divides small gradients by themselves


def test_the_gradient_of_parts_adds_up_to_the_whole_batchs(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, rows = tiny.backbone("llama"), tiny.rows(7, seed="micro", longest=12)
    grads = []
    for budget in (16_384, 24):
        monkeypatch.setattr(room, "PROCESSOR_TOKENS", budget)
        prompt = Prompt(backbone, tiny.soft(backbone, 4), settings(), 0)  # type: ignore[arg-type]
        stay = torch.optim.SGD(prompt.named.values(), lr=0.0)
        room._step(prompt, rows, stay, 0.0)
        grads.append(prompt.named["prompt"].grad)
    assert float((grads[0] - grads[1]).norm() / grads[0].norm()) < 1e-5  # type: ignore[operator,union-attr]


def test_the_rate_is_in_units_of_what_the_first_block_hands_on(tmp_path: Path) -> None:
    """A model whose embedding rows are 16 times as long, and whose blocks add 16 times as much to them, reads the same from them (its
    blocks and its output normalise what they read), and learns along the same relative path."""
    model = copy.deepcopy(tiny.model("llama"))
    longer: Any = copy.deepcopy(model)
    for norms in (model, longer):
        norms.model.norm.variance_epsilon = 0.0
        for layer in norms.model.layers:
            layer.input_layernorm.variance_epsilon = layer.post_attention_layernorm.variance_epsilon = 0.0
    with torch.no_grad():
        longer.model.embed_tokens.weight.mul_(16)
        for layer in longer.model.layers:
            layer.self_attn.o_proj.weight.mul_(16)
            layer.mlp.down_proj.weight.mul_(16)
    backbone, other = wrap("one", model, tiny.tokenizer()), wrap("other", longer, tiny.tokenizer())
    assert unit_of(other) == pytest.approx(16 * unit_of(backbone), rel=0.05)  # both to two digits
    tuning = settings(max_steps=6, eval_every=6, max_grad_norm=0.0)
    tuned = run(tmp_path / "one", tuning, backbone=backbone)
    exact = tuning.learning_rate * 16 * unit_of(backbone) / unit_of(other)  # the units are measured to two digits
    scaled = run(tmp_path / "other", tuning.model_copy(update={"learning_rate": exact}), backbone=other)
    assert scaled.curve[0]["dev"] == pytest.approx(tuned.curve[0]["dev"], rel=1e-4)
    assert float((values(scaled) / 16 - values(tuned)).abs().max()) < 1e-3 * unit_of(backbone)


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "gemma3", "bloom"])
def test_the_unit_is_measured_behind_the_first_block(family: str) -> None:
    """The hook on the block itself sees what the model hands out as its hidden states."""
    backbone = tiny.backbone(family)
    body = backbone.model.get_encoder() if backbone.kind == "seq2seq" else backbone.model
    first = next(
        m
        for m in body.modules()
        if isinstance(m, torch.nn.ModuleList) and len(m) == backbone.model.config.num_hidden_layers
    )[0]
    outputs: list[torch.Tensor] = []
    hook = first.register_forward_hook(
        lambda _, args, out: outputs.append((out[0] if isinstance(out, tuple) else out).detach())
    )
    body(input_ids=torch.tensor([backbone.tokenizer.frequent(32)[:32]]))
    hook.remove()
    median = float(outputs[0][0].square().mean(dim=-1).sqrt().median())
    assert unit_of(backbone) == float(f"{median:.2g}")


# -- refusals -------------------------------------------------------------------------------------------------------------


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match="no training example"):
        run(tmp_path, settings(), rows=[], evaluate=lambda values: 0.0)


def test_a_dev_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match="dev score is no longer a number at step 3"):
        run(tmp_path, settings(), evaluate=lambda values: float("nan"))


def test_a_loss_that_is_no_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_step", lambda *arguments: float("nan"))
    with pytest.raises(ForewordError, match="training loss is no longer a number at step 0; lower --learning-rate"):
        run(tmp_path, settings())
