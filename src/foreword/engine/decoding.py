"""Decoding one token a pass in a running batch that rows join and leave, whatever kind of model computes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from foreword.engine.batch import Row
from foreword.engine.prefix import Prefix
from foreword.engine.truth import not_a_number

Prompted = tuple[Prefix | None, Row]


@dataclass(eq=False)
class Entry:
    """A row in a running batch. longest: tokens that its answer may have. read: how many of its own tokens the model has read. token: the
    one that was chosen last, which the model is to read next."""

    prefix: Prefix | None
    row: Row
    longest: int
    read: int = 0
    token: int = -1

    @property
    def unread(self) -> int:
        """Tokens that the model is to read before it can say the next one."""
        return len(self.row.own) - self.read if self.read < len(self.row.own) else 1


class RunningBatch(Protocol):
    """Rows that are decoded together. Batch-mates never change a row's logits (beyond rounding). joins: whether a row that is
    admitted later goes through the model together with the others, and not in a pass of its own."""

    joins: bool

    def admit(self, entries: Sequence[Entry], expected: Sequence[Prompted] = ()) -> None:
        """Let rows join. expected: rows that are likely to join later, which tells what is worth holding once."""

    def step(self) -> tuple[list[Entry], Tensor]:
        """One pass: the rows that have read all that they are to read, and logits [n, V] for their next tokens. The caller sets their
        `token`, or retires them, before the next step."""

    def retire(self, entries: Sequence[Entry]) -> None:
        """Let rows leave."""


class BatchEngine(Protocol):
    """What can make a running batch."""

    def running_batch(self) -> RunningBatch: ...


def greedy_tokens(logits: Tensor) -> list[int]:
    """The likeliest token of each row of logits [n, V], the first among equals. Raises ForewordError where they are not finite."""
    highest, tokens = logits.max(dim=-1)  # on a processor five times faster than argmax
    if bool((~highest.isfinite()).any()):
        raise not_a_number(logits.dtype)
    return [int(token) for token in tokens.tolist()]


@torch.no_grad()
def forced(engine: BatchEngine, rows: Sequence[Prompted], steps: int) -> Tensor:
    """Logits [B, steps, V] for the first tokens of the rows' given answers, computed as answering computes them, one token a pass."""
    batch = engine.running_batch()
    entries = [Entry(prefix, row, steps) for prefix, row in rows]
    batch.admit(entries)
    logits: dict[int, list[Tensor]] = {id(entry): [] for entry in entries}
    while any(len(logits[id(entry)]) < steps for entry in entries):
        ready, ready_logits = batch.step()
        gone = []
        for entry, row_logits in zip(ready, ready_logits, strict=True):
            steps_done = logits[id(entry)]
            steps_done.append(row_logits)
            if len(steps_done) == steps:
                gone.append(entry)
            else:
                entry.token = entry.row.answer[len(steps_done) - 1]
        batch.retire(gone)
    return torch.stack([torch.stack(logits[id(entry)]) for entry in entries])
