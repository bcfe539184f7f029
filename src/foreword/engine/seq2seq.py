"""The engine for encoder-decoder models: soft prompt and input in the encoder, the answer in the decoder; rows are padded on the right
only."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, EncoderDecoderCache

from foreword.engine.attention import autocast_dtype
from foreword.engine.batch import Row, answer_positions, right_padded
from foreword.engine.cache import RowPrefixes, compact_rows, preallocated_cache, still_there
from foreword.engine.capabilities import Capabilities
from foreword.engine.cohorts import Cohorts
from foreword.engine.decoders import Decoder
from foreword.engine.decoding import Prompted, RunningBatch
from foreword.engine.head import answers_loss, frozen
from foreword.engine.install import Installation
from foreword.engine.passes import running
from foreword.engine.prefix import Prefixes, each


class Seq2SeqEngine:
    """Loss, scores and greedy answers of a frozen encoder-decoder model. The soft prompt stands before the encoder's input and
    nothing before the decoder's (Lester et al. 2021, section 2), or appended to the input where a row says so. Shapes: B rows, P + E
    encoder positions, T answer tokens."""

    switch: int | None = None

    def __init__(
        self,
        model: Any,
        installation: Installation,
        *,
        start: tuple[int, ...],
        end: tuple[int, ...],
        pad: int,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.model, self.installation, self.start, self.end, self.pad = model, installation, start, end, pad
        self.capabilities = capabilities or Capabilities(prefix_cache=False)
        self.factor = (
            1.0  # of input vectors between the table and the first layer, where the model applies one to ids alone
        )
        self.reasons: dict[str, str] = {}  # of each capability that does not hold, why
        self.limit = 0.0  # how far logits may be from the plain pass's, as a part of their spread; found at load
        self.first = _first(model, pad)
        forced = getattr(model.generation_config, "forced_bos_token_id", None)
        self.forced = None if forced is None else int(forced)

    @property
    def device(self) -> torch.device:
        """Where the model stands."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    def encode(self, soft: Prefixes, rows: Sequence[Row]) -> tuple[Any, Tensor]:
        """Encoder output [B, P + E, H] and its mask; rows may differ in soft prompt and in where it stands. The encoder runs once per
        input."""
        softs = [None if prefix is None else prefix.matrix() for prefix in each(soft, len(rows))]
        lines: list[tuple[int, ...]] = []
        slots: list[tuple[int, ...]] = []  # 1 where a soft position stands
        for prompt, row in zip(softs, rows, strict=True):
            tokens, size = self.start + row.prefix + row.own + self.end, 0 if prompt is None else len(prompt)
            empty, text, ones = (self.pad,) * size, (0,) * len(tokens), (1,) * size
            lines.append(tokens + empty if row.append else empty + tokens)
            slots.append(text + ones if row.append else ones + text)
        ids, mask = right_padded(lines, self.pad, self.device)
        vectors = self.model.get_input_embeddings()(ids)  # [B, P + E, H]
        vectors = vectors if self.factor == 1.0 else vectors * self.factor
        prompts = [prompt.to(vectors.device, vectors.dtype) for prompt in softs if prompt is not None]
        if prompts:
            where = right_padded(slots, 0, self.device)[0].bool().unsqueeze(-1)
            vectors = vectors.masked_scatter(where, torch.cat(prompts))
        with running(self.installation.new_pass()):
            return self.model.get_encoder()(inputs_embeds=vectors, attention_mask=mask), mask

    def decode(
        self,
        encoded: Any,
        mask: Tensor,
        ids: Tensor,
        logit_positions: Tensor,
        cache: Any = None,
        hidden_states: list[Tensor] | None = None,
    ) -> Any:
        """A decoder pass over ids [B, T] with logits [1, N, V] at the picked flat positions."""
        inputs = {"encoder_outputs": encoded, "attention_mask": mask, "decoder_input_ids": ids}
        if cache is not None:
            inputs["past_key_values"] = cache
        by_hook = self.capabilities.logits_to_keep
        with running(
            self.installation.new_pass(logit_positions=logit_positions if by_hook else None, hidden=hidden_states)
        ):
            out = self.model(use_cache=cache is not None, **inputs)
        if not by_hook:
            out.logits = out.logits.reshape(-1, out.logits.shape[-1])[logit_positions].unsqueeze(0)
        return out

    def answer_logits(
        self, soft: Prefixes, rows: Sequence[Row], hidden_states: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits [N, V] at the answer positions, and the answer tokens [N]. Rows that differ in their answer alone are read once. Where
        `hidden_states` is given, the hidden states [N, H] that the logits would be made of are put there, and no logits are made."""
        softs = each(soft, len(rows))
        inputs = [(id(prompt), row.prefix, row.own, row.append) for prompt, row in zip(softs, rows, strict=True)]
        read: dict[tuple[object, ...], int] = {}  # each input, and the first row that has it
        for place, key in enumerate(inputs):
            read.setdefault(key, place)
        encoded, mask = self.encode([softs[place] for place in read.values()], [rows[place] for place in read.values()])
        if len(read) < len(rows):
            order = {key: at for at, key in enumerate(read)}
            places = torch.tensor([order[key] for key in inputs], device=self.device)
            encoded.last_hidden_state, mask = encoded.last_hidden_state[places], mask[places]
        ids, _ = right_padded([(self.first, *row.answer[:-1]) for row in rows], self.pad, self.device)  # [B, T]
        logit_positions, labels = answer_positions(
            [0] * len(rows), [row.answer for row in rows], ids.shape[1], self.device
        )
        return self.decode(encoded, mask, ids, logit_positions, hidden_states=hidden_states).logits[0], labels

    def loss(self, soft: Prefixes, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """Summed cross-entropy in nats over the answer tokens, and how many tokens."""
        by_head = self.capabilities.fused_lm_head_loss and frozen(self.model) and autocast_dtype(self.device) is None
        return answers_loss(self.model, by_head, functools.partial(self.answer_logits, soft, rows))

    @torch.no_grad()
    def score(self, soft: Prefixes, rows: Sequence[Row]) -> list[float]:
        """Each row's answer log-probability in nats, summed over its tokens."""
        logits, labels = self.answer_logits(soft, rows)
        each_token = -functional.cross_entropy(logits.float(), labels, reduction="none")
        return [float(part.sum()) for part in torch.split(each_token, [len(row.answer) for row in rows])]

    @torch.no_grad()
    def forced_logits(self, soft: Prefixes, rows: Sequence[Row], steps: int) -> Tensor:
        """Logits [B, steps, V] for the first answer tokens, computed as generating computes them, one token a pass."""
        batch = Seq2SeqDecoder(self, soft, rows, steps, cached=True, forced=None)
        logits = [batch.prefill()]
        for step in range(steps - 1):
            logits.append(batch.decode_step(torch.tensor([row.answer[step] for row in rows], device=self.device)))
        return torch.stack(logits, dim=1)

    def running_batch(self) -> RunningBatch:
        """Where rows are admitted, answered token by token, and retired."""
        return Cohorts(self)

    def together(self, rows: Sequence[Prompted], longest: int) -> list[list[int]]:
        """All rows may stand together: nothing is padded on the left."""
        return [list(range(len(rows)))] if rows else []

    def new_decoder(self, rows: Sequence[Prompted], longest: int) -> Decoder:
        """Rows whose inputs are read together."""
        softs = [prefix for prefix, _ in rows]
        return Seq2SeqDecoder(
            self,
            softs,
            [row for _, row in rows],
            longest,
            cached=self.capabilities.incremental_decoding,
            forced=self.forced,
        )

    def token_bytes(self) -> int:
        """Memory that a token's keys and values take: not known here."""
        return 0

    def once(self, rows: int, positions: int) -> bool:
        """A prompt is part of each input."""
        return False

    def forget(self) -> None:
        """Nothing is kept: an encoder's input is never the same twice."""


def _first(model: Any, pad: int) -> int:
    """The id that the decoder begins with: that of the config or the generation config, else what the model library begins with (bos)."""
    for name in ("decoder_start_token_id", "bos_token_id"):
        for config in (model.config, model.generation_config):
            token = getattr(config, name, None)
            if token is not None:
                return int(token)
    return pad


class Seq2SeqDecoder:
    """Rows whose inputs have been read and whose answers grow."""

    can_evict = True

    def __init__(
        self,
        engine: Seq2SeqEngine,
        soft: Prefixes,
        rows: Sequence[Row],
        longest: int,
        *,
        cached: bool,
        forced: int | None,
    ) -> None:
        self.engine, self.order, self.forced = engine, list(range(len(rows))), forced
        self.encoded, self.mask = engine.encode(soft, rows)
        self.cache = None
        if cached:
            own = preallocated_cache(RowPrefixes(((None, len(rows)),)), longest + 1)
            self.cache = EncoderDecoderCache(own, DynamicCache())
        self.decoder_ids = torch.full((len(rows), 1), engine.first, dtype=torch.long, device=engine.device)  # [B, T]

    def prefill(self) -> Tensor:
        """Logits [B, V] for each row's first token."""
        ids = self.decoder_ids if self.cache is None else self.decoder_ids[:, -1:]
        logit_positions = torch.arange(1, len(ids) + 1, device=ids.device) * ids.shape[1] - 1
        out = self.engine.decode(self.encoded, self.mask, ids, logit_positions, self.cache)
        logits: Tensor = out.logits[0]
        if self.forced is not None and self.decoder_ids.shape[1] == 1:  # the token that every answer has to begin with
            logits = torch.full_like(logits, float("-inf"))
            logits[:, self.forced] = 0.0
        return logits

    def decode_step(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] after one more token [B]."""
        self.decoder_ids = torch.cat([self.decoder_ids, chosen.unsqueeze(1)], dim=1)
        return self.prefill()

    def compact(self, gone: Sequence[bool]) -> list[int]:
        """Keep only the rows that are not gone; returns their former places, in the order in which they stand now."""
        order = still_there(gone)
        remaining = torch.tensor(order, device=self.decoder_ids.device)
        self.decoder_ids, self.mask = self.decoder_ids[remaining], self.mask[remaining]
        self.encoded.last_hidden_state = self.encoded.last_hidden_state[remaining]
        if self.cache is not None:
            compact_rows(self.cache.self_attention_cache, order)
            compact_rows(self.cache.cross_attention_cache, order)
        return order
