"""The engine for decoder-only models: a shared prefix is run once and every row attends to it; it refuses to let padding
or batch-mates move a row's positions."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foreword.backbone.batch import Row, answer_picks, left_padded, positions, right_padded
from foreword.backbone.cache import PrefixState, keep_rows, plain_cache, roomy_cache

KEPT_PREFIXES = 32  # prefix states kept for generating, least recently used out

Finished = Callable[[int, list[int]], bool]


@dataclass(frozen=True)
class Traits:
    """What holds exactly for this model; found by running it at load time, never by its name.

    shares: the prefix may be run once and shared. left_pads: a left-padded row equals the row alone.
    picks: logits may be computed at chosen positions only. continues: an answer may grow by one token a pass, out of the cache.
    """

    shares: bool = True
    left_pads: bool = True
    picks: bool = True
    continues: bool = True


@contextlib.contextmanager
def hidden_at(head: torch.nn.Module, picks: Tensor) -> Iterator[None]:
    """Within the block the output layer sees only the hidden states at these flat positions [N]: logits come as [1, N, V],
    with whatever the model does to them afterwards (scales, soft caps) applied as always."""

    def choose(_: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = args[0]  # [B, T, H]
        return (hidden.reshape(-1, hidden.shape[-1])[picks].unsqueeze(0), *args[1:])

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
        self._kept: OrderedDict[tuple[str, tuple[int, ...]], PrefixState] = OrderedDict()

    @property
    def device(self) -> torch.device:
        """Where the model stands."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    # -- one forward pass -------------------------------------------------------------------------------------------

    def _embed(self, ids: Tensor) -> Tensor:
        return self.model.get_input_embeddings()(ids)  # type: ignore[no-any-return]

    def _forward(self, *, mask: Tensor, spots: Tensor, picks: Tensor | None = None, **given: Any) -> Any:
        if self._takes_positions:
            given["position_ids"] = spots
        if picks is None or not self.traits.picks:
            out = self.model(attention_mask=mask, **given)
            if picks is not None:
                out.logits = out.logits.reshape(-1, out.logits.shape[-1])[picks].unsqueeze(0)
            return out
        with hidden_at(self.model.get_output_embeddings(), picks):
            return self.model(attention_mask=mask, **given)

    def _vectors(self, soft: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """Input embeddings [B, P + T, H] of a soft prompt and ids; models that also read ids per layer get id 0 for the soft
        positions, as such models do themselves for inputs that are no text."""
        vectors = self._embed(ids)
        if soft is not None:
            vectors = torch.cat([soft.to(vectors.dtype).expand(len(ids), -1, -1), vectors], dim=1)
        given = {"inputs_embeds": vectors}
        if self._beside is not None:
            behind = ids.new_zeros((len(ids), 0 if soft is None else len(soft)))
            given["per_layer_inputs"] = self._beside(torch.cat([behind, ids], dim=1))
        return given

    def prefix_state(self, soft: Tensor | None, prefix: tuple[int, ...]) -> PrefixState | None:
        """Keys and values of soft prompt, start and prefix at batch 1, with gradients to the soft prompt; None if all are empty."""
        shared = self.start + prefix
        size = len(shared) + (0 if soft is None else len(soft))
        if size == 0:
            return None
        ids = torch.tensor([shared], dtype=torch.long, device=self.device)
        mask = torch.ones((1, size), dtype=torch.long, device=self.device)
        cache = plain_cache()
        last = torch.tensor([size - 1], device=self.device)
        given = self._vectors(soft, ids)
        self._forward(mask=mask, spots=positions(mask), picks=last, past_key_values=cache, use_cache=True, **given)
        return PrefixState.of(cache, size)

    def _kept_state(self, soft: Tensor | None, prefix: tuple[int, ...]) -> PrefixState | None:
        name = "" if soft is None else hashlib.sha256(soft.detach().float().cpu().numpy().tobytes()).hexdigest()
        key = (name, prefix)
        if key not in self._kept:
            state = self.prefix_state(soft, prefix)
            if state is None:
                return None
            self._kept[key] = state
            while len(self._kept) > KEPT_PREFIXES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    # -- logits at answer positions ---------------------------------------------------------------------------------

    def answer_logits(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Logits [N, V] at the answer positions of rows that share one prefix, and the answer tokens [N]."""
        return self._shared_logits(soft, rows) if self.traits.shares else self.joined_logits(soft, rows)

    def _shared_logits(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        state = self.prefix_state(soft, rows[0].prefix)
        if state is None:
            return self.joined_logits(soft, rows)
        ids, mask = right_padded([row.own + row.answer[:-1] for row in rows], self.pad, self.device)  # [B, T]
        starts = [len(row.own) - 1 for row in rows]
        picks, wanted = answer_picks(starts, [row.answer for row in rows], ids.shape[1], self.device)
        spots = positions(mask, state.length)
        whole = torch.cat([mask.new_ones((len(rows), state.length)), mask], dim=1)  # [B, S + T]
        cache = state.for_rows(len(rows))
        out = self._forward(mask=whole, spots=spots, picks=picks, input_ids=ids, past_key_values=cache, use_cache=True)
        return out.logits[0], wanted

    def joined_logits(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """The plain computation: prefix and row in one sequence, for each row again. What the shared path is held against."""
        heads = [self.start + row.prefix + row.own for row in rows]
        ids, mask = right_padded(
            [head + row.answer[:-1] for head, row in zip(heads, rows, strict=True)], self.pad, self.device
        )
        size = 0 if soft is None else len(soft)
        whole = torch.cat([mask.new_ones((len(rows), size)), mask], dim=1)  # [B, P + T]
        starts = [size + len(head) - 1 for head in heads]
        picks, wanted = answer_picks(starts, [row.answer for row in rows], whole.shape[1], self.device)
        given = self._vectors(soft, ids)
        out = self._forward(mask=whole, spots=positions(whole), picks=picks, use_cache=False, **given)
        return out.logits[0], wanted

    # -- the verbs --------------------------------------------------------------------------------------------------

    def loss(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """Summed cross-entropy in nats over the answer tokens of rows that share one prefix, and how many tokens."""
        logits, wanted = self.answer_logits(soft, rows)
        return functional.cross_entropy(logits.float(), wanted, reduction="sum"), len(wanted)

    @torch.no_grad()
    def score(self, soft: Tensor | None, rows: Sequence[Row]) -> list[float]:
        """Each row's answer log-probability in nats, summed over its tokens."""
        logits, wanted = self.answer_logits(soft, rows)
        each = -functional.cross_entropy(logits.float(), wanted, reduction="none")
        return [float(part.sum()) for part in torch.split(each, [len(row.answer) for row in rows])]

    def _start(self, soft: Tensor | None, rows: Sequence[Row], longest: int) -> tuple[Any, Tensor]:
        """The first forward pass of generating, logits [1, B, V] at each row's last position, and the whole mask."""
        state = self._kept_state(soft, rows[0].prefix) if self.traits.shares else None
        if self.traits.shares:
            behind = 0 if state is None else state.length
            ids, mask = left_padded([row.own for row in rows], self.pad, self.device)  # [B, T]
            whole = torch.cat([mask.new_ones((len(rows), behind)), mask], dim=1)  # [B, S + T]
            given: dict[str, Any] = {
                "input_ids": ids,
                "past_key_values": roomy_cache(state, len(rows), whole.shape[1] + longest),
            }
        else:
            behind = 0
            ids, mask = left_padded([self.start + row.prefix + row.own for row in rows], self.pad, self.device)
            whole = torch.cat([mask.new_ones((len(rows), 0 if soft is None else len(soft))), mask], dim=1)  # [B, P + T]
            mask, given = whole, self._vectors(soft, ids)
        last = torch.arange(1, len(rows) + 1, device=self.device) * mask.shape[1] - 1
        out = self._forward(mask=whole, spots=positions(mask, behind), picks=last, use_cache=True, **given)
        return out, whole

    def _next(self, out: Any, whole: Tensor, chosen: Tensor) -> tuple[Any, Tensor]:
        """One token [B] more for every row: the next forward pass, logits [1, B, V], and the whole mask."""
        name = "past_key_values" if hasattr(out, "past_key_values") else "cache_params"  # state-space models
        whole = torch.cat([whole, whole.new_ones((len(whole), 1))], dim=1)
        out = self._forward(
            mask=whole if name == "past_key_values" else whole[:, -1:],  # a state is past its padding
            spots=whole.sum(dim=1, keepdim=True) - 1,
            picks=torch.arange(len(whole), device=whole.device),
            input_ids=chosen.unsqueeze(1),
            use_cache=True,
            **{name: getattr(out, name)},
        )
        return out, whole

    @torch.no_grad()
    def forced_logits(self, soft: Tensor | None, rows: Sequence[Row], steps: int) -> Tensor:
        """Logits [B, steps, V] for the first answer tokens, computed as generating computes them, one token a pass."""
        out, whole = self._start(soft, rows, steps)
        found = [out.logits[0]]
        for step in range(steps - 1):
            chosen = torch.tensor([row.answer[step] for row in rows], device=self.device)
            out, whole = self._next(out, whole, chosen)
            found.append(out.logits[0])
        return torch.stack(found, dim=1)

    @torch.no_grad()
    def generate(self, soft: Tensor | None, rows: Sequence[Row], longest: int, finished: Finished) -> list[list[int]]:
        """Greedy answers of rows that share one prefix, at most `longest` tokens each; finished(row, ids) ends a row.
        Where left padding is not exact for this model the caller hands in rows of one length."""
        if not self.traits.continues:
            return self._repeat(soft, rows, longest, finished)
        out, whole = self._start(soft, rows, longest)
        return self._continue(out, whole, longest, finished)

    def _continue(self, out: Any, whole: Tensor, longest: int, finished: Finished) -> list[list[int]]:
        """The greedy loop after the first forward pass; finished rows leave the batch where the cache is our own."""
        answers: list[list[int]] = [[] for _ in range(len(whole))]
        done = [False] * len(whole)
        alive = list(range(len(whole)))  # the rows still in the batch
        while True:
            chosen = out.logits[0].argmax(dim=-1)  # [rows in the batch]
            for row, token in zip(alive, chosen.tolist(), strict=True):
                if not done[row]:
                    answers[row].append(token)
                    done[row] = len(answers[row]) >= longest or finished(row, answers[row])
            if all(done[row] for row in alive):
                return answers
            if self.traits.shares and any(done[row] for row in alive):
                going = torch.tensor([i for i, row in enumerate(alive) if not done[row]], device=whole.device)
                whole, chosen = whole[going], chosen[going]
                alive = [row for row in alive if not done[row]]
                keep_rows(out.past_key_values, going)
            out, whole = self._next(out, whole, chosen)

    def _repeat(self, soft: Tensor | None, rows: Sequence[Row], longest: int, finished: Finished) -> list[list[int]]:
        """The greedy loop of a model whose cache is not exact: the whole row again for each token."""
        answers: list[list[int]] = [[] for _ in rows]
        alive = list(range(len(rows)))
        while alive:
            grown = [Row(rows[row].prefix, rows[row].own + tuple(answers[row])) for row in alive]
            chosen = self._start(soft, grown, 1)[0].logits[0].argmax(dim=-1)
            for row, token in zip(alive, chosen.tolist(), strict=True):
                answers[row].append(token)
            alive = [row for row in alive if len(answers[row]) < longest and not finished(row, answers[row])]
        return answers


def _text_module(model: Any) -> Any:
    """The module that reads text: the model's decoder, inside a wrapper for several kinds of input where there is one."""
    inner = model.get_decoder() if hasattr(model, "get_decoder") else model
    return getattr(inner, "language_model", inner) if inner is not None else model
