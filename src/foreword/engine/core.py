"""Backbone: a frozen model with its tokenizers and a few verbs (`embed`, `loss`, `score`, `generate`, `states`)."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from foreword.engine.batch import Row, right_padded
from foreword.engine.capabilities import Capabilities
from foreword.engine.decoding import RunningBatch
from foreword.engine.identity import fingerprint
from foreword.engine.install import Installation
from foreword.engine.passes import running
from foreword.engine.prefix import Prefix, Prefixes, each, length_of_prefix
from foreword.engine.session import Request, Session
from foreword.engine.stored import Stored
from foreword.engine.tokenizer_adapter import TokenizerAdapter, stripped
from foreword.engine.truth import not_a_number
from foreword.util.errors import ForewordError
from foreword.util.text import Text, plain

STATES = 2**31  # bytes of keys and values, at least, that answers may take


class Engine(Protocol):
    """What computes for a kind of model: the loss takes rows that share one prefix, the other verbs any rows."""

    capabilities: Capabilities
    installation: Installation
    reasons: dict[str, str]
    factor: float
    switch: int | None

    def token_bytes(self) -> int: ...
    def once(self, rows: int, positions: int) -> bool: ...
    def loss(self, soft: Prefix | Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]: ...
    def score(self, soft: Prefixes, rows: Sequence[Row]) -> list[float]: ...
    def running_batch(self) -> RunningBatch: ...
    def forget(self) -> None: ...


class Speech(Protocol):
    """How a chat template words an answer. begins: whether it writes the tokenizer's own start. end: the id that ends an answer, if it
    writes one. digest: of the template. around: the most that it writes around one question."""

    begins: bool
    end: int | None
    digest: str
    around: str

    def answer_ids(self, text: str, *, end: bool = True) -> tuple[int, ...]: ...


class Backbone:
    """A frozen language model.

    kind: "causal" or "seq2seq". hidden: H. vocab: V. window: positions it can hold (soft prompt included), None if unbounded;
    an encoder-decoder has that many in the encoder, and answer_window in the decoder. relative: positions are relative (T5), so moving an
    input changes nothing. tokenizer, target_tokenizer: of inputs and of outputs
    (one and the same, but for models with two alphabets). chat: the chat template that it is spoken to through, None for running text.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: TokenizerAdapter,
        target_tokenizer: TokenizerAdapter,
        engine: Engine,
        *,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name, self.model, self.engine, self.notes = name, model, engine, notes
        self.tokenizer, self.target_tokenizer = tokenizer, target_tokenizer
        self._closed = False
        config = model.config.get_text_config(decoder=True)
        self.kind = "seq2seq" if model.config.is_encoder_decoder else "causal"
        self.vocab = int(model.get_input_embeddings().weight.shape[0])
        self.hidden = int(self.embed([0]).shape[-1])
        self.window = _window(config)
        self.answer_window: int | None = getattr(config, "max_decoder_position_embeddings", None) or self.window
        self.relative = bool(getattr(config, "relative_attention_num_buckets", None))
        self.eos = _eos(model, self.target_tokenizer)
        self.chat: Speech | None = None

    def chatting(self, chat: Speech) -> Backbone:
        """The same model, spoken to through a chat template: answers end with the template's own end of a turn, and any other end that
        the model knows ends them too. Where the template does not write the tokenizer's start, none is put before it."""
        view = copy.copy(self)
        view.chat = chat
        turn = getattr(self.model.generation_config, "eot_token_id", None)
        turns = turn if isinstance(turn, list | tuple) else [turn]
        view.eos = tuple(dict.fromkeys(int(i) for i in (chat.end, *self.eos, *turns) if i is not None))
        if not chat.begins:
            view.engine = _without_start(self.engine)
        return view

    @property
    def device(self) -> torch.device:
        """Where the model stands."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def dtype(self) -> torch.dtype:
        """The numbers it computes with."""
        return next(self.model.parameters()).dtype  # type: ignore[no-any-return]

    @functools.cached_property
    def parameters(self) -> int:
        """How many numbers the frozen model has."""
        return sum(int(p.numel()) for p in self.model.parameters())

    # -- memory -----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def room(self) -> int:
        """Tokens that may be held at once while answers grow: their keys and values take no more memory than the weights, or than 2 GiB
        where those are smaller."""
        weights = sum(int(p.nbytes) for p in self.model.parameters())
        return max(weights, STATES) // max(1, self.engine.token_bytes())

    def sizes(self, prefixes: Prefixes, rows: Sequence[Row], longest: int) -> list[int]:
        """Tokens that each of these rows takes while up to `longest` more are decoded: its prompt and prefix are not counted where they are
        held once for all rows that have them."""
        each_prefix = each(prefixes, len(rows))
        owners = [(id(prefix), row.before, row.prefix) for prefix, row in zip(each_prefix, rows, strict=True)]
        many = Counter(owners)
        sizes = []
        for owner, prefix, row in zip(owners, each_prefix, rows, strict=True):
            before = length_of_prefix(prefix) + len(row.before) + len(row.prefix) + self.specials
            own = len(row.own) + len(row.answer) + longest
            sizes.append(own if self.engine.once(many[owner], before) else own + before)
        return sizes

    # -- text -------------------------------------------------------------------------------------------------------

    def answer_ids(self, text: Text, *, end: bool = True) -> tuple[int, ...]:
        """The tokens of an answer with (or, for a left-to-right model, without) the end that the model is to say after it."""
        if self.chat is not None:
            ids = self.chat.answer_ids(plain(text), end=end)
            return ids if self.chat.end is not None or not end else ids + self.eos[:1]
        if self.kind == "seq2seq":
            return (
                self.target_tokenizer.start
                + self.target_tokenizer.ids(stripped(text), first=True)
                + self.target_tokenizer.end
            )
        return self.target_tokenizer.ids(text, first=False) + (self.eos[:1] if end else ())

    def answer_text(self, ids: Sequence[int]) -> str:
        """The text of an answer, its end left out."""
        tokens = list(ids)
        while tokens and tokens[-1] in self.eos:
            tokens.pop()
        return self.target_tokenizer.text(tokens)

    @property
    def specials(self) -> int:
        """Positions that the tokenizer's own start and end take before and after the input."""
        return len(self.tokenizer.start) + (len(self.tokenizer.end) if self.kind == "seq2seq" else 0)

    # -- vectors ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def embed(self, ids: Sequence[int]) -> Tensor:
        """The input vectors of token ids as the first layer gets them: [T, H] in float32."""
        vectors = self.model.get_input_embeddings()(torch.tensor([list(ids)], dtype=torch.long, device=self.device))
        return vectors[0].float() * self.engine.factor  # type: ignore[no-any-return]

    @functools.cached_property
    def scale(self) -> float:
        """Root mean square of the entries of the 5,000 most frequent tokens' input vectors: the unit of a soft prompt."""
        rows = self.embed(self.tokenizer.frequent(5000))
        return float(rows.square().mean().sqrt())

    @torch.no_grad()
    def states(self, texts: Sequence[str], *, pooling: str = "last", batch_size: int = 32) -> np.ndarray[Any, Any]:
        """The model's own vectors of texts, [N, H] float32, for retrieval: the last token's final hidden state (Sun et al. 2023)
        or the mean over tokens; of the encoder where there is one. Texts longer than the window are cut at its end."""
        room = (self.window or 4096) - self.specials
        own = (self.tokenizer.ids(((text, False),), first=True)[:room] for text in texts)
        rows = [self.tokenizer.start + ids or (self.tokenizer.pad,) for ids in own]
        vectors = np.zeros((len(rows), self.hidden), dtype=np.float32)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        batch_size = batch_size if self.engine.switch is None else 1
        for at in range(0, len(order), batch_size):
            chunk = order[at : at + batch_size]
            hidden, mask = self._hidden([rows[i] for i in chunk])  # [B, T, H], [B, T]
            if pooling == "mean":
                pooled = (hidden * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            else:
                pooled = hidden[torch.arange(len(chunk), device=hidden.device), mask.sum(dim=1) - 1]
            vectors[chunk] = pooled.float().cpu().numpy()
        return vectors

    def _hidden(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        ids, mask = right_padded(rows, self.tokenizer.pad, self.device)
        if self.kind == "seq2seq":
            return self.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state, mask
        installation = self.engine.installation
        if not self.engine.capabilities.logits_to_keep:  # an output layer that cannot be listened to
            with running(installation.new_pass()):
                out = self.model(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
            return out.hidden_states[-1], mask
        hidden: list[Tensor] = []
        every = torch.arange(ids.numel(), device=self.device)
        with running(installation.new_pass(logit_positions=every, hidden=hidden)):
            self.model(input_ids=ids, attention_mask=mask, use_cache=False)
        return hidden[0].view(*ids.shape, -1), mask

    # -- verbs ------------------------------------------------------------------------------------------------------

    def loss(self, prefix: Prefix | Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """Cross-entropy in nats summed over all answer tokens, and their number; gradients reach the numbers of the prefix, such as a
        soft prompt [P, H], and nothing else."""
        self._check_open()
        self.refuse_unknown(rows)
        parts = [self.engine.loss(prefix, [rows[i] for i in places]) for places in _by_prefix(rows)]
        return torch.stack([part for part, _ in parts]).sum(), sum(count for _, count in parts)

    def score(self, prefixes: Prefixes, rows: Sequence[Row]) -> list[float]:
        """Each row's answer log-probability in nats. prefixes: one for all rows, or one for each."""
        self._check_open()
        self.refuse_unknown(rows)
        scores = self.engine.score(each(prefixes, len(rows), self.device), rows) if rows else []
        if any(math.isnan(score) for score in scores):
            raise not_a_number(self.dtype)
        return scores

    def generate(
        self,
        prefixes: Prefixes,
        rows: Sequence[Row],
        longest: int,
        *,
        stop: str | Sequence[str] = "",
        max_rows: int | None = None,
    ) -> list[list[int]]:
        """Greedy answers as token ids, the end included; at most `longest` tokens. The same whatever stands in the batch. prefixes: one
        for all rows, or one for each: a prefix that several rows have is run once, and kept for later batches. max_rows: that answer at
        once; None: all."""
        stops = tuple(text for text in ((stop,) if isinstance(stop, str) else stop) if text)
        owned = zip(each(prefixes, len(rows)), rows, strict=True)
        requests = [Request(row, prefix, longest, stops) for prefix, row in owned]
        return self.answer(requests, **({} if max_rows is None else {"max_rows": max_rows}))

    def answer(self, requests: Sequence[Request], **limits: Any) -> list[list[int]]:
        """The whole answer of each request as token ids, the end included. limits: of the session."""
        answers: dict[int, list[int]] = dict(self.finishing(requests, **{"max_rows": max(1, len(requests)), **limits}))
        return [answers[place] for place in range(len(requests))]

    def finishing(self, requests: Sequence[Request], **limits: Any) -> Iterator[tuple[int, list[int]]]:
        """The place of each request and its whole answer, as each is finished."""
        session = self.session(**limits)
        place = {number: at for at, number in enumerate(session.admit(requests))}
        answers: list[list[int]] = [[] for _ in requests]
        for event in session.run():
            answers[place[event.id]].append(event.token)
            if event.finish_reason is not None:
                yield place[event.id], answers[place[event.id]]

    def session(self, **limits: Any) -> Session:
        """A session of requests that come and go: see `Session` for its limits."""
        return Session(self, **limits)

    def running_batch(self) -> RunningBatch:
        """An empty running batch of this model."""
        self._check_open()
        return self.engine.running_batch()

    def ended(self, *stops: str) -> Callable[[Sequence[int]], bool]:
        """Whether an answer's tokens have ended: by one of the model's own ends, or by a text that holds one of `stops`."""
        ends = frozenset(self.eos)
        closing = frozenset[int]().union(*(self.target_tokenizer.ending_in(stop[-1]) for stop in stops if stop))

        def ended(ids: Sequence[int]) -> bool:
            if ids[-1] in ends or ids[-1] not in closing:
                return ids[-1] in ends
            text = self.target_tokenizer.text(ids).lstrip()
            return any(stop and stop in text for stop in stops)

        return ended

    def refuse_unknown(self, rows: Sequence[Row]) -> None:
        """Raises ForewordError for an id that the model has no vector for."""
        largest = max((max(*row.before, *row.prefix, *row.own, *row.answer, 0) for row in rows), default=0)
        if largest >= self.vocab:
            raise ForewordError(
                f"A row holds token {largest}, and the model has vectors for {self.vocab} tokens alone; make rows with the tokenizer of "
                "this model."
            )

    @property
    def checkpointing(self) -> bool:
        """Whether a loss keeps each layer's input alone and runs the layer again for the gradient: the same numbers, less memory. Of this
        thread or task."""
        return self.engine.installation.new_pass().checkpointing

    @contextlib.contextmanager
    def activation_checkpointing(self, enabled: bool) -> Iterator[None]:
        """Within the block, in this thread or task, `checkpointing` is so."""
        with running(self.engine.installation.new_pass(checkpointing=enabled)):
            yield

    def forget(self) -> None:
        """Free what is kept to be used again: it is computed anew where it is needed."""
        self.engine.forget()

    # -- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take out of the model what was put into it and free what is kept; the model is then as it was before, to the bit."""
        if not self._closed:
            self._closed = True
            self.forget()
            self.engine.installation.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ForewordError(f"The backbone {self.name} was closed; load the model again to go on with it.")

    def __enter__(self) -> Backbone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- identity ---------------------------------------------------------------------------------------------------

    stored: Stored | None = None  # the files that the model was loaded from

    @functools.cached_property
    def fingerprint(self) -> str:
        """Identifies the model and its tokenizer by all that can change a number: see `identity.fingerprint`."""
        return fingerprint(self.model, self.tokenizer, self.target_tokenizer, self.stored)

    def weights_digest(self) -> str:
        """A digest of every number of every weight, as loaded: equal before and after tuning."""
        digest = hashlib.sha256()
        for name, values in sorted(self.model.named_parameters(), key=lambda named: named[0]):
            digest.update(name.encode())
            digest.update(values.detach().reshape(-1).contiguous().view(torch.uint8).cpu().numpy().tobytes())
        return digest.hexdigest()


def _without_start(engine: Any) -> Any:
    """The same engine for texts that bring no start of the tokenizer's along, with a room of its own for prefixes."""
    twin = copy.copy(engine)
    twin.start, twin.prefix_states = (), type(engine.prefix_states)(engine.prefix_states.room)
    return twin


def _by_prefix(rows: Sequence[Row]) -> list[list[int]]:
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault((row.before, row.prefix, row.append), []).append(place)
    return list(groups.values())


def _window(config: Any) -> int | None:
    """Positions the model has; None for relative positions and for ALiBi without a stated length."""
    if getattr(config, "relative_attention_num_buckets", None):
        return None
    for name in (
        "max_position_embeddings",
        "max_encoder_position_embeddings",
        "n_positions",
        "max_sequence_length",
        "seq_length",
        "max_seq_len",
    ):
        size = getattr(config, name, None)
        if isinstance(size, int) and size > 0:
            return size
    return None


def _eos(model: Any, tokenizer: TokenizerAdapter) -> tuple[int, ...]:
    """The ids that end an answer, the one that is trained first."""
    ends: list[int] = []
    for configured in (
        tokenizer.hf.eos_token_id,
        getattr(model.generation_config, "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
    ):
        for token in configured if isinstance(configured, (list, tuple)) else [configured]:
            if token is not None and int(token) not in ends and (tokenizer.rows is None or int(token) < tokenizer.rows):
                ends.append(int(token))
    return tuple(ends)
