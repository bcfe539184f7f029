"""A Backbone is a frozen model with its tokenizer and few verbs; it refuses to change, or to learn of tasks."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from foreword.backbone.attention import local_window
from foreword.backbone.batch import Row, Softs, each, right_padded, size_of
from foreword.backbone.causal import Traits, hidden_at
from foreword.backbone.greedy import Finished
from foreword.backbone.wording import Wording, stripped
from foreword.context import Text

STATES = 2**31  # bytes of keys and values, at least, that answers may take
SAMPLED = 65_536  # numbers read of a tensor of more than a million for the fingerprint


class Engine(Protocol):
    """What computes for a kind of model: the loss takes rows that share one prefix, the other verbs any rows."""

    traits: Traits
    checkpointing: bool

    def token_bytes(self) -> int: ...
    def once(self, rows: int, positions: int) -> bool: ...
    def loss(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]: ...
    def score(self, soft: Softs, rows: Sequence[Row]) -> list[float]: ...
    def generate(self, soft: Softs, rows: Sequence[Row], longest: int, finished: Finished) -> list[list[int]]: ...
    def forget(self) -> None: ...


class Backbone:
    """A frozen language model.

    kind: "causal" or "seq2seq". hidden: H. vocab: V. window: positions it can hold (soft prompt included), None if unbounded;
    an encoder-decoder has that many in the encoder and in the decoder each. relative: positions are relative (T5), so moving an
    input changes nothing. words, answers: tokenizers of inputs and outputs
    (one and the same, but for models with two alphabets).
    """

    def __init__(
        self,
        name: str,
        model: Any,
        words: Wording,
        answers: Wording,
        engine: Engine,
        *,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name, self.model, self.engine, self.notes = name, model, engine, notes
        self.words, self.answers = words, answers
        config = model.config.get_text_config(decoder=True)
        self.kind = "seq2seq" if model.config.is_encoder_decoder else "causal"
        self.vocab = int(model.get_input_embeddings().weight.shape[0])
        self.hidden = int(self.embed([0]).shape[-1])
        self.window = _window(config)
        self._local = local_window(config)
        self.relative = bool(getattr(config, "relative_attention_num_buckets", None))
        self.eos = _eos(model, self.answers)

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

    def sizes(self, softs: Sequence[Tensor | None], rows: Sequence[Row], longest: int) -> list[int]:
        """Tokens that each of these rows takes while up to `longest` grow behind it: its prompt and prefix are not counted where they are
        held once for all rows that have them."""
        owners = [(id(soft), row.prefix) for soft, row in zip(softs, rows, strict=True)]
        many = Counter(owners)
        found = []
        for owner, soft, row in zip(owners, softs, rows, strict=True):
            before = size_of(soft) + len(row.prefix) + self.specials
            own = len(row.own) + len(row.answer) + longest
            found.append(own if self.engine.once(many[owner], before) else own + before)
        return found

    # -- text -------------------------------------------------------------------------------------------------------

    def answer_ids(self, text: Text) -> tuple[int, ...]:
        """The tokens of an answer with the end that the model is to say after it."""
        if self.kind == "seq2seq":
            return self.answers.start + self.answers.ids(stripped(text), first=True) + self.answers.end
        return self.answers.ids(text, first=False) + self.eos[:1]

    @property
    def specials(self) -> int:
        """Positions that the tokenizer's own start and end take before and after the input."""
        return len(self.words.start) + (len(self.words.end) if self.kind == "seq2seq" else 0)

    # -- vectors ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def embed(self, ids: Sequence[int]) -> Tensor:
        """The input vectors of token ids as the first layer gets them: [T, H] in float32."""
        found = self.model.get_input_embeddings()(torch.tensor([list(ids)], dtype=torch.long, device=self.device))
        return found[0].float()  # type: ignore[no-any-return]

    @functools.cached_property
    def scale(self) -> float:
        """Root mean square of the entries of the 5,000 most frequent tokens' input vectors: the unit of a soft prompt."""
        rows = self.embed(self.words.frequent(5000))
        return float(rows.square().mean().sqrt())

    @torch.no_grad()
    def states(self, texts: Sequence[str], *, pooling: str = "last", batch_size: int = 32) -> np.ndarray[Any, Any]:
        """The model's own vectors of texts, [N, H] float32, for retrieval: the last token's final hidden state (Sun et al. 2023)
        or the mean over tokens; of the encoder where there is one. Texts longer than the window are cut at its end."""
        room = (self.window or 4096) - self.specials
        rows = [
            (self.words.start + self.words.ids(((text, False),), first=True)[:room]) or (self.words.pad,)
            for text in texts
        ]
        found = np.zeros((len(rows), self.hidden), dtype=np.float32)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for at in range(0, len(order), batch_size):
            chunk = order[at : at + batch_size]
            hidden, mask = self._hidden([rows[i] for i in chunk])  # [B, T, H], [B, T]
            if pooling == "mean":
                pooled = (hidden * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            else:
                pooled = hidden[torch.arange(len(chunk), device=hidden.device), mask.sum(dim=1) - 1]
            found[chunk] = pooled.float().cpu().numpy()
        return found

    def _hidden(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        ids, mask = right_padded(rows, self.words.pad, self.device)
        if self.kind == "seq2seq":
            return self.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state, mask
        if not self.engine.traits.picks:  # an output layer that cannot be listened to
            told = self.model(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
            return told.hidden_states[-1], mask
        seen: list[Tensor] = []
        head = self.model.get_output_embeddings()
        handle = head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        try:
            with hidden_at(head, torch.zeros(1, dtype=torch.long, device=self.device)):
                self.model(input_ids=ids, attention_mask=mask, use_cache=False)
        finally:
            handle.remove()
        return seen[0], mask

    # -- verbs ------------------------------------------------------------------------------------------------------

    def loss(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """Cross-entropy in nats summed over all answer tokens, and their number; gradients reach `soft` [P, H] and nothing else."""
        parts = [self.engine.loss(soft, [rows[i] for i in places]) for places in _by_prefix(rows)]
        return torch.stack([part for part, _ in parts]).sum(), sum(count for _, count in parts)

    def score(self, soft: Softs, rows: Sequence[Row]) -> list[float]:
        """Each row's answer log-probability in nats. soft: one soft prompt for all rows, or one for each."""
        return self.engine.score(soft, rows) if rows else []

    def generate(
        self, soft: Softs, rows: Sequence[Row], longest: int, *, stop: str | Sequence[str] = ""
    ) -> list[list[int]]:
        """Greedy answers as token ids, the end included; at most `longest` tokens. The same whatever stands in the batch. soft: one
        soft prompt for all rows, or one for each: a prompt that several rows have is run once, and kept for later batches."""
        found: list[list[int]] = [[] for _ in rows]
        ends = frozenset(self.eos)
        stops = [text for text in ((stop,) if isinstance(stop, str) else stop) if text]
        closing = frozenset[int]().union(*(self.answers.ending_in(text[-1]) for text in stops))

        def finished(_: int, ids: list[int]) -> bool:
            if ids[-1] in ends:
                return True
            if ids[-1] not in closing:
                return False
            text = self.answers.text(ids).lstrip()
            return any(one in text for one in stops)

        softs = each(soft, len(rows))
        for part in self._even(softs, rows, longest):
            answers = self.engine.generate([softs[i] for i in part], [rows[i] for i in part], longest, finished)
            for place, ids in zip(part, answers, strict=True):
                found[place] = ids
        return found

    @property
    def checkpointing(self) -> bool:
        """Whether a loss keeps each layer's input alone and runs the layer again for the gradient: the same numbers, less memory."""
        return self.engine.checkpointing

    @contextlib.contextmanager
    def recomputing(self, wanted: bool) -> Iterator[None]:
        """Within the block `checkpointing` is as wanted."""
        before, self.engine.checkpointing = self.engine.checkpointing, wanted
        try:
            yield
        finally:
            self.engine.checkpointing = before

    def forget(self) -> None:
        """Free what is kept to be used again: it is computed anew where it is needed."""
        self.engine.forget()

    def _even(self, softs: Sequence[Tensor | None], rows: Sequence[Row], longest: int) -> list[list[int]]:
        """Split rows by lengths where padding would not be exact: a model that left padding changes, or a sequence beyond the
        reach of its local attention, which is counted in columns, padding included."""
        before = [size_of(soft) + len(row.prefix) for soft, row in zip(softs, rows, strict=True)]
        width = max(before, default=0) + max((len(row.own) for row in rows), default=0) + longest + self.specials
        far = self._local is not None and width > self._local
        if self.kind == "seq2seq" or self.engine.traits.keeps or (self.engine.traits.left_pads and not far):
            return [list(range(len(rows)))] if rows else []
        groups: dict[tuple[int, int, int], list[int]] = {}
        for place, (soft, row) in enumerate(zip(softs, rows, strict=True)):
            groups.setdefault((size_of(soft), len(row.prefix), len(row.own)), []).append(place)
        return list(groups.values())

    # -- identity ---------------------------------------------------------------------------------------------------

    @functools.cached_property
    def fingerprint(self) -> str:
        """Identifies weights and tokenizer: names, shapes and values in bfloat16 (so the loading precision does not matter),
        every value of tensors up to a million numbers, 65,536 evenly spaced values of larger ones."""
        digest = hashlib.sha256(self.model.config.model_type.encode())
        for name, values in self._tensors():
            flat = values.detach().reshape(-1)
            if flat.numel() > 1_000_000:
                flat = flat[:: max(1, flat.numel() // SAMPLED)]
            digest.update(f"{name}{tuple(values.shape)}".encode())
            digest.update(flat.to(torch.bfloat16).view(torch.int16).cpu().numpy().tobytes())
        digest.update(self.words.digest_text().encode())
        digest.update(self.answers.digest_text().encode())
        return digest.hexdigest()

    def weights_digest(self) -> str:
        """A digest of every number of every weight, as loaded: equal before and after tuning."""
        digest = hashlib.sha256()
        for name, values in self._tensors():
            digest.update(name.encode())
            digest.update(values.detach().reshape(-1).contiguous().view(torch.uint8).cpu().numpy().tobytes())
        return digest.hexdigest()

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from sorted(self.model.named_parameters(), key=lambda item: item[0])


def _by_prefix(rows: Sequence[Row]) -> list[list[int]]:
    groups: dict[tuple[tuple[int, ...], bool], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault((row.prefix, row.behind), []).append(place)
    return list(groups.values())


def _window(config: Any) -> int | None:
    """Positions the model has; None for relative positions and for ALiBi without a stated length."""
    if getattr(config, "relative_attention_num_buckets", None):
        return None
    for name in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "max_seq_len"):
        size = getattr(config, name, None)
        if isinstance(size, int) and size > 0:
            return size
    return None


def _eos(model: Any, answers: Wording) -> tuple[int, ...]:
    """The ids that end an answer, the one that is trained first."""
    found: list[int] = []
    for one in (
        answers.tokenizer.eos_token_id,
        getattr(model.generation_config, "eos_token_id", None),
        model.config.eos_token_id,
    ):
        for token in one if isinstance(one, (list, tuple)) else [one]:
            if token is not None and int(token) not in found:
                found.append(int(token))
    return tuple(found)
