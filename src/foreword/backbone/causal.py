"""The engine for decoder-only models: a shared prefix is run once and every row attends to it; it refuses to let padding
or batch-mates move a row's positions."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foreword.backbone.attention import laid_out
from foreword.backbone.batch import Row, Softs, answer_picks, each, positions, right_padded, size_of
from foreword.backbone.blocks import Block, Part, Pass, beside, slices
from foreword.backbone.cache import Behind, KeptPrefixes, PrefixState, plain_cache, roomy_cache
from foreword.backbone.greedy import Finished, forced, greedy
from foreword.backbone.growing import Again, Beside, Joined, Shared
from foreword.backbone.head import answers_loss, frozen
from foreword.backbone.packing import Packing
from foreword.backbone.recompute import recomputed
from foreword.backbone.spared import Spared, find_spared, sparing

# Bytes that a layer is spared to read a step by a prefix held once: with fewer, the more calls that it takes are slower.
WORTH = 2**21
KEPT_BYTES = 2**30  # of prefix states kept for answering, at most; as many as the weights have where those are more


@dataclass(frozen=True)
class Traits:
    """What holds exactly for this model; found by running it at load time, never by its name.

    shares: the prefix may be run once and shared. left_pads: a left-padded row equals the row alone. picks: logits may be computed at
    chosen positions only. continues: an answer may grow by one token a pass, out of the cache. packs: prefix and rows may stand in one
    sequence. keeps: rows may stand in one sequence beside a prefix that is held once, and grow there. heads: logits are what `Head`
    makes of the last hidden states.
    """

    shares: bool = True
    left_pads: bool = True
    picks: bool = True
    continues: bool = True
    packs: bool = False
    keeps: bool = False
    heads: bool = False


@contextlib.contextmanager
def hidden_at(head: torch.nn.Module, picks: Tensor, seen: list[Tensor] | None = None) -> Iterator[None]:
    """Within the block the output layer sees only the hidden states at these flat positions [N]: logits come as [1, N, V],
    with whatever the model does to them afterwards (scales, soft caps) applied as always. Where `seen` is given, those hidden
    states [N, H] are put there instead, and no logits are made: [1, 0, V]."""

    def choose(_: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = args[0].reshape(-1, args[0].shape[-1])[picks]  # of [B, T, H]
        if seen is not None:
            seen.append(hidden)
            hidden = hidden[:0]
        return (hidden.unsqueeze(0), *args[1:])

    handle = head.register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()


class CausalEngine:
    """Loss, scores and greedy answers of a frozen decoder-only model. Shapes: B rows, S prefix positions (soft prompt, the
    tokenizer's start, shared ids), T own positions, V words, H width."""

    def __init__(self, model: Any, *, start: tuple[int, ...], pad: int, traits: Traits | None = None) -> None:
        self.model, self.start, self.pad = model, start, pad
        self.traits = traits or Traits()
        self._takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        self._beside = getattr(_text_module(model), "get_per_layer_inputs", None)
        self.spared: Spared | None = None  # in a forward pass for a loss: what it leaves out
        self._spares: Spared | None = None  # what a loss may leave out, once one was asked for
        self.worth = WORTH
        self.checkpointing = False  # whether layers are run again for the gradient, which keeps less
        self.kept = KeptPrefixes(max(KEPT_BYTES, sum(value.nbytes for value in model.parameters())))

    @property
    def device(self) -> torch.device:
        """Where the model stands."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    def without_start(self) -> CausalEngine:
        """The same engine for texts that bring their own start along."""
        return CausalEngine(self.model, start=(), pad=self.pad, traits=self.traits)

    # -- one forward pass -------------------------------------------------------------------------------------------

    def _embed(self, ids: Tensor) -> Tensor:
        return self.model.get_input_embeddings()(ids)  # type: ignore[no-any-return]

    def _forward(
        self,
        *,
        mask: Tensor | None,
        spots: Tensor,
        picks: Tensor | None = None,
        seen: list[Tensor] | None = None,
        **given: Any,
    ) -> Any:
        if self._takes_positions:
            given["position_ids"] = spots
        if picks is None or not self.traits.picks:
            out = self.model(attention_mask=mask, **given)
            if picks is not None:
                out.logits = out.logits.reshape(-1, out.logits.shape[-1])[picks].unsqueeze(0)
            return out
        with hidden_at(self.model.get_output_embeddings(), picks, seen):
            return self.model(attention_mask=mask, **given)

    def vectors(self, soft: Tensor | None, ids: Tensor) -> dict[str, Any]:
        """Input embeddings [B, P + T, H] of ids behind a soft prompt [P, H] or one a row [B, P, H]; models that also read ids per layer
        get id 0 for the soft positions, as such models do themselves for inputs that are no text."""
        vectors = self._embed(ids)
        if soft is not None:
            vectors = torch.cat([soft.to(vectors.dtype).expand(len(ids), -1, -1), vectors], dim=1)
        given = {"inputs_embeds": vectors}
        if self._beside is not None:
            behind = ids.new_zeros((len(ids), vectors.shape[1] - ids.shape[1]))
            given["per_layer_inputs"] = self._beside(torch.cat([behind, ids], dim=1))
        return given

    def prefix_state(self, soft: Tensor | None, prefix: tuple[int, ...]) -> PrefixState | None:
        """Keys and values of soft prompt, start and prefix at batch 1, with gradients to the soft prompt; None if all are empty."""
        shared = self.start + prefix
        size = len(shared) + size_of(soft)
        if size == 0:
            return None
        given = self.vectors(soft, torch.tensor([shared], dtype=torch.long, device=self.device))
        last = torch.tensor([size - 1], device=self.device)
        if self.traits.keeps and not torch.is_grad_enabled():
            block = Block(None, [None], size)
            self.behind_blocks([Part(block, 0, (size,))], picks=last, **given)
            return PrefixState(tuple(block.layers), size)
        mask = torch.ones((1, size), dtype=torch.long, device=self.device)
        cache = plain_cache()
        self._forward(mask=mask, spots=positions(mask), picks=last, past_key_values=cache, use_cache=True, **given)
        return PrefixState.of(cache, size)

    @torch.no_grad()
    def states(self, softs: Sequence[Tensor | None], rows: Sequence[Row]) -> list[PrefixState | None]:
        """The prefix of each row, run once at batch 1 or taken from those kept."""
        names: dict[int, str] = {}
        found: dict[tuple[str, tuple[int, ...]], PrefixState | None] = {}
        keys = []
        for soft, row in zip(softs, rows, strict=True):
            if id(soft) not in names:
                names[id(soft)] = "" if soft is None else _digest(soft)
            key = (names[id(soft)], row.prefix)
            if key not in found:
                found[key] = self.kept.get(key, functools.partial(self.prefix_state, soft, row.prefix))
            keys.append(key)
        return [found[key] for key in keys]

    def behind(self, softs: Sequence[Tensor | None], rows: Sequence[Row]) -> tuple[list[int], Behind]:
        """The places of the rows, the longest first, and the prefixes behind them in that order."""
        states = self.states(softs, rows)
        number = {key: at for at, key in enumerate(dict.fromkeys(map(id, states)))}
        order = sorted(range(len(rows)), key=lambda place: (-len(rows[place].own), number[id(states[place])], place))
        runs = [list(run) for _, run in itertools.groupby(order, key=lambda place: id(states[place]))]
        return order, Behind(tuple((states[run[0]], len(run)) for run in runs))

    def behind_blocks(
        self, parts: Sequence[Part], ids: Tensor | None = None, picks: Tensor | None = None, **given: Any
    ) -> Tensor:
        """Logits [N, V] of the new tokens [R] of these parts at the picked places, at each row's last one where none are picked."""
        one = Pass(parts, self.device)
        picks = torch.tensor(one.lasts, device=self.device) if picks is None else picks
        given |= {} if ids is None else {"input_ids": ids.unsqueeze(0)}
        with laid_out(self.model, one):
            out = self._forward(mask=None, spots=one.spots, picks=picks, use_cache=False, **given)
        one.done()
        return out.logits[0]  # type: ignore[no-any-return]

    # -- logits at answer positions ---------------------------------------------------------------------------------

    def answer_logits(
        self, soft: Tensor | None, rows: Sequence[Row], seen: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits [N, V] at the answer positions of rows that share one prefix, and the answer tokens [N]. Where `seen` is given, the
        hidden states [N, H] that the logits would be made of are its last entry, and no logits are made."""
        if self.traits.packs:
            return self._packed_logits(soft, rows, seen)
        if self.checkpointing or not self.traits.shares:
            with recomputed(self.model) if self.checkpointing else contextlib.nullcontext():
                return self.joined_logits(soft, rows, seen)
        return self._shared_logits(soft, rows, seen)

    def _packed_logits(
        self, soft: Tensor | None, rows: Sequence[Row], seen: list[Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Prefix and rows in one sequence: one forward pass, no padding."""
        shared = self.start + rows[0].prefix
        order = sorted(range(len(rows)), key=lambda place: -rows[place].length)
        told = [rows[place].own + rows[place].answer[:-1] for place in order]
        packing = Packing(size_of(soft) + len(shared), tuple(len(ids) for ids in told), self.device)
        firsts = dict(zip(order, itertools.accumulate(packing.sizes[:-1], initial=packing.prefix), strict=True))
        starts = [firsts[place] + len(row.own) - 1 for place, row in enumerate(rows)]
        picks, wanted = answer_picks(starts, [row.answer for row in rows], 0, self.device)
        ids = torch.tensor([[*shared, *itertools.chain(*told)]], device=self.device)
        given: dict[str, Any] = {"mask": None, "spots": packing.spots, "picks": picks, "seen": seen}
        around = functools.partial(_packed, self.model, packing, self.spared, size_of(soft), picks)
        with around(), recomputed(self.model, around) if self.checkpointing else contextlib.nullcontext():
            out = self._forward(use_cache=False, **given, **self.vectors(soft, ids))
        return out.logits[0], wanted

    def _shared_logits(
        self, soft: Tensor | None, rows: Sequence[Row], seen: list[Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        state = self.prefix_state(soft, rows[0].prefix)
        if state is None:
            return self.joined_logits(soft, rows, seen)
        ids, mask = right_padded([row.own + row.answer[:-1] for row in rows], self.pad, self.device)  # [B, T]
        starts = [len(row.own) - 1 for row in rows]
        picks, wanted = answer_picks(starts, [row.answer for row in rows], ids.shape[1], self.device)
        spots = positions(mask, state.length)
        whole = torch.cat([mask.new_ones((len(rows), state.length)), mask], dim=1)  # [B, S + T]
        given = {"input_ids": ids, "past_key_values": state.for_rows(len(rows)), "use_cache": True}
        out = self._forward(mask=whole, spots=spots, picks=picks, seen=seen, **given)
        return out.logits[0], wanted

    def joined_logits(
        self, soft: Tensor | None, rows: Sequence[Row], seen: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The plain computation: prefix and row in one sequence, for each row again. What the shared path is held against."""
        heads = [self.start + row.prefix + row.own for row in rows]
        ids, mask = right_padded(
            [head + row.answer[:-1] for head, row in zip(heads, rows, strict=True)], self.pad, self.device
        )
        size = 0 if soft is None else len(soft)
        whole = torch.cat([mask.new_ones((len(rows), size)), mask], dim=1)  # [B, P + T]
        starts = [size + len(head) - 1 for head in heads]
        picks, wanted = answer_picks(starts, [row.answer for row in rows], whole.shape[1], self.device)
        given = self.vectors(soft, ids)
        out = self._forward(mask=whole, spots=positions(whole), picks=picks, seen=seen, use_cache=False, **given)
        return out.logits[0], wanted

    # -- the verbs --------------------------------------------------------------------------------------------------

    def loss(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """Summed cross-entropy in nats over the answer tokens of rows that share one prefix, and how many tokens. Gradients reach
        the soft prompt; where weights take gradients they reach those too, and nothing is spared."""
        given = frozen(self.model)
        if given and soft is not None and self.traits.packs:
            self._spares = self._spares or find_spared(self, soft, rows)
            self.spared = self._spares
        try:
            return answers_loss(
                self.model, given and self.traits.heads, functools.partial(self.answer_logits, soft, rows)
            )
        finally:
            self.spared = None

    @torch.no_grad()
    def score(self, soft: Softs, rows: Sequence[Row]) -> list[float]:
        """Each row's answer log-probability in nats, summed over its tokens; rows may differ in prefix and soft prompt."""
        softs = each(soft, len(rows))
        if self.traits.keeps:
            order, said = self._said_beside(softs, rows)
        elif self.traits.shares:
            order, said = self._said_behind(softs, rows)
        else:
            order = sorted(range(len(rows)), key=lambda place: id(softs[place]))
            groups = [list(group) for _, group in itertools.groupby(order, key=lambda place: id(softs[place]))]
            parts = [self.joined_logits(softs[group[0]], [rows[place] for place in group]) for group in groups]
            said = torch.cat([_said(*part) for part in parts])
        sums = torch.split(said, [len(rows[place].answer) for place in order])
        found = dict(zip(order, (float(part.sum()) for part in sums), strict=True))
        return [found[place] for place in range(len(rows))]

    def _said_beside(self, softs: Sequence[Tensor | None], rows: Sequence[Row]) -> tuple[list[int], Tensor]:
        """The rows' places in some order, and log-probabilities [N] of their answers' tokens in it, beside prefixes held once."""
        lines = [row.own + row.answer[:-1] for row in rows]
        order, held = beside(self.states(softs, rows), [len(line) for line in lines], 0, self.once)
        found, waiting = [], iter(order)
        for parts in slices(held, [len(lines[place]) for place in order]):
            places = list(itertools.islice(waiting, sum(len(part.sizes) for part in parts)))
            ids = torch.tensor([token for place in places for token in lines[place]], device=self.device)
            wanted = torch.tensor([token for place in places for token in rows[place].answer], device=self.device)
            picks: list[int] = []
            for end, place in zip(itertools.accumulate(len(lines[place]) for place in places), places, strict=True):
                picks += range(end - len(rows[place].answer), end)
            found.append(_said(self.behind_blocks(parts, ids, torch.tensor(picks, device=self.device)), wanted))
        return order, torch.cat(found)

    def _said_behind(self, softs: Sequence[Tensor | None], rows: Sequence[Row]) -> tuple[list[int], Tensor]:
        """The same behind prefixes copied into a cache of the model library's kind."""
        order, behind = self.behind(softs, rows)
        rows = [rows[place] for place in order]
        ids, mask = right_padded([row.own + row.answer[:-1] for row in rows], self.pad, self.device)  # [B, T]
        whole = torch.cat([behind.mask(self.device), mask], dim=1)  # [B, S + T]
        starts = [len(row.own) - 1 for row in rows]
        picks, wanted = answer_picks(starts, [row.answer for row in rows], ids.shape[1], self.device)
        spots = positions(whole)[:, behind.length :]
        cache = roomy_cache(behind, whole.shape[1])
        out = self._forward(mask=whole, spots=spots, picks=picks, input_ids=ids, past_key_values=cache, use_cache=True)
        return order, _said(out.logits[0], wanted)

    @torch.no_grad()
    def generate(self, soft: Softs, rows: Sequence[Row], longest: int, finished: Finished) -> list[list[int]]:
        """Greedy answers, at most `longest` tokens each; finished(row, ids) ends a row. Rows may differ in prefix and soft prompt;
        where left padding is not exact for this model the caller hands in rows of one length behind prefixes of one length."""
        batch = self.growing(soft, rows, longest)
        found = greedy(batch, len(rows), longest, lambda place, ids: finished(batch.order[place], ids))
        answers = dict(zip(batch.order, found, strict=True))
        return [answers[place] for place in range(len(rows))]

    @torch.no_grad()
    def forced_logits(self, soft: Softs, rows: Sequence[Row], steps: int) -> Tensor:
        """Logits [B, steps, V] for the first answer tokens, computed as generating computes them, one token a pass."""
        batch = self.growing(soft, rows, steps)
        found = forced(batch, [rows[place].answer for place in batch.order], steps)
        return found[torch.tensor(batch.order, device=found.device).argsort()]

    def growing(self, soft: Softs, rows: Sequence[Row], longest: int) -> Beside | Shared | Joined | Again:
        """The rows as a batch to which answers may be added; its `order`: their places as they stand in it."""
        softs = each(soft, len(rows))
        if not self.traits.continues:
            return Again(self, softs, rows)
        if not self.traits.shares:
            return Joined(self, softs, rows)
        return (Beside if self.traits.keeps else Shared)(self, softs, rows, longest)

    @functools.cached_property
    @torch.no_grad()
    def _token(self) -> tuple[int, int]:
        """Bytes of a token's keys and values in all layers, and in one."""
        state = self.prefix_state(None, (self.pad, self.pad)) if self.traits.shares else None
        total = 0 if state is None else state.bytes // state.length
        return total, total // max(1, len(state.layers) if state else 1)

    def token_bytes(self) -> int:
        """Memory that a token's keys and values take in all layers; 0 for a model that keeps none."""
        return self._token[0]

    def once(self, rows: int, positions: int) -> bool:
        """Whether a prefix of so many positions is held once for so many rows that share it, and not copied."""
        return self.traits.keeps and positions > 0 and (rows - 1) * positions * self._token[1] >= self.worth

    def forget(self) -> None:
        """Free the kept prefixes."""
        self.kept.clear()

    def last_logits(self, shape: Sequence[int], **given: Any) -> Any:
        """A forward pass over ids [B, T] of this shape with logits [1, B, V] at each row's last column alone."""
        last = torch.arange(1, shape[0] + 1, device=self.device) * shape[1] - 1
        return self._forward(picks=last, **given)


@contextlib.contextmanager
def _packed(model: Any, packing: Packing, spared: Spared | None, soft: int, picks: Tensor) -> Iterator[None]:
    with laid_out(model, packing), sparing(spared, soft, picks):
        yield


def _said(logits: Tensor, wanted: Tensor) -> Tensor:
    """Log-probabilities [N] of tokens [N] by logits [N, V]."""
    return -functional.cross_entropy(logits.float(), wanted, reduction="none")


def _text_module(model: Any) -> Any:
    """The module that reads text: the model's decoder, inside a wrapper for several kinds of input where there is one."""
    inner = model.get_decoder() if hasattr(model, "get_decoder") else model
    return getattr(inner, "language_model", inner) if inner is not None else model


def _digest(soft: Tensor) -> str:
    return hashlib.sha256(soft.detach().float().cpu().numpy().tobytes()).hexdigest()
