"""Llamas of two layers with large weights, and the sentence with which a model is refused; it refuses one of several lines."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

import tiny
from foreword.engine import wrap
from foreword.util.errors import ForewordError

LLAMA = {
    "vocab_size": tiny.WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def spread(model: Any, std: float = 0.15) -> Any:
    """The model with larger weights, so that positions and context matter."""
    torch.manual_seed(0)
    for value in model.parameters():
        if value.dim() > 1:
            torch.nn.init.normal_(value, std=std)
    return model.eval()


def llama(**overrides: Any) -> Any:
    """A llama of this shape, but for what is named."""
    return spread(transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA | overrides)))


def refused(model: Any, tokenizer: Any = None) -> str:
    """The sentence with which a model is refused."""
    with pytest.raises(ForewordError) as error:
        wrap("one", model, tokenizer or tiny.tokenizer())
    assert "\n" not in str(error.value)
    return str(error.value)
