"""The batches in which a decoder-only model's answers grow: beside kept prefixes, behind a cache of the model's own, or all over again;
they refuse to move a row's positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from foreword.backbone.batch import Row, left_padded, positions, size_of
from foreword.backbone.blocks import Part, beside, slices
from foreword.backbone.cache import keep_rows, roomy_cache, still_there

if TYPE_CHECKING:
    from foreword.backbone.causal import CausalEngine


class Beside:
    """Rows beside prefixes that were run before: one that many rows share is held once, the others are copied in front of their rows."""

    leaves = True

    def __init__(self, engine: CausalEngine, softs: Sequence[Tensor | None], rows: Sequence[Row], longest: int) -> None:
        self.engine = engine
        sizes = [len(row.own) for row in rows]
        self.order, self.blocks = beside(engine.states(softs, rows), sizes, longest, engine.once)
        self.own = [rows[place].own for place in self.order]

    def begin(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        told, found = iter(self.own), []
        for parts in slices(self.blocks, [len(ids) for ids in self.own]):
            ids = [token for part in parts for _ in part.sizes for token in next(told)]
            found.append(self.engine.behind_blocks(parts, torch.tensor(ids, device=self.engine.device)))
        return torch.cat(found)

    def go_on(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] behind one token [B] more."""
        parts = [Part(block, 0, (1,) * len(block.held)) for block in self.blocks]
        return self.engine.behind_blocks(parts, chosen)

    def keep(self, gone: Sequence[bool]) -> list[int]:
        """Let only the rows go on that are not gone; their places before, in the order in which they stand now."""
        found, first = [], 0
        for block in self.blocks:
            count = len(block.held)
            order = still_there(gone[first : first + count])
            block.keep(order)
            found += [first + place for place in order]
            first += count
        self.blocks = [block for block in self.blocks if block.held]
        return found


class Shared:
    """The same in a cache of the model library's kind, for models whose attention is their own: each prefix is copied into its rows' cache
    once, and all rows are read together, the longest first."""

    leaves = True

    def __init__(self, engine: CausalEngine, softs: Sequence[Tensor | None], rows: Sequence[Row], longest: int) -> None:
        self.engine = engine
        self.order, behind = engine.behind(softs, rows)
        self.before = behind.length
        self.ids, mask = left_padded([rows[place].own for place in self.order], engine.pad, engine.device)  # [B, T]
        self.mask = torch.cat([behind.mask(engine.device), mask], dim=1)  # [B, S + T]
        self.cache = roomy_cache(behind, self.mask.shape[1] + longest)

    def begin(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        return self._pass(self.ids, positions(self.mask)[:, self.before :])

    def go_on(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] behind one token [B] more."""
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(chosen), 1))], dim=1)
        return self._pass(chosen.unsqueeze(1), self.mask.sum(dim=1, keepdim=True) - 1)

    def _pass(self, ids: Tensor, spots: Tensor) -> Tensor:
        given = {"input_ids": ids, "past_key_values": self.cache, "use_cache": True}
        return self.engine.last_logits(ids.shape, mask=self.mask, spots=spots, **given).logits[0]  # type: ignore[no-any-return]

    def keep(self, gone: Sequence[bool]) -> list[int]:
        """Let only the rows go on that are not gone; their places before, in the order in which they stand now."""
        order = still_there(gone)
        self.mask = self.mask[torch.tensor(order, device=self.mask.device)]
        keep_rows(self.cache, order)
        return order


class Joined:
    """Rows with their prefixes and soft prompts (all of one length) in one sequence, in a cache or state of the model's own."""

    leaves = False

    def __init__(self, engine: CausalEngine, softs: Sequence[Tensor | None], rows: Sequence[Row]) -> None:
        self.engine, self.order = engine, list(range(len(rows)))
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

    def keep(self, gone: Sequence[bool]) -> list[int]:
        """Rows stay: what the model keeps of them is not ours to sort."""
        raise NotImplementedError


class Again:
    """Rows of a model whose cache is not exact: each token takes the whole row again."""

    leaves = True

    def __init__(self, engine: CausalEngine, softs: Sequence[Tensor | None], rows: Sequence[Row]) -> None:
        self.engine, self.softs, self.rows = engine, list(softs), list(rows)
        self.order = list(range(len(rows)))

    def begin(self) -> Tensor:
        """Logits [B, V] at each row's last position."""
        rows = Joined(self.engine, self.softs, self.rows)
        given = self.engine.vectors(rows.soft, rows.ids)
        spots = positions(rows.mask)
        out = self.engine.last_logits(rows.mask.shape, mask=rows.mask, spots=spots, use_cache=False, **given)
        return out.logits[0]  # type: ignore[no-any-return]

    def go_on(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] behind one token [B] more."""
        told = zip(self.rows, chosen.tolist(), strict=True)
        self.rows = [Row(row.prefix, (*row.own, token)) for row, token in told]
        return self.begin()

    def keep(self, gone: Sequence[bool]) -> list[int]:
        """Let only the rows go on that are not gone; their places before, in the order in which they stand now."""
        order = still_there(gone)
        self.rows, self.softs = [self.rows[i] for i in order], [self.softs[i] for i in order]
        return order
