"""The peer: PEFT prompt tuning with its ordinary loop on the same weights and rows; it refuses to be slowed by anything that PEFT's own
users would not do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peft
import torch
from torch import Tensor

from foreword.engine import Row

KINDS = {False: "CAUSAL_LM", True: "SEQ_2_SEQ_LM"}
IGNORED = -100


def prompted(model: Any, values: Tensor) -> Any:
    """PEFT's model around this one, its soft prompt set to values [P, H]. In eval mode: dropout, which foreword never has, would make
    the results differ and PEFT slower."""
    seq2seq = bool(model.config.is_encoder_decoder)
    config = peft.PromptTuningConfig(task_type=KINDS[seq2seq], num_virtual_tokens=len(values))
    config.token_dim = values.shape[1]
    if seq2seq:
        config.num_transformer_submodules = 1  # the prompt stands before the encoder's input alone, as in foreword
    peft_model = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        peft_model.prompt_encoder["default"].embedding.weight.copy_(values)
    return peft_model


def prompt(model: Any) -> torch.nn.Parameter:
    """The trained numbers [P, H]."""
    return model.prompt_encoder["default"].embedding.weight  # type: ignore[no-any-return]


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([list(row) + [fill] * (longest - len(row)) for row in rows])


def batch(rows: Sequence[Row], *, seq2seq: bool, end: Sequence[int] = (), device: Any = "cpu") -> dict[str, Tensor]:
    """What a collator hands to PEFT: ids, mask and labels [B, T], padded on the right to the longest row, labels -100 outside answers.
    end: what the tokenizer puts behind an encoder's input."""
    if seq2seq:
        heads = [row.prefix + row.own + tuple(end) for row in rows]
        ids, labels = _padded(heads, 0), _padded([row.answer for row in rows], IGNORED)
        lengths = [len(head) for head in heads]
    else:
        ids = _padded([row.prefix + row.own + row.answer for row in rows], 0)
        heads = [(IGNORED,) * (len(row.prefix) + len(row.own)) for row in rows]
        labels = _padded([head + row.answer for head, row in zip(heads, rows, strict=True)], IGNORED)
        lengths = [row.length for row in rows]
    mask = (torch.arange(ids.shape[1]) < torch.tensor(lengths).unsqueeze(1)).long()
    tensors = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: value.to(device) for name, value in tensors.items()}


def loss_and_gradient(model: Any, batch: dict[str, Tensor]) -> tuple[float, Tensor]:
    """Mean loss in nats an answer token, and the prompt's gradient [P, H]."""
    value = prompt(model)
    value.grad = None
    loss = model(**batch).loss
    loss.backward()
    assert value.grad is not None
    return float(loss.detach()), value.grad.clone()


class Loop:
    """PEFT's ordinary training loop: forward pass, backward pass, AdamW on the prompt."""

    def __init__(self, model: Any, rate: float = 1e-3) -> None:
        self.model = model
        self.steps = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=rate)

    def step(self, batch: dict[str, Tensor]) -> None:
        """One step on one batch."""
        self.steps.zero_grad()
        self.model(**batch).loss.backward()
        self.steps.step()
