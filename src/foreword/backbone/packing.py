"""Attention for a batch that stands in one sequence: the shared prefix once, every row behind it, nothing padded; it refuses kinds of
attention that it does not know how to keep apart."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "foreword"  # of this attention in the model library's register


class Packing:
    """Where things stand in a packed sequence [S + R]: S prefix positions, then rows of `sizes` tokens each, R in all. A row sees the
    prefix and its own earlier tokens, as if it stood alone behind the prefix. Lives as long as one step."""

    def __init__(self, prefix: int, sizes: tuple[int, ...], device: torch.device) -> None:
        self.prefix, self.sizes, self.device = prefix, sizes, device
        own = [torch.arange(prefix, prefix + size) for size in sizes]
        self.spots = torch.cat([torch.arange(prefix), *own]).unsqueeze(0).to(device)  # position ids [1, S + R]
        self.windows: set[int | None] = set()  # reaches of local attention that layers asked for
        self._masks: dict[Any, Tensor] = {}

    def parts(self, values: Tensor, dim: int) -> tuple[Tensor, ...]:
        """What belongs to the prefix and to each row, along a dimension of S + R."""
        return torch.split(values, [self.prefix, *self.sizes], dim)

    def masked(self, first: int, last: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """What is added to the scores of the queries at positions `first` to `last` with the keys up to there [last - first, last]: 0,
        or -inf for later keys and for those out of reach."""
        key = (first, last, window, dtype)
        if key not in self._masks:
            query = torch.arange(first, last, device=self.device).unsqueeze(1)
            place = torch.arange(last, device=self.device)
            unseen = place > query
            if window is not None:
                unseen |= place <= query - window
            self._masks[key] = torch.zeros(unseen.shape, dtype=dtype, device=self.device).masked_fill_(
                unseen, float("-inf")
            )
        return self._masks[key]


@dataclass(frozen=True)
class Kind:
    """How scores are made: scaling of q k, soft cap, reach of local attention, and what is added for each key position [heads, K]."""

    packing: Packing
    scaling: float
    softcap: float | None = None
    window: int | None = None
    added: Tensor | None = None


_now: ContextVar[Packing | None] = ContextVar("packing", default=None)


@contextlib.contextmanager
def packed(model: Any, packing: Packing) -> Iterator[None]:
    """Within the block the model takes its input for a packed sequence. Raises ValueError for a model whose attention cannot be chosen,
    or is local without saying so."""
    own = [(part, OWN[type(part).__name__]) for part in model.modules() if type(part).__name__ in OWN]
    before = model.config._attn_implementation
    with contextlib.ExitStack() as stack:
        token = _now.set(packing)
        stack.callback(_now.reset, token)
        for part, forward in own:
            stack.enter_context(instead(part, functools.partial(forward, part, packing)))
        if not own:
            stack.callback(model.set_attn_implementation, before)
            model.set_attn_implementation(NAME)
            if model.config._attn_implementation != NAME:
                raise ValueError("this model's attention cannot be chosen")
        yield
        if not own and local_window(model.config.get_text_config(decoder=True)) and packing.windows <= {None}:
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
    part: Any, packing: Packing, hidden_states: Tensor, residual: Tensor, alibi: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, None]:
    """BLOOM's attention, which the library does not let one choose. alibi: what is added for each key position [heads, 1, S + R]."""
    fused = part.query_key_value(hidden_states).unflatten(-1, (part.num_heads, 3, part.head_dim))
    query, key, value = (one.transpose(1, 2) for one in fused.unbind(dim=3))  # [1, heads, S + R, D]
    kind = Kind(packing, part.inv_norm_factor, added=alibi[:, 0])
    return part.dense(attend(query, key, value, kind).flatten(2)) + residual, None


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
    """The model library's attention interface: query [1, heads, S + R, D], key and value [1, key heads, S + R, D] to
    [1, S + R, heads, D]."""
    packing = _now.get()
    if packing is None or dropout or position_bias is not None or s_aux is not None or attention_mask is not None:
        raise ValueError("an attention that packing does not know")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    packing.windows.add(sliding_window)
    return attend(query, key, value, Kind(packing, scale, softcap, sliding_window)), None


AttentionInterface.register(NAME, _interface)


def attend(query: Tensor, key: Tensor, value: Tensor, kind: Kind) -> Tensor:
    """Attention over a packed sequence: [1, heads, S + R, D] to [1, S + R, heads, D]."""
    return _Attention.apply(query, key, value, kind)  # type: ignore[no-any-return,no-untyped-call]


class _Attention(torch.autograd.Function):
    """Block by block: the prefix with itself, then each row with the prefix and itself, while the block's scores are in the cache of the
    processor. Scores between rows are never made, nor the prefix's keys and values copied or repeated for a row. Shapes: K key heads,
    G query heads a key head, S prefix, T tokens of a row, D head width."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, kind: Kind) -> Tensor:
        S, K, G = kind.packing.prefix, key.shape[1], query.shape[1] // key.shape[1]
        q = torch.mul(query[0], kind.scaling, out=query.new_empty(query.shape[1:])).view(K, G, -1, query.shape[-1])
        k, v = key[0].contiguous(), value[0].contiguous()  # [K, S + R, D]
        out = query.new_empty((1, query.shape[2], K, G, v.shape[-1]))
        parts = [kind.packing.parts(*one) for one in ((q, 2), (k, 1), (v, 1), (out[0].permute(1, 2, 0, 3), 2))]
        kept: list[Tensor | None] = []
        for place, (q_own, k_own, v_own, out_own) in enumerate(zip(*parts, strict=True)):
            past = S if place else 0
            weights, capped = _weights(q_own.flatten(1, 2), k[:, :past], k_own, G, kind)  # [K, G * T, past + T]
            with _in_place(out_own) as found:
                torch.bmm(weights[:, :, past:], v_own, out=found)
                if past:
                    found.baddbmm_(weights[:, :, :past], v[:, :past])
            kept += [weights, capped]
        ctx.kind, ctx.groups = kind, G
        ctx.save_for_backward(q, k, v, *kept)
        return out.flatten(2, 3)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, *kept = ctx.saved_tensors
        kind, packing, S, G = ctx.kind, ctx.kind.packing, ctx.kind.packing.prefix, ctx.groups
        told = grad[0].view(grad.shape[1], len(k), G, -1).permute(1, 2, 0, 3).contiguous()  # [K, G, S + R, D]
        dq, dk, dv = (one.new_empty((1, one.shape[-2], *one.shape[:-2], one.shape[-1])) for one in (q, k, v))
        q_places, k_places, v_places = dq[0].permute(1, 2, 0, 3), dk[0].transpose(0, 1), dv[0].transpose(0, 1)
        parts = [
            packing.parts(*one)
            for one in ((told, 2), (q, 2), (k, 1), (v, 1), (q_places, 2), (k_places, 1), (v_places, 1))
        ]
        k_past, v_past = torch.zeros_like(k[:, :S]), torch.zeros_like(v[:, :S])
        for place, (told_own, q_own, k_own, v_own, q_out, k_out, v_out) in enumerate(zip(*parts, strict=True)):
            past = S if place else 0
            given, asked = told_own.flatten(1, 2), q_own.flatten(1, 2)  # [K, G * T, D]
            weights, capped = kept[2 * place], kept[2 * place + 1]
            scores = torch.empty_like(weights)
            torch.bmm(given, v_own.transpose(1, 2), out=scores[:, :, past:])
            if past:
                torch.bmm(given, v[:, :past].transpose(1, 2), out=scores[:, :, :past])
            _through_softmax(scores, weights, capped)
            with _in_place(q_out) as found:
                torch.bmm(scores[:, :, past:], k_own, out=found)
                if past:
                    found.baddbmm_(scores[:, :, :past], k[:, :past])
            if past:
                k_past.baddbmm_(scores[:, :, :past].transpose(1, 2), asked)
                v_past.baddbmm_(weights[:, :, :past].transpose(1, 2), given)
            torch.bmm(scores[:, :, past:].transpose(1, 2), asked, out=k_out)
            torch.bmm(weights[:, :, past:].transpose(1, 2), given, out=v_out)
        k_places[:, :S] += k_past
        v_places[:, :S] += v_past
        return dq.mul_(kind.scaling).flatten(2, 3).transpose(1, 2), dk.transpose(1, 2), dv.transpose(1, 2), None


@contextlib.contextmanager
def _in_place(places: Tensor) -> Iterator[Tensor]:
    """A tensor [K, G * T, D] to fill in, which ends up in places [K, G, T, D]."""
    if places.shape[1] == 1:
        yield places[:, 0]
    else:
        found = places.new_empty(places.flatten(1, 2).shape)
        yield found
        places.copy_(found.view(places.shape))


def _weights(q: Tensor, past: Tensor, own: Tensor, G: int, kind: Kind) -> tuple[Tensor, Tensor | None]:
    """Softmax over the scores of queries [K, G * T, D] with past keys [K, S, D] and their own [K, T, D]: [K, G * T, S + T]; and, under a
    soft cap, what its gradient needs."""
    first, last = past.shape[1], past.shape[1] + own.shape[1]
    masked = kind.packing.masked(first, last, kind.window, q.dtype).repeat(G, 1)  # [G * T, S + T]
    if kind.added is not None:
        masked = masked + kind.added[:, :last].unsqueeze(1)
    scores = q.new_empty((*q.shape[:2], last))
    before, behind = scores[:, :, :first], scores[:, :, first:]
    if kind.softcap is None and kind.window is None and kind.added is None:  # nothing is added to past scores
        torch.bmm(q, past.transpose(1, 2), out=before)
        torch.baddbmm(masked[:, first:], q, own.transpose(1, 2), out=behind)
        return _softmax(scores), None
    scores.copy_(torch.zeros_like(masked) if kind.softcap is not None else masked)
    before.baddbmm_(q, past.transpose(1, 2))
    behind.baddbmm_(q, own.transpose(1, 2))
    if kind.softcap is None:
        return _softmax(scores), None
    capped = scores.div_(kind.softcap).tanh_()
    return _softmax(torch.add(masked, capped, alpha=kind.softcap)), capped


def _softmax(scores: Tensor) -> Tensor:
    return torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)


def _through_softmax(grad: Tensor, weights: Tensor, capped: Tensor | None) -> None:
    """Turn the gradient of weights [.., K] into that of the scores, in place."""
    grad *= weights
    grad.addcmul_(weights, grad.sum(dim=-1, keepdim=True), value=-1)
    if capped is not None:
        grad *= 1 - capped.square()
