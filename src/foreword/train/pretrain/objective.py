"""Training objectives: a batch to a loss, compiled for the few shapes that batches have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from foreword.train.pretrain.batches import LONGEST, STEP, Batch
from foreword.train.pretrain.spans import SHORTEST, corrupted
from foreword.train.pretrain.tokenizer import EOS_ID, PAD_ID, SENTINEL_IDS

Objective = Callable[[Batch], Tensor]
"""The mean loss of a batch in nats a counted token."""

ROUND = 512
"""The number of counted tokens is filled up to a multiple of this: every new shape costs memory that is not given back."""

_IGNORED = -100


def causal(model: Any, *, half: bool, compiled: bool) -> Objective:
    """The loss of a left-to-right model: each counted token from those before it.

    half: matrix products in bfloat16. compiled: the model is compiled once for each width, which costs some 20 seconds a width
    and then makes steps half as long on a processor.
    """
    model.set_attn_implementation("eager")  # the fused one's backward is slow on a processor

    def states(ids: Tensor) -> Tensor:  # [B, T] -> [B, T, H]
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            hidden: Tensor = model.model(input_ids=ids, use_cache=False).last_hidden_state
            return hidden

    def loss(hidden: Tensor, follow: Tensor) -> Tensor:  # [N, H], [N] -> []
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model.lm_head(hidden)  # [N, V]
        return cross_entropy(logits.float(), follow, ignore_index=_IGNORED)

    if compiled:
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 2 * LONGEST // STEP)
        states, loss = torch.compile(states, dynamic=False), torch.compile(loss, dynamic=True)

    def of(batch: Batch) -> Tensor:
        ids = torch.from_numpy(batch.ids)  # [B, T]
        places = torch.from_numpy(batch.counted[:, 1:]).flatten().nonzero().flatten()  # [N]
        blank = -len(places) % ROUND
        follow = pad(ids[:, 1:].flatten()[places], (0, blank), value=_IGNORED)  # [N + blank]
        return loss(states(ids[:, :-1]).flatten(0, 1)[pad(places, (0, blank))], follow)

    return of


def spans_of(model: Any, *, half: bool, compiled: bool) -> Objective:
    """The loss of an encoder-decoder under span corruption (Raffel et al. 2020, section 3.1.4), over all that was taken out: most
    of it stands in another place of its document. Which spans are taken out follows from the batch alone. half, compiled: as in
    `causal`.
    """
    model.set_attn_implementation("eager")

    def loss(input_ids: Tensor, target_ids: Tensor) -> Tensor:  # [B, E], [B, T] -> []
        decoder_ids = pad(target_ids[:, :-1], (1, 0), value=PAD_ID)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model(
                input_ids=input_ids,
                attention_mask=(input_ids != PAD_ID).long(),
                decoder_input_ids=decoder_ids,
                use_cache=False,
            ).logits
        return cross_entropy(logits.float().flatten(0, 1), target_ids.flatten(), ignore_index=PAD_ID)

    if compiled:
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 2 * LONGEST // STEP)
        loss = torch.compile(loss, dynamic=False)

    def of(batch: Batch) -> Tensor:
        chance = np.random.default_rng(batch.ids[0].tolist())
        rows = [_parted(ids[(ids != PAD_ID) & (ids != EOS_ID)], chance) for ids in batch.ids]
        width = batch.ids.shape[1]
        return loss(
            _filled([input_ids for input_ids, _ in rows], width),
            _filled([target_ids for _, target_ids in rows], width // 4),
        )

    return of


def _parted(ids: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Input ids and target ids, ends included; of a row without a text, an end and nothing."""
    if len(ids) < SHORTEST:
        return np.array([EOS_ID]), np.array([], dtype=np.int64)
    input_ids, target_ids = corrupted(ids, SENTINEL_IDS, chance)
    return np.append(input_ids, EOS_ID), np.append(target_ids, EOS_ID)


def _filled(rows: list[np.ndarray], width: int) -> Tensor:
    return torch.from_numpy(np.stack([np.pad(row, (0, width - len(row)), constant_values=PAD_ID) for row in rows]))
