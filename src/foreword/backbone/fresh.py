"""Fresh makes a new small language model, ready to learn copying, and saves a finished one; it refuses to train or to load."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from foreword.errors import ForewordError

POSITIONS = 512
_THETA = 10_000.0
_CONSTANT = 4.0
"""Coordinate 0 of every embedding row, in units of the rows' standard deviation."""
_SPREAD = 0.05
"""Standard deviation of the embedding rows."""


def fresh_llama(
    vocab: int, hidden: int, layers: int, heads: int, inner: int, *, eos: int, pad: int, seed: int = 0
) -> Any:
    """A Llama-shape causal model in float32, embeddings tied, no bias, no dropout; its weights follow from `seed`.

    Shapes: embeddings [vocab, hidden]; each layer's feed-forward is `inner` wide. Two heads of the first layer begin by looking
    at the token before, two of the second and third by looking behind an earlier copy of the current token (the induction heads
    of Olsson et al. 2022, arXiv 2209.11895), so that training need not wait for copying to emerge. Raises ForewordError when
    the sizes do not allow that.
    """
    wide = hidden // heads
    if hidden % heads or wide % 2 or heads < 4 or layers < 3:
        raise ForewordError(
            f"A fresh model needs at least 3 layers and 4 heads that divide its width into even parts; found {layers} layers, "
            f"{heads} heads and a width of {hidden}; choose other sizes."
        )
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": _THETA},
        tie_word_embeddings=True,
        bos_token_id=eos,
        eos_token_id=eos,
        pad_token_id=pad,
        initializer_range=0.5 * hidden**-0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        _ready_to_copy(model, torch.Generator().manual_seed(seed))
    return model


@torch.no_grad()
def _ready_to_copy(model: Any, chance: torch.Generator) -> None:
    """Set the embeddings and six heads so that repeats are continued from the first steps on."""
    hidden = model.config.hidden_size
    wide = hidden // model.config.num_attention_heads  # D
    rows = model.get_input_embeddings().weight  # [V, H]
    rows.copy_(_SPREAD * torch.randn(rows.shape, generator=chance))
    rows[:, 0] = _CONSTANT * _SPREAD  # what every token has in common: heads that look by position read it
    basis = _orthonormal(hidden - 1, hidden, chance)  # [H - 1, H], none of its rows reads coordinate 0
    first = model.model.layers[0].self_attn
    read = [basis[head * wide : (head + 1) * wide] for head in (0, 1)]  # [D, H] each: the current token, in part
    write = [basis[-(head + 1) * wide :][:wide] for head in (0, 1)]  # [D, H] each: where the token before is noted
    for head in (0, 1):
        _look_back_one(first, head, wide, hidden)
        _move(first, head, wide, read[head], 0.2 * write[head])
    for layer in model.model.layers[1:3]:
        for head in (0, 1):
            _look_behind_copy(layer.self_attn, head, wide, read[head], write[head])
            moved = _orthonormal(wide, hidden, chance)
            _move(layer.self_attn, head, wide, moved, 0.3 * moved)


def _orthonormal(count: int, hidden: int, chance: torch.Generator) -> torch.Tensor:
    """`count` drawn orthonormal rows [count, hidden] that are 0 at coordinate 0."""
    drawn, _ = torch.linalg.qr(torch.randn(hidden - 1, count, generator=chance))
    rows = torch.zeros(count, hidden)
    rows[:, 1:] = drawn.T
    return rows


def _turns(wide: int) -> torch.Tensor:
    """The angle by which each pair of a head's coordinates turns from one position to the next: [D / 2]."""
    return _THETA ** (-torch.arange(wide // 2) / (wide // 2))


def _look_back_one(attention: Any, head: int, wide: int, hidden: int) -> None:
    """The head's query and key come from the constant coordinate alone, the key turned by one position ahead."""
    turns = _turns(wide)
    constant = _CONSTANT / math.sqrt((hidden - 1 + _CONSTANT**2) / hidden)  # coordinate 0 behind the norm
    sharp = math.sqrt(6.0 * math.sqrt(wide)) / constant
    query, key = torch.zeros(wide, hidden), torch.zeros(wide, hidden)
    for pair in range(4):  # the four fastest pairs tell neighbours apart
        query[pair, 0] = sharp
        key[pair, 0] = sharp * math.cos(turns[pair])
        key[pair + wide // 2, 0] = sharp * math.sin(turns[pair])
    _set(attention, head, wide, query, key)


def _look_behind_copy(attention: Any, head: int, wide: int, current: torch.Tensor, before: torch.Tensor) -> None:
    """The head's query is the current token, its key the token before, on the pairs that hardly turn within a document."""
    slow = [pair for pair, turn in enumerate(_turns(wide).tolist()) if turn <= 0.0101]
    slow += [pair + wide // 2 for pair in slow]
    sharp = math.sqrt(24.0 * math.sqrt(wide) / len(slow))
    query, key = torch.zeros_like(current), torch.zeros_like(before)
    query[slow], key[slow] = sharp * current[: len(slow)], sharp * before[: len(slow)]
    _set(attention, head, wide, query, key)


def _set(attention: Any, head: int, wide: int, query: torch.Tensor, key: torch.Tensor) -> None:
    part = slice(head * wide, (head + 1) * wide)
    attention.q_proj.weight[part] = query
    attention.k_proj.weight[part] = key


def _move(attention: Any, head: int, wide: int, read: torch.Tensor, write: torch.Tensor) -> None:
    """What the head reads where it looks [D, H], and where it writes it [D, H]."""
    part = slice(head * wide, (head + 1) * wide)
    attention.v_proj.weight[part] = read
    attention.o_proj.weight[:, part] = write.T


def save(model: Any, folder: Path) -> None:
    """Write config.json, generation_config.json (greedy) and model.safetensors (bfloat16) into an existing folder."""
    config = model.config
    copy = type(model)(config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
    copy.to(torch.bfloat16).save_pretrained(folder)


def save_tokenizer(trained: Any, folder: Path, *, eos: str, pad: str) -> None:
    """Write a `tokenizers` tokenizer so that AutoTokenizer loads it; nothing is put around a text."""
    PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token=eos, eos_token=eos, pad_token=pad, model_max_length=POSITIONS
    ).save_pretrained(folder)
