"""The batches in which a decoder-only model's answers grow: behind kept prefixes, behind a cache of the model's own, or all over again;
they refuse to move a row's positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from foreword.backbone.batch import Row, left_padded, positions, size_of
from foreword.backbone.cache import Behind, grown, keep_rows, part_of, roomy_cache
from foreword.pack import batches

if TYPE_CHECKING:
    from foreword.backbone.causal import CausalEngine


SLICE = 1024  # padded tokens that a processor reads at once: with more, short rows are padded to long ones; with fewer, it is slower


class Shared:
    """Rows behind prefixes that were run before, the longest row first: each prefix is copied into its rows' cache once, whatever the
    others have. A processor reads rows of like length together; all of them grow together."""

    leaves = True

    def __init__(self, engine: CausalEngine, behind: Behind, rows: Sequence[Row], longest: int) -> None:
        self.engine, self.before = engine, behind.length
        self.lengths = [len(row.own) for row in rows]
        self.ids, mask = left_padded([row.own for row in rows], engine.pad, engine.device)  # [B, T]
        self.mask = torch.cat([behind.mask(engine.device), mask], dim=1)  # [B, S + T]
        self.cache = roomy_cache(behind, self.mask.shape[1] + longest)

    def begin(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        spots = positions(self.mask)
        if self.engine.device.type != "cpu" or not self.cache.layers:
            return self._pass(self.ids, self.mask, spots[:, self.before :], self.cache)
        found = []
        for group in batches(self.lengths, batch_size=len(self.lengths), token_budget=SLICE):
            rows, width = slice(group[0], group[-1] + 1), self.lengths[group[0]]
            part = part_of(self.cache, rows, self.mask.shape[1] - width)
            found.append(self._pass(self.ids[rows, -width:], self.mask[rows], spots[rows, -width:], part))
        grown(self.cache, self.ids.shape[1])
        return torch.cat(found)

    def go_on(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] behind one token [B] more."""
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(chosen), 1))], dim=1)
        return self._pass(chosen.unsqueeze(1), self.mask, self.mask.sum(dim=1, keepdim=True) - 1, self.cache)

    def _pass(self, ids: Tensor, mask: Tensor, spots: Tensor, cache: Any) -> Tensor:
        given = {"input_ids": ids, "past_key_values": cache, "use_cache": True}
        return self.engine.last_logits(ids.shape, mask=mask, spots=spots, **given).logits[0]  # type: ignore[no-any-return]

    def keep(self, order: Sequence[int]) -> None:
        """Let only these rows go on."""
        self.mask = self.mask[torch.tensor(order, device=self.mask.device)]
        keep_rows(self.cache, order)


class Joined:
    """Rows with their prefixes and soft prompts (all of one length) in one sequence, in a cache or state of the model's own."""

    leaves = False

    def __init__(self, engine: CausalEngine, softs: Sequence[Tensor | None], rows: Sequence[Row]) -> None:
        self.engine = engine
        own = [engine.start + row.prefix + row.own for row in rows]
        self.ids, mask = left_padded(own, engine.pad, engine.device)
        self.mask = torch.cat([mask.new_ones((len(rows), size_of(softs[0]))), mask], dim=1)  # [B, P + T]
        given = [soft for soft in softs if soft is not None]
        self.soft = torch.stack(given) if given else None  # [B, P, H]
        self.kept: dict[str, Any] = {}

    def begin(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        return self._pass(self.mask.shape, self.mask, positions(self.mask), self.engine.vectors(self.soft, self.ids))

    def go_on(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] behind one token [B] more."""
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(chosen), 1))], dim=1)
        given = {"input_ids": chosen.unsqueeze(1), **self.kept}
        mask = self.mask if "past_key_values" in given else self.mask[:, -1:]  # a state is past its padding
        return self._pass((len(chosen), 1), mask, self.mask.sum(dim=1, keepdim=True) - 1, given)

    def _pass(self, shape: Sequence[int], mask: Tensor, spots: Tensor, given: dict[str, Any]) -> Tensor:
        out = self.engine.last_logits(shape, mask=mask, spots=spots, use_cache=True, **given)
        name = "past_key_values" if hasattr(out, "past_key_values") else "cache_params"  # state-space models
        self.kept = {name: getattr(out, name)}
        return out.logits[0]  # type: ignore[no-any-return]

    def keep(self, order: Sequence[int]) -> None:
        """Rows stay: what the model keeps of them is not ours to sort."""
        raise NotImplementedError


class Again:
    """Rows of a model whose cache is not exact: each token takes the whole row again."""

    leaves = True

    def __init__(self, engine: CausalEngine, softs: Sequence[Tensor | None], rows: Sequence[Row]) -> None:
        self.engine, self.softs, self.rows = engine, list(softs), list(rows)

    def begin(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        return Joined(self.engine, self.softs, self.rows).begin()

    def go_on(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] behind one token [B] more."""
        told = zip(self.rows, chosen.tolist(), strict=True)
        self.rows = [Row(row.prefix, (*row.own, token)) for row, token in told]
        return self.begin()

    def keep(self, order: Sequence[int]) -> None:
        """Let only these rows go on."""
        self.rows, self.softs = [self.rows[i] for i in order], [self.softs[i] for i in order]
