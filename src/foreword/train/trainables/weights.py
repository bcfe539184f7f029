"""Full fine-tuning, as a reference: all weights of a copy of the model; the backbone itself stays as it is."""

from __future__ import annotations

import copy

from foreword.engine import Backbone
from foreword.train.trainables.base import Rate, Setup, Trainable
from foreword.train.trainables.changed_copy import ChangedCopy

NOT_KEPT = "All weights of a copy of the model were trained, as a reference: the copy is not kept, and there is no soft prompt."


class Weights(ChangedCopy):
    """All weights of a copy of a backbone; tied ones count once."""

    start = "the model's own weights"

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone, copy.deepcopy(backbone.model).float(), "Full fine-tuning", NOT_KEPT)


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
