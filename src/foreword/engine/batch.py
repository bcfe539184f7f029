"""Rows and the index arithmetic of one batch: padding, masks and position ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foreword.util.errors import ForewordError


@dataclass(frozen=True)
class Row:
    """What the model gets for one example, beside the soft prompt. prefix: ids that many rows share (instruction, fixed
    demonstrations). own: this row's ids (retrieved demonstrations, question). answer: the label ids. append: the soft prompt is
    appended to these ids in the encoder, not prepended. before: ids between the tokenizer's start and the soft prompt, where that
    stands inside the text (the head of a chat's first turn)."""

    prefix: tuple[int, ...]
    own: tuple[int, ...]
    answer: tuple[int, ...] = ()
    append: bool = False
    before: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.own:
            raise ForewordError(
                "A question without a single token cannot be answered; give the template some text or the input a word."
            )

    @property
    def length(self) -> int:
        """Tokens before and in the answer, soft prompt not counted."""
        return len(self.before) + len(self.prefix) + len(self.own) + len(self.answer)


def right_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask [B, T], each row followed by its padding."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[index, : len(row)] = 1
    return ids.to(device), mask.to(device)


def left_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask [B, T], each row preceded by its padding."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, longest - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[index, longest - len(row) :] = 1
    return ids.to(device), mask.to(device)


def positions(mask: Tensor, before: int = 0) -> Tensor:
    """Position ids [B, T] counted over real tokens only, starting at `before`; padding gets a position it never uses."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0) + before


def answer_positions(
    starts: Sequence[int], answers: Sequence[Sequence[int]], width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Flat positions in [B * width] whose logits say the answer tokens, and those tokens [N]. starts: the column, in each row,
    that predicts the first answer token."""
    logit_positions: list[int] = []
    labels: list[int] = []
    for index, (start, answer) in enumerate(zip(starts, answers, strict=True)):
        logit_positions.extend(index * width + start + offset for offset in range(len(answer)))
        labels.extend(answer)
    return torch.tensor(logit_positions, device=device), torch.tensor(labels, device=device)
