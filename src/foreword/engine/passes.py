"""One forward pass as foreword runs it: a context variable that the parts of a model read, so that threads and tasks never see each
other's pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Kind:
    """How scores are made: scaling of q k, soft cap, reach of local attention, and what is added for each key position [heads, C]."""

    scaling: float
    softcap: float | None = None
    window: int | None = None
    added: Tensor | None = None


class SequenceLayout(Protocol):
    """What stands where in a sequence [1, R] that several rows share. reach: no position is as far as this. windows: reaches of local
    attention that layers asked for."""

    reach: int
    windows: set[int | None]

    def attend(self, module: object, query: Tensor, key: Tensor, value: Tensor, kind: Kind) -> Tensor:
        """Query [1, heads, R, D], key and value [1, key heads, R, D] of an attention module, to [1, R, heads, D]."""


@dataclass(frozen=True)
class Pass:
    """What holds for the modules of one model, that of `owner`, while it runs.

    layout: what stands where in a sequence that several rows share; None: a batch of the model library's kind. logit_positions: flat
    positions [N] whose hidden states the output layer gets; None: all. hidden: where it is a list, those hidden states [N, H] are put
    there and no logits are made. early, late: parts whose output is used at some positions only. trained_positions: how many positions from
    the first on gradients flow through in the early parts. checkpointing: layers keep their input alone and run again for the gradient."""

    owner: object
    layout: SequenceLayout | None = None
    logit_positions: Tensor | None = None
    hidden: list[Tensor] | None = None
    early: frozenset[torch.nn.Module] = frozenset()
    late: frozenset[torch.nn.Module] = frozenset()
    trained_positions: int = 0
    checkpointing: bool = False


_running: ContextVar[Pass | None] = ContextVar("pass", default=None)


@contextlib.contextmanager
def running(one_pass: Pass | None) -> Iterator[Pass | None]:
    """Within the block, in this thread or task, the modules of the pass's model are in it."""
    token = _running.set(one_pass)
    try:
        yield one_pass
    finally:
        _running.reset(token)


def current() -> Pass | None:
    """The pass that is running in this thread or task, of whatever model."""
    return _running.get()
