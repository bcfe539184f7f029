"""Products of half-width numbers on a processor without units for them: computed in float32 and rounded once, many times as fast as
loops of the library's own; a processor that has such units, and every accelerator, is left alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

WEIGHTS = 2**22  # turned to float32 at once, at most: 16 MiB
FEWEST_ROWS = 5  # a layer of 2,048 to 8,192 entries is multiplied as fast by the library's own loops for fewer
HAS_PRODUCTS = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}


@functools.cache
def slow_on_processor(dtype: torch.dtype) -> bool:
    """Whether this processor's library has no products of such numbers, so that PyTorch multiplies them in loops of its own: bfloat16
    without AVX-512 or AMX, float16 without AVX-512 FP16, both where there is no oneDNN."""
    name = HAS_PRODUCTS.get(dtype)
    if name is None:
        return False
    has_products = getattr(torch.ops.mkldnn, name, None)
    if has_products is None:
        return not torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return not has_products()


def half_on_processor(states: Tensor) -> bool:
    """Whether numbers of half the width are worked on by a processor, whose library and caches then want another order of work."""
    return states.device.type == "cpu" and states.dtype.itemsize == 2


def detour(factor: Tensor) -> bool:
    """Whether products with these numbers are better computed in float32 and rounded. A tensor of another class (weights in eight bits
    that call themselves bfloat16) has products of its own."""
    plain = type(factor) in (Tensor, torch.nn.Parameter)
    return plain and half_on_processor(factor) and slow_on_processor(factor.dtype)


def bmm(left: Tensor, right: Tensor) -> Tensor:
    """`torch.bmm`, by the detour where it is better; no gradient is taken through it."""
    return torch.bmm(left.float(), right.float()).to(left.dtype) if detour(left) else torch.bmm(left, right)


def linear(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`functional.linear` of states, frozen weights and bias, by the detour where it is better: not for a few rows, for which the weights
    are read once more than they are multiplied."""
    rows = states.numel() // max(1, states.shape[-1])
    if rows < FEWEST_ROWS or states.dtype != weight.dtype or not detour(weight):
        return functional.linear(states, weight, bias)
    product: Tensor = _Linear.apply(states.reshape(-1, states.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return product.view(*states.shape[:-1], len(weight))


class _Linear(torch.autograd.Function):
    """Of states [N, H]: a part of the weights in float32 at a time, so that a large layer costs no copy of its own. What comes out is no
    view, so that a model may change it in place."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        rows = states.float()
        product = states.new_empty((len(rows), len(weight)))
        for part in _parts(weight):
            added = None if bias is None else bias[part].float()
            product[:, part] = functional.linear(rows, weight[part].float(), added)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        states_grad = torch.zeros((len(grad), weight.shape[1]), device=grad.device)
        for part in _parts(weight):
            states_grad.addmm_(grad[:, part].float(), weight[part].float())
        return states_grad.to(grad.dtype), None, None


def _parts(weight: Tensor) -> Iterator[slice]:
    return slices(len(weight), max(1, WEIGHTS // max(1, weight.shape[1])))


def slices(count: int, size: int) -> Iterator[slice]:
    """So many entries in parts of at most a size, in order."""
    for at in range(0, count, size):
        yield slice(at, at + size)
