"""Nothing but the model's device is used: everything runs on torch's meta device, under a mode that refuses any operation on tensors of two
devices, as an accelerator would, and float64 there, which an Apple GPU has not. There are no values there: what is read back is 0."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import tiny
from foreword.engine import Backbone, Prefix, Row, wrap
from foreword.engine.sampling import Sampling, choose
from foreword.engine.truth import apart

FAMILIES = (*tiny.CAUSAL, "mamba", *tiny.SEQ2SEQ)
MOVES = ("aten::_to_copy", "aten::copy_", "aten::lift_fresh")  # what may see two devices


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, and float64 off the processor. Numbers (0 dimensions) may come from anywhere, as torch
    allows."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = operation._schema.name, kwargs or {}
        there = {leaf.device.type for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.dim()}
        assert len(there) < 2 or name in MOVES, f"{operation} on {sorted(there)}"
        if name == "aten::_local_scalar_dense" and args[0].is_meta:
            return torch.zeros((), dtype=args[0].dtype).item()
        if name == "aten::_to_copy" and args[0].is_meta and kwargs.get("device") == torch.device("cpu"):
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        result = operation(*args, **kwargs)
        wide = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and leaf.is_meta]
        assert all(leaf.dtype != torch.float64 for leaf in wide), f"{operation} gives float64"
        return result


def elsewhere(family: str) -> tuple[Backbone, list[Row], Tensor]:
    """A tiny backbone on the meta device, rows, and a soft prompt there; which short cuts are exact was found before it was moved."""
    backbone = wrap(family, copy.deepcopy(tiny.model(family)), tiny.tokenizer())
    rows = tiny.rows(5, prefix=(5, 6, 7))
    soft = torch.randn(4, backbone.hidden)
    backbone.loss(soft, rows)
    backbone.model.to("meta")
    return backbone, rows, soft.to("meta")


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_loss_and_its_gradient_stay_on_the_models_device(family: str, checkpointing: bool) -> None:
    backbone, rows, soft = elsewhere(family)
    soft.requires_grad_(True)
    with OneDevice(), backbone.activation_checkpointing(checkpointing):
        loss, _ = backbone.loss(soft, rows)
        (grad,) = torch.autograd.grad(loss, [soft])
    assert loss.is_meta and grad.is_meta and grad.shape == soft.shape


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_and_scores_are_made_on_the_models_device(family: str) -> None:
    backbone, rows, soft = elsewhere(family)
    other = torch.randn(2, backbone.hidden, device="meta")
    with OneDevice():
        assert [len(ids) for ids in backbone.generate(soft, rows, 3)] == [3] * 5
        assert len(backbone.generate([soft, other, None, soft, other], rows, 3)) == 5
        assert len(backbone.score([soft, other, None, soft, other], rows)) == 5


def test_what_needs_float64_is_done_on_the_processor() -> None:
    logits = torch.zeros(3, 8, device="meta")
    with OneDevice():
        assert apart(logits, logits + 1) == 0.0, "what is read back is 0"
        drawn = Sampling(0.7, top_k=5, top_p=0.9, min_p=0.01, repetition_penalty=1.2)
        assert 0 <= choose(logits[0], drawn, 1, [2, 3]) < 8


@pytest.mark.parametrize("family", ["gpt2", "falcon", "mamba", "t5"])
def test_a_prefix_that_stands_elsewhere_is_placed_once(family: str) -> None:
    """As a soft prompt comes from its file: on the processor, whatever the model stands on."""
    backbone, rows, _ = elsewhere(family)
    prefix = Prefix.of(torch.randn(4, backbone.hidden))
    assert prefix is not None
    prefix.digest  # noqa: B018 - of numbers that are at hand
    with OneDevice():
        assert [len(ids) for ids in backbone.generate(prefix, rows, 2)] == [2] * 5
        assert len(backbone.score([prefix, None, prefix, prefix, None], rows)) == 5
        assert backbone.loss(prefix, rows)[0].is_meta
    assert prefix.on(torch.device("meta")) is prefix.on(torch.device("meta"))


def test_the_mode_refuses_two_devices_and_float64() -> None:
    with OneDevice(), pytest.raises(AssertionError, match="gives float64"):
        torch.empty(2, device="meta").double()
    with OneDevice(), pytest.raises(AssertionError, match=r"aten.mm.* on \['cpu', 'meta'\]"):
        torch.empty((2, 3), device="meta") @ torch.zeros((3, 4))
