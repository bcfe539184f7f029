"""Model tuning fits all weights of a copy of the backbone, as a reference row; it refuses to change the backbone that it copies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foreword.backbone import Backbone, Row, wrap
from foreword.progress import Progress, silent
from foreword.tune import Tuned, fit
from foreword.tuning import Tuning

NOT_KEPT = "All weights of a copy of the model were tuned, as a reference: the tuned model is not kept, and there is no soft prompt."


class Weights:
    """All weights of a model, as what a training changes; tied ones count once."""

    rate_name = "model_learning_rate"
    start = "the model's own weights"

    def __init__(self, model: Any) -> None:
        self.named: dict[str, Tensor] = dict(model.named_parameters())
        for value in self.named.values():
            value.requires_grad_(True)

    def values(self) -> None:
        """No soft prompt."""

    def kept(self) -> dict[str, Tensor]:
        """A copy of every weight."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self.named.items()}

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """One group: every weight has the same rate."""
        return [{"params": list(self.named.values()), "lr": learning_rate}]

    def set(self, values: dict[str, Tensor]) -> None:
        """Put kept weights back, and freeze them."""
        with torch.no_grad():
            for name, value in self.named.items():
                value.copy_(values.get(name, value))
                value.requires_grad_(False)


def tune_model(
    backbone: Backbone,
    rows: Sequence[Row],
    dev_score: Callable[[Backbone], Callable[[None], float]],
    tuning: Tuning,
    *,
    seed: int,
    folder: Path,
    name: str = "model tuning",
    progress: Progress = silent,
) -> tuple[Backbone, Tuned]:
    """A copy of the backbone with all of its weights fitted to rows (question and answer each), and how that went (its `best` left
    empty: the copy holds it).

    The copy computes in float32 whatever the backbone does, because bfloat16 would round small updates away. dev_score: gives for
    a backbone the function that scores it as it stands, without a soft prompt, lower is better. tuning.learning_rate: of the
    weights themselves. folder: for checkpoints, as in `tune`. Raises ForewordError as `tune` does.
    """
    notes = [*backbone.notes, NOT_KEPT]
    if backbone.dtype != torch.float32:
        other = str(backbone.dtype).removeprefix("torch.")
        notes.append(f"Model tuning computed in float32, methods that leave the model as it is in {other}.")
    twin = wrap(
        backbone.name,
        copy.deepcopy(backbone.model).float(),
        backbone.words.tokenizer,
        backbone.answers.tokenizer,
        notes=tuple(notes),
    )
    if backbone.chat is not None:
        twin = twin.chatting(backbone.chat)
    weights = Weights(twin.model)
    scored = dev_score(twin)

    def evaluate() -> float:
        twin.forget()
        return scored(None)

    found = Tuned({}, (), 0.0, 0, twin.parameters)
    if tuning.max_steps:
        found = fit(twin, weights, rows, evaluate, tuning, seed=seed, folder=folder, name=name, progress=progress)
    weights.set(found.best)
    twin.forget()
    return twin, Tuned({}, found.curve, found.seconds, found.step, found.parameters)
