"""Inputs of a decoder-only model: lines of tokens and soft prompts as ids, a mask, and the positions of the soft prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from foreword.engine.prefix import Embeddings, Tokens

Line = Sequence[Embeddings | Tokens]  # what the model reads of one row, in order
Placed = tuple[int, int, Tensor]  # a row, its column where a soft prompt begins, and the soft prompt [P, H]


def padded_inputs(lines: Sequence[Line], pad: int, *, left: bool) -> tuple[Tensor, Tensor, list[Placed]]:
    """Ids and mask [B, T] of lines padded at their ends (or beginnings), id 0 at soft positions, and the soft prompts in them."""
    sizes = [sum(len(piece) for piece in line) for line in lines]
    longest = max(sizes)
    ids = torch.full((len(lines), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(lines), longest), dtype=torch.long)
    soft: list[tuple[int, int, Tensor]] = []  # row, first column, values
    for row, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        column = longest - size if left else 0
        mask[row, column : column + size] = 1
        for piece in line:
            end = column + len(piece)
            if isinstance(piece, Tokens):
                ids[row, column:end] = torch.tensor(piece.ids, dtype=torch.long)
            else:
                ids[row, column:end] = 0
                soft.append((row, column, piece.values))
            column = end
    return ids, mask, soft


def with_soft(vectors: Tensor, soft: Sequence[Placed]) -> Tensor:
    """Input vectors [B, T, H] with values [P, H] from a row's column on, for each of (row, column, values)."""
    if len(vectors) == 1:
        pieces, at = [], 0
        for _, column, values in soft:
            pieces += [vectors[0, at:column], values.to(vectors.device, vectors.dtype)]
            at = column + len(values)
        return torch.cat([*pieces, vectors[0, at:]]).unsqueeze(0)
    where = torch.zeros(vectors.shape[:2], dtype=torch.bool)
    for row, column, values in soft:
        where[row, column : column + len(values)] = True
    ordered = sorted(soft, key=lambda piece: piece[:2])
    values = torch.cat([values.to(vectors.device, vectors.dtype) for _, _, values in ordered])
    return vectors.masked_scatter(where.to(vectors.device).unsqueeze(-1), values)


def per_layer_inputs(model: Any) -> Any:
    """What makes the inputs that each layer gets by id, beside the input vectors; None for a model whose layers get none."""
    if not getattr(model.config.get_text_config(decoder=True), "hidden_size_per_layer_input", None):
        return None
    return getattr(_text_module(model), "get_per_layer_inputs", None)


def _text_module(model: Any) -> Any:
    """The module that reads text: the model's decoder, inside a wrapper for several kinds of input where there is one."""
    inner = model.get_decoder() if hasattr(model, "get_decoder") else model
    return getattr(inner, "language_model", inner) if inner is not None else model
