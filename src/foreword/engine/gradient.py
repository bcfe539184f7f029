"""Checks the gradient that reaches a soft prompt against the loss itself, by a step along it: a kernel's backward is not trusted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = (0.01, 0.003, 0.001, 0.0003, 0.0001, 0.03, 0.1, 0.3)  # lengths of a step, as parts of the soft prompt's own
CLOSE = {torch.float64: 0.05, torch.float32: 0.05}  # of the expected change
CLOSE_ELSE = 0.4
NOISE = {torch.float64: 3e-5, torch.float32: 3e-5}  # of the loss: smaller changes say nothing
NOISE_ELSE = 1e-2


def wrong_gradient(loss: Callable[[Tensor], Tensor], soft: Tensor, dtype: torch.dtype) -> str:
    """Why the gradient of the loss with regard to a soft prompt [P, H] cannot be trusted; empty where it can. dtype: of the model's
    numbers. A directional finite difference: a step of length t along the gradient g changes the loss by t |g|."""
    leaf = soft.detach().clone().requires_grad_(True)
    try:
        with torch.enable_grad():
            value = loss(leaf)
            (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True) if value.requires_grad else (None,)
    except Exception as error:  # a kernel without a backward says so in its own words
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    if gradient is None or not bool(gradient.any()):
        return "no gradient reaches the soft prompt"
    if not bool(torch.isfinite(gradient).all()):
        return "the gradient of the soft prompt is not finite"
    return _against_steps(loss, soft.detach(), gradient.float(), float(value.detach()), dtype)


@torch.no_grad()
def _against_steps(
    loss: Callable[[Tensor], Tensor], soft: Tensor, gradient: Tensor, here: float, dtype: torch.dtype
) -> str:
    """here: the loss of the soft prompt itself."""
    length, close = gradient.norm(), CLOSE.get(dtype, CLOSE_ELSE)
    reason = ""
    for part in STEPS:
        step = part * soft.norm()
        expected = float(step * length)
        if expected < NOISE.get(dtype, NOISE_ELSE) * max(abs(here), 1.0):
            continue
        moved = gradient / length * step
        above = float(loss(soft + moved))
        if abs(above - here - expected) <= close * expected:
            return ""
        below = float(loss(soft - moved))
        changes = ((above - below) / 2, here - below)  # a router may jump on one side
        if any(abs(change - expected) <= close * expected for change in changes):
            return ""
        reason = reason or f"a step along the gradient changes the loss by {changes[0]:.3g} in place of {expected:.3g}"
    return reason
