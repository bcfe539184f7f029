"""Floating-point operations of one tuning step, counted from shapes; this file refuses to measure anything.

Counted: products with weight matrices (2 operations a weight and position forward, 2 backward for the input's gradient; frozen weights
need no gradient of their own), logits among them, and, apart, attention (4 operations a width and visible pair of positions forward, 8
backward). Not counted: norms, activations, softmax, the optimiser, embedding look-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from foreword.engine import Row


@dataclass(frozen=True)
class Size:
    """Weights in the matrices that every position goes through: body (decoder-only), or encoder, decoder, and cross (the decoder's keys and
    values of encoder positions); those of the output layer; and width x layers of attention."""

    body: int
    encoder: int
    decoder: int
    cross: int
    head: int
    attention: int

    @classmethod
    def of(cls, model: Any) -> Size:
        """Counted over the model's modules."""
        head = model.get_output_embeddings()
        config = model.config.get_text_config(decoder=True)
        weights = {"body": 0, "encoder": 0, "decoder": 0, "cross": 0}
        for name, part in model.named_modules():
            if isinstance(part, (torch.nn.Linear, Conv1D)) and part is not head:
                seq2seq = model.config.is_encoder_decoder
                cross = "EncDecAttention" in name and name.rsplit(".", 1)[-1] in ("k", "v")
                place = "cross" if cross else "encoder" if "encoder." in name else "decoder"
                weights[place if seq2seq else "body"] += part.weight.numel()
        width = getattr(config, "num_heads", 0) * getattr(config, "d_kv", 0) or config.hidden_size
        return cls(**weights, head=head.weight.numel(), attention=width * config.num_hidden_layers)


def _pairs(before: int, own: int) -> int:
    """Pairs of positions of which the later sees the earlier: `own` positions behind `before`."""
    return own * before + own * (own + 1) // 2


def peer(size: Size, rows: Sequence[Row], prompt: int, end: int = 0) -> dict[str, float]:
    """A step that joins the prompt to every row, pads to the longest and makes logits everywhere. end: tokens behind an encoder's input."""
    B = len(rows)
    if size.body:
        longest = max(row.length for row in rows)
        positions = B * (prompt + longest)
        attention = B * _pairs(0, prompt + longest) * size.attention
        return {"matrices": 4.0 * positions * (size.body + size.head), "attention": 12.0 * attention}
    read = B * (prompt + max(len(row.prefix + row.own) for row in rows) + end)
    answer_positions = B * max(len(row.answer) for row in rows)
    matrices = read * (size.encoder + size.cross) + answer_positions * (size.decoder + size.head)
    attention = read * read / B + B * _pairs(0, answer_positions // B) + answer_positions * read / B
    return {"matrices": 4.0 * matrices, "attention": 12.0 * attention * size.attention}


def least(size: Size, rows: Sequence[Row], prompt: int, start: int = 0, end: int = 0) -> dict[str, float]:
    """The prefix (prompt, start, shared ids) once, no padding, logits where answers are: 4 operations a weight and position."""
    answers = sum(len(row.answer) for row in rows)
    if size.body:
        shared = prompt + start + len(rows[0].prefix)
        own = [len(row.own) + len(row.answer) - 1 for row in rows]
        pairs = _pairs(0, shared) + sum(_pairs(shared, length) for length in own)
        matrices = (shared + sum(own)) * size.body + answers * size.head
        return {"matrices": 4.0 * matrices, "attention": 12.0 * pairs * size.attention}
    read = [prompt + len(row.prefix + row.own) + end for row in rows]
    answer_lengths = [len(row.answer) for row in rows]
    matrices = sum(read) * (size.encoder + size.cross) + answers * (size.decoder + size.head)
    pairs = sum(
        length * length + _pairs(0, answer_length) + length * answer_length
        for length, answer_length in zip(read, answer_lengths, strict=True)
    )
    return {"matrices": 4.0 * matrices, "attention": 12.0 * pairs * size.attention}


def total(operations: dict[str, float]) -> float:
    """Matrices and attention together."""
    return sum(operations.values())
