"""Fresh makes a new small language model with random weights and saves a finished one; it refuses to train or to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from foreword.errors import ForewordError

POSITIONS = 512


def fresh_llama(
    vocab: int, hidden: int, layers: int, heads: int, inner: int, *, eos: int, pad: int, seed: int = 0
) -> Any:
    """A Llama-shape causal model in float32, embeddings tied, no bias, no dropout; its weights follow from `seed`.

    Shapes: embeddings [vocab, hidden]; each layer's feed-forward is `inner` wide; heads divide hidden evenly.
    """
    if hidden % heads or (hidden // heads) % 2:
        raise ForewordError(
            f"{heads} heads do not divide a width of {hidden} into even parts; choose another number of heads."
        )
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=eos,
        eos_token_id=eos,
        pad_token_id=pad,
        initializer_range=hidden**-0.5 / 2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def save(model: Any, folder: Path) -> None:
    """Write config.json, generation_config.json (greedy) and model.safetensors (bfloat16) into an existing folder."""
    weights = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items()}
    config = model.config
    copy = type(model)(config).to(torch.bfloat16)
    copy.load_state_dict(weights)
    copy.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
    copy.save_pretrained(folder)


def save_tokenizer(trained: Any, folder: Path, *, eos: str, pad: str) -> None:
    """Write a `tokenizers` tokenizer so that AutoTokenizer loads it; nothing is put around a text."""
    PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token=eos, eos_token=eos, pad_token=pad, model_max_length=POSITIONS
    ).save_pretrained(folder)
