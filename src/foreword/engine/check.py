"""Run a freshly loaded model on a few tokens to find which short cuts are exact for it, and why the others are not; it refuses to trust a
family's name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foreword.engine.batch import Row
from foreword.engine.causal import WORTH, CausalEngine
from foreword.engine.gradient import wrong_gradient
from foreword.engine.head import Head, answers_loss
from foreword.engine.seq2seq import Seq2SeqEngine
from foreword.engine.sound import PLAIN, refuse_unsound_causal, refuse_unsound_seq2seq
from foreword.engine.traits import Traits
from foreword.engine.truth import difference, long_length
from foreword.util.errors import ForewordError

Engines = CausalEngine | Seq2SeqEngine


def causal_traits(engine: CausalEngine, name: str, text_ids: Sequence[int]) -> None:
    """Give the engine the traits that hold for its model, and the reasons of those that do not.

    Raises ForewordError for a model whose plain pass over ids is not what the engine computes, or that is no causal language model."""
    engine.reasons = {}
    refuse_unsound_causal(engine, name, _ids(text_ids, 12))
    rows = _rows(text_ids)
    if engine.switch == 0:  # every row is computed alone
        engine.traits = replace(PLAIN, continues=False)
        _gradient(engine, _soft(engine, text_ids), rows)
        return
    soft, truth = _soft(engine, text_ids), _Truth(engine)
    _answering_traits(engine, soft, rows, truth)
    _tuning_traits(engine, soft, rows, truth)
    length = long_length(engine.model)
    if length and engine.switch is None:
        _beyond(engine, name, text_ids, length)
    _gradient(engine, soft, rows)


class _Truth:
    """Logits [A, V] of a row alone behind the first positions of a soft prompt, all in one sequence: each computed once."""

    def __init__(self, engine: CausalEngine) -> None:
        self.engine = engine
        self.known: dict[tuple[int, Row], Tensor] = {}

    def __call__(self, soft: Tensor, row: Row) -> Tensor:
        key = (len(soft), row)
        if key not in self.known:
            before, self.engine.traits = self.engine.traits, PLAIN
            self.known[key] = self.engine.joined_logits(soft, [row])[0]
            self.engine.traits = before
        return self.known[key]


@torch.no_grad()
def batch_mates(engine: Engines, text_ids: Sequence[int]) -> str:
    """Why rows may not share a pass at all: in one batch, plainly padded, they have not the numbers that each has alone; empty where they
    have."""
    soft, rows = _soft(engine, text_ids), _rows(text_ids)
    known, engine.traits = engine.traits, PLAIN
    together = engine.joined_logits if isinstance(engine, CausalEngine) else engine.answer_logits
    truth = torch.cat([together(soft, [row])[0] for row in rows])
    reason = difference(lambda: together(soft, rows)[0], truth, engine.limit)
    engine.traits = known
    return reason


def seq2seq_traits(engine: Seq2SeqEngine, name: str, text_ids: Sequence[int], answer_ids: Sequence[int]) -> None:
    """The same for an encoder-decoder: whether logits may be computed at the answer positions only, and whether the decoder's cache is
    exact; the plain computation is each row alone, its whole answer at once. answer_ids: tokens of the answers' tokenizer."""
    engine.reasons = dict.fromkeys(("shares", "packs", "keeps"), "an encoder-decoder reads each input whole")
    refuse_unsound_seq2seq(engine, name, _ids(text_ids, 12), _ids(answer_ids, 5))
    reason = batch_mates(engine, text_ids)
    if reason:
        raise ForewordError(
            f"The model {name} gives a row other numbers in a batch than alone ({reason}), so its answers would depend on their "
            "batch-mates; use it in float32, or another model."
        )
    _seq2seq_short_cuts(engine, answer_ids)
    _gradient(engine, _soft(engine, text_ids), _rows(text_ids, answer_ids))


def _ids(text_ids: Sequence[int], count: int, first: int = 0) -> tuple[int, ...]:
    return tuple(text_ids[(7 * at) % len(text_ids)] for at in range(first, first + count))


def _rows(text_ids: Sequence[int], answer_ids: Sequence[int] | None = None) -> list[Row]:
    ids = _ids(text_ids, 24)
    said = ids if answer_ids is None else _ids(answer_ids, 24)
    return [Row(ids[:4], ids[4:7], said[7:9]), Row(ids[:4], ids[9:18], said[18:21])]


@torch.no_grad()
def _soft(engine: Engines, text_ids: Sequence[int]) -> Tensor:
    """Vectors of a few tokens as a soft prompt [P, H]."""
    table = engine.model.get_input_embeddings()
    found: Tensor = table(torch.tensor(list(text_ids[:3]), device=engine.device)).float() * engine.factor
    return found


def _holds(engine: Engines, trait: str, attempt: Callable[[], Tensor], truth: Tensor) -> bool:
    """Whether what is attempted is the truth; where it is not, the trait's reason is kept."""
    reason = difference(attempt, truth, engine.limit)
    engine.reasons.pop(trait, None)
    if reason:
        engine.reasons[trait] = reason
    return not reason


@torch.no_grad()
def _answering_traits(engine: CausalEngine, soft: Tensor, rows: Sequence[Row], alone: _Truth) -> None:
    """Which short cuts equal the plain computation (each row alone, whole sequence, all logits), on a soft prompt made of
    embedding rows and two rows of different lengths; for answering, the second row has a shorter prompt."""
    softs = (soft, soft[:2])
    truth = torch.cat([alone(soft, row) for row in rows])
    said = [alone(each, row)[:2] for each, row in zip(softs, rows, strict=True)]
    engine.traits = replace(PLAIN, picks=True)
    picks = _holds(engine, "picks", lambda: engine.joined_logits(soft, rows)[0], truth)
    engine.traits = Traits(shares=True, left_pads=True, picks=picks)
    shares = _holds(engine, "shares", lambda: engine.answer_logits(soft, rows)[0], truth)
    engine.traits = Traits(shares=shares, left_pads=shares, picks=picks)
    if not shares:
        engine.reasons["left_pads"] = "needs shares"
    elif _holds(engine, "left_pads", lambda: engine.forced_logits(softs, rows, 2), torch.stack(said)):  # [B, 2, V]
        return
    continues = all(
        _holds(engine, "continues", functools.partial(_forced, engine, softs[at], rows[at]), said[at])
        for at in range(len(rows))
    )
    engine.traits = Traits(shares=shares, left_pads=False, picks=picks, continues=continues)


def _forced(engine: CausalEngine, soft: Tensor | None, row: Row) -> Tensor:
    return engine.forced_logits([soft], [row], 2)[0]


@torch.no_grad()
def _tuning_traits(engine: CausalEngine, soft: Tensor, rows: Sequence[Row], alone: _Truth) -> None:
    """Whether prefix and rows may stand in one sequence, in tuning and in answering, and whether logits are what `Head` makes of hidden
    states."""
    known = engine.traits
    truth = torch.cat([alone(soft, row) for row in rows])
    if known.shares and known.picks:
        engine.traits = replace(known, packs=True)
        packs = _holds(engine, "packs", lambda: engine.answer_logits(soft, rows)[0], truth)
    else:
        packs, engine.reasons["packs"] = False, "needs shares and picks"
    engine.traits = known = replace(known, packs=packs)
    heads = _heads(engine, soft, rows, truth)
    keeps = packs and _keeps(engine, soft, rows, alone)
    if not packs:
        engine.reasons["keeps"] = "needs packs"
    engine.traits = replace(known, heads=heads, keeps=keeps)


def _heads(engine: Engines, soft: Tensor | None, rows: Sequence[Row], truth: Tensor) -> bool:
    if engine.traits.picks:
        return _holds(engine, "heads", lambda: _by_head(engine, soft, rows), truth)
    engine.reasons["heads"] = "needs picks"
    return False


def _by_head(engine: Engines, soft: Tensor | None, rows: Sequence[Row]) -> Tensor:
    seen: list[Tensor] = []
    engine.answer_logits(soft, rows, seen)
    return Head(engine.model).logits(seen[-1])


def _keeps(engine: CausalEngine, soft: Tensor, rows: Sequence[Row], alone: _Truth) -> bool:
    """Whether answers may grow beside a prefix that is held once: rows that share one, and one with another of its own."""
    rows = [*rows, *rows, rows[0]]
    softs = [soft] * (len(rows) - 1) + [soft[:2]]
    said = [alone(each, row)[:2] for each, row in zip(softs, rows, strict=True)]
    engine.forget()  # prefixes that were run the other way
    engine.traits, engine.worth = replace(engine.traits, keeps=True), 0
    try:
        return _holds(engine, "keeps", lambda: engine.forced_logits(softs, rows, 2), torch.stack(said))  # [B, 2, V]
    finally:
        engine.worth = WORTH
        engine.forget()


@torch.no_grad()
def _beyond(engine: CausalEngine, name: str, text_ids: Sequence[int], length: int) -> None:
    """Hold the traits, found on short rows, against rows of this length, which see more than a window of local attention."""
    known = engine.traits
    refuse_unsound_causal(engine, name, _ids(text_ids, length))
    soft, short = _soft(engine, text_ids), _rows(text_ids)[0]
    prefix = _ids(text_ids, length // 2)
    rows = [
        replace(short, prefix=prefix),
        Row(prefix, _ids(text_ids, length - len(prefix) - 3, 5), _ids(text_ids, 3, 2)),
    ]
    engine.traits = PLAIN
    truth = torch.cat([engine.joined_logits(soft, [row])[0] for row in rows])
    said = [engine.joined_logits(soft, [row])[0][:2] for row in rows]
    engine.traits = known
    for trait, off in (("packs", {"packs": False, "keeps": False}), ("shares", _NOT_SHARED), ("picks", vars(PLAIN))):
        if getattr(engine.traits, trait) and not _holds(
            engine, trait, lambda: engine.answer_logits(soft, rows)[0], truth
        ):
            engine.reasons |= {other: f"needs {trait}" for other in off if other != trait}
            engine.reasons[trait] += f", at {length} tokens"
            engine.traits = replace(engine.traits, **off)
    for trait in ("keeps", "continues"):
        if getattr(engine.traits, trait) and not all(
            _holds(engine, trait, functools.partial(_forced, engine, soft, row), truth)
            for row, truth in zip(rows, said, strict=True)
        ):
            engine.reasons[trait] += f", at {length} tokens"
            engine.traits = replace(engine.traits, **{trait: False})
    engine.forget()


_NOT_SHARED = {"shares": False, "left_pads": False, "packs": False, "keeps": False}


def _gradient(engine: Engines, soft: Tensor, rows: Sequence[Row]) -> None:
    """Whether the loss has the gradient that its numbers say; short cuts under which it has not are not taken. Where it has none at all,
    the model can answer but no prompt can be tuned on it: the reason is kept under `gradient`."""
    known = engine.traits
    dtype = engine.model.get_input_embeddings().weight.dtype
    alone = replace(known, packs=False, keeps=False, heads=False, shares=False, left_pads=False)
    for traits in dict.fromkeys((known, replace(known, heads=False), alone)):
        engine.traits = traits
        reason = wrong_gradient(functools.partial(_loss, engine, rows[:1]), soft, dtype)
        if not reason:
            lost = [name for name, value in vars(known).items() if value and not getattr(traits, name)]
            engine.reasons |= dict.fromkeys(lost, f"its gradient is wrong: {engine.reasons.pop('gradient', '')}")
            return
        engine.reasons.setdefault("gradient", reason)
    engine.traits = known


def _loss(engine: Engines, rows: Sequence[Row], soft: Tensor) -> Tensor:
    """The loss, nothing spared: what may be is found when a training begins."""
    return answers_loss(engine.model, engine.traits.heads, functools.partial(engine.answer_logits, soft, rows))[0]


@torch.no_grad()
def _seq2seq_short_cuts(engine: Seq2SeqEngine, text_ids: Sequence[int]) -> None:
    rows = _rows(text_ids)
    engine.traits = PLAIN
    truth = torch.cat([engine.answer_logits(None, [row])[0] for row in rows])
    engine.traits = replace(PLAIN, picks=True)
    picks = _holds(engine, "picks", lambda: engine.answer_logits(None, rows)[0], truth)
    engine.traits = Traits(shares=False, picks=picks)
    starts = torch.tensor([0, len(rows[0].answer)])
    said = torch.stack([truth[starts], truth[starts + 1]], dim=1)  # [B, 2, V]
    continues = _holds(engine, "continues", lambda: engine.forced_logits(None, rows, 2), said)
    heads = _heads(engine, None, rows, truth)
    engine.traits = Traits(shares=False, picks=picks, continues=continues, heads=heads)
