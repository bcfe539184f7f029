"""Products of half-width numbers on a processor without units for them: the detour through float32 rounds the exact product once, in
every place of a pass, and is taken nowhere else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import tiny
from foreword.engine import Backbone, Row, half_products, wrap
from foreword.engine.half_layers import HALF_LAYERS
from foreword.engine.half_products import HAS_PRODUCTS, bmm, linear, slow_on_processor
from foreword.engine.install import is_plain
from foreword.train.pretrain.adapt import _half
from foreword.train.pretrain.loop import Recipe

HALVES = list(HAS_PRODUCTS)


def without_units(monkeypatch: pytest.MonkeyPatch, slow: bool = True) -> None:
    """This processor has no units for half-width products; or (`slow` false) it has them, whatever it is."""
    monkeypatch.setattr(half_products, "slow_on_processor", lambda dtype: slow and dtype.itemsize == 2)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def in_places(actual: Tensor, exact: Tensor) -> float:
    """How far numbers are from the exact ones [..], in units of the last place of the largest."""
    scale = torch.finfo(actual.dtype).eps * exact.abs().max()
    return float((actual.double() - exact).abs().max() / scale)


@pytest.mark.parametrize("dtype", HALVES)
def test_the_library_says_whether_it_has_such_products(dtype: torch.dtype) -> None:
    if torch.backends.mkldnn.is_available():
        assert slow_on_processor(dtype) is not getattr(torch.ops.mkldnn, HAS_PRODUCTS[dtype])()
    assert not slow_on_processor(torch.float32) and not slow_on_processor(torch.float64)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("weights", [2**22, 7 * 24])  # in one part; in parts of 7 rows, the last of which is smaller
def test_a_layer_and_its_gradient_are_the_exact_products_rounded_once(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, biased: bool, weights: int
) -> None:
    without_units(monkeypatch)
    monkeypatch.setattr(half_products, "WEIGHTS", weights)
    states, weight = drawn(2, 5, 24).to(dtype).requires_grad_(True), drawn(40, 24, seed=1).to(dtype)
    bias = drawn(40, seed=2).to(dtype) if biased else None
    product = linear(states, weight, bias)
    exact = functional.linear(states.detach().double(), weight.double(), None if bias is None else bias.double())
    assert product.dtype == dtype and in_places(product.detach(), exact) <= 0.51
    slope = drawn(2, 5, 40, seed=3).to(dtype)
    product.backward(slope)
    assert states.grad is not None and states.grad.dtype == dtype
    assert in_places(states.grad, slope.double() @ weight.double()) <= 0.51


@pytest.mark.parametrize("dtype", HALVES)
def test_products_of_batches_are_the_exact_ones_rounded_once(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    without_units(monkeypatch)
    left, right = drawn(3, 6, 20).to(dtype), drawn(3, 20, 9, seed=1).to(dtype)
    product = bmm(left, right)
    assert product.dtype == dtype and in_places(product, left.double() @ right.double()) <= 0.51


def test_few_rows_other_numbers_and_processors_with_units_are_multiplied_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states, weight = drawn(6, 24).bfloat16(), drawn(40, 24, seed=1).bfloat16()

    def refuse(*_: object) -> Tensor:
        raise AssertionError("the detour is taken")

    monkeypatch.setattr(half_products._Linear, "apply", refuse)
    without_units(monkeypatch)
    assert torch.equal(linear(states[:4], weight, None), functional.linear(states[:4], weight))
    assert torch.equal(linear(states.float(), weight.float(), None), functional.linear(states.float(), weight.float()))
    with pytest.raises(AssertionError, match="the detour is taken"):
        linear(states, weight, None)
    without_units(monkeypatch, slow=False)
    assert torch.equal(linear(states, weight, None), functional.linear(states, weight))


def test_what_comes_out_may_be_changed_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """OLMo clips queries, keys and values so."""
    without_units(monkeypatch)
    states, weight = drawn(2, 5, 24).bfloat16().requires_grad_(True), drawn(40, 24, seed=1).bfloat16()
    linear(states, weight, None).clamp_(min=0.0).sum().backward()  # type: ignore[no-untyped-call]
    exact = states.detach().double().requires_grad_(True)
    functional.linear(exact, weight.double()).clamp(min=0.0).sum().backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None and exact.grad is not None and in_places(states.grad, exact.grad) <= 0.51


def halved(monkeypatch: pytest.MonkeyPatch, family: str, slow: bool) -> Backbone:
    without_units(monkeypatch, slow)
    return wrap("half", copy.deepcopy(tiny.model(family)).to(torch.bfloat16), tiny.tokenizer())


def step(backbone: Backbone, soft: Tensor, rows: list[Row]) -> tuple[float, Tensor]:
    leaf = soft.clone().requires_grad_(True)
    loss, _ = backbone.loss(leaf, rows)
    loss.backward()
    assert leaf.grad is not None
    return float(loss.detach()), leaf.grad


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "bloom", "opt", "t5"])
def test_a_model_on_it_is_as_near_the_exact_numbers_as_without_it(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    """The exact ones are those of the same rounded weights in float64; either way of multiplying is off by rounding."""
    rounded = copy.deepcopy(tiny.model(family)).to(torch.bfloat16).double()
    exact = wrap("exact", rounded, tiny.tokenizer())
    rows = tiny.rows(5, seed="half", prefix=tiny.ids(3, "half"))
    soft = tiny.soft(exact, 4)
    assert soft is not None
    loss, grad = step(exact, soft.double(), rows)
    off = {}
    for slow in (False, True):
        backbone = halved(monkeypatch, family, slow)
        assert any(patched.label == HALF_LAYERS for patched in installed(backbone)) is slow
        half_loss, half_grad = step(backbone, soft.float(), rows)
        off[slow] = abs(half_loss - loss) / loss, float((half_grad.double() - grad).norm() / grad.norm())
    assert off[True][0] < 1.5 * off[False][0] + 0.01
    assert off[True][1] < 1.5 * off[False][1] + 0.01


def installed(backbone: Backbone) -> list[Any]:
    return list(vars(backbone.model)["_foreword_installation"].patched)


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
def test_rows_answer_in_a_batch_as_alone_or_where_two_tokens_are_one_rounding_apart(
    monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    backbone = halved(monkeypatch, family, slow=True)
    rows, soft = tiny.rows(5, seed="half", prefix=tiny.ids(3, "half")), tiny.soft(backbone, 3)
    assert soft is not None
    together = backbone.score(soft, rows)
    assert together == pytest.approx([backbone.score(soft, [row])[0] for row in rows], rel=0.05)
    answers = backbone.generate(soft, rows, 6)
    same = sum(answer == backbone.generate(soft, [row], 6)[0] for answer, row in zip(answers, rows, strict=True))
    assert same >= len(rows) - 1


def test_what_is_put_into_a_model_is_taken_out_and_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = halved(monkeypatch, "llama", slow=True)
    model = backbone.model
    twin = copy.deepcopy(model)
    assert all(is_plain(part) for part in twin.modules())
    backbone.close()
    assert not any("forward" in vars(part) for part in model.modules())


def test_a_weight_that_is_trained_gets_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = halved(monkeypatch, "llama", slow=True)
    weight = next(part.weight for part in backbone.model.modules() if isinstance(part, torch.nn.Linear))
    weight.requires_grad_(True)
    loss, _ = backbone.loss(None, tiny.rows(3, seed="half"))
    loss.backward()
    assert weight.grad is not None and bool(weight.grad.abs().sum() > 0)


@pytest.mark.parametrize("slow", [True, False])
def test_pretraining_and_adaptation_take_bfloat16_only_where_it_is_multiplied_fast(
    monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    for room in ("loop", "adapt"):
        monkeypatch.setattr(f"foreword.train.pretrain.{room}.slow_on_processor", lambda dtype: slow)
    assert Recipe("micro", 0).half is not slow
    cpu = torch.device("cpu")
    assert _half("auto", cpu) is not slow and _half("auto", torch.device("cuda"))
    assert _half("bfloat16", cpu) and not _half("float32", cpu)


class Packed(Tensor):
    """Weights of another class, which call themselves bfloat16."""


def test_weights_of_another_class_keep_their_own_products(monkeypatch: pytest.MonkeyPatch) -> None:
    without_units(monkeypatch)
    model = copy.deepcopy(tiny.model("llama")).to(torch.bfloat16)
    for part in [part for part in model.modules() if isinstance(part, torch.nn.Linear)]:
        part.weight = torch.nn.Parameter(part.weight.detach().as_subclass(Packed), requires_grad=False)
    backbone = wrap("packed", model, tiny.tokenizer())
    assert not any(patched.label == HALF_LAYERS for patched in installed(backbone))
    monkeypatch.setattr(half_products._Linear, "apply", None)
    assert len(backbone.score(None, tiny.rows(3, seed="half"))) == 3
