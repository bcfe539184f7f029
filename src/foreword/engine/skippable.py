"""Computation of the first and the last layer that neither the answers' logits nor the gradient need, found by running the layers; only
what leaves the logits unchanged is skipped."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from foreword.engine.batch import Row
from foreword.engine.install import Installation
from foreword.engine.passes import Pass

CLOSE = 1e-5  # of the largest logit; what is skipped is never computed, so nothing but the order of sums may differ

Modules = tuple[torch.nn.Module, ...]


@dataclass(frozen=True)
class Skippable:
    """early: matrix products of the first layer whose input at the rows' positions does not depend on the soft prompt: no gradient flows
    through it. late: parts of the last layer whose output is used at the answers' positions only."""

    early: Modules = ()
    late: Modules = ()


def patch_skippable(installation: Installation) -> None:
    """Let the parts of the first and the last layer that may be skipped ask each pass whether they are: a packed sequence [.., S + R, H]
    goes through them at the positions that matter alone, the first `trained_positions` for the gradient through early parts, the
    logit positions [N] for late parts, whose other outputs are 0."""
    layers = _layers(installation.model)
    if layers:
        parts = [part for part in layers[0].modules() if _multiplies(part)]
        parts += [part for part in layers[-1].modules() if part is not layers[-1] and _has_product(part)]
        for part in dict.fromkeys(parts):
            installation.patch_forward(part, "skippable", functools.partial(_partly, part))


def _layers(model: Any) -> list[torch.nn.Module]:
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def _partly(part: torch.nn.Module, now: Pass, plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if part in now.early and not kwargs:
        plain = functools.partial(_split, plain, now.trained_positions)
    if part in now.late and now.logit_positions is not None:
        return _picked(plain, now.logit_positions, *args, **kwargs)
    return plain(*args, **kwargs)


def _split(plain: Callable[..., Tensor], trained: int, hidden: Tensor) -> Tensor:
    return torch.cat([plain(hidden[..., :trained, :]), plain(hidden[..., trained:, :].detach())], dim=-2)


def _picked(plain: Callable[..., Tensor], positions: Tensor, *inputs: Tensor) -> Tensor:
    positions = positions.to(inputs[0].device)
    chosen = plain(*(states.index_select(-2, positions) for states in inputs))  # [.., N, H]
    whole = chosen.new_zeros((*inputs[0].shape[:-1], chosen.shape[-1]))
    return whole.index_copy(-2, positions, chosen)


class _Engine(Protocol):
    model: Any

    def skipping_logits(self, skippable: Skippable, soft: Tensor, rows: Sequence[Row]) -> Tensor:
        """Logits [N, V] at the answers' positions of rows after a soft prompt [P, H], with so much skipped."""


@torch.no_grad()
def find_skippable(engine: _Engine, soft: Tensor, rows: Sequence[Row]) -> Skippable:
    """What may be skipped, tried on short pieces of this soft prompt and these rows: of the first layer's matrix products those whose
    inputs at the rows' positions stay what they are when the soft prompt changes, of the last layer's parts those that may be skipped
    without a change of the logits."""
    layers = _layers(engine.model)
    if not layers:
        return Skippable()
    own, answer = rows[0].own, rows[0].answer
    short = [Row((), (own * size)[:size], (answer * 3)[:3]) for size in (8, 5)]
    softs = [soft[:3], _other(soft[:3])]
    early = [part for part in layers[0].modules() if _multiplies(part)]
    inputs = [_inputs(engine, early, each, short) for each in softs]
    skippable = Skippable(
        tuple(part for part in early if _same_rows(*(by_part.get(part) for by_part in inputs), soft=len(softs[0])))
    )
    expected = engine.skipping_logits(Skippable(), softs[0], short)
    left = list(layers[-1].children())
    while left:
        part = left.pop(0)
        if _has_product(part):
            more = replace(skippable, late=(*skippable.late, part))
            if _holds(engine, more, softs[0], short, expected):
                skippable = more
            else:
                left = [*part.children(), *left]
    return skippable


def _other(soft: Tensor) -> Tensor:
    """Rows of the same length that point elsewhere: a multiple would be the same to a model that divides by the length."""
    drawn = torch.randn(soft.shape, generator=torch.Generator().manual_seed(7_654_321)).to(soft)
    other: Tensor = drawn * (soft.norm().clamp_min(1e-3) / drawn.norm())
    return other


def _holds(engine: _Engine, tried: Skippable, soft: Tensor, rows: Sequence[Row], expected: Tensor) -> bool:
    try:
        logits = engine.skipping_logits(tried, soft, rows)
    except Exception:  # a part that is not made of positions
        return False
    return bool((logits - expected).abs().max() <= CLOSE * expected.abs().max())


def _has_product(part: torch.nn.Module) -> bool:
    return any(_multiplies(inner) for inner in part.modules())


def _multiplies(part: torch.nn.Module) -> bool:
    """Whether this is a matrix product with weights, and nothing else."""
    weight = getattr(part, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and next(part.children(), None) is None


def _inputs(
    engine: _Engine, parts: Sequence[torch.nn.Module], soft: Tensor, rows: Sequence[Row]
) -> dict[torch.nn.Module, Tensor]:
    inputs: dict[torch.nn.Module, Tensor] = {}
    thread = threading.get_ident()

    def note(part: torch.nn.Module, args: tuple[Any, ...]) -> None:
        if threading.get_ident() == thread:  # others may be running the model at the same time
            inputs[part] = args[0]

    handles = [part.register_forward_pre_hook(note) for part in parts]
    try:
        engine.skipping_logits(Skippable(), soft, rows)
    finally:
        for handle in handles:
            handle.remove()
    return inputs


def _same_rows(first: Tensor | None, second: Tensor | None, *, soft: int) -> bool:
    """Whether inputs [.., S + R, H] of two soft prompts are equal after the soft prompt."""
    return first is not None and second is not None and torch.equal(first[..., soft:, :], second[..., soft:, :])
