"""The keys and values of a shared prefix, and caches that start from them; it refuses to copy them before a layer asks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

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
        kept = tuple((layer.keys, layer.values) for layer in cache.layers if layer.is_initialized)
        return cls(kept, length)

    def for_rows(self, rows: int) -> DynamicCache:
        """A cache in which each of `rows` rows has this prefix behind it: views of the one copy, gradients included."""
        layers: list[DynamicLayer] = []
        for keys, values in self.layers:
            layer = DynamicLayer()
            layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
            layer.keys = keys.expand(rows, -1, -1, -1)  # [B, heads, S, head width], no copy
            layer.values = values.expand(rows, -1, -1, -1)
            layers.append(layer)
        return _cache(layers)


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of a generating batch in a buffer with room to grow, so that a step writes one column and copies nothing."""

    def __init__(self, prefix: tuple[Tensor, Tensor] | None, rows: int, room: int) -> None:
        super().__init__()
        self._prefix, self._rows, self._room, self._used = prefix, rows, room, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make the buffers, the prefix already in them."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._keys = key_states.new_empty((self._rows, key_states.shape[1], self._room, key_states.shape[3]))
        self._values = value_states.new_empty((self._rows, value_states.shape[1], self._room, value_states.shape[3]))
        if self._prefix is not None:
            self._used = self._prefix[0].shape[2]
            self._keys[:, :, : self._used] = self._prefix[0]
            self._values[:, :, : self._used] = self._prefix[1]
        self._look()
        self.is_initialized = True

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
        return self._used if self.is_initialized else (0 if self._prefix is None else int(self._prefix[0].shape[2]))

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key positions that a query of this length will see, and their offset."""
        return self.get_seq_length() + query_length, 0

    def keep(self, rows: Tensor) -> None:
        """Let only these rows go on."""
        self._rows = len(rows)
        if self.is_initialized:
            self._keys, self._values = self._keys[rows], self._values[rows]
            self._look()


def roomy_cache(state: PrefixState | None, rows: int, room: int) -> DynamicCache:
    """A cache for generating: each row has the prefix behind it and room for `room` positions in all."""
    if state is not None:
        return _cache([RoomyLayer(prefix, rows, room) for prefix in state.layers])
    cache = DynamicCache()
    cache.layer_class_to_replicate = functools.partial(RoomyLayer, None, rows, room)
    return cache


def keep_rows(cache: DynamicCache, rows: Tensor) -> None:
    """Drop the finished rows of a roomy cache."""
    for layer in cache.layers:
        layer.keep(rows)


def _cache(layers: Sequence[DynamicLayer]) -> DynamicCache:
    cache = DynamicCache()
    cache.layers = list(layers)
    return cache


def plain_cache() -> DynamicCache:
    """An empty cache that keeps everything, sliding layers too: the mask, not the cache, forgets."""
    return DynamicCache()


__all__ = ["PrefixState", "RoomyLayer", "keep_rows", "plain_cache", "roomy_cache"]
