"""Continuous batching: a Session answers requests that come and go; each has its own prefix, limit, stop texts and sampling, joins the
running batch as soon as there is room, and gets the answer that it would get alone."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from foreword.engine.batch import Row
from foreword.engine.decoding import Entry, RunningBatch, greedy_tokens
from foreword.engine.prefix import Prefix, Prefixes, each, length_of_prefix
from foreword.engine.sampling import GREEDY, Sampling, choose, ruled_out
from foreword.util.errors import ForewordError, TooLongError

Ended = Callable[[Sequence[int]], bool]


class Constraint(Protocol):
    """What an answer must be. It depends on the answer's ids alone."""

    def allowed(self, ids: Sequence[int]) -> Tensor:
        """Whether each token [V] may come next."""

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether nothing more can come."""


@dataclass(frozen=True)
class Request:
    """What is to be answered. row: its tokens (their `answer` is not read). prefix: what stands before them. max_new_tokens: its limit.
    stop: texts that end the answer (they stay in its tokens). top_logprobs: None for no log-probabilities, else how many of the
    likeliest tokens are returned with theirs beside the chosen one. ended: what ends the answer, in place of the model's own ends and
    `stop`. constraint: which tokens may come at all."""

    row: Row
    prefix: Prefix | None
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = GREEDY
    top_logprobs: int | None = None
    ended: Ended | None = None
    constraint: Constraint | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ForewordError(f"max_new_tokens is {self.max_new_tokens}; an answer needs room for 1 token at least.")


@dataclass(frozen=True)
class GeneratedToken:
    """One token of an answer. id: of its request. finish_reason: None while it goes on, "stop" (an end token or a stop text) or "length".
    logprob, top: in nats by the model's own logits, before sampling changes them; None and () where they were not asked for."""

    id: int
    token: int
    finish_reason: str | None = None
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Model(Protocol):
    """What a session asks of a backbone."""

    name: str
    window: int | None
    eos: tuple[int, ...]
    kind: str

    @property
    def device(self) -> torch.device: ...
    @property
    def specials(self) -> int: ...
    @property
    def room(self) -> int: ...
    def ended(self, *stops: str) -> Ended: ...
    def refuse_unknown(self, rows: Sequence[Row]) -> None: ...
    def running_batch(self) -> RunningBatch: ...
    def sizes(self, prefixes: Prefixes, rows: Sequence[Row], longest: int) -> list[int]: ...


@dataclass(eq=False)
class _Live:
    """A request under way."""

    id: int
    request: Request
    entry: Entry
    ended: Ended
    tokens: int = 0  # that it takes of the room
    ids: list[int] = field(default_factory=list)


class Session:
    """Requests to one backbone, answered together. max_rows: that answer at once. max_tokens: of rows at once, their prompts and the
    longest answers that they may have; None: what the backbone has room for. A request that alone needs more goes alone. refill: for
    models whose rows cannot join others under way, how much of the rows must be free before more are admitted (a part of max_rows).
    One thread drives a session; several sessions may run on one backbone."""

    def __init__(
        self, model: Model, *, max_rows: int = 128, max_tokens: int | None = None, refill: float = 0.25
    ) -> None:
        self.model, self.max_rows = model, max(1, max_rows)
        self.max_tokens = model.room if max_tokens is None else max_tokens
        self.refill = refill
        self.batch = model.running_batch()
        self.waiting: deque[_Live] = deque()
        self.running: dict[int, _Live] = {}  # by id(entry)
        self._ended: dict[tuple[str, ...], Ended] = {}
        self._next = 0

    def __len__(self) -> int:
        """Requests that are not finished."""
        return len(self.waiting) + len(self.running)

    def admit(self, requests: Iterable[Request]) -> list[int]:
        """Queue requests; their ids. Raises ForewordError, and admits none, where one does not fit the model's window or
        holds an id that the model has no vector for."""
        queued, lives = list(requests), []
        placed = each([request.prefix for request in queued], len(queued), self.model.device)
        for at, (request, prefix) in enumerate(zip(queued, placed, strict=True), self._next):
            self.model.refuse_unknown([request.row])
            self._check(request)
            entry = Entry(prefix, request.row, request.max_new_tokens)
            lives.append(_Live(at, request, entry, self._end_of(request)))
        prefixes, rows = [live.request.prefix for live in lives], [live.request.row for live in lives]
        for live, size in zip(lives, self.model.sizes(prefixes, rows, 0), strict=True):
            live.tokens = size + live.request.max_new_tokens
        self._next += len(lives)
        self.waiting += lives
        return [live.id for live in lives]

    @torch.no_grad()
    def prefill(self, requests: Iterable[Request]) -> list[int]:
        """Admit requests, and let those that have room join the batch now: the next step reads them. Their ids."""
        ids = self.admit(requests)
        self._join()
        return ids

    @torch.no_grad()
    def step(self) -> list[GeneratedToken]:
        """One pass of the model over all rows under way, after those that have room have joined: a token of each row that has read its
        input. Empty when nothing is left to do."""
        self._join()
        if not self.running:
            return []
        ready, logits = self.batch.step()
        lives = [self.running[id(entry)] for entry in ready]
        events = []
        leaving = []
        for place, (live, token) in enumerate(zip(lives, self._chosen(lives, logits), strict=True)):
            live.ids.append(token)
            live.entry.token = token
            reason = "stop" if live.ended(live.ids) else None
            if reason is None and len(live.ids) >= live.request.max_new_tokens:
                reason = "length"
            events.append(
                _generated_token(live, token, logits[place] if live.request.top_logprobs is not None else None, reason)
            )
            if reason is not None:
                leaving.append(live)
        self._leave(leaving)
        return events

    def retire(self, request: int) -> bool:
        """Take a request out, finished or not; whether it was there."""
        for live in self.waiting:
            if live.id == request:
                self.waiting.remove(live)
                return True
        for live in list(self.running.values()):
            if live.id == request:
                self._leave([live])
                return True
        return False

    def run(self) -> Iterator[GeneratedToken]:
        """Step until all requests are finished."""
        while len(self):
            yield from self.step()

    # -- parts ------------------------------------------------------------------------------------------------------

    def _end_of(self, request: Request) -> Ended:
        ended, constraint = self._own_end_of(request), request.constraint
        return ended if constraint is None else lambda ids: ended(ids) or constraint.ended(ids)

    def _own_end_of(self, request: Request) -> Ended:
        if request.ended is not None:
            return request.ended
        if request.stop not in self._ended:
            self._ended[request.stop] = self.model.ended(*request.stop)
        return self._ended[request.stop]

    def _before(self, request: Request) -> int:
        row = request.row
        return length_of_prefix(request.prefix) + len(row.before) + len(row.prefix) + self.model.specials

    def _check(self, request: Request) -> None:
        window = self.model.window
        if window is None:
            return
        before, own = self._before(request), len(request.row.own)
        needed = max(before + own, request.max_new_tokens + 1)
        if self.model.kind != "seq2seq":
            needed = before + own + request.max_new_tokens
        if needed > window:
            raise TooLongError(
                f"A request needs {needed} positions ({before} before its input, {own} in it, {request.max_new_tokens} for the answer) and "
                f"the model {self.model.name} has {window}; shorten it, or lower max_new_tokens."
            )

    def _join(self) -> None:
        """Let waiting requests into the batch, in their order, as long as rows and tokens have room."""
        if not self.waiting:
            return
        free = self.max_rows - len(self.running)
        if self.running and not self.batch.joins and free < min(len(self.waiting), self.refill * self.max_rows):
            return
        used = sum(live.tokens for live in self.running.values())
        joining: list[_Live] = []
        while self.waiting and len(joining) < free:
            live = self.waiting[0]
            if used + live.tokens > self.max_tokens and (self.running or joining):
                break
            used += live.tokens
            joining.append(self.waiting.popleft())
        if joining:
            later = itertools.islice(self.waiting, self.max_rows)
            expected = [(live.entry.prefix, live.request.row) for live in later]
            self.batch.admit([live.entry for live in joining], expected)
            self.running |= {id(live.entry): live for live in joining}

    def _leave(self, lives: Sequence[_Live]) -> None:
        if lives:
            self.batch.retire([live.entry for live in lives])
            for live in lives:
                del self.running[id(live.entry)]

    def _chosen(self, lives: Sequence[_Live], logits: Tensor) -> list[int]:
        tokens = greedy_tokens(logits) if lives else []
        for place, live in enumerate(lives):
            sampling, constraint = live.request.sampling, live.request.constraint
            if sampling.greedy and constraint is None:
                continue
            row, own = live.request.row, logits[place].float()  # [V]
            if constraint is not None:
                own = ruled_out(own, constraint.allowed(live.ids))
            previous = (*row.before, *row.prefix, *row.own, *live.ids)
            tokens[place] = choose(own, sampling, len(live.ids), previous)
        return tokens


def _generated_token(live: _Live, token: int, logits: Tensor | None, reason: str | None) -> GeneratedToken:
    count = live.request.top_logprobs
    if count is None or logits is None:
        return GeneratedToken(live.id, token, reason)
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    values, ids = torch.topk(logprobs, min(count, len(logprobs)))
    top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return GeneratedToken(live.id, token, reason, float(logprobs[token]), top)
