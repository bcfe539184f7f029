"""How far a model's logits move when its input vectors move by one unit in the last place: what rounding alone may change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from foreword.engine.truth import TOLERANCE, apart, plain_logits

DRAWS = 4
MOST = (
    0.4  # of the logits' spread: a model that is noisier is held to this, for a wrong computation may be no farther off
)


def limit_of(model: Any, ids: Sequence[int], decoder_ids: Sequence[int] = ()) -> float:
    """How far logits may be from the plain pass and still be called equal up to rounding, as a part of their spread.

    In float32 and float64 it is `TOLERANCE`. In 16 bits models differ: over 30 layers a unit in the last place of the input grows to a
    quarter of the spread (SmolLM2-135M in bfloat16), where small models keep it below the tolerance. So it is measured, over a few
    draws of which way each number is rounded, and never above `MOST`.
    """
    dtype = model.get_input_embeddings().weight.dtype
    known = TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16])
    if dtype not in (torch.bfloat16, torch.float16):
        return known
    truth = plain_logits(model, ids, decoder_ids)
    moved = [apart(_moved(model, ids, decoder_ids, seed), truth) for seed in range(DRAWS)]
    return max(known, min(MOST, max(moved)))


def _moved(model: Any, ids: Sequence[int], decoder_ids: Sequence[int], seed: int) -> Tensor:
    """The plain logits with each number of the input vectors moved up or down by one unit in the last place."""
    generator = torch.Generator().manual_seed(seed)

    def move(module: Any, args: Any, vectors: Tensor) -> Tensor:
        signs = torch.randint(0, 2, vectors.shape, generator=generator).mul(2).sub(1).to(vectors.device)
        return (vectors.float() * (1 + torch.finfo(vectors.dtype).eps * signs)).to(vectors.dtype)

    hook = model.get_input_embeddings().register_forward_hook(move)
    try:
        return plain_logits(model, ids, decoder_ids)
    finally:
        hook.remove()
