"""How many positions go through the backbone for rows and answers, counted from their tokens; it refuses to look at a clock."""

from __future__ import annotations

from collections.abc import Sequence

from foreword.data.template import Template
from foreword.engine import Backbone, Row
from foreword.infer.choosing import choice_ids
from foreword.prompts.layout import Laid

FORWARD = 2  # floating-point operations a position and parameter


def parted(backbone: Backbone, soft: int, rows: Sequence[Row]) -> tuple[list[int], int]:
    """Positions of each row of its own, and positions that all share. soft: positions of the soft prompt."""
    lengths = [(len(row.before) + len(row.prefix), len(row.own) + len(row.answer)) for row in rows]
    start, end = len(backbone.tokenizer.start), backbone.specials - len(backbone.tokenizer.start)
    if not backbone.engine.capabilities.prefix_cache:
        return [soft + start + prefix + own + end for prefix, own in lengths], 0
    shared = max(prefix for prefix, _ in lengths)
    return [own + end for _, own in lengths], soft + start + shared


def answering(
    backbone: Backbone, template: Template, soft: int, laid: Sequence[Laid], longest: int
) -> tuple[list[int], int]:
    """Positions of each answer of full length with what stands before it, of all its choices where there is a choice, and positions that
    all share. longest: tokens of an answer."""
    each, shared = parted(backbone, soft, [example.row() for example in laid])
    distinct = {example.example.choices for example in laid if example.example.choices}
    lengths = {choices: [len(ids) for ids in choice_ids(backbone, template, choices)] for choices in distinct}
    whole = [
        sum(own + length for length in lengths.get(example.example.choices, [longest]))
        for example, own in zip(laid, each, strict=True)
    ]
    return whole, shared
