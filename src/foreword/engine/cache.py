"""Keys and values of prefixes, and KV caches that start from them; nothing is copied before a layer asks."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


@dataclass(frozen=True)
class PrefixState:
    """What a causal model keeps of a prefix run at batch 1: per layer keys and values [1, heads, S, head width]."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    length: int

    @classmethod
    def of(cls, cache: DynamicCache, length: int) -> PrefixState:
        """Taken out of the cache of a finished forward pass over `length` positions."""
        layers = tuple((layer.keys, layer.values) for layer in cache.layers if layer.is_initialized)
        return cls(layers, length)

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return sum(states.nbytes for pair in self.layers for states in pair)

    def for_rows(self, rows: int) -> DynamicCache:
        """A cache in which each of `rows` rows has this prefix in its past: views of the one copy, gradients included."""
        layers: list[DynamicLayer] = []
        for keys, values in self.layers:
            layer = DynamicLayer()
            layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
            layer.keys = keys.expand(rows, -1, -1, -1)  # [B, heads, S, head width], no copy
            layer.values = values.expand(rows, -1, -1, -1)
            layers.append(layer)
        return _cache(layers)


def length_of(state: PrefixState | None) -> int:
    """Positions of a prefix, 0 for none."""
    return 0 if state is None else state.length


LayerPrefix = tuple[
    tuple[Tensor, Tensor] | None, int
]  # a layer's keys and values of one prefix, and how many rows have it


class PrefixCache:
    """Prefix states kept for answering, least recently used out; never more than `room` bytes, but always the last one."""

    def __init__(self, room: int) -> None:
        self.room, self.held = room, 0
        self._lock = threading.Lock()
        self._states: OrderedDict[Hashable, PrefixState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def get(self, key: Hashable, make: Callable[[], PrefixState | None]) -> PrefixState | None:
        """The state of this key, made if it is not there. Two threads that ask at once may both make it: the first one is kept."""
        with self._lock:
            if key in self._states:
                self._states.move_to_end(key)
                return self._states[key]
        state = make()
        if state is None:
            return None
        with self._lock:
            if key in self._states:
                return self._states[key]
            self._states[key] = state
            self.held += state.bytes
            while self.held > self.room and len(self._states) > 1:
                self.held -= self._states.popitem(last=False)[1].bytes
        return state

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._states.clear()
            self.held = 0


@dataclass(frozen=True)
class RowPrefixes:
    """The prefix of each row of a batch, from the first row to the last: (prefix, how many rows next to each other have
    it)."""

    parts: tuple[tuple[PrefixState | None, int], ...]

    @property
    def rows(self) -> int:
        """B."""
        return sum(rows for _, rows in self.parts)

    @property
    def length(self) -> int:
        """S: positions of the longest prefix; the others end where it ends."""
        return max(length_of(state) for state, _ in self.parts)

    def mask(self, device: torch.device) -> Tensor:
        """[B, S], 1 where a row has its prefix and 0 before it."""
        sizes = [length_of(state) for state, rows in self.parts for _ in range(rows)]
        first = self.length - torch.tensor(sizes, device=device)
        return (torch.arange(self.length, device=device) >= first.unsqueeze(1)).long()

    def layer(self, index: int) -> list[LayerPrefix]:
        """What one layer keeps of the prefixes."""
        return [(None if state is None else state.layers[index], rows) for state, rows in self.parts]


class PreallocatedLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of a batch in a buffer with room to grow, so that a step writes one column and copies nothing; each prefix is
    copied once, into the rows that have it."""

    def __init__(self, parts: Sequence[LayerPrefix], rows: int, room: int) -> None:
        super().__init__()
        self._parts, self._rows, self._room = parts, rows, room
        self._used = max((part[0].shape[2] for part, _ in parts if part is not None), default=0)

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make the buffers, the prefixes already in them."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._keys, self._values = self._buffer(key_states, 0), self._buffer(value_states, 1)
        self._parts = ()
        self._look()
        self.is_initialized = True

    def _buffer(self, like: Tensor, which: int) -> Tensor:
        buffer = like.new_empty((self._rows, like.shape[1], self._room, like.shape[3]))  # [B, heads, room, head width]
        row = 0
        for part, rows in self._parts:
            first = self._used if part is None else self._used - part[which].shape[2]
            buffer[row : row + rows, :, :first] = 0  # masked, but what is not a number would show through any mask
            if part is not None:
                buffer[row : row + rows, :, first : self._used] = part[which]
            row += rows
        return buffer

    def _look(self) -> None:
        self.keys = self._keys[:, :, : self._used]
        self.values = self._values[:, :, : self._used]

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Append the new states [B, heads, T, head width]; returns all so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._used + key_states.shape[2]
        self._keys[:, :, self._used : end] = key_states
        self._values[:, :, self._used : end] = value_states
        self._used = end
        self._look()
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Positions held, the prefix's included even before the first update."""
        return self._used

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key positions that a query of this length will see, and their offset."""
        return self._used + query_length, 0

    def compact(self, order: Sequence[int]) -> None:
        """Keep only these rows, as `still_there` orders them."""
        self._rows = len(order)
        if self.is_initialized:
            self._keys, self._values = moved(self._keys, order), moved(self._values, order)
            self._look()


def still_there(gone: Sequence[bool]) -> list[int]:
    """The places of the rows that are not gone, in an order that moves few of them: each stays where it is, and the last ones fill
    the gaps."""
    count = list(gone).count(False)
    late = [place for place in range(count, len(gone)) if not gone[place]]
    return [late.pop() if gone[place] else place for place in range(count)]


def moved(values: Tensor, order: Sequence[int]) -> Tensor:
    """The rows of `values` in an order of `still_there`, in place: a row that stays is not copied."""
    for place, source in enumerate(order):
        if place != source:
            values[place] = values[source]
    return values[: len(order)]


def preallocated_cache(row_prefixes: RowPrefixes, room: int) -> DynamicCache:
    """A cache in which each row has its prefix in its past and room for `room` positions in all."""
    depth = max((len(state.layers) for state, _ in row_prefixes.parts if state is not None), default=0)
    if depth:
        return _cache([PreallocatedLayer(row_prefixes.layer(index), row_prefixes.rows, room) for index in range(depth)])
    cache = DynamicCache()
    cache.layer_class_to_replicate = functools.partial(PreallocatedLayer, (), row_prefixes.rows, room)
    return cache


def compact_rows(cache: DynamicCache, order: Sequence[int]) -> None:
    """Keep only these rows of a cache, as `still_there` orders them."""
    for layer in cache.layers:
        if isinstance(layer, PreallocatedLayer):
            layer.compact(order)
        elif layer.is_initialized:
            layer.keys, layer.values = moved(layer.keys, order), moved(layer.values, order)


def _cache(layers: Sequence[DynamicLayer]) -> DynamicCache:
    cache = DynamicCache()
    cache.layers = list(layers)
    return cache


def plain_cache() -> DynamicCache:
    """An empty cache that keeps everything, sliding layers too: the mask, not the cache, forgets."""
    return DynamicCache()
