"""A running batch that decodes behind cached prefixes: a prefix that many rows share is held once, others are copied in front of their
rows; rows join and leave at any step, and long inputs are prefilled in pieces between the others' tokens."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from foreword.engine.batch import Row
from foreword.engine.blocks import Block, NewTokens
from foreword.engine.cache import PrefixState, length_of, still_there
from foreword.engine.decoding import Entry, Prompted
from foreword.engine.prefix import Prefix

SLICE = 1024  # tokens that are read at once: with more, what a layer computes leaves the processor's cache; with fewer, products are slow


class PrefixEngine(Protocol):
    """What computes logits of new tokens after prefixes that were run before."""

    @property
    def device(self) -> torch.device: ...
    def prefix_key(self, prefix: Prefix | None, row: Row) -> tuple[object, ...]: ...
    def states(self, rows: Sequence[Prompted]) -> list[PrefixState | None]: ...
    def once(self, rows: int, positions: int) -> bool: ...
    def stretch_logits(
        self, parts: Sequence[NewTokens], logit_positions: Tensor, ids: Tensor | None = None
    ) -> Tensor: ...


@dataclass(eq=False)
class _Slots:
    """A block and the entries that stand in its rows."""

    block: Block
    key: tuple[object, ...] | None  # of the prefix that is held once
    entries: list[Entry] = field(default_factory=list)


class SharedPrefixDecoder:
    """A `RunningBatch` of blocks: all rows go through the model in one sequence, whatever they read."""

    joins = True

    def __init__(self, engine: PrefixEngine) -> None:
        self.engine = engine
        self.slots: list[_Slots] = []

    def admit(self, entries: Sequence[Entry], expected: Sequence[Prompted] = ()) -> None:
        """Let rows join: after a prefix that is held once already, or that so many rows will share that it is worth holding once; else
        after a copy."""
        rows = [(entry.prefix, entry.row) for entry in entries]
        keys = [self.engine.prefix_key(*row) for row in rows]
        many = Counter([*keys, *(self.engine.prefix_key(*row) for row in expected)])
        groups: dict[tuple[object, ...] | None, list[tuple[Entry, PrefixState | None]]] = {}
        held = {slots.key for slots in self.slots if slots.key is not None}
        for entry, key, state in zip(entries, keys, self.engine.states(rows), strict=True):
            shared = key in held or self.engine.once(many[key], length_of(state))
            groups.setdefault(key if shared else None, []).append((entry, state))
        for owner, group in groups.items():
            group.sort(key=lambda pair: -len(pair[0].row.own))
            slots = self._slots(owner, group[0][1])
            columns = [len(entry.row.own) + entry.longest for entry, _ in group]
            if owner is None:
                columns = [size + length_of(state) for size, (_, state) in zip(columns, group, strict=True)]
            slots.block.add([None if owner is not None else state for _, state in group], max(columns))
            slots.entries += [entry for entry, _ in group]

    def _slots(self, key: tuple[object, ...] | None, state: PrefixState | None) -> _Slots:
        for slots in self.slots:
            if slots.key == key:
                return slots
        slots = _Slots(Block(state if key is not None else None), key)
        self.slots = sorted([*self.slots, slots], key=lambda slots: slots.key is None)
        return slots

    def step(self) -> tuple[list[Entry], Tensor]:
        """One pass over a token of every row that is answering, and over the next tokens of rows that are read."""
        parts: list[NewTokens] = []
        ids: list[int] = []
        logit_positions: list[int] = []
        ready: list[Entry] = []
        pieces = self._pieces()
        for slots in self.slots:
            sizes = [pieces.get(id(entry), 0) if entry.read < len(entry.row.own) else 1 for entry in slots.entries]
            for first, count in _runs(sizes):
                run = sizes[first : first + count]
                parts.append(NewTokens(slots.block, first, tuple(run)))
                for entry, size in zip(slots.entries[first : first + count], run, strict=True):
                    if entry.read < len(entry.row.own):
                        ids += entry.row.own[entry.read : entry.read + size]
                        entry.read += size
                    else:
                        ids.append(entry.token)
                    if entry.read == len(entry.row.own):
                        logit_positions.append(len(ids) - 1)
                        ready.append(entry)
        device = self.engine.device
        logits = self.engine.stretch_logits(
            parts, torch.tensor(logit_positions, dtype=torch.long, device=device), torch.tensor(ids, device=device)
        )
        return ready, logits

    def _pieces(self) -> dict[int, int]:
        """How many tokens of each row that is being read (by the entry's id) are read now, about a slice in all: as many rows as fit in
        whole; of those that never will, the first in pieces, half a slice each while others wait beside it."""
        reading = [entry for slots in self.slots for entry in slots.entries if entry.read < len(entry.row.own)]
        long = [entry for entry in reading if entry.unread > SLICE]
        short = [entry for entry in reading if entry.unread <= SLICE]
        pieces, budget = {}, SLICE
        if long:
            pieces[id(long[0])] = SLICE // 2 if short else SLICE
            budget -= pieces[id(long[0])]
        for place, entry in enumerate(short):
            if entry.unread <= budget or place == 0:
                pieces[id(entry)] = entry.unread
                budget -= entry.unread
        return pieces

    def retire(self, entries: Sequence[Entry]) -> None:
        """Let rows leave; their room is for others."""
        leaving = {id(entry) for entry in entries}
        if not leaving:
            return
        for slots in self.slots:
            order = still_there([id(entry) in leaving for entry in slots.entries])
            if len(order) < len(slots.entries):
                slots.block.compact(order)
                slots.entries = [slots.entries[place] for place in order]
        self.slots = [slots for slots in self.slots if slots.entries]


def _runs(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each run of neighbours that all read one token, or all more; those that read none are left out."""
    for kind, run in itertools.groupby(range(len(sizes)), key=lambda row: min(sizes[row], 2)):
        rows = list(run)
        if kind:
            yield rows[0], len(rows)


def token_logprobs(engine: PrefixEngine, prompted: Sequence[Prompted]) -> tuple[list[int], Tensor]:
    """The rows' places in some order, and log-probabilities [N] of their answers' tokens in it, after prefixes held once."""
    order, blocks, sizes = _laid(engine, prompted)
    logprobs, waiting = [], iter(order)
    for parts in _slices(blocks, sizes):
        rows = [prompted[place][1] for place in itertools.islice(waiting, sum(len(part.sizes) for part in parts))]
        ids = [token for row in rows for token in row.own + row.answer[:-1]]
        labels = [token for row in rows for token in row.answer]
        logit_positions: list[int] = []
        for end, row in zip(
            itertools.accumulate(len(row.own) + len(row.answer) - 1 for row in rows), rows, strict=True
        ):
            logit_positions += range(end - len(row.answer), end)
        device = engine.device
        logits = engine.stretch_logits(
            parts, torch.tensor(logit_positions, device=device), torch.tensor(ids, dtype=torch.long, device=device)
        )
        logprobs.append(logprobs_of(logits, torch.tensor(labels, device=device)))
    return order, torch.cat(logprobs)


def _laid(engine: PrefixEngine, prompted: Sequence[Prompted]) -> tuple[list[int], list[Block], list[int]]:
    """The rows' places block by block, in each the longest first; the blocks; and how many tokens each row reads, in that order."""
    states = engine.states(prompted)
    lengths = [len(row.own) + len(row.answer) - 1 for _, row in prompted]
    owners: dict[int, list[int]] = {}
    for place, state in enumerate(states):
        owners.setdefault(id(state), []).append(place)
    groups, copied = [], []
    for places in owners.values():
        if engine.once(len(places), length_of(states[places[0]])):
            groups.append((states[places[0]], places))
        else:
            copied += places
    order, blocks = [], []
    for shared, places in [*groups, *([(None, copied)] if copied else [])]:
        places = sorted(places, key=lambda place: -lengths[place])
        copied_states = [None if shared is not None else states[place] for place in places]
        block = Block(shared)
        block.add(
            copied_states,
            max(length_of(state) + lengths[place] for state, place in zip(copied_states, places, strict=True)),
        )
        blocks.append(block)
        order += places
    return order, blocks, [lengths[place] for place in order]


def _slices(blocks: Sequence[Block], sizes: Sequence[int]) -> list[list[NewTokens]]:
    """All tokens of all rows, so many of each, in parts that are read at once."""
    rows = [(block, row) for block in blocks for row in range(len(block.held))]
    groups: list[list[int]] = []
    tokens = 0
    for place, size in enumerate(sizes):
        tokens += size
        if not groups or tokens > SLICE:
            groups.append([])
            tokens = size
        groups[-1].append(place)
    slices = []
    for group in groups:
        runs = [list(run) for _, run in itertools.groupby(group, key=lambda place: id(rows[place][0]))]
        slices.append([NewTokens(*rows[run[0]], tuple(sizes[place] for place in run)) for run in runs])
    return slices


def logprobs_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probabilities [N] of tokens [N] by logits [N, V]."""
    return -functional.cross_entropy(logits.float(), labels, reduction="none")
