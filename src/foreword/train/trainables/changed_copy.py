"""What every trainable shares that changes a copy of the model: the copy, its notes, and the numbers that are trained in it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from foreword.engine import Backbone, wrap


class ChangedCopy:
    """Some numbers of a copy of a backbone's model, trained in place; the backbone itself stays as it is.

    model: the copy, in float32 whatever the backbone computes in, because bfloat16 would round small updates away. method: how notes call
    what is done to it. note: what becomes of it."""

    start: str

    def __init__(self, backbone: Backbone, model: Any, method: str, note: str) -> None:
        notes = [*backbone.notes, note]
        if backbone.dtype != torch.float32:
            other = str(backbone.dtype).removeprefix("torch.")
            notes.append(f"{method} computed in float32, methods that leave the model as it is in {other}.")
        self._named_as = (backbone.name, backbone.tokenizer.hf, backbone.target_tokenizer.hf, tuple(notes))
        self._chat = backbone.chat
        self.backbone = self.wrapped(model)
        self.initial: dict[str, Tensor] = {}
        self.named: dict[str, Tensor] = {
            name: value for name, value in self.backbone.model.named_parameters() if self.is_trained(name)
        }
        for value in self.named.values():
            value.requires_grad_(True)

    def is_trained(self, name: str) -> bool:
        """Whether a weight of that name is trained."""
        return True

    def wrapped(self, model: Any) -> Backbone:
        """The model as a backbone that is spoken to as the original is."""
        name, tokenizer, target_tokenizer, notes = self._named_as
        copied = wrap(name, model, tokenizer, target_tokenizer, notes=notes)
        return copied if self._chat is None else copied.chatting(self._chat)

    def prefix(self) -> None:
        """Nothing stands before the rows."""

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of every trained number."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self.named.items()}

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """One group: every number has the same rate."""
        return [{"params": list(self.named.values()), "lr": learning_rate}]

    def refresh(self) -> None:
        """Keys and values that are held were computed with earlier numbers."""
        self.backbone.forget()

    def finish(self, best: dict[str, Tensor]) -> None:
        """Put the best numbers back, freeze them, and free their gradients: they take as much memory as the numbers."""
        with torch.no_grad():
            for name, value in self.named.items():
                value.copy_(best.get(name, value))
                value.requires_grad_(False)
                value.grad = None
        self.backbone.forget()
