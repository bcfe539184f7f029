"""A new small language model, initialised so that it learns to copy quickly; and saving a finished one as a model folder."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, normalizers, processors
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from foreword.util.errors import ForewordError

POSITIONS = 512
_THETA = 10_000.0
_CONSTANT = 4.0
"""Coordinate 0 of every embedding row, in units of the rows' standard deviation."""
_SPREAD = 0.05
"""Standard deviation of the embedding rows."""
_QUIET = 0.4
"""What a T5 adds to its stream at the start, as a part of Mesh TensorFlow's scale."""
_LOUD = 0.1
"""A T5's head rows at the start, in units of its embedding rows."""
_NEAR = 10.0
"""A position bias that no other outweighs."""
_SHARP = 30.0
"""The attention score at which a T5's preset heads meet what they look for."""


def init_llama(
    vocab: int, hidden: int, layers: int, heads: int, inner: int, *, eos: int, pad: int, seed: int = 0
) -> Any:
    """A Llama-shape causal model in float32, embeddings tied, no bias, no dropout; its weights follow from `seed`.

    Shapes: embeddings [vocab, hidden]; each layer's feed-forward is `inner` wide. Two heads of the first layer begin by looking
    at the token before, two of the second and third by looking at the token after an earlier copy of the current token (the induction heads
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
    constant = _CONSTANT / math.sqrt((hidden - 1 + _CONSTANT**2) / hidden)  # coordinate 0 after the norm
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
    _weight(attention, "q")[part] = query
    _weight(attention, "k")[part] = key


def _move(attention: Any, head: int, wide: int, read: torch.Tensor, write: torch.Tensor) -> None:
    """What the head reads where it looks [D, H], and where it writes it [D, H]."""
    part = slice(head * wide, (head + 1) * wide)
    _weight(attention, "v")[part] = read
    _weight(attention, "o")[:, part] = write.T


def _weight(attention: Any, part: str) -> torch.Tensor:
    """The weight of a projection, by Llama's name or by T5's."""
    named = getattr(attention, f"{part}_proj", None) or getattr(attention, part)
    return named.weight  # type: ignore[no-any-return]


def init_t5(
    vocab: int,
    hidden: int,
    layers: int,
    heads: int,
    inner: int,
    *,
    eos: int,
    pad: int,
    sentinels: Sequence[int],
    seed: int = 0,
) -> Any:
    """An encoder-decoder in float32 of T5 v1.1's form: gated GELU, relative positions, RMS norms, a head of its own, no bias, no
    dropout, no scaling of attention or output; the decoder starts with `pad`. Its weights follow from `seed`.

    Shapes: embeddings and head [vocab, hidden]; encoder and decoder have `layers` layers each, `inner` wide inside. Weights are
    drawn at T5's scales (Mesh TensorFlow: embeddings of deviation 1, matrices by their fan-in, queries smaller by the root of a
    head's width); the head's rows begin as the embeddings. What begins preset so that copying need not emerge: see
    `_ready_to_look_up`. sentinels: ids of the words that stand for a span. Raises ForewordError for sizes that do not allow that.
    """
    if hidden % heads or heads < 4 or heads % 2 or layers < 2:
        raise ForewordError(
            f"A fresh T5 needs at least 2 layers and an even number of heads, 4 or more, that divides its width; found {layers} "
            f"layers, {heads} heads and a width of {hidden}; choose other sizes."
        )
    config = T5Config(
        vocab_size=vocab,
        d_model=hidden,
        d_kv=hidden // heads,
        d_ff=inner,
        num_layers=layers,
        num_heads=heads,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        eos_token_id=eos,
        pad_token_id=pad,
        decoder_start_token_id=pad,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(config)
        model.lm_head.weight = torch.nn.Parameter(
            torch.zeros(vocab, hidden)
        )  # T5Config ties it whatever its arguments say
        config.tie_word_embeddings = False
        _ready_to_look_up(model, sentinels, torch.Generator().manual_seed(seed))
    return model


@torch.no_grad()
def _ready_to_look_up(model: Any, sentinels: Sequence[int], chance: torch.Generator) -> None:
    """Set the embeddings and some heads so that what occurred in the encoder's input is continued from the first steps on.

    The width is parted into blocks as wide as a head: half of them hold words, one holds marks (sentinels, end, start), the rest
    notes. In the encoder's first layer heads note the word before; in its second, heads look for other places with the same word
    before and note what stands there: the guess for a sentinel or the end. In the decoder's first layer half of the heads look for
    the place after the current word and predict what stands there; the other half look for the current mark, where the start of the
    decoder and the end of the input are one mark, and say what was guessed there.
    """
    heads, hidden = model.config.num_heads, model.config.d_model
    wide, half = hidden // heads, heads // 2
    drawn, _ = torch.linalg.qr(torch.randn(hidden, hidden, generator=chance))
    blocks = list(drawn.T.contiguous().split(wide))  # [D, H] each
    words, marks, notes = blocks[:half], blocks[half], blocks[half + 1 :]
    _embed(model, marks, sentinels, chance)
    for name, weight in model.named_parameters():
        if name.endswith((".o.weight", ".wo.weight")):
            weight.mul_(_QUIET)
    first, second = (model.encoder.block[index].layer[0].SelfAttention for index in (0, 1))
    cross = model.decoder.block[0].layer[1].EncDecAttention
    places = first.relative_attention_bias.weight  # [buckets, heads], shared by all layers of the encoder
    nothing = torch.zeros(wide, hidden)
    for head, note in enumerate(notes):
        places[1, head] = _NEAR  # bucket 1: the position before
        _set(first, head, wide, nothing, nothing)
        _move(first, head, wide, words[head], 2.0 * note)
    for head in range(half):
        note = notes[head % len(notes)]
        places[0, half + head] = -_NEAR  # bucket 0: the position itself
        _match(second, half + head, wide, note, note)
        _move(second, half + head, wide, words[head], 2.0 * words[head])
        _match(cross, head, wide, words[head % len(notes)], note)
        _match(cross, half + head, wide, marks, marks)
        for head_index in (head, half + head):
            _move(cross, head_index, wide, words[head], 6.0 * words[head])


def _embed(model: Any, marks: torch.Tensor, sentinels: Sequence[int], chance: torch.Generator) -> None:
    """Words of deviation 1 outside the block of marks, marks of the same length inside it; the head's rows follow them."""
    rows, config = model.shared.weight, model.config  # [V, H]
    wide, hidden = marks.shape
    rows.copy_(torch.randn(rows.shape, generator=chance))
    rows.sub_(rows @ marks.T @ marks).mul_(math.sqrt(hidden / (hidden - wide)))
    drawn = torch.nn.functional.normalize(torch.randn(len(sentinels) + 1, wide, generator=chance))
    marked = [*sentinels, config.eos_token_id]
    rows[marked] = math.sqrt(hidden) * drawn @ marks
    rows[config.pad_token_id] = rows[config.eos_token_id]
    model.lm_head.weight.copy_(_LOUD * rows)
    model.lm_head.weight[config.pad_token_id] = 0.0  # never predicted


def _match(attention: Any, head: int, wide: int, query: torch.Tensor, key: torch.Tensor) -> None:
    sharp = math.sqrt(_SHARP / wide)
    _set(attention, head, wide, sharp * query, sharp * key)


def save(model: Any, folder: Path) -> None:
    """Write config.json, generation_config.json (greedy) and model.safetensors (bfloat16) into an existing folder."""
    exported = copy.deepcopy(model)
    named = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    known = {name: getattr(model.config, name) for name in named if hasattr(model.config, name)}
    exported.generation_config = GenerationConfig(do_sample=False, **known)
    exported.to(torch.bfloat16).save_pretrained(folder)


def save_tokenizer(trained: Tokenizer, folder: Path, *, eos: str, pad: str, sentinels: Sequence[str] = ()) -> None:
    """Write a `tokenizers` tokenizer so that AutoTokenizer loads it; nothing is put around a text.

    With sentinels it becomes an encoder-decoder's: a text gets a blank before it, so that its first word is the token it is
    elsewhere, and `eos` after it, as T5's do.
    """
    if sentinels:
        trained = Tokenizer.from_str(trained.to_str())
        trained.normalizer = normalizers.Prepend(" ")
        trained.decoder = decoders.Sequence([trained.decoder, decoders.Strip(" ", 1, 0)])
        trained.post_processor = processors.TemplateProcessing(
            single=f"$A {eos}", special_tokens=[(eos, trained.token_to_id(eos))]
        )
    PreTrainedTokenizerFast(
        tokenizer_object=trained,
        bos_token=eos,
        eos_token=eos,
        pad_token=pad,
        extra_special_tokens=list(sentinels),
        model_max_length=POSITIONS,
    ).save_pretrained(folder)
