"""Work of the first and the last layer that no answer and no gradient asks for, found by running the layers; it refuses to spare what
changes a number that is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from foreword.backbone.attention import instead
from foreword.backbone.batch import Row

CLOSE = 1e-5  # of the largest logit; what is spared is never computed, so nothing but the order of sums may differ

Parts = tuple[torch.nn.Module, ...]


@dataclass(frozen=True)
class Spared:
    """early: matrix products of the first layer whose input at the rows' positions does not depend on the soft prompt: no gradient flows
    through it. late: parts of the last layer whose output is used at the answers' positions only."""

    early: Parts = ()
    late: Parts = ()


@contextlib.contextmanager
def sparing(spared: Spared | None, soft: int, picks: Tensor) -> Iterator[None]:
    """Within the block, a packed sequence [.., S + R, H] goes through the spared parts at the positions that matter alone: the first
    `soft` for the gradient through early parts, those at `picks` [N] for late parts, whose other outputs are 0."""
    with contextlib.ExitStack() as stack:
        if spared is None:
            yield
            return
        for part in spared.early:
            stack.enter_context(instead(part, _split(part.forward, soft)))
        for part in spared.late:
            stack.enter_context(instead(part, _picked(part.forward, picks)))
        yield


def _split(forward: Callable[..., Tensor], soft: int) -> Callable[..., Tensor]:
    def split(hidden: Tensor) -> Tensor:
        return torch.cat([forward(hidden[..., :soft, :]), forward(hidden[..., soft:, :].detach())], dim=-2)

    return split


def _picked(forward: Callable[..., Tensor], picks: Tensor) -> Callable[..., Tensor]:
    def picked(*given: Tensor) -> Tensor:
        found = forward(*(one.index_select(-2, picks) for one in given))  # [.., N, H]
        whole = found.new_zeros((*given[0].shape[:-1], found.shape[-1]))
        return whole.index_copy(-2, picks, found)

    return picked


class _Engine(Protocol):
    model: Any
    spared: Spared | None

    def answer_logits(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, Tensor]: ...


@torch.no_grad()
def find_spared(engine: _Engine, soft: Tensor, rows: Sequence[Row]) -> Spared:
    """What may be spared, tried on short pieces of this soft prompt and these rows: of the first layer's matrix products those whose
    inputs at the rows' positions stay what they are when the soft prompt changes, of the last layer's parts those that may be spared
    without a change of the logits."""
    layers = [one for one in engine.model.modules() if isinstance(one, GradientCheckpointingLayer)]
    if not layers:
        return Spared()
    own, answer = rows[0].own, rows[0].answer
    short = [Row((), (own * size)[:size], (answer * 3)[:3]) for size in (8, 5)]
    softs = [soft[:3], _other(soft[:3])]
    early = [part for part in layers[0].modules() if _multiplies(part)]
    seen = [_inputs(engine, early, each, short) for each in softs]
    found = Spared(tuple(part for part in early if _same_rows(*(told.get(part) for told in seen), soft=len(softs[0]))))
    wanted = engine.answer_logits(softs[0], short)[0]
    left = list(layers[-1].children())
    while left:
        part = left.pop(0)
        if any(_multiplies(inner) for inner in part.modules()):
            more = replace(found, late=(*found.late, part))
            if _holds(engine, more, softs[0], short, wanted):
                found = more
            else:
                left = [*part.children(), *left]
    return found


def _other(soft: Tensor) -> Tensor:
    """Rows of the same length that point elsewhere: a multiple would be the same to a model that divides by the length."""
    drawn = torch.randn(soft.shape, generator=torch.Generator().manual_seed(7_654_321)).to(soft)
    found: Tensor = drawn * (soft.norm().clamp_min(1e-3) / drawn.norm())
    return found


def _holds(engine: _Engine, tried: Spared, soft: Tensor, rows: Sequence[Row], wanted: Tensor) -> bool:
    engine.spared = tried
    try:
        logits = engine.answer_logits(soft, rows)[0]
    except Exception:  # a part that is not made of positions
        return False
    finally:
        engine.spared = None
    return bool((logits - wanted).abs().max() <= CLOSE * wanted.abs().max())


def _multiplies(part: torch.nn.Module) -> bool:
    """Whether this is a matrix product with weights, and nothing else."""
    weight = getattr(part, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and next(part.children(), None) is None


def _inputs(
    engine: _Engine, parts: Sequence[torch.nn.Module], soft: Tensor, rows: Sequence[Row]
) -> dict[torch.nn.Module, Tensor]:
    seen: dict[torch.nn.Module, Tensor] = {}
    handles = [part.register_forward_pre_hook(lambda part, args: seen.update({part: args[0]})) for part in parts]
    try:
        engine.answer_logits(soft, rows)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _same_rows(one: Tensor | None, other: Tensor | None, *, soft: int) -> bool:
    """Whether inputs [.., S + R, H] of two soft prompts are equal behind the soft prompt."""
    return one is not None and other is not None and torch.equal(one[..., soft:, :], other[..., soft:, :])
