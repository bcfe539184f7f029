"""How foreword's own attention gets into a model: through the library's attention register, or in place of a family's own
implementation; an unknown kind of attention is refused."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from foreword.engine.half_products import half_on_processor
from foreword.engine.passes import Kind, SequenceLayout, current

CACHED = 2**17  # scores in float32 that a processor's cache holds beside their softmax
NAME = "foreword"  # of this attention in the model library's register


def local_window(config: Any) -> int | None:
    """The reach of local attention in any layer, None where every layer sees everything."""
    sizes = [getattr(config, name, None) for name in ("sliding_window", "window_size", "attention_chunk_size")]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return min(known) if known else None


def _bloom(
    part: Any, layout: SequenceLayout, hidden_states: Tensor, residual: Tensor, alibi: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, None]:
    """BLOOM's attention, which the library does not let one choose. What the model would add for each key position reaches as far as its
    input, not as far as the rows."""
    fused = part.query_key_value(hidden_states).unflatten(-1, (part.num_heads, 3, part.head_dim))
    query, key, value = (states.transpose(1, 2) for states in fused.unbind(dim=3))  # [1, heads, R, D]
    if alibi.shape[-1] < layout.reach:
        ones = torch.ones((1, layout.reach), device=hidden_states.device)
        alibi = sys.modules[type(part).__module__].build_alibi_tensor(ones, part.num_heads, hidden_states.dtype)
    kind = Kind(part.inv_norm_factor, added=alibi[:, 0])  # of [heads, 1, C]
    return part.dense(layout.attend(part, query, key, value, kind).flatten(2)) + residual, None


OWN = {"BloomAttention": _bloom}


def _interface(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sliding_window: int | None = None,
    position_bias: Tensor | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The model library's attention interface: see `SequenceLayout.attend`."""
    now = current()
    layout = None if now is None else now.layout
    if layout is None or dropout or position_bias is not None or s_aux is not None or attention_mask is not None:
        raise ValueError("an attention that foreword does not know")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layout.windows.add(sliding_window)
    return layout.attend(module, query, key, value, Kind(scale, softcap, sliding_window)), None


AttentionInterface.register(NAME, _interface)


def softmax(scores: Tensor) -> Tensor:
    """Over the last dimension, in float32 at least. On a processor scores of half the width go through its cache piece by piece: their
    copies in float32 would be read from memory, three to five times as slowly, for the same bits."""
    wide = torch.promote_types(scores.dtype, torch.float32)
    if not half_on_processor(scores) or scores.numel() <= CACHED:
        return torch.softmax(scores, dim=-1, dtype=wide).to(scores.dtype)
    weights = torch.empty_like(scores, memory_format=torch.contiguous_format)
    queries, written = (tensor.reshape(-1, scores.shape[-1]) for tensor in (scores, weights))
    many = max(1, CACHED // scores.shape[-1])
    for first in range(0, len(queries), many):
        written[first : first + many] = torch.softmax(queries[first : first + many], dim=-1, dtype=wide)
    return weights


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The numbers that autocast computes with on this device; None where it is off."""
    kind = device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A block in which numbers stay what they are."""
    return nullcontext() if autocast_dtype(device) is None else torch.autocast(device.type, enabled=False)


def in_one_dtype(*states: Tensor) -> tuple[Tensor, ...]:
    """The same in one kind of numbers: autocast's, where it is on, as in the library's own attention."""
    dtype = autocast_dtype(states[0].device)
    return states if dtype is None else tuple(values.to(dtype) for values in states)
