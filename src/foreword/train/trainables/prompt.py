"""Prompt tuning: a soft prompt before the input of a frozen model."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from foreword.config.tuning import Tuning
from foreword.engine import Backbone
from foreword.engine.residual import TOKENS, residual_scale
from foreword.prompts.inits import initial
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.train.trainables.base import Rate, Setup, Trainable

PROMPT = "prompt"  # the name of the soft prompt among what is kept
MLP_RATE = 0.01  # the reparameterisation's weights learn at this part of the prompt's rate


class Prompt:
    """The trained numbers x, held in units of the hidden states after the backbone's first block, so that one learning rate serves
    every model. With the two-layer reparameterisation, the prompt is x + W2 tanh(W1 x), where W1 reads x in units of the embedding
    rows; W2 starts at zero, so it starts where x does.
    start: [P, H], the initial values. Where no step is to be taken they stay as they are, to the bit."""

    def __init__(self, backbone: Backbone, start: Tensor, tuning: Tuning, seed: int) -> None:
        hidden, device = int(start.shape[1]), backbone.device
        self.backbone, self.unit = backbone, unit_of(backbone)
        self.start = f"{_digest(start)}, in units of {self.unit}"
        self.initial = {PROMPT: start.float().cpu()}
        self.named: dict[str, Tensor] = {"prompt": start.float().to(device) / self.unit}
        if tuning.reparameterisation == "mlp" and tuning.max_steps:
            width = tuning.mlp_width or hidden
            generator = torch.Generator().manual_seed(int(hashlib.sha256(f"{seed}/mlp".encode()).hexdigest()[:8], 16))
            first = torch.randn((hidden, width), generator=generator) / hidden**0.5
            self.named["mlp_in"] = first.to(device)
            self.named["mlp_out"] = torch.zeros((width, hidden), device=device)
        for value in self.named.values():
            value.requires_grad_(True)

    def prefix(self) -> Tensor:
        """The soft prompt [P, H] as the backbone gets it."""
        x = self.named["prompt"]
        if "mlp_in" in self.named:
            in_rows = x * (self.unit / self.backbone.scale)
            x = x + torch.tanh(in_rows @ self.named["mlp_in"]) @ self.named["mlp_out"]
        return x * self.unit

    def snapshot(self) -> dict[str, Tensor]:
        """The soft prompt [P, H], the reparameterisation folded away."""
        return {PROMPT: self.prefix().detach().cpu()}

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameter groups with their rates."""
        return [
            {"params": [value], "lr": learning_rate * (1.0 if name == "prompt" else MLP_RATE)}
            for name, value in self.named.items()
        ]

    def refresh(self) -> None:
        """Nothing is kept between evaluations: a prefix is known by its numbers."""

    def finish(self, best: dict[str, Tensor]) -> None:
        """Nothing to do: the backbone never changed, and the best soft prompt is handed to it."""


def unit_of(backbone: Backbone) -> float:
    """What the trained numbers of a soft prompt are multiples of: the root mean square of the hidden states after the first block, to
    two digits, so that it is the same on every machine; of the embedding rows where the model hands out no hidden states."""
    measured = residual_scale(backbone.model, backbone.tokenizer.frequent(TOKENS))
    return float(f"{measured or backbone.scale:.2g}")


def _digest(values: Tensor) -> str:
    return hashlib.sha256(values.detach().float().cpu().numpy().tobytes()).hexdigest()


def _begin(setup: Setup) -> Prompt:
    """A given prompt is what it starts from; else the init strategy's rows."""
    tuning, start_from = setup.tuning, setup.start_from
    length = tuning.prompt_length if start_from.prompt is None else start_from.prompt.length
    strategy = tuning.init if start_from.prompt is None else "warm_start"
    start = initial(strategy, setup.backbone, length, seed=setup.seed, source=start_from)
    return Prompt(setup.backbone, start, tuning, setup.seed)


def _parameters(backbone: Backbone, tuning: Tuning, length: int) -> int:
    """The prompt's rows, and the two layers that it is fitted through where there are any."""
    hidden = backbone.hidden
    through_layers = tuning.reparameterisation == "mlp" and tuning.max_steps
    return length * hidden + (2 * hidden * (tuning.mlp_width or hidden) if through_layers else 0)


def _artifact(best: dict[str, Tensor], provenance: Provenance) -> SoftPrompt:
    return SoftPrompt(best[PROMPT], provenance)


TRAINABLE = Trainable(
    name="prompt",
    trains="a soft prompt [P, H] before the input",
    rate=Rate(
        "the root mean square of the hidden states after the first block",
        "tuning.learning_rate",
        "--learning-rate",
        "first block",
    ),
    prefix=True,
    changes_model=False,
    begin=_begin,
    parameters=_parameters,
    flops=lambda backbone: 4 * backbone.parameters,  # forward, and backward to the activations only
    settings=frozenset(
        {"prompt_length", "place", "init", "init_text", "init_prompt", "reparameterisation", "mlp_width"}
    ),
    keeps="a soft prompt, as a PEFT folder",
    artifact=_artifact,
)
