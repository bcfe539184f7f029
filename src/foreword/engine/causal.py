"""The engine for decoder-only models: a shared prefix is run once and every row attends to it; neither padding nor batch-mates move a
row's positions."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from foreword.engine.attention import autocast_dtype, local_window
from foreword.engine.batch import Row, answer_positions, positions
from foreword.engine.blocks import Block, NewTokens, Stretch
from foreword.engine.cache import PrefixCache, PrefixState, RowPrefixes, plain_cache, preallocated_cache
from foreword.engine.capabilities import Capabilities
from foreword.engine.cohorts import Cohorts
from foreword.engine.decoders import Decoder, new_decoder
from foreword.engine.decoding import Prompted, RunningBatch, forced
from foreword.engine.head import answers_loss, frozen
from foreword.engine.inputs import Line, padded_inputs, per_layer_inputs, with_soft
from foreword.engine.install import Installation
from foreword.engine.packed_attention import Packing
from foreword.engine.passes import SequenceLayout, running
from foreword.engine.prefix import Embeddings, Prefix, Prefixes, Tokens, each, length_of_prefix
from foreword.engine.shared_prefix_decoder import SharedPrefixDecoder, logprobs_of, token_logprobs
from foreword.engine.skippable import Skippable, find_skippable
from foreword.util.errors import ForewordError

# Bytes that a layer reads less a step where a prefix is held once: with fewer, the additional calls cost more than that.
WORTH = 2**21
KEPT_BYTES = 2**30  # of prefix states kept for answering, at most; as many as the weights have where those are more


class CausalEngine:
    """Loss, scores and answers of a frozen decoder-only model. Shapes: B rows, S prefix positions (soft prompt, the tokenizer's start,
    shared ids), T own positions, V vocabulary entries, H width."""

    switch: int | None = None  # the length beyond which a row's numbers depend on the longest row of its pass

    def __init__(
        self,
        model: Any,
        installation: Installation,
        *,
        start: tuple[int, ...],
        pad: int,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.model, self.installation, self.start, self.pad = model, installation, start, pad
        self.capabilities = capabilities or Capabilities()
        self.takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        self.factor = (
            1.0  # of input vectors between the table and the first layer, where the model applies one to ids alone
        )
        self.reasons: dict[str, str] = {}  # of each capability that does not hold, why
        self.limit = 0.0  # how far logits may be from the plain pass's, as a part of their spread; found at load
        self._per_layer = per_layer_inputs(model)
        self._local = local_window(model.config.get_text_config(decoder=True))
        self._skippable: Skippable | None = None  # what a loss may leave out, found at the first loss
        self.worth = WORTH
        self.prefix_states = PrefixCache(max(KEPT_BYTES, sum(value.nbytes for value in model.parameters())))

    @property
    def reads_ids(self) -> bool:
        """Whether layers look ids up in tables of their own, in addition to the input vectors."""
        return self._per_layer is not None

    @property
    def device(self) -> torch.device:
        """Where the model's input goes."""
        return self.model.get_input_embeddings().weight.device  # type: ignore[no-any-return]

    # -- what the model reads ---------------------------------------------------------------------------------------

    def shared(self, prefix: Prefix | None, row: Row) -> Prefix:
        """All that stands before the row's own tokens, in order."""
        pieces = () if prefix is None else prefix.pieces
        if not row.before:
            return Prefix(pieces).then(self.start + row.prefix)
        return Prefix((Tokens(self.start + row.before), *pieces)).then(row.prefix)

    def _embed(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.model.get_input_embeddings()(ids)
        return vectors if self.factor == 1.0 else vectors * self.factor

    def inputs(self, lines: Sequence[Line], *, left: bool = False) -> tuple[dict[str, Any], Tensor]:
        """Input embeddings [B, T, H] of lines, padded at their ends (or beginnings), and their mask [B, T]. Models that also read ids per
        layer get id 0 for soft positions, as such models do themselves for inputs that are no text."""
        ids, mask, soft = padded_inputs(lines, self.pad, left=left)
        ids, mask = ids.to(self.device), mask.to(self.device)
        vectors = self._embed(ids)
        if soft:
            vectors = with_soft(vectors, soft)
        inputs = {"inputs_embeds": vectors}
        if self._per_layer is not None:
            inputs["per_layer_inputs"] = self._per_layer(ids)
        return inputs, mask

    def padded(self, rows: Sequence[Prompted], *, left: bool, alone: bool) -> tuple[dict[str, Any], Tensor]:
        """Inputs and mask [B, T] of rows, after their prefixes or, where `alone`, without them."""
        lines: list[Line] = []
        for prefix, row in rows:
            shared = None if alone else self.shared(prefix, row)
            if shared is not None and shared.past is not None:
                raise ForewordError(
                    "This model cannot go on from keys and values that it did not compute itself; use a soft prompt."
                )
            lines.append((*(() if shared is None else shared.inputs), Tokens(row.own)))
        return self.inputs(lines, left=left)

    # -- one forward pass -------------------------------------------------------------------------------------------

    def _forward(
        self,
        *,
        mask: Tensor | None,
        position_ids: Tensor,
        logit_positions: Tensor | None = None,
        hidden_states: list[Tensor] | None = None,
        layout: SequenceLayout | None = None,
        changes: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> Any:
        if self.takes_positions:
            inputs["position_ids"] = position_ids
        by_hook = logit_positions is not None and self.capabilities.logits_to_keep
        one_pass = self.installation.new_pass(
            layout=layout, logit_positions=logit_positions if by_hook else None, hidden=hidden_states, **(changes or {})
        )
        if layout is not None:
            self.installation.check_layout()
        with running(one_pass):
            out = self.model(attention_mask=mask, **inputs)
        if layout is not None:
            self.installation.check_windows(layout)
        if logit_positions is not None and not by_hook:
            out.logits = out.logits.reshape(-1, out.logits.shape[-1])[logit_positions].unsqueeze(0)
        return out

    def last_logits(self, shape: Sequence[int], **inputs: Any) -> Any:
        """A forward pass over [B, T] inputs with logits [1, B, V] at each row's last column alone."""
        last = torch.arange(1, shape[0] + 1, device=self.device) * shape[1] - 1
        return self._forward(logit_positions=last, **inputs)

    # -- prefixes ---------------------------------------------------------------------------------------------------

    def prefix_state(self, prefix: Prefix) -> PrefixState | None:
        """Keys and values of a whole prefix at batch 1, with gradients to its numbers; None if it is empty."""
        size = len(prefix)
        past = None if prefix.past is None else PrefixState(prefix.past.layers, len(prefix.past))
        if size == 0 or (past is not None and past.length == size):
            return past
        inputs, _ = self.inputs([prefix.inputs])
        length = size - (0 if past is None else past.length)
        last = torch.tensor([length - 1], device=self.device)
        if self.capabilities.shared_prefix and not torch.is_grad_enabled():
            block = Block(None)
            block.add([past], size)
            self.stretch_logits([NewTokens(block, 0, (length,))], last, **inputs)
            return block.state(size)
        mask = torch.ones((1, size), dtype=torch.long, device=self.device)
        cache = plain_cache() if past is None else past.for_rows(1)
        position_ids = positions(mask)[:, size - length :]
        self._forward(
            mask=mask, position_ids=position_ids, logit_positions=last, past_key_values=cache, use_cache=True, **inputs
        )
        return PrefixState.of(cache, size)

    @torch.no_grad()
    def states(self, rows: Sequence[Prompted]) -> list[PrefixState | None]:
        """The prefix of each row, run once at batch 1 or taken from those kept."""
        run: dict[tuple[object, ...], PrefixState | None] = {}
        keys: list[tuple[object, ...]] = []
        for prefix, row in rows:
            key = self.prefix_key(prefix, row)
            if key not in run:
                run[key] = self.prefix_states.get(key, functools.partial(self.prefix_state, self.shared(prefix, row)))
            keys.append(key)
        return [run[key] for key in keys]

    def prefix_key(self, prefix: Prefix | None, row: Row) -> tuple[object, ...]:
        """What decides a row's prefix state: contents, and the numbers that autocast computes with."""
        return ("" if prefix is None else prefix.digest, row.before, row.prefix, autocast_dtype(self.device))

    def row_prefixes(self, rows: Sequence[Prompted]) -> tuple[list[int], RowPrefixes]:
        """The places of the rows, the longest first, and their prefixes in that order."""
        states = self.states(rows)
        number = {key: at for at, key in enumerate(dict.fromkeys(map(id, states)))}
        order = sorted(range(len(rows)), key=lambda place: (-len(rows[place][1].own), number[id(states[place])], place))
        runs = [list(run) for _, run in itertools.groupby(order, key=lambda place: id(states[place]))]
        return order, RowPrefixes(tuple((states[run[0]], len(run)) for run in runs))

    def stretch_logits(
        self, parts: Sequence[NewTokens], logit_positions: Tensor, ids: Tensor | None = None, **inputs: Any
    ) -> Tensor:
        """Logits [N, V] at the picked places of the new tokens [R] of these parts, which then hold them."""
        stretch = Stretch(parts, self.device)
        inputs |= {} if ids is None else {"input_ids": ids.unsqueeze(0)}
        inputs |= {"position_ids": stretch.position_ids, "layout": stretch, "use_cache": False}
        out = self._forward(mask=None, logit_positions=logit_positions, **inputs)
        stretch.done()
        return out.logits[0]  # type: ignore[no-any-return]

    # -- logits at answer positions ---------------------------------------------------------------------------------

    def answer_logits(
        self, soft: Prefix | Tensor | None, rows: Sequence[Row], hidden_states: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits [N, V] at the answer positions of rows that share one prefix, and the answer tokens [N]. Where `hidden_states` is given,
        the hidden states [N, H] that the logits would be made of are its last entry, and no logits are made."""
        prefix = Prefix.of(soft)
        from_past = prefix is not None and prefix.past is not None
        if self.capabilities.packed_sequence and not from_past:
            return self._packed_logits(prefix, rows, hidden_states, self._skippable if frozen(self.model) else None)
        if from_past or (self.capabilities.prefix_cache and not self.installation.new_pass().checkpointing):
            return self._shared_logits(prefix, rows, hidden_states)
        return self.joined_logits(prefix, rows, hidden_states)

    def skipping_logits(self, skippable: Skippable, soft: Tensor, rows: Sequence[Row]) -> Tensor:
        """Logits [N, V] of rows packed after a soft prompt [P, H], with so much skipped."""
        return self._packed_logits(Prefix.of(soft), rows, None, skippable)[0]

    def _packed_logits(
        self,
        prefix: Prefix | None,
        rows: Sequence[Row],
        hidden_states: list[Tensor] | None,
        skippable: Skippable | None,
    ) -> tuple[Tensor, Tensor]:
        """Prefix and rows in one sequence: one forward pass, no padding."""
        shared = self.shared(prefix, rows[0])
        order = sorted(range(len(rows)), key=lambda place: -rows[place].length)
        row_ids = [rows[place].own + rows[place].answer[:-1] for place in order]
        packing = Packing(len(shared), tuple(len(ids) for ids in row_ids), self.device)
        firsts = dict(zip(order, itertools.accumulate(packing.sizes[:-1], initial=packing.prefix), strict=True))
        starts = [firsts[place] + len(row.own) - 1 for place, row in enumerate(rows)]
        logit_positions, labels = answer_positions(starts, [row.answer for row in rows], 0, self.device)
        inputs, _ = self.inputs([(*shared.inputs, Tokens(tuple(itertools.chain(*row_ids))))])
        changes: dict[str, Any] = {}
        if skippable is not None:
            before = rows[0].before
            trained = length_of_prefix(prefix) + (len(self.start + before) if before else 0)
            changes = {"early": skippable.early, "late": skippable.late, "trained_positions": trained}
        inputs |= {
            "mask": None,
            "position_ids": packing.position_ids,
            "logit_positions": logit_positions,
            "hidden_states": hidden_states,
            "layout": packing,
        }
        out = self._forward(use_cache=False, changes=changes, **inputs)
        return out.logits[0], labels

    def _shared_logits(
        self, prefix: Prefix | None, rows: Sequence[Row], hidden_states: list[Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        with running(
            self.installation.new_pass(checkpointing=False)
        ):  # running a layer again would fill the cache twice
            state = self.prefix_state(self.shared(prefix, rows[0]))
            if state is None:
                return self.joined_logits(prefix, rows, hidden_states)
            inputs, mask = self.inputs([(Tokens(row.own + row.answer[:-1]),) for row in rows])  # [B, T]
            starts = [len(row.own) - 1 for row in rows]
            logit_positions, labels = answer_positions(starts, [row.answer for row in rows], mask.shape[1], self.device)
            whole = torch.cat([mask.new_ones((len(rows), state.length)), mask], dim=1)  # [B, S + T]
            inputs |= {"past_key_values": state.for_rows(len(rows)), "use_cache": True}
            position_ids = positions(mask, state.length)
            out = self._forward(
                mask=whole,
                position_ids=position_ids,
                logit_positions=logit_positions,
                hidden_states=hidden_states,
                **inputs,
            )
        return out.logits[0], labels

    def joined_logits(
        self, soft: Prefix | Tensor | None, rows: Sequence[Row], hidden_states: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The plain computation: prefix and row in one sequence, for each row again. What the shared path is held against."""
        prefix = Prefix.of(soft)
        whole_rows = [dataclasses.replace(row, own=row.own + row.answer[:-1]) for row in rows]
        inputs, mask = self.padded([(prefix, row) for row in whole_rows], left=False, alone=False)  # [B, S + T]
        starts = [len(self.shared(prefix, row)) + len(row.own) - 1 for row in rows]
        logit_positions, labels = answer_positions(starts, [row.answer for row in rows], mask.shape[1], self.device)
        inputs |= {"position_ids": positions(mask), "use_cache": False}
        out = self._forward(mask=mask, logit_positions=logit_positions, hidden_states=hidden_states, **inputs)
        return out.logits[0], labels

    # -- the verbs --------------------------------------------------------------------------------------------------

    def loss(self, soft: Prefix | Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """Summed cross-entropy in nats over the answer tokens of rows that share one prefix, and how many tokens. Gradients reach
        the prefix's numbers; where weights take gradients they reach those too, and nothing is skipped."""
        weights_frozen, prefix = frozen(self.model), Prefix.of(soft)
        if (
            weights_frozen
            and self._skippable is None
            and prefix is not None
            and self.capabilities.packed_sequence
            and prefix.past is None
        ):
            self._find_skippable(prefix, rows)
        by_head = weights_frozen and self.capabilities.fused_lm_head_loss and autocast_dtype(self.device) is None
        return answers_loss(self.model, by_head, functools.partial(self.answer_logits, prefix, rows))

    def _find_skippable(self, prefix: Prefix, rows: Sequence[Row]) -> None:
        values = next((piece.values for piece in prefix.inputs if isinstance(piece, Embeddings)), None)
        with self.installation.lock, running(None):
            if self._skippable is None and values is not None:
                self._skippable = find_skippable(self, values, rows)

    @torch.no_grad()
    def score(self, soft: Prefixes, rows: Sequence[Row]) -> list[float]:
        """Each row's answer log-probability in nats, summed over its tokens; rows may differ in their prefixes."""
        prompted = list(zip(each(soft, len(rows)), rows, strict=True))
        if self.capabilities.shared_prefix:
            order, logprobs = token_logprobs(self, prompted)
        elif self.capabilities.prefix_cache:
            order, logprobs = self._cached_logprobs(prompted)
        else:
            order = sorted(range(len(rows)), key=lambda place: id(prompted[place][0]))
            groups = [list(group) for _, group in itertools.groupby(order, key=lambda place: id(prompted[place][0]))]
            parts = [self.joined_logits(prompted[group[0]][0], [rows[place] for place in group]) for group in groups]
            logprobs = torch.cat([logprobs_of(*part) for part in parts])
        sums = torch.split(logprobs, [len(rows[place].answer) for place in order])
        scores = dict(zip(order, (float(part.sum()) for part in sums), strict=True))
        return [scores[place] for place in range(len(rows))]

    def _cached_logprobs(self, prompted: Sequence[Prompted]) -> tuple[list[int], Tensor]:
        """The rows' places in some order, and log-probabilities [N] of their answers' tokens in it, after prefixes that are copied into
        a cache of the model library's kind."""
        order, row_prefixes = self.row_prefixes(prompted)
        rows = [prompted[place][1] for place in order]
        inputs, mask = self.inputs([(Tokens(row.own + row.answer[:-1]),) for row in rows])  # [B, T]
        whole = torch.cat([row_prefixes.mask(self.device), mask], dim=1)  # [B, S + T]
        starts = [len(row.own) - 1 for row in rows]
        logit_positions, labels = answer_positions(starts, [row.answer for row in rows], mask.shape[1], self.device)
        position_ids = positions(whole)[:, row_prefixes.length :]
        inputs |= {"past_key_values": preallocated_cache(row_prefixes, whole.shape[1]), "use_cache": True}
        out = self._forward(mask=whole, position_ids=position_ids, logit_positions=logit_positions, **inputs)
        return order, logprobs_of(out.logits[0], labels)

    @torch.no_grad()
    def forced_logits(self, soft: Prefixes, rows: Sequence[Row], steps: int) -> Tensor:
        """Logits [B, steps, V] for the first answer tokens, computed as generating computes them, one token a pass."""
        return forced(self, list(zip(each(soft, len(rows)), rows, strict=True)), steps)

    # -- running batches --------------------------------------------------------------------------------------------

    def running_batch(self) -> RunningBatch:
        """Where rows are admitted, answered token by token, and retired."""
        return SharedPrefixDecoder(self) if self.capabilities.shared_prefix else Cohorts(self)

    def new_decoder(self, rows: Sequence[Prompted], longest: int) -> Decoder:
        """Rows that start together, in a cache or state of the model library's kind."""
        return new_decoder(self, rows, longest)

    def together(self, rows: Sequence[Prompted], longest: int) -> list[list[int]]:
        """Places of rows split by lengths where padding would not be exact: a model that left padding changes, or a sequence beyond the
        reach of its local attention, which is counted in columns, padding included."""
        before = [len(self.shared(*prompted)) for prompted in rows]
        width = max(before, default=0) + max((len(row.own) for _, row in rows), default=0) + longest
        if self.capabilities.left_padding and (self._local is None or width <= self._local):
            return [list(range(len(rows)))] if rows else []
        groups: dict[tuple[int, int], list[int]] = {}
        for place, (size, (_, row)) in enumerate(zip(before, rows, strict=True)):
            groups.setdefault((size, len(row.own)), []).append(place)
        return list(groups.values())

    @functools.cached_property
    @torch.no_grad()
    def _token(self) -> tuple[int, int]:
        """Bytes of a token's keys and values in all layers, and in one."""
        state = self.prefix_state(Prefix((Tokens((self.pad, self.pad)),))) if self.capabilities.prefix_cache else None
        total = 0 if state is None else state.bytes // state.length
        return total, total // max(1, len(state.layers) if state else 1)

    def token_bytes(self) -> int:
        """Memory that a token's keys and values take in all layers; 0 for a model that keeps none."""
        return self._token[0]

    def once(self, rows: int, positions: int) -> bool:
        """Whether a prefix of so many positions is held once for so many rows that share it, and not copied."""
        return (
            self.capabilities.shared_prefix and positions > 0 and (rows - 1) * positions * self._token[1] >= self.worth
        )

    def forget(self) -> None:
        """Free the kept prefixes."""
        self.prefix_states.clear()
