"""An encoder-decoder loaded so that all of its weights can be trained, and written as a model folder."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
import transformers

from foreword.engine.core import Backbone
from foreword.engine.fused import FUSED
from foreword.engine.load import _source, load_backbone
from foreword.util.errors import ForewordError


def load_trainable(
    name: str, *, device: str = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> tuple[Backbone, torch.dtype]:
    """Load an encoder-decoder in float32 as a backbone whose weights all take gradients, and the numbers in which it is kept.

    There is no dropout, as in T5 v1.1's pre-training. The fingerprint is to be read before training. Raises ForewordError as
    `load_backbone` does, for a decoder-only model, and for one that writes with another tokenizer than it reads with.
    """
    backbone = load_backbone(
        name, dtype="float32", device=device, revision=revision, trust_remote_code=trust_remote_code
    )
    if backbone.kind != "seq2seq":
        raise ForewordError(
            f"LM adaptation is for encoder-decoder models such as T5, and {name} is decoder-only: it continues text already; "
            "use it as it is."
        )
    if backbone.target_tokenizer is not backbone.tokenizer:
        raise ForewordError(
            f"LM adaptation needs one tokenizer for what is read and written, and {name} has two; choose another model."
        )
    if backbone.device.type == "cpu":
        backbone.model.set_attn_implementation("eager")  # the fused one's backward is slow on a processor
    backbone.engine.installation.remove(FUSED)  # what stands in for frozen weights is no faster for trained ones
    for value in backbone.model.parameters():
        value.requires_grad_(True)
    pinned = {"revision": revision} if revision else {}
    config = transformers.AutoConfig.from_pretrained(_source(name), trust_remote_code=trust_remote_code, **pinned)
    return backbone, getattr(config, "dtype", None) or torch.float32


def save_trainable(backbone: Backbone, folder: Path, dtype: torch.dtype) -> None:
    """Write config, weights (safetensors, in this dtype) and the tokenizer's files into an existing folder."""
    model = backbone.model if dtype == backbone.dtype else copy.deepcopy(backbone.model).to(dtype)
    model.save_pretrained(folder)
    backbone.tokenizer.hf.save_pretrained(folder)
