"""Element-wise parts of a model (tanh GELU, RMS norms) computed in fewer passes over memory; a replacement is used only where its values
equal the part's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from foreword.engine.attention import autocast_dtype
from foreword.engine.install import Installation, is_plain
from foreword.engine.passes import Pass

FUSED = "fused"  # the label of what is installed here
CLOSE = 1e-6  # of the largest value, in float32


def patch_fused(installation: Installation) -> None:
    """Let every part of the model for which there is a stand-in with the same values use it in foreword's passes. Weights, names and
    modules stay; under autocast the part's own forward is used."""
    for part in list(installation.model.modules()):
        faster = stand_in(part) if next(part.children(), None) is None else None
        if faster is not None:
            installation.patch_forward(part, FUSED, functools.partial(_either, faster))


def _either(faster: Callable[..., Any], _: Pass, plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if kwargs or len(args) != 1 or autocast_dtype(args[0].device) is not None:
        return plain(*args, **kwargs)
    return faster(args[0])


def stand_in(part: torch.nn.Module) -> Callable[[Tensor], Tensor] | None:
    """What computes the same as this part in fewer passes over memory; None where nothing does."""
    if not is_plain(part) or len(inspect.signature(part.forward).parameters) != 1:
        return None  # it computes something else here; or takes more: a norm with a gate
    weights = dict(part.named_parameters())
    if any(value.is_meta for value in weights.values()):
        return None
    if not weights and not isinstance(part, torch.nn.GELU):
        gelu = functools.partial(functional.gelu, approximate="tanh")
        return gelu if _same(part, torch.linspace(-9, 9, 4001), gelu) else None
    if list(weights) == ["weight"] and weights["weight"].dim() == 1:
        weight = weights["weight"]
        epsilon = getattr(part, "variance_epsilon", getattr(part, "eps", None))
        generator = torch.Generator().manual_seed(0)
        sample = torch.randn((3, len(weight)), generator=generator).to(weight.device, weight.dtype)
        for shift in (0.0, 1.0):
            norm = _RootMeanSquare(part, shift, epsilon)
            if weight.dtype == torch.float32 and isinstance(epsilon, float) and _same(part, sample, norm):
                return norm
    return None


@torch.no_grad()
def _same(part: torch.nn.Module, sample: Tensor, stand_in: Any) -> bool:
    try:
        expected = part(sample)
    except Exception:  # a part that wants something else than one tensor has no stand-in
        return False
    if not isinstance(expected, Tensor) or expected.shape != sample.shape or expected.dtype != sample.dtype:
        return False
    return float((stand_in(sample) - expected).abs().max()) <= CLOSE * float(expected.abs().max())


class _RootMeanSquare:
    """x / sqrt(mean(x x) + epsilon) * (weight + shift)."""

    def __init__(self, part: Any, shift: float, epsilon: Any) -> None:
        self.part, self.shift, self.epsilon = part, shift, epsilon

    def __call__(self, hidden: Tensor) -> Tensor:
        weight = self.part.weight if self.shift == 0.0 else self.part.weight + self.shift
        normed: Tensor = _Normed.apply(hidden, weight, self.epsilon)  # type: ignore[no-untyped-call]
        return normed


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        width = hidden.shape[-1]
        square = torch.linalg.vecdot(hidden, hidden).unsqueeze(-1)
        factor: Tensor = square.div_(width).add_(epsilon).rsqrt_()  # [.., 1]
        ctx.save_for_backward(hidden, weight, factor)
        normed: Tensor = (hidden * factor).mul_(weight)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        hidden, weight, factor = ctx.saved_tensors
        learned = (grad * hidden).mul_(factor).flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        hidden_grad = grad * weight
        along = torch.linalg.vecdot(hidden_grad, hidden).unsqueeze(-1)
        along.mul_(factor.pow(3)).div_(-hidden.shape[-1])
        return hidden_grad.mul_(factor).addcmul_(hidden, along), learned, None
