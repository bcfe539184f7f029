"""How foreword's own attention gets into a model, through the library's register of attentions or in place of a family's own; it refuses
kinds of attention that it does not know."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "foreword"  # of this attention in the model library's register


@dataclass(frozen=True)
class Kind:
    """How scores are made: scaling of q k, soft cap, reach of local attention, and what is added for each key position [heads, K]."""

    scaling: float
    softcap: float | None = None
    window: int | None = None
    added: Tensor | None = None


class Layout(Protocol):
    """What stands where in a sequence [1, R] that several rows share. reach: no position is as far as this. windows: reaches of local
    attention that layers asked for."""

    reach: int
    windows: set[int | None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, kind: Kind) -> Tensor:
        """Query [1, heads, R, D], key and value [1, key heads, R, D], to [1, R, heads, D]."""


_now: ContextVar[Layout | None] = ContextVar("layout", default=None)


@contextlib.contextmanager
def laid_out(model: Any, layout: Layout) -> Iterator[None]:
    """Within the block the model takes its input for a sequence of this layout. Raises ValueError for a model whose attention cannot be
    chosen, or is local without saying so."""
    own = [(part, OWN[type(part).__name__]) for part in model.modules() if type(part).__name__ in OWN]
    before = model.config._attn_implementation
    with contextlib.ExitStack() as stack:
        token = _now.set(layout)
        stack.callback(_now.reset, token)
        for part, forward in own:
            stack.enter_context(instead(part, functools.partial(forward, part, layout)))
        if not own:
            stack.callback(model.set_attn_implementation, before)
            model.set_attn_implementation(NAME)
            if model.config._attn_implementation != NAME:
                raise ValueError("this model's attention cannot be chosen")
        yield
        if not own and local_window(model.config.get_text_config(decoder=True)) and layout.windows <= {None}:
            raise ValueError("this model's attention is local, and its layers do not say so")


def local_window(config: Any) -> int | None:
    """The reach of local attention in any layer, None where every layer sees everything."""
    sizes = [getattr(config, name, None) for name in ("sliding_window", "window_size", "attention_chunk_size")]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return min(known) if known else None


@contextlib.contextmanager
def instead(part: torch.nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Within the block this part of a model computes something else."""
    own = vars(part).get("forward")
    part.forward = forward
    try:
        yield
    finally:
        if own is None:
            del part.forward
        else:
            part.forward = own


def _bloom(
    part: Any, layout: Layout, hidden_states: Tensor, residual: Tensor, alibi: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, None]:
    """BLOOM's attention, which the library does not let one choose. What the model would add for each key position reaches as far as its
    input, not as far as the rows."""
    fused = part.query_key_value(hidden_states).unflatten(-1, (part.num_heads, 3, part.head_dim))
    query, key, value = (one.transpose(1, 2) for one in fused.unbind(dim=3))  # [1, heads, R, D]
    if alibi.shape[-1] < layout.reach:
        ones = torch.ones((1, layout.reach), device=hidden_states.device)
        alibi = sys.modules[type(part).__module__].build_alibi_tensor(ones, part.num_heads, hidden_states.dtype)
    kind = Kind(part.inv_norm_factor, added=alibi[:, 0])  # of [heads, 1, K]
    return part.dense(layout.attend(query, key, value, kind).flatten(2)) + residual, None


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
    """The model library's attention interface: see `Layout.attend`."""
    layout = _now.get()
    if layout is None or dropout or position_bias is not None or s_aux is not None or attention_mask is not None:
        raise ValueError("an attention that foreword does not know")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layout.windows.add(sliding_window)
    return layout.attend(query, key, value, Kind(scale, softcap, sliding_window)), None


AttentionInterface.register(NAME, _interface)


def softmax(scores: Tensor) -> Tensor:
    """Over the last dimension, in float32 at least."""
    return torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)
