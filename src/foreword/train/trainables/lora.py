"""LoRA adapters in a copy of the model (PEFT's, with its defaults), as a reference; it refuses models whose layers PEFT does not know."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import torch
from torch import Tensor

from foreword.config.tuning import Tuning
from foreword.engine import Backbone
from foreword.train.trainables.base import Rate, Setup, Trainable
from foreword.train.trainables.changed_copy import ChangedCopy
from foreword.util.errors import MissingExtraError, TrialFailedError

NOT_KEPT = (
    "A copy of the model with LoRA adapters answered, as a reference: neither is kept, and there is no soft prompt."
)


class Adapters(ChangedCopy):
    """Low-rank adapters beside the weights of a copy of a backbone, which stay as they are. start: tells the adapters of one seed from
    another's."""

    def __init__(self, backbone: Backbone, seed: int) -> None:
        peft = _peft()
        self.start = f"adapters of seed {seed}"
        model = copy.deepcopy(backbone.model).float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(hashlib.sha256(f"{seed}/lora".encode()).hexdigest()[:8], 16))
            try:
                peft.inject_adapter_in_model(peft.LoraConfig(), model)
            except ValueError as error:
                raise TrialFailedError(
                    f"LoRA cannot be put into {backbone.name}: PEFT has no default layers for a model of the kind "
                    f"{backbone.model.config.model_type}; leave lora out."
                ) from error
        super().__init__(backbone, model, "LoRA", NOT_KEPT)

    def is_trained(self, name: str) -> bool:
        """The adapters alone."""
        return "lora_" in name

    def finish(self, best: dict[str, Tensor]) -> None:
        """Put the best adapters back and freeze them; without any, which is no step, they are taken out again."""
        super().finish(best)
        if best:
            return
        model = self.backbone.model
        self.backbone.close()
        for name, part in list(model.named_modules()):
            if hasattr(part, "get_base_layer"):
                parent, _, leaf = name.rpartition(".")
                setattr(model.get_submodule(parent), leaf, part.get_base_layer())
        self.backbone = self.wrapped(model)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("The method lora", "lora") from error
    return peft


def _begin(setup: Setup) -> Adapters:
    return Adapters(setup.backbone, setup.seed)


def _parameters(backbone: Backbone, tuning: Tuning, length: int) -> int:
    """Two matrices of the default rank beside each adapted layer."""
    peft = _peft()
    rank = peft.LoraConfig().r
    known = peft.utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    targets = known.get(backbone.model.config.model_type, ())
    layers = [part for name, part in backbone.model.named_modules() if name.rpartition(".")[2] in targets]
    return sum(rank * sum(part.weight.shape) for part in layers)


TRAINABLE = Trainable(
    name="lora",
    trains="low-rank adapters beside the attention layers of a copy of the model",
    rate=Rate("the adapters' weights themselves", "lora_learning_rate"),
    prefix=False,
    changes_model=True,
    begin=_begin,
    parameters=_parameters,
    flops=lambda backbone: (
        4 * backbone.parameters
    ),  # forward, and backward to the activations; the adapters are small beside them
)
