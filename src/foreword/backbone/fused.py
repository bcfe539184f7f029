"""Element-wise parts of a model (tanh GELU, root-mean-square norms) computed in fewer passes over memory; it refuses a stand-in whose
values are not the part's own."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CLOSE = 1e-6  # of the largest value, in float32


def fuse(model: torch.nn.Module) -> None:
    """Let every part of the model for which there is a stand-in with the same values use it. Weights, names and modules stay."""
    for part in model.modules():
        if next(part.children(), None) is None:
            _fuse(part)


def _fuse(part: torch.nn.Module) -> None:
    if (
        "forward" in vars(part) or _inputs(part) != 1
    ):  # it computes something else here; or takes more: a norm with a gate
        return
    weights = dict(part.named_parameters())
    if any(value.is_meta for value in weights.values()):
        return
    if not weights and not isinstance(part, torch.nn.GELU):
        sample = torch.linspace(-9, 9, 4001)
        stand_in: Any = functools.partial(functional.gelu, approximate="tanh")
        if _same(part, sample, stand_in):
            part.forward = stand_in
    elif list(weights) == ["weight"] and weights["weight"].dim() == 1:
        weight = weights["weight"]
        epsilon = getattr(part, "variance_epsilon", getattr(part, "eps", None))
        generator = torch.Generator().manual_seed(0)
        sample = torch.randn((3, len(weight)), generator=generator).to(weight.device, weight.dtype)
        for shift in (0.0, 1.0):
            stand_in = _RootMeanSquare(part, shift, epsilon)
            if weight.dtype == torch.float32 and isinstance(epsilon, float) and _same(part, sample, stand_in):
                part.forward = stand_in
                return


def _inputs(part: torch.nn.Module) -> int:
    """How many inputs the part takes, those included that may be left out."""
    return len(inspect.signature(part.forward).parameters)


@torch.no_grad()
def _same(part: torch.nn.Module, sample: Tensor, stand_in: Any) -> bool:
    try:
        wanted = part(sample)
    except Exception:  # a part that wants something else than one tensor has no stand-in
        return False
    if not isinstance(wanted, Tensor) or wanted.shape != sample.shape or wanted.dtype != sample.dtype:
        return False
    return float((stand_in(sample) - wanted).abs().max()) <= CLOSE * float(wanted.abs().max())


class _RootMeanSquare:
    """x / sqrt(mean(x x) + epsilon) * (weight + shift)."""

    def __init__(self, part: Any, shift: float, epsilon: Any) -> None:
        self.part, self.shift, self.epsilon = part, shift, epsilon

    def __call__(self, hidden: Tensor) -> Tensor:
        weight = self.part.weight if self.shift == 0.0 else self.part.weight + self.shift
        found: Tensor = _Normed.apply(hidden, weight, self.epsilon)  # type: ignore[no-untyped-call]
        return found


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        width = hidden.shape[-1]
        square = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True).square_()
        factor: Tensor = square.div_(width).add_(epsilon).rsqrt_()  # [.., 1]
        ctx.save_for_backward(hidden, weight, factor)
        normed: Tensor = (hidden * factor).mul_(weight)
        return normed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        hidden, weight, factor = ctx.saved_tensors
        learned = (grad * hidden).mul_(factor).flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        found = grad * weight
        along = torch.linalg.vecdot(found, hidden).unsqueeze(-1)
        along.mul_(factor.pow(3)).div_(-hidden.shape[-1])
        return found.mul_(factor).addcmul_(hidden, along), learned, None
