"""Run a freshly loaded model on a few tokens to find which short cuts are exact for it; it refuses to trust a family's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foreword.backbone.batch import Row
from foreword.backbone.causal import WORTH, CausalEngine
from foreword.backbone.head import Head
from foreword.backbone.seq2seq import Seq2SeqEngine
from foreword.backbone.traits import Traits

# Root mean square of the error over the vocabulary, as a part of the logits' spread. (Even models in float64 keep norms in float32.)
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}


def _rows(text_ids: Sequence[int]) -> list[Row]:
    ids = [text_ids[(7 * i) % len(text_ids)] for i in range(24)]
    return [
        Row(tuple(ids[:4]), tuple(ids[4:7]), tuple(ids[7:9])),
        Row(tuple(ids[:4]), tuple(ids[9:18]), tuple(ids[18:21])),
    ]


def _close(one: Tensor, other: Tensor) -> bool:
    """Whether logits [..., V] are equal up to rounding at every position, on the scale of that position's own spread."""
    error = (one.double() - other.double()).square().mean(dim=-1).sqrt()
    spread = other.double().std(dim=-1).clamp(min=1e-6)
    return bool((error <= TOLERANCE.get(one.dtype, 1e-1) * spread).all())


def _holds(attempt: Callable[[], Tensor], truth: Tensor) -> bool:
    try:
        found = attempt()
    except Exception:  # a short cut that this model cannot run at all is a short cut not taken
        return False
    return found.shape == truth.shape and bool(torch.isfinite(found).all()) and _close(found, truth)


def causal_traits(engine: CausalEngine, text_ids: Sequence[int]) -> Traits:
    """Which short cuts equal the plain computation: those of answering, and those that only tuning takes."""
    return _tuning_traits(engine, text_ids, _answering_traits(engine, text_ids))


@torch.no_grad()
def _tuning_traits(engine: CausalEngine, text_ids: Sequence[int], known: Traits) -> Traits:
    """Whether prefix and rows may stand in one sequence, in tuning and in answering, and whether logits are what `Head` makes of hidden
    states."""
    rows = _rows(text_ids)
    soft = _soft(engine, text_ids)
    engine.traits = known
    truth = torch.cat([engine.joined_logits(soft, [row])[0] for row in rows])
    engine.traits = replace(known, packs=True)
    packs = known.shares and known.picks and _holds(lambda: engine.answer_logits(soft, rows)[0], truth)
    engine.traits = known = replace(known, packs=packs)
    heads = known.picks and _holds(lambda: _by_head(engine, soft, rows), truth)
    return replace(known, heads=heads, keeps=packs and _keeps(engine, soft, rows))


def _keeps(engine: CausalEngine, soft: Tensor, rows: Sequence[Row]) -> bool:
    """Whether answers may grow beside a prefix that is held once: rows that share one, and one with another of its own."""
    rows = [*rows, *rows, rows[0]]
    softs = [soft] * (len(rows) - 1) + [soft[:2]]
    said = [engine.joined_logits(one, [row])[0][:2] for one, row in zip(softs, rows, strict=True)]
    engine.forget()  # prefixes that were run the other way
    engine.traits, engine.worth = replace(engine.traits, keeps=True), 0
    try:
        return _holds(lambda: engine.forced_logits(softs, rows, 2), torch.stack(said))  # [B, 2, V]
    finally:
        engine.worth = WORTH
        engine.forget()


def _by_head(engine: CausalEngine | Seq2SeqEngine, soft: Tensor | None, rows: Sequence[Row]) -> Tensor:
    seen: list[Tensor] = []
    engine.answer_logits(soft, rows, seen)
    return Head(engine.model).logits(seen[-1])


def _soft(engine: CausalEngine, text_ids: Sequence[int]) -> Tensor:
    table = engine.model.get_input_embeddings()
    return table(torch.tensor(list(text_ids[:3]), device=engine.device)).float()  # type: ignore[no-any-return]


@torch.no_grad()
def _answering_traits(engine: CausalEngine, text_ids: Sequence[int]) -> Traits:
    """Which short cuts equal the plain computation (each row alone, whole sequence, all logits), on a soft prompt made of
    embedding rows and two rows of different lengths; for answering, the second row has a shorter prompt."""
    rows = _rows(text_ids)
    soft = _soft(engine, text_ids)
    softs = (soft, soft[:2])
    engine.traits = Traits(shares=False, left_pads=False, picks=False)
    truth = torch.cat([engine.joined_logits(soft, [row])[0] for row in rows])
    said = [engine.joined_logits(one, [row])[0][:2] for one, row in zip(softs, rows, strict=True)]
    engine.traits = Traits(shares=False, left_pads=False, picks=True)
    picks = _holds(lambda: engine.joined_logits(soft, rows)[0], truth)
    engine.traits = Traits(shares=True, left_pads=True, picks=picks)
    shares = _holds(lambda: engine.answer_logits(soft, rows)[0], truth)
    engine.traits = Traits(shares=shares, left_pads=shares, picks=picks)
    if shares and _holds(lambda: engine.forced_logits(softs, rows, 2), torch.stack(said)):  # [B, 2, V]
        return engine.traits
    continues = all(
        _holds(lambda at=at: engine.forced_logits(softs[at], [rows[at]], 2)[0], said[at])  # type: ignore[misc]
        for at in range(len(rows))
    )
    return Traits(shares=shares, left_pads=False, picks=picks, continues=continues)


@torch.no_grad()
def seq2seq_traits(engine: Seq2SeqEngine, text_ids: Sequence[int]) -> Traits:
    """Whether logits may be computed at the answer positions only, and whether the decoder's cache is exact; the plain computation
    is each row alone, its whole answer at once."""
    rows = _rows(text_ids)
    engine.traits = Traits(shares=False, picks=False)
    truth = torch.cat([engine.answer_logits(None, [row])[0] for row in rows])
    engine.traits = Traits(shares=False, picks=True)
    picks = _holds(lambda: engine.answer_logits(None, rows)[0], truth)
    engine.traits = Traits(shares=False, picks=picks)
    starts = torch.tensor([0, len(rows[0].answer)])
    wanted = torch.stack([truth[starts], truth[starts + 1]], dim=1)  # [B, 2, V]
    continues = _holds(lambda: engine.forced_logits(None, rows, 2), wanted)
    heads = picks and _holds(lambda: _by_head(engine, None, rows), truth)
    return Traits(shares=False, picks=picks, continues=continues, heads=heads)
