"""The engine for decoder-only models whose rotary frequencies depend on the longest sequence of a pass: a row beyond that length is
computed alone, so that batch-mates do not choose its frequencies."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foreword.engine.batch import Row
from foreword.engine.causal import CausalEngine
from foreword.engine.cohorts import Cohorts
from foreword.engine.decoders import Decoder, UncachedDecoder
from foreword.engine.decoding import Entry, Prompted, RunningBatch
from foreword.engine.install import Installation
from foreword.engine.prefix import Prefix, Prefixes, each
from foreword.util.errors import ForewordError


def switch_of(model: Any) -> tuple[int, bool] | None:
    """The length beyond which rotary frequencies are others, and whether they then depend on what was read before (`dynamic`, whose
    frequencies stay as the longest input so far left them); None for a model without such a switch."""
    config = model.config.get_text_config(decoder=True)
    rope = getattr(config, "rope_parameters", None)
    if not isinstance(rope, dict):
        return None
    sizes = []
    for part in (rope, *rope.values()):
        kind = str(part.get("rope_type", "")) if isinstance(part, dict) else ""
        if kind == "longrope" or "dynamic" in kind:
            known = part.get("original_max_position_embeddings") if kind == "longrope" else None
            sizes.append((int(known or config.max_position_embeddings), kind != "longrope"))
    return min(sizes) if sizes else None


class SwitchEngine(CausalEngine):
    """Rows that stay within the switch are computed as ever; each one beyond it alone, in one sequence, and again for each token of its
    answer. One pass at a time: the frequencies are part of the model's state."""

    switch: int

    def __init__(
        self, model: Any, installation: Installation, *, start: tuple[int, ...], pad: int, switch: int, remembers: bool
    ) -> None:
        super().__init__(model, installation, start=start, pad=pad)
        self.switch, self._remembers = switch, remembers
        self._lock = threading.RLock()

    def _forward(self, **inputs: Any) -> Any:
        with self._lock:
            return super()._forward(**inputs)

    def beyond(self, prefix: Prefix | None, row: Row, more: int = 0) -> bool:
        """Whether a row may become longer than the switch. Raises ForewordError where nothing is exact beyond it."""
        length = len(self.shared(prefix, row)) + len(row.own) + len(row.answer) + more
        if length > self.switch and self._remembers:
            raise ForewordError(
                f"This model's dynamic rotary frequencies depend on what it read before once an input has more than {self.switch} tokens, "
                f"and one has {length}; shorten it, or use a model with another kind of position."
            )
        return length > self.switch

    def answer_logits(
        self, soft: Prefix | Tensor | None, rows: Sequence[Row], hidden_states: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """As in every engine; where a row lies beyond the switch, each row alone."""
        prefix = Prefix.of(soft)
        if not any(self.beyond(prefix, row) for row in rows):
            return super().answer_logits(prefix, rows, hidden_states)
        hidden: list[list[Tensor]] = [[] for _ in rows]
        parts = [
            self.joined_logits(prefix, [row], None if hidden_states is None else row_hidden)
            for row, row_hidden in zip(rows, hidden, strict=True)
        ]
        if hidden_states is not None:
            hidden_states.append(torch.cat([row_hidden[-1] for row_hidden in hidden]))
        return torch.cat([logits for logits, _ in parts]), torch.cat([labels for _, labels in parts])

    def loss(self, soft: Prefix | Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """As in every engine."""
        prefix = Prefix.of(soft)
        near = [row for row in rows if not self.beyond(prefix, row)]
        parts = [super().loss(prefix, near)] if near else []
        for row in rows:
            if self.beyond(prefix, row):
                logits, labels = self.joined_logits(prefix, [row])
                parts.append((functional.cross_entropy(logits.float(), labels, reduction="sum"), len(labels)))
        return torch.stack([value for value, _ in parts]).sum(), sum(count for _, count in parts)

    @torch.no_grad()
    def score(self, soft: Prefixes, rows: Sequence[Row]) -> list[float]:
        """As in every engine."""
        prefixes = each(soft, len(rows))
        near = [place for place, row in enumerate(rows) if not self.beyond(prefixes[place], row)]
        scores = super().score([prefixes[place] for place in near], [rows[place] for place in near]) if near else []
        by_place = dict(zip(near, scores, strict=True))
        for place, row in enumerate(rows):
            if place not in by_place:
                logits, labels = self.joined_logits(prefixes[place], [row])
                by_place[place] = -float(functional.cross_entropy(logits.float(), labels, reduction="sum"))
        return [by_place[place] for place in range(len(rows))]

    def running_batch(self) -> RunningBatch:
        """As in every engine; a row whose answer may reach beyond the switch is read again, alone, for each token."""
        return _Parted(self, super().running_batch())


class _Alone:
    """What makes each row a batch of its own, read again for each token."""

    def __init__(self, engine: SwitchEngine) -> None:
        self.engine = engine

    @property
    def device(self) -> torch.device:
        return self.engine.device

    def together(self, rows: Sequence[Prompted], longest: int) -> list[list[int]]:
        return [[place] for place in range(len(rows))]

    def new_decoder(self, rows: Sequence[Prompted], longest: int) -> Decoder:
        return UncachedDecoder(self.engine, rows)


class _Parted:
    """A running batch whose rows beyond the switch stand alone."""

    def __init__(self, engine: SwitchEngine, near: RunningBatch) -> None:
        self.engine, self.joins = engine, near.joins
        self.batches: tuple[RunningBatch, RunningBatch] = (near, Cohorts(_Alone(engine)))
        self.entries: tuple[list[Entry], list[Entry]] = ([], [])

    def admit(self, entries: Sequence[Entry], expected: Sequence[Prompted] = ()) -> None:
        """Let rows join, each where it belongs."""
        parts: tuple[list[Entry], list[Entry]] = ([], [])
        for entry in entries:
            parts[self.engine.beyond(entry.prefix, entry.row, entry.longest)].append(entry)
        for batch, held, part in zip(self.batches, self.entries, parts, strict=True):
            if part:
                batch.admit(part, expected)
                held += part

    def step(self) -> tuple[list[Entry], Tensor]:
        """A pass of each part."""
        steps = [batch.step() for batch, held in zip(self.batches, self.entries, strict=True) if held]
        return [entry for ready, _ in steps for entry in ready], torch.cat([logits for _, logits in steps])

    def retire(self, entries: Sequence[Entry]) -> None:
        """Let rows leave."""
        leaving = {id(entry) for entry in entries}
        for batch, held in zip(self.batches, self.entries, strict=True):
            batch.retire([entry for entry in held if id(entry) in leaving])
            held[:] = [entry for entry in held if id(entry) not in leaving]
