"""Optimisers and learning-rate schedules for what is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from foreword.util.errors import unknown


class Adafactor(torch.optim.Optimizer):
    """Adafactor as Lester et al. 2021 ran it on prompts: constant rate, no parameter scaling, no momentum, beta2 = 1 - t^-0.8,
    updates clipped at a root mean square of 1; a prompt of fewer than 128 rows is not factored there, and none is here."""

    def __init__(self, params: Iterable[Any], lr: float, weight_decay: float = 0.0, eps: float = 1e-30) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        beta = 1 - float(state["step"]) ** -0.8
        grad = parameter.grad
        assert grad is not None
        state["square"].mul_(beta).add_(grad.square() + group["eps"], alpha=1 - beta)
        update = grad / state["square"].sqrt()
        update /= update.square().mean().sqrt().clamp(min=1.0)
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"])


def _adamw(groups: list[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, weight_decay=weight_decay, betas=(0.9, 0.999), eps=1e-8)


def _adafactor(groups: list[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    return Adafactor(groups, lr=1.0, weight_decay=weight_decay)


OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], float], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adafactor": _adafactor,
}


def optimizer(name: str, groups: list[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    """groups: parameter groups, each with its `lr`. Raises ForewordError for an unknown optimiser."""
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name](groups, weight_decay)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


def rate(schedule: str, step: int, total: int, warmup: int) -> float:
    """The factor on the learning rate at a step (from 0): rises over `warmup` steps, then follows the schedule to its end."""
    if schedule not in SCHEDULES:
        raise unknown("schedule", schedule, SCHEDULES)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return SCHEDULES[schedule]((step - warmup) / max(1, total - warmup))
