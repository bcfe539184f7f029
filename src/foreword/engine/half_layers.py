"""Lets a model's layers of half-width numbers multiply by the detour through float32, on a processor that has no units for such products;
weights, names and modules stay."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from foreword.engine.attention import autocast_dtype
from foreword.engine.half_products import detour, linear
from foreword.engine.install import Installation, is_plain
from foreword.engine.passes import Pass

HALF_LAYERS = "half layers"  # the label of what is installed here


def patch_half_layers(installation: Installation) -> None:
    """Let the model's matrix products with weights of half the width take the detour in foreword's passes, on a processor for which it is
    better; a weight that takes a gradient, and all under autocast, is multiplied as before."""
    for part in list(installation.model.modules()):
        if type(part) in (torch.nn.Linear, Conv1D) and is_plain(part) and detour(part.weight):
            installation.patch_forward(part, HALF_LAYERS, functools.partial(_product, part))


def _product(part: Any, _: Pass, plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if kwargs or len(args) != 1 or part.weight.requires_grad or autocast_dtype(args[0].device) is not None:
        return plain(*args, **kwargs)
    weight = part.weight.t() if isinstance(part, Conv1D) else part.weight
    return linear(args[0], weight, part.bias)
