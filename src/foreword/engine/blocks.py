"""Rows that are decoded behind a prefix whose keys and values are held once: the KV cache of the rows' own tokens, and attention over
both; a row attends to its prefix and itself, never to another row."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foreword.engine.attention import in_one_dtype, softmax, without_autocast
from foreword.engine.cache import PrefixState, length_of
from foreword.engine.half_products import bmm, half_on_processor
from foreword.engine.passes import Kind

SCORES = 2**24  # of some queries of a layer, at most: 64 MiB in float32
SCORES_OF_PROCESSOR = 2**20  # the same, so that they go through a processor's cache: half the time, the same bits
FEW = 32  # queries of a row
COLUMNS = 32  # a block's rows get longer by so many columns at least

Layer = tuple[Tensor, Tensor]  # keys and values


class Block:
    """Rows after one prefix that is held once, or rows of any prefixes, each with a copy of its own. Rows come and go. Shapes: n rows, K
    key heads, C columns of a row, D head width.

    shared: the prefix held once. held: how many columns of each row are filled; those after them are room."""

    def __init__(self, shared: PrefixState | None) -> None:
        self.shared = shared
        self.held: list[int] = []
        self.layers: list[Layer] = []  # [capacity, K, columns, D] each
        self._copied: list[PrefixState | None] = []  # of rows that came before there was a layer
        self._columns = 0

    @property
    def past(self) -> int:
        """S: positions of the prefix that is held once."""
        return length_of(self.shared)

    def add(self, states: Sequence[PrefixState | None], columns: int) -> None:
        """More rows, each after a copy of its prefix, with room for so many columns in all."""
        first = len(self.held)
        self.held += [length_of(state) for state in states]
        self._copied += states
        if columns > self._columns:
            self._columns = -(-columns // COLUMNS) * COLUMNS if self.layers else columns
        for index, layer in enumerate(self.layers):
            self.layers[index] = (self._roomy(layer[0]), self._roomy(layer[1]))
            self._copy(index, first)
        if self.layers:
            self._copied = [None] * len(self.held)

    def _roomy(self, buffer: Tensor) -> Tensor:
        rows, columns = max(len(self.held), len(buffer)), max(self._columns, buffer.shape[2])
        if (rows, columns) == (len(buffer), buffer.shape[2]):
            return buffer
        larger = buffer.new_zeros((rows, buffer.shape[1], columns, buffer.shape[3]))
        larger[: len(buffer), :, : buffer.shape[2]] = buffer
        return larger

    def _copy(self, index: int, first: int) -> None:
        for row, state in enumerate(self._copied[first:], first):
            for buffer, states in zip(self.layers[index], state.layers[index] if state else (), strict=False):
                buffer[row, :, : self.held[row]] = states[0]

    def layer(self, index: int, key: Tensor, value: Tensor) -> Layer:
        """A layer's buffers; new ones, for keys and values [1, K, R, D] like these, have the copied prefixes in them and 0 after those."""
        if index == len(self.layers):
            shape = (len(self.held), key.shape[1], self._columns)
            self.layers.append((key.new_zeros((*shape, key.shape[3])), value.new_zeros((*shape, value.shape[3]))))
            self._copy(index, 0)
        return self.layers[index]

    def compact(self, order: Sequence[int]) -> None:
        """Keep only these rows, as `still_there` orders them; the buffers stay, for rows to come."""
        moves = [(place, source) for place, source in enumerate(order) if place != source]
        for layer in self.layers:
            for buffer in layer:
                for place, source in moves:
                    columns = self.held[source]
                    buffer[place, :, :columns] = buffer[source, :, :columns]
        self.held = [self.held[row] for row in order]
        self._copied = [self._copied[row] for row in order]

    def state(self, length: int) -> PrefixState:
        """The first row as a prefix of that length: views of its keys and values [1, K, S, D]."""
        return PrefixState(
            tuple((keys[:1, :, :length], values[:1, :, :length]) for keys, values in self.layers), length
        )


@dataclass
class NewTokens:
    """The new tokens of some rows of a block, from row `first` on: sizes[i] of row first + i."""

    block: Block
    first: int
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        self.rows = slice(self.first, self.first + len(self.sizes))
        self.tokens, self.longest = sum(self.sizes), max(self.sizes)
        self.held = self.block.held[self.rows]  # before these tokens
        self.columns = max(held + size for held, size in zip(self.held, self.sizes, strict=True))
        self.starts = tuple(itertools.accumulate(self.sizes, initial=0))[:-1]
        self._columns: dict[
            torch.device, Tensor
        ] = {}  # rows and columns [2, n] of one token a row, the same in all layers

    @property
    def position_ids(self) -> list[int]:
        """Position ids of the tokens."""
        before = [self.block.past + held for held in self.held]
        return [at for start, size in zip(before, self.sizes, strict=True) for at in range(start, start + size)]

    def put(self, buffer: Tensor, states: Tensor) -> None:
        """Write the tokens' keys or values [K, N, D] after what their rows hold."""
        if self.longest == 1:
            if buffer.device not in self._columns:
                places = [list(range(self.rows.start, self.rows.stop)), self.held]
                self._columns[buffer.device] = torch.tensor(places).to(buffer.device)
            rows, columns = self._columns[buffer.device]
            buffer[rows, :, columns] = states.transpose(0, 1)
            return
        for row, (held, start, size) in enumerate(zip(self.held, self.starts, self.sizes, strict=True), self.first):
            buffer[row, :, held : held + size] = states[:, start : start + size]

    def padded(self, query: Tensor, heads: int) -> Tensor:
        """Queries [heads, N, D] row by row, 0 after a row's end: [n, K, T, G, D]."""
        by_key = query.view(heads, -1, *query.shape[1:])  # [K, G, N, D]
        if min(self.sizes) == self.longest:
            rows = by_key.view(heads, -1, len(self.sizes), self.longest, query.shape[-1])
            return rows.permute(2, 0, 3, 1, 4)
        padded = query.new_zeros((len(self.sizes), heads, self.longest, by_key.shape[1], query.shape[-1]))
        for row, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True)):
            padded[row, :, :size] = by_key[:, :, start : start + size].transpose(1, 2)
        return padded

    def place(self, attended: Tensor, whole: Tensor) -> None:
        """Put [n, K, T, G, D] where the tokens stand: [N, K, G, D]."""
        if self.longest == 1:
            whole.copy_(attended[:, :, 0])
            return
        for row, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True)):
            whole[start : start + size] = attended[row, :, :size].transpose(0, 1)


class Stretch:
    """The new tokens of several parts, which stand in one sequence [1, R]: a layout that lives as long as one pass."""

    def __init__(self, parts: Sequence[NewTokens], device: torch.device) -> None:
        self.parts = parts
        position_ids = [at for part in parts for at in part.position_ids]
        self.position_ids, self.reach = torch.tensor([position_ids], device=device), max(position_ids) + 1
        self.windows: set[int | None] = set()
        self.at = 0  # the layer that comes next
        self._masks: dict[tuple[object, ...], tuple[Tensor, Tensor | None]] = {}

    def attend(self, module: object, query: Tensor, key: Tensor, value: Tensor, kind: Kind) -> Tensor:
        """Keep the new keys and values, and attend: [1, heads, R, D] to [1, R, heads, D]."""
        query, key, value = in_one_dtype(query, key, value)
        with without_autocast(query.device):
            return self._attend(query, key, value, kind)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, kind: Kind) -> Tensor:
        heads, first = key.shape[1], 0
        whole = query.new_empty((query.shape[2], heads, query.shape[1] // heads, value.shape[-1]))
        for part in self.parts:
            here = slice(first, first + part.tokens)
            for buffer, states in zip(part.block.layer(self.at, key, value), (key, value), strict=True):
                part.put(buffer, states[0, :, here])
            queries = part.padded(query[0, :, here], heads)
            most = SCORES_OF_PROCESSOR if query.device.type == "cpu" else SCORES
            room = most // (len(part.sizes) * query.shape[1] * (part.block.past + part.columns)) or 1
            runs = [slice(at, min(at + room, part.longest)) for at in range(0, part.longest, room)]
            attended = [self._run(part, queries[:, :, run], run, kind) for run in runs]
            part.place(attended[0] if len(attended) == 1 else torch.cat(attended, dim=2), whole[here])
            first = here.stop
        self.at += 1
        return whole.flatten(1, 2).unsqueeze(0)

    def _run(self, part: NewTokens, queries: Tensor, run: slice, kind: Kind) -> Tensor:
        """Attention of some queries [n, K, t, G, D] of each row of a part."""
        n, K, t, G, _ = queries.shape
        past, columns = part.block.past, min(part.columns, max(part.held) + run.stop)
        keys, values = (
            buffer[part.rows, :, :columns].flatten(0, 1) for buffer in part.block.layers[self.at]
        )  # [n K, C, D]
        own_unseen, past_unseen = self._unseen(part, run, columns, kind.window, queries.device)
        q = (queries * kind.scaling).contiguous()
        scores = _products(q.view(n * K, t * G, -1), keys).view(n, K, t, G, columns)
        scores = _shaped(scores, kind, past, own_unseen)
        if past:
            k_past, v_past = (buffer[0] for buffer in part.block.shared.layers[self.at])  # type: ignore[union-attr]
            before = _products(q.transpose(0, 1).reshape(K, n * t * G, -1), k_past)  # [K, n t G, S]
            before = before.view(K, n, t, G, past).transpose(0, 1)
            scores = torch.cat([_shaped(before, kind, 0, past_unseen), scores], dim=-1)
        weights = softmax(scores)
        attended = bmm(weights[..., past:].reshape(n * K, t * G, columns), values).view(n, K, t, G, -1)
        if past:
            attended_prefix = bmm(weights[..., :past].transpose(0, 1).reshape(K, n * t * G, past), v_past)
            attended += attended_prefix.view(K, n, t, G, -1).transpose(0, 1)
        return attended

    def _unseen(
        self, part: NewTokens, run: slice, columns: int, window: int | None, device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        """What the queries must not see of their rows [n, t, C] and of the prefix [n, t, S], None for nothing: the same in all layers."""
        key = (id(part), run.start, columns, window, device)
        if key not in self._masks:
            first = torch.tensor(part.held, device=device).view(-1, 1, 1)
            asking = first + torch.arange(run.start, run.stop, device=device).view(-1, 1)  # [n, t, 1], in columns
            column = torch.arange(columns, device=device)
            own, past = column > asking, None
            if window is not None:
                own |= column <= asking - window
                past = torch.arange(-part.block.past, 0, device=device) <= asking - window
            self._masks[key] = own, past
        return self._masks[key]

    def done(self) -> None:
        """The rows hold their new tokens."""
        for part in self.parts:
            for row, size in enumerate(part.sizes, part.first):
                part.block.held[row] += size


def _products(queries: Tensor, keys: Tensor) -> Tensor:
    """Of queries [B, N, D] with keys [B, C, D]: [B, N, C]. A processor's library reorders what stands second and turned, in bfloat16 for
    several times as long as it multiplies: there, few queries stand second, and the product has the same bits."""
    if half_on_processor(queries) and queries.shape[1] <= FEW:
        return bmm(keys, queries.transpose(1, 2)).transpose(1, 2).contiguous()
    return bmm(queries, keys.transpose(1, 2))


def _shaped(scores: Tensor, kind: Kind, first: int, unseen: Tensor | None) -> Tensor:
    """Scores [n, K, t, G, C] of keys from position `first` on, in place: capped, added to, and -inf where unseen [n, t, C]."""
    if kind.softcap is not None:
        scores = scores.div_(kind.softcap).tanh_().mul_(kind.softcap)
    if kind.added is not None:
        K, G, C = scores.shape[1], scores.shape[3], scores.shape[4]
        scores += kind.added[:, first : first + C].view(1, K, 1, G, C)
    return scores if unseen is None else scores.masked_fill_(unseen[:, None, :, None], float("-inf"))
