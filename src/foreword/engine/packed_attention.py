"""Attention for a batch that stands in one packed sequence: the shared prefix once, every row behind it, nothing padded, and no row sees
another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from foreword.engine.attention import in_one_dtype, softmax, without_autocast
from foreword.engine.half_products import detour, half_on_processor
from foreword.engine.passes import Kind

SCORES = 2**21  # of a group of rows, at most: 8 MiB in float32


@dataclass(frozen=True)
class Group:
    """Rows of a packed sequence that are computed together, padded on the right to the longest: B rows of T positions, N = B T.

    starts, sizes: where each row begins in the sequence, and its tokens. past: how many prefix positions it sees."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    past: int

    @property
    def longest(self) -> int:
        """T."""
        return max(self.sizes)

    def padded(self, values: Tensor) -> Tensor:
        """Of values [K, S + R, ..] those of the rows, 0 after a row's end: [K, N, ..]."""
        shape = (len(values), len(self.sizes), self.longest, *values.shape[2:])
        padded = values.new_empty(shape) if min(self.sizes) == self.longest else values.new_zeros(shape)
        for row, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True)):
            padded[:, row, :size] = values[:, start : start + size]
        return padded.flatten(1, 2)

    def place(self, values: Tensor, whole: Tensor) -> None:
        """Put the rows' values out of [K, N, ..] where they belong in the whole sequence [S + R, K, ..]."""
        rows = values.view(len(values), len(self.sizes), self.longest, *values.shape[2:])
        rows = rows.transpose(0, 2)  # [T, B, K, ..]
        for row, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True)):
            whole[start : start + size] = rows[:size, row]


class Packing:
    """Where things stand in a packed sequence [S + R]: S prefix positions, then rows of `sizes` tokens each, R in all, best the longest
    first. A row sees the prefix and its own earlier tokens, as if it stood alone after the prefix. Lives as long as one step."""

    def __init__(self, prefix: int, sizes: tuple[int, ...], device: torch.device) -> None:
        self.prefix, self.sizes = prefix, sizes
        own = [torch.arange(prefix, prefix + size) for size in sizes]
        self.position_ids = torch.cat([torch.arange(prefix), *own]).unsqueeze(0).to(device)  # position ids [1, S + R]
        self.reach = prefix + sum(sizes)
        self.windows: set[int | None] = set()
        self._masks: dict[Any, Tensor] = {}
        self._groups: dict[int, list[Group]] = {}

    def groups(self, heads: int) -> list[Group]:
        """The prefix alone, then rows of similar length together, no more than keep their scores in the processor's cache."""
        if heads not in self._groups:
            groups = [Group((0,), (self.prefix,), 0)] if self.prefix else []
            first, waiting = self.prefix, [size for size in self.sizes if size]
            while waiting:
                most, count = waiting[0], 1
                room = SCORES // (heads * most * (self.prefix + most))
                while count < min(room, len(waiting)) and most <= 2 * waiting[count] <= 2 * most:
                    count += 1
                sizes = tuple(waiting[:count])
                ends = tuple(itertools.accumulate(sizes, initial=first))
                groups.append(Group(ends[:-1], sizes, self.prefix))
                first, waiting = ends[-1], waiting[count:]
            self._groups[heads] = groups
        return self._groups[heads]

    def attend(self, module: object, query: Tensor, key: Tensor, value: Tensor, kind: Kind) -> Tensor:
        """[1, heads, S + R, D] to [1, S + R, heads, D], with gradients."""
        query, key, value = in_one_dtype(query, key, value)
        dtype, worked = query.dtype, torch.float32 if detour(query) else query.dtype
        with without_autocast(query.device):
            states = (values.to(worked) for values in (query, key, value))
            return _Attention.apply(*states, self, kind).to(dtype)  # type: ignore[no-any-return,no-untyped-call]

    def masked(self, first: int, last: int, window: int | None, like: Tensor) -> Tensor:
        """What is added to the scores of the queries at positions `first` to `last` with the keys up to there [last - first, last]: 0,
        or -inf for later keys and for those out of reach; in the numbers of `like`."""
        key = (first, last, window, like.dtype, like.device)
        if key not in self._masks:
            query = torch.arange(first, last, device=like.device).unsqueeze(1)
            place = torch.arange(last, device=like.device)
            unseen = place > query
            if window is not None:
                unseen |= place <= query - window
            self._masks[key] = torch.zeros(unseen.shape, dtype=like.dtype, device=like.device).masked_fill_(
                unseen, float("-inf")
            )
        return self._masks[key]


class _Attention(torch.autograd.Function):
    """Group by group: scores of all its rows with the prefix in one product, with themselves in another. Scores between rows are never
    made, nor the prefix's keys and values copied or repeated for a row. Shapes: K key heads, G query heads a key head, S prefix
    positions, N = B T positions of a group, D head width; queries of one position stand side by side."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, packing: Packing, kind: Kind) -> Tensor:
        S, K, G = packing.prefix, key.shape[1], query.shape[1] // key.shape[1]
        q = query[0].view(K, G, *query.shape[2:]).transpose(1, 2)  # [K, S + R, G, D]
        k, v = key[0], value[0]  # [K, S + R, D]
        k_past, v_past = k[:, :S].contiguous(), v[:, :S].contiguous()
        whole, saved = q.new_empty((q.shape[1], K, G, v.shape[-1])), [k_past, v_past]
        for group in packing.groups(K * G):
            q_own, k_own, v_own = group.padded(q).mul_(kind.scaling), group.padded(k), group.padded(v)
            weights, capped = _weights(q_own, k_past, k_own, group, packing, kind)  # [K * B, T * G, past + T]
            group.place(_weighted(weights, v_past, v_own, group), whole)
            saved += [q_own, k_own, v_own, weights, *([] if capped is None else [capped])]
        ctx.packing, ctx.kind = packing, kind
        ctx.save_for_backward(*saved)
        return whole.flatten(1, 2).unsqueeze(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        with without_autocast(grad.device):
            return (*_gradients(ctx, grad), None, None)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of queries, keys and values, by that of what came out [1, S + R, heads, D]."""
    packing, kind, (k_past, v_past, *saved) = ctx.packing, ctx.kind, ctx.saved_tensors
    K, S = k_past.shape[:2]
    out_grad = grad[0].view(grad.shape[1], K, -1, grad.shape[3]).transpose(0, 1)  # [K, S + R, G, D]
    dq = grad.new_empty((out_grad.shape[1], K, out_grad.shape[2], k_past.shape[-1]))
    dk, dv = (grad.new_empty((out_grad.shape[1], K, tensor.shape[-1])) for tensor in (k_past, v_past))
    past: list[tuple[Tensor, Tensor]] = []
    for group in packing.groups(grad.shape[2]):
        q_own, k_own, v_own, weights, *saved = saved
        group_grad = group.padded(out_grad)  # [K, N, G, D]
        slope = _scores(group_grad, v_past, v_own, group)
        slope = torch.ops.aten._softmax_backward_data(slope, weights, -1, weights.dtype)
        if kind.softcap is not None:
            capped, *saved = saved
            slope.mul_(1 - capped.square())
        group.place(_weighted(slope, k_past, k_own, group).mul_(kind.scaling), dq)
        group.place(_gathered(slope[..., group.past :], q_own), dk)
        group.place(_gathered(weights[..., group.past :], group_grad), dv)
        if group.past:
            before = [tensor.view(K, -1, tensor.shape[-1])[..., :S].transpose(1, 2) for tensor in (slope, weights)]
            past.append((torch.bmm(before[0], q_own.flatten(1, 2)), torch.bmm(before[1], group_grad.flatten(1, 2))))
    for more_k, more_v in past:
        dk[:S] += more_k.transpose(0, 1)
        dv[:S] += more_v.transpose(0, 1)
    dq, dk, dv = (tensor.transpose(0, 1).unsqueeze(0) for tensor in (dq.flatten(1, 2), dk, dv))
    return dq, dk, dv


def _scores(q: Tensor, past: Tensor, own: Tensor, group: Group, masked: Tensor | None = None) -> Tensor:
    """Products of queries [K, N, G, D] with past keys [K, S, D] and those of their own row [K, N, D]: [K * B, T * G, past + T]. masked:
    is added to the latter [T * G, T]."""
    rows = (len(own) * len(group.sizes), -1, q.shape[-1])
    keys = own.reshape(rows).transpose(1, 2)
    queries = q.reshape(rows)
    own_scores = torch.bmm(queries, keys) if masked is None else torch.baddbmm(masked, queries, keys)
    if not group.past:
        return own_scores
    past_scores = torch.bmm(q.flatten(1, 2), past.transpose(1, 2))  # [K, N * G, S]
    return torch.cat([past_scores.view(*own_scores.shape[:2], -1), own_scores], dim=2)


def _weighted(weights: Tensor, past: Tensor, own: Tensor, group: Group) -> Tensor:
    """Sums of past values [K, S, D] and those of their own row [K, N, D] by weights [K * B, T * G, past + T]: [K, N, G, D]."""
    rows = (len(weights), -1, own.shape[-1])
    if not group.past:
        weighted = torch.bmm(weights, own.reshape(rows))
    else:
        before = weights.view(len(own), -1, weights.shape[-1])[..., : group.past]
        weighted = torch.bmm(before, past).view(rows).baddbmm_(weights[..., group.past :], own.reshape(rows))
    return weighted.view(len(own), own.shape[1], -1, own.shape[-1])


def _gathered(weights: Tensor, q: Tensor) -> Tensor:
    """For each position of a row the sum of what its row's queries [K, N, G, D] give it by weights [K * B, T * G, T]: [K, N, D]. A
    processor's library reads a part of a turned matrix in bfloat16 at down to a tenth of its speed: there, the part is copied first."""
    rows = (len(weights), -1, q.shape[-1])
    if half_on_processor(weights):
        weights = weights.contiguous()
    return torch.bmm(weights.transpose(1, 2), q.reshape(rows)).view(q.shape[0], -1, q.shape[-1])


def _weights(
    q: Tensor, past: Tensor, own: Tensor, group: Group, packing: Packing, kind: Kind
) -> tuple[Tensor, Tensor | None]:
    """Softmax over the scores of queries [K, N, G, D] with past keys [K, S, D] and those of their own row [K, N, D]:
    [K * B, T * G, past + T]; and, under a soft cap, what its gradient needs."""
    K, _, G, _ = q.shape
    masked = packing.masked(group.past, group.past + group.longest, kind.window, q)  # [T, past + T]
    if kind.softcap is None and kind.window is None and kind.added is None:  # nothing is added to past scores
        return softmax(_scores(q, past, own, group, masked[:, group.past :].repeat_interleave(G, 0))), None
    scores = _scores(q, past, own, group)
    capped = None
    if kind.softcap is not None:
        capped = scores.div_(kind.softcap).tanh_()
        scores = capped * kind.softcap
    by_row = scores.view(K, len(group.sizes), group.longest, G, -1)
    by_row += masked.unsqueeze(1)
    if kind.added is not None:
        by_row += kind.added[:, : scores.shape[-1]].view(K, 1, 1, G, -1)
    return softmax(scores), capped
