"""Objectives turn a batch into a loss, compiled for the few shapes that batches have; they refuse to know where a batch comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from foreword.pretrain.batches import LONGEST, STEP, Batch

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
            found: Tensor = model.model(input_ids=ids, use_cache=False).last_hidden_state
            return found

    def loss(found: Tensor, follow: Tensor) -> Tensor:  # [N, H], [N] -> []
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model.lm_head(found)  # [N, V]
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
