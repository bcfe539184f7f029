"""Decoding batches for decoder-only models whose attention cannot be foreword's: with a cache or state of the model library's kind, or
recomputing the whole row for each token. A batch is made of rows that fit together, and none joins later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from foreword.engine.batch import Row, positions
from foreword.engine.cache import RowPrefixes, compact_rows, preallocated_cache, still_there
from foreword.engine.capabilities import Capabilities
from foreword.engine.decoding import Prompted


class Decoder(Protocol):
    """A batch of rows that grow. order: the places, among the rows that it was made of, of those that stand in it. leaves: whether rows
    may leave it before all are done."""

    order: list[int]
    can_evict: bool

    def prefill(self) -> Tensor:
        """Logits [B, V] for each row's first token."""

    def decode_step(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] for the token after the chosen ones [B]."""

    def compact(self, gone: Sequence[bool]) -> list[int]:
        """Keep only the rows that are not gone; returns their former places, in the order in which they stand now."""


class _Engine(Protocol):
    pad: int
    capabilities: Capabilities

    @property
    def device(self) -> torch.device: ...
    def row_prefixes(self, rows: Sequence[Prompted]) -> tuple[list[int], RowPrefixes]: ...
    def padded(self, rows: Sequence[Prompted], *, left: bool, alone: bool) -> tuple[dict[str, Any], Tensor]: ...
    def last_logits(self, shape: Sequence[int], **inputs: Any) -> Any: ...


class CachedDecoder:
    """Rows in a cache of the model library's kind: each prefix, run once, is copied into its rows' cache, and all rows are read together,
    the longest first, padded on the left."""

    can_evict = True

    def __init__(self, engine: _Engine, rows: Sequence[Prompted], longest: int) -> None:
        self.engine = engine
        self.order, row_prefixes = engine.row_prefixes(rows)
        self.before = row_prefixes.length
        self.inputs, mask = engine.padded([rows[place] for place in self.order], left=True, alone=True)  # [B, T]
        self.mask = torch.cat([row_prefixes.mask(engine.device), mask], dim=1)  # [B, S + T]
        self.cache = preallocated_cache(row_prefixes, self.mask.shape[1] + longest)

    def prefill(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        return self._pass(self.inputs, positions(self.mask)[:, self.before :])

    def decode_step(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] after one more token [B]."""
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(chosen), 1))], dim=1)
        return self._pass({"input_ids": chosen.unsqueeze(1)}, self.mask.sum(dim=1, keepdim=True) - 1)

    def _pass(self, inputs: dict[str, Any], position_ids: Tensor) -> Tensor:
        cached_inputs = {**inputs, "past_key_values": self.cache, "use_cache": True}
        out = self.engine.last_logits(position_ids.shape, mask=self.mask, position_ids=position_ids, **cached_inputs)
        return out.logits[0]  # type: ignore[no-any-return]

    def compact(self, gone: Sequence[bool]) -> list[int]:
        """Keep only the rows that are not gone; returns their former places, in the order in which they stand now."""
        order = still_there(gone)
        self.mask = self.mask[torch.tensor(order, device=self.mask.device)]
        compact_rows(self.cache, order)
        return order


class ConcatDecoder:
    """Rows with their prefixes in one sequence, padded on the left, in a cache or state of the model's own."""

    can_evict = False

    def __init__(self, engine: _Engine, rows: Sequence[Prompted]) -> None:
        self.engine, self.order = engine, list(range(len(rows)))
        self.inputs, self.mask = engine.padded(rows, left=True, alone=False)  # [B, S + T]
        self.state: dict[str, Any] = {}

    def prefill(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        return self._pass(self.mask.shape, self.mask, positions(self.mask), self.inputs)

    def decode_step(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] after one more token [B]."""
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(chosen), 1))], dim=1)
        inputs = {"input_ids": chosen.unsqueeze(1), **self.state}
        mask = self.mask if "past_key_values" in inputs else self.mask[:, -1:]  # a state is past its padding
        return self._pass((len(chosen), 1), mask, self.mask.sum(dim=1, keepdim=True) - 1, inputs)

    def _pass(self, shape: Sequence[int], mask: Tensor, position_ids: Tensor, inputs: dict[str, Any]) -> Tensor:
        out = self.engine.last_logits(shape, mask=mask, position_ids=position_ids, use_cache=True, **inputs)
        name = "past_key_values" if hasattr(out, "past_key_values") else "cache_params"  # state-space models
        self.state = {name: getattr(out, name)}
        return out.logits[0]  # type: ignore[no-any-return]

    def compact(self, gone: Sequence[bool]) -> list[int]:
        """Rows stay: what the model keeps of them is not ours to sort."""
        raise NotImplementedError


class UncachedDecoder:
    """Rows of a model whose cache is not exact: each token takes the whole row again."""

    can_evict = True

    def __init__(self, engine: _Engine, rows: Sequence[Prompted]) -> None:
        self.engine, self.rows = engine, list(rows)
        self.order = list(range(len(rows)))

    def prefill(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        inputs, mask = self.engine.padded(self.rows, left=True, alone=False)
        position_ids = positions(mask)
        logits: Tensor = self.engine.last_logits(
            mask.shape, mask=mask, position_ids=position_ids, use_cache=False, **inputs
        ).logits[0]
        return logits

    def decode_step(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] after one more token [B]."""
        longer = []
        for (prefix, row), token in zip(self.rows, chosen.tolist(), strict=True):
            longer.append((prefix, Row(row.prefix, (*row.own, token), before=row.before)))
        self.rows = longer
        return self.prefill()

    def compact(self, gone: Sequence[bool]) -> list[int]:
        """Keep only the rows that are not gone; returns their former places, in the order in which they stand now."""
        order = still_there(gone)
        self.rows = [self.rows[place] for place in order]
        return order


def new_decoder(engine: _Engine, rows: Sequence[Prompted], longest: int) -> Decoder:
    """The rows as a batch to which answers of up to `longest` tokens may be added."""
    if not engine.capabilities.incremental_decoding:
        return UncachedDecoder(engine, rows)
    return CachedDecoder(engine, rows, longest) if engine.capabilities.prefix_cache else ConcatDecoder(engine, rows)
