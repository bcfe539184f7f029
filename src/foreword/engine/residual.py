"""How large the vectors are that the first block of a frozen model hands on: the unit in which a soft prompt is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

TOKENS = 32  # of the sequence that is measured, at most


@torch.no_grad()
def residual_scale(model: Any, ids: Sequence[int]) -> float | None:
    """Root mean square of the hidden states [T, H] after the first block (of the encoder where there is one): the median over the
    positions of a sequence of these token ids, since a few positions of a language model hold activations that are far larger. None
    where the model hands out no hidden states.

    In a model that normalises what its blocks read and not what they add up, it is 20 to 40 times the size of an embedding row, and
    a soft prompt whose steps are small against it hardly reaches the later blocks; in T5 and BART it is 1 to 2 times that size."""
    body = model.get_encoder() if model.config.is_encoder_decoder else model
    device = model.get_input_embeddings().weight.device
    inputs = torch.tensor([list(ids)[:TOKENS]], device=device)
    states = getattr(body(input_ids=inputs, output_hidden_states=True), "hidden_states", None)
    if not states or len(states) < 2:
        return None
    per_position = states[1][0].float().square().mean(dim=-1).sqrt()  # [T]
    return float(per_position.median())
