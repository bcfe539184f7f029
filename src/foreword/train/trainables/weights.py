"""Full fine-tuning, as a reference: all weights of a copy of the model; the backbone itself stays as it is."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from foreword.engine import Backbone, wrap
from foreword.train.trainables.base import Rate, Setup, Trainable

NOT_KEPT = "All weights of a copy of the model were trained, as a reference: the copy is not kept, and there is no soft prompt."


class Weights:
    """All weights of a copy of a backbone; tied ones count once.

    The copy computes in float32 whatever the backbone does, because bfloat16 would round small updates away."""

    start = "the model's own weights"

    def __init__(self, backbone: Backbone) -> None:
        notes = [*backbone.notes, NOT_KEPT]
        if backbone.dtype != torch.float32:
            other = str(backbone.dtype).removeprefix("torch.")
            notes.append(f"Full fine-tuning computed in float32, methods that leave the model as it is in {other}.")
        self.backbone = wrap(
            backbone.name,
            copy.deepcopy(backbone.model).float(),
            backbone.tokenizer.hf,
            backbone.target_tokenizer.hf,
            notes=tuple(notes),
        )
        if backbone.chat is not None:
            self.backbone = self.backbone.chatting(backbone.chat)
        self.initial: dict[str, Tensor] = {}
        self.named: dict[str, Tensor] = dict(self.backbone.model.named_parameters())
        for value in self.named.values():
            value.requires_grad_(True)

    def prefix(self) -> None:
        """Nothing stands before the rows."""

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of every weight."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self.named.items()}

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """One group: every weight has the same rate."""
        return [{"params": list(self.named.values()), "lr": learning_rate}]

    def refresh(self) -> None:
        """Keys and values that were kept are of earlier weights."""
        self.backbone.forget()

    def finish(self, best: dict[str, Tensor]) -> None:
        """Put kept weights back, freeze them, and free their gradients: they take as much memory as the weights."""
        with torch.no_grad():
            for name, value in self.named.items():
                value.copy_(best.get(name, value))
                value.requires_grad_(False)
                value.grad = None
        self.backbone.forget()


def _begin(setup: Setup) -> Weights:
    return Weights(setup.backbone)


TRAINABLE = Trainable(
    name="weights",
    trains="all weights of a copy of the model",
    rate=Rate("the weights themselves", "model_learning_rate"),
    prefix=False,
    changes_model=True,
    begin=_begin,
    parameters=lambda backbone, tuning, length: backbone.parameters,
    flops=lambda backbone: 6 * backbone.parameters,  # forward, and backward to the activations and to the weights
)
