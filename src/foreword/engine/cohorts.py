"""A running batch for models whose rows cannot join others mid-way: rows that are admitted together are decoded together, in a cache or
state of the model library's kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from foreword.engine.decoders import Decoder
from foreword.engine.decoding import Entry, Prompted


class CohortEngine(Protocol):
    """What can make batches whose rows start together."""

    @property
    def device(self) -> torch.device: ...

    def together(self, rows: Sequence[Prompted], longest: int) -> list[list[int]]:
        """The places of the rows, split into those that may stand in one batch."""

    def new_decoder(self, rows: Sequence[Prompted], longest: int) -> Decoder:
        """Rows that may stand in one batch, as one."""


class _Cohort:
    """Rows that started together."""

    def __init__(self, batch: Decoder, entries: Sequence[Entry]) -> None:
        self.batch = batch
        self.entries = [entries[place] for place in batch.order]
        self.gone = [False] * len(self.entries)
        self.begun = False

    def step(self, device: torch.device) -> tuple[list[Entry], Tensor]:
        if self.begun:
            tokens = [max(0, entry.token) for entry in self.entries]
            logits = self.batch.decode_step(torch.tensor(tokens, device=device))
        else:
            logits, self.begun = self.batch.prefill(), True
            for entry in self.entries:
                entry.read = len(entry.row.own)
        if any(self.gone):  # rows that the model keeps until all are done
            here = [place for place, gone in enumerate(self.gone) if not gone]
            return [self.entries[place] for place in here], logits[torch.tensor(here, device=logits.device)]
        return list(self.entries), logits

    def retire(self, leaving: set[int]) -> None:
        self.gone = [gone or id(entry) in leaving for gone, entry in zip(self.gone, self.entries, strict=True)]
        if self.batch.can_evict and self.begun and any(self.gone) and not all(self.gone):
            order = self.batch.compact(self.gone)
            self.entries = [self.entries[place] for place in order]
            self.gone = [False] * len(order)


class Cohorts:
    """A `RunningBatch` of cohorts: each takes a pass of its own."""

    joins = False

    def __init__(self, engine: CohortEngine) -> None:
        self.engine = engine
        self.cohorts: list[_Cohort] = []

    def admit(self, entries: Sequence[Entry], expected: Sequence[Prompted] = ()) -> None:
        """Let rows join, as cohorts of those that may stand together."""
        rows = [(entry.prefix, entry.row) for entry in entries]
        longest = max((entry.longest for entry in entries), default=0)
        for places in self.engine.together(rows, longest):
            batch = self.engine.new_decoder([rows[place] for place in places], longest)
            self.cohorts.append(_Cohort(batch, [entries[place] for place in places]))

    def step(self) -> tuple[list[Entry], Tensor]:
        """A pass of each cohort."""
        steps = [cohort.step(self.engine.device) for cohort in self.cohorts]
        return [entry for ready, _ in steps for entry in ready], torch.cat([logits for _, logits in steps])

    def retire(self, entries: Sequence[Entry]) -> None:
        """Let rows leave; a cohort that is done is dropped."""
        leaving = {id(entry) for entry in entries}
        if not leaving:
            return
        for cohort in self.cohorts:
            cohort.retire(leaving)
        self.cohorts = [cohort for cohort in self.cohorts if not all(cohort.gone)]
