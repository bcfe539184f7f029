"""The engine for decoder-only models whose rotary frequencies depend on the longest sequence of a pass; it refuses to let batch-mates
choose them: a row beyond the switch is computed alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foreword.backbone.batch import Row, Softs, each, size_of
from foreword.backbone.causal import CausalEngine
from foreword.backbone.greedy import Finished
from foreword.errors import ForewordError


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
    answer. One thread at a time: the frequencies are part of the model's state."""

    switch: int

    def __init__(self, model: Any, *, start: tuple[int, ...], pad: int, switch: int, remembers: bool) -> None:
        super().__init__(model, start=start, pad=pad)
        self.switch, self._remembers = switch, remembers
        self._lock = threading.RLock()

    def _beyond(self, soft: Tensor | None, row: Row, more: int = 0) -> bool:
        length = size_of(soft) + len(self.start) + row.length + more
        if length > self.switch and self._remembers:
            raise ForewordError(
                f"This model's dynamic rotary frequencies depend on what it read before once an input has more than {self.switch} tokens, "
                f"and one has {length}; shorten it, or use a model with another kind of position."
            )
        return length > self.switch

    def answer_logits(
        self, soft: Tensor | None, rows: Sequence[Row], seen: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """As in every engine; where a row lies beyond the switch, each row alone."""
        with self._lock:
            if not any(self._beyond(soft, row) for row in rows):
                return super().answer_logits(soft, rows, seen)
            hidden: list[list[Tensor]] = [[] for _ in rows]
            parts = [
                self.joined_logits(soft, [row], None if seen is None else kept)
                for row, kept in zip(rows, hidden, strict=True)
            ]
            if seen is not None:
                seen.append(torch.cat([kept[-1] for kept in hidden]))
            return torch.cat([logits for logits, _ in parts]), torch.cat([labels for _, labels in parts])

    def loss(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """As in every engine."""
        with self._lock:
            near = [row for row in rows if not self._beyond(soft, row)]
            parts = [super().loss(soft, near)] if near else []
            for row in rows:
                if self._beyond(soft, row):
                    logits, labels = self.joined_logits(soft, [row])
                    parts.append((functional.cross_entropy(logits.float(), labels, reduction="sum"), len(labels)))
            return torch.stack([value for value, _ in parts]).sum(), sum(count for _, count in parts)

    @torch.no_grad()
    def score(self, soft: Softs, rows: Sequence[Row]) -> list[float]:
        """As in every engine."""
        softs = each(soft, len(rows))
        with self._lock:
            near = [place for place, row in enumerate(rows) if not self._beyond(softs[place], row)]
            scores = super().score([softs[place] for place in near], [rows[place] for place in near]) if near else []
            by_place = dict(zip(near, scores, strict=True))
            for place, row in enumerate(rows):
                if place not in by_place:
                    logits, labels = self.joined_logits(softs[place], [row])
                    by_place[place] = -float(functional.cross_entropy(logits.float(), labels, reduction="sum"))
            return [by_place[place] for place in range(len(rows))]

    @torch.no_grad()
    def generate(self, soft: Softs, rows: Sequence[Row], longest: int, finished: Finished) -> list[list[int]]:
        """As in every engine; a row whose answer may reach beyond the switch is read again for each token."""
        softs = each(soft, len(rows))
        with self._lock:
            near = [place for place, row in enumerate(rows) if not self._beyond(softs[place], row, longest)]
            answers = dict(zip(near, self._near(softs, rows, near, longest, finished), strict=True))
            for place, row in enumerate(rows):
                if place not in answers:
                    answers[place] = self._again(softs[place], row, longest, place, finished)
            return [answers[place] for place in range(len(rows))]

    def _near(
        self,
        softs: Sequence[Tensor | None],
        rows: Sequence[Row],
        near: Sequence[int],
        longest: int,
        finished: Finished,
    ) -> list[list[int]]:
        if not near:
            return []
        return super().generate(
            [softs[place] for place in near],
            [rows[place] for place in near],
            longest,
            lambda at, ids: finished(near[at], ids),
        )

    def _again(self, soft: Tensor | None, row: Row, longest: int, place: int, finished: Finished) -> list[int]:
        ids: list[int] = []
        while len(ids) < longest and not (ids and finished(place, ids)):
            logits, _ = self.joined_logits(soft, [Row(row.prefix, (*row.own, *ids), (self.pad,))])
            ids.append(int(logits[-1].max(dim=-1).indices))
        return ids
