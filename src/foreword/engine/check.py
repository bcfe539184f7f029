"""Finds out, by running a freshly loaded model on a few tokens, which short cuts are exact for it, and why the others are not; the
family's name decides nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foreword.engine.batch import Row
from foreword.engine.capabilities import Capabilities
from foreword.engine.causal import WORTH, CausalEngine
from foreword.engine.gradient import wrong_gradient
from foreword.engine.head import Head, answers_loss
from foreword.engine.seq2seq import Seq2SeqEngine
from foreword.engine.sound import PLAIN, refuse_unsound_causal, refuse_unsound_seq2seq
from foreword.engine.truth import difference, long_length
from foreword.util.errors import ForewordError

Engines = CausalEngine | Seq2SeqEngine


def causal_capabilities(engine: CausalEngine, name: str, text_ids: Sequence[int]) -> None:
    """Give the engine the capabilities that hold for its model, and the reasons for those that do not.

    Raises ForewordError for a model whose plain pass over ids is not what the engine computes, or that is no causal language model."""
    engine.reasons = {}
    refuse_unsound_causal(engine, name, _ids(text_ids, 12))
    rows = _rows(text_ids)
    if engine.switch == 0:  # every row is computed alone
        engine.capabilities = replace(PLAIN, incremental_decoding=False)
        _gradient(engine, _soft(engine, text_ids), rows)
        return
    soft, truth = _soft(engine, text_ids), _Truth(engine)
    _answering_capabilities(engine, soft, rows, truth)
    _tuning_capabilities(engine, soft, rows, truth)
    length = long_length(engine.model)
    if length and engine.switch is None:
        _beyond(engine, name, text_ids, length)
    _gradient(engine, soft, rows)


class _Truth:
    """Logits [A, V] of a row alone after the first positions of a soft prompt, all in one sequence: each computed once."""

    def __init__(self, engine: CausalEngine) -> None:
        self.engine = engine
        self.known: dict[tuple[int, Row], Tensor] = {}

    def __call__(self, soft: Tensor, row: Row) -> Tensor:
        key = (len(soft), row)
        if key not in self.known:
            before, self.engine.capabilities = self.engine.capabilities, PLAIN
            self.known[key] = self.engine.joined_logits(soft, [row])[0]
            self.engine.capabilities = before
        return self.known[key]


@torch.no_grad()
def batch_mates(engine: Engines, text_ids: Sequence[int]) -> str:
    """Why rows may not share a pass at all: in one batch, plainly padded, they have not the numbers that each has alone; empty where they
    have."""
    soft, rows = _soft(engine, text_ids), _rows(text_ids)
    known, engine.capabilities = engine.capabilities, PLAIN
    together = engine.joined_logits if isinstance(engine, CausalEngine) else engine.answer_logits
    truth = torch.cat([together(soft, [row])[0] for row in rows])
    reason = difference(lambda: together(soft, rows)[0], truth, engine.limit)
    engine.capabilities = known
    return reason


def seq2seq_capabilities(engine: Seq2SeqEngine, name: str, text_ids: Sequence[int], answer_ids: Sequence[int]) -> None:
    """The same for an encoder-decoder: whether logits may be computed at the answer positions only, and whether the decoder's cache is
    exact; the plain computation is each row alone, its whole answer at once. answer_ids: tokens of the answers' tokenizer."""
    engine.reasons = dict.fromkeys(
        ("prefix_cache", "packed_sequence", "shared_prefix"), "an encoder-decoder reads each input whole"
    )
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
    answer_source = ids if answer_ids is None else _ids(answer_ids, 24)
    return [Row(ids[:4], ids[4:7], answer_source[7:9]), Row(ids[:4], ids[9:18], answer_source[18:21])]


@torch.no_grad()
def _soft(engine: Engines, text_ids: Sequence[int]) -> Tensor:
    """Vectors of a few tokens as a soft prompt [P, H]."""
    table = engine.model.get_input_embeddings()
    vectors: Tensor = table(torch.tensor(list(text_ids[:3]), device=engine.device)).float() * engine.factor
    return vectors


def _holds(engine: Engines, capability: str, attempt: Callable[[], Tensor], truth: Tensor) -> bool:
    """Whether what is attempted is the truth; where it is not, the capability's reason is kept."""
    reason = difference(attempt, truth, engine.limit)
    engine.reasons.pop(capability, None)
    if reason:
        engine.reasons[capability] = reason
    return not reason


@torch.no_grad()
def _answering_capabilities(engine: CausalEngine, soft: Tensor, rows: Sequence[Row], alone: _Truth) -> None:
    """Which short cuts equal the plain computation (each row alone, whole sequence, all logits), on a soft prompt made of
    embedding rows and two rows of different lengths; for answering, the second row has a shorter prompt."""
    softs = (soft, soft[:2])
    truth = torch.cat([alone(soft, row) for row in rows])
    first_logits = [alone(each, row)[:2] for each, row in zip(softs, rows, strict=True)]
    engine.capabilities = replace(PLAIN, logits_to_keep=True)
    logits_to_keep = _holds(engine, "logits_to_keep", lambda: engine.joined_logits(soft, rows)[0], truth)
    engine.capabilities = Capabilities(prefix_cache=True, left_padding=True, logits_to_keep=logits_to_keep)
    prefix_cache = _holds(engine, "prefix_cache", lambda: engine.answer_logits(soft, rows)[0], truth)
    engine.capabilities = Capabilities(
        prefix_cache=prefix_cache, left_padding=prefix_cache, logits_to_keep=logits_to_keep
    )
    if not prefix_cache:
        engine.reasons["left_padding"] = "needs prefix_cache"
    elif _holds(
        engine, "left_padding", lambda: engine.forced_logits(softs, rows, 2), torch.stack(first_logits)
    ):  # [B, 2, V]
        return
    incremental_decoding = all(
        _holds(
            engine, "incremental_decoding", functools.partial(_forced, engine, softs[at], rows[at]), first_logits[at]
        )
        for at in range(len(rows))
    )
    engine.capabilities = Capabilities(
        prefix_cache=prefix_cache,
        left_padding=False,
        logits_to_keep=logits_to_keep,
        incremental_decoding=incremental_decoding,
    )


def _forced(engine: CausalEngine, soft: Tensor | None, row: Row) -> Tensor:
    return engine.forced_logits([soft], [row], 2)[0]


@torch.no_grad()
def _tuning_capabilities(engine: CausalEngine, soft: Tensor, rows: Sequence[Row], alone: _Truth) -> None:
    """Whether prefix and rows may stand in one sequence, in tuning and in answering, and whether logits are what `Head` makes of hidden
    states."""
    known = engine.capabilities
    truth = torch.cat([alone(soft, row) for row in rows])
    if known.prefix_cache and known.logits_to_keep:
        engine.capabilities = replace(known, packed_sequence=True)
        packed_sequence = _holds(engine, "packed_sequence", lambda: engine.answer_logits(soft, rows)[0], truth)
    else:
        packed_sequence, engine.reasons["packed_sequence"] = False, "needs prefix_cache and logits_to_keep"
    engine.capabilities = known = replace(known, packed_sequence=packed_sequence)
    fused_lm_head_loss = _fused_loss(engine, soft, rows, truth)
    shared_prefix = packed_sequence and _shared_prefix(engine, soft, rows, alone)
    if not packed_sequence:
        engine.reasons["shared_prefix"] = "needs packed_sequence"
    engine.capabilities = replace(known, fused_lm_head_loss=fused_lm_head_loss, shared_prefix=shared_prefix)


def _fused_loss(engine: Engines, soft: Tensor | None, rows: Sequence[Row], truth: Tensor) -> bool:
    if engine.capabilities.logits_to_keep:
        return _holds(engine, "fused_lm_head_loss", lambda: _by_head(engine, soft, rows), truth)
    engine.reasons["fused_lm_head_loss"] = "needs logits_to_keep"
    return False


def _by_head(engine: Engines, soft: Tensor | None, rows: Sequence[Row]) -> Tensor:
    hidden_states: list[Tensor] = []
    engine.answer_logits(soft, rows, hidden_states)
    return Head(engine.model).logits(hidden_states[-1])


def _shared_prefix(engine: CausalEngine, soft: Tensor, rows: Sequence[Row], alone: _Truth) -> bool:
    """Whether answers may be decoded after a prefix that is held once: rows that share one, and a row with another of its own."""
    rows = [*rows, *rows, rows[0]]
    softs = [soft] * (len(rows) - 1) + [soft[:2]]
    first_logits = [alone(each, row)[:2] for each, row in zip(softs, rows, strict=True)]
    engine.forget()  # prefixes that were run the other way
    engine.capabilities, engine.worth = replace(engine.capabilities, shared_prefix=True), 0
    try:
        return _holds(
            engine, "shared_prefix", lambda: engine.forced_logits(softs, rows, 2), torch.stack(first_logits)
        )  # [B, 2, V]
    finally:
        engine.worth = WORTH
        engine.forget()


@torch.no_grad()
def _beyond(engine: CausalEngine, name: str, text_ids: Sequence[int], length: int) -> None:
    """Check the capabilities, found on short rows, on rows of this length, which are longer than a window of local attention."""
    known = engine.capabilities
    refuse_unsound_causal(engine, name, _ids(text_ids, length))
    soft, short = _soft(engine, text_ids), _rows(text_ids)[0]
    prefix = _ids(text_ids, length // 2)
    rows = [
        replace(short, prefix=prefix),
        Row(prefix, _ids(text_ids, length - len(prefix) - 3, 5), _ids(text_ids, 3, 2)),
    ]
    engine.capabilities = PLAIN
    truth = torch.cat([engine.joined_logits(soft, [row])[0] for row in rows])
    first_logits = [engine.joined_logits(soft, [row])[0][:2] for row in rows]
    engine.capabilities = known
    for capability, off in (
        ("packed_sequence", {"packed_sequence": False, "shared_prefix": False}),
        ("prefix_cache", _NOT_SHARED),
        ("logits_to_keep", vars(PLAIN)),
    ):
        if getattr(engine.capabilities, capability) and not _holds(
            engine, capability, lambda: engine.answer_logits(soft, rows)[0], truth
        ):
            engine.reasons |= {other: f"needs {capability}" for other in off if other != capability}
            engine.reasons[capability] += f", at {length} tokens"
            engine.capabilities = replace(engine.capabilities, **off)
    for capability in ("shared_prefix", "incremental_decoding"):
        if getattr(engine.capabilities, capability) and not all(
            _holds(engine, capability, functools.partial(_forced, engine, soft, row), truth)
            for row, truth in zip(rows, first_logits, strict=True)
        ):
            engine.reasons[capability] += f", at {length} tokens"
            engine.capabilities = replace(engine.capabilities, **{capability: False})
    engine.forget()


_NOT_SHARED = {"prefix_cache": False, "left_padding": False, "packed_sequence": False, "shared_prefix": False}


def _gradient(engine: Engines, soft: Tensor, rows: Sequence[Row]) -> None:
    """Whether the loss has the gradient that its numbers say; short cuts under which it has not are not taken. Where it has none at all,
    the model can answer but no prompt can be tuned on it: the reason is kept under `gradient`."""
    known = engine.capabilities
    dtype = engine.model.get_input_embeddings().weight.dtype
    alone = replace(
        known,
        packed_sequence=False,
        shared_prefix=False,
        fused_lm_head_loss=False,
        prefix_cache=False,
        left_padding=False,
    )
    for capabilities in dict.fromkeys((known, replace(known, fused_lm_head_loss=False), alone)):
        engine.capabilities = capabilities
        reason = wrong_gradient(functools.partial(_loss, engine, rows[:1]), soft, dtype)
        if not reason:
            lost = [name for name, value in vars(known).items() if value and not getattr(capabilities, name)]
            engine.reasons |= dict.fromkeys(lost, f"its gradient is wrong: {engine.reasons.pop('gradient', '')}")
            return
        engine.reasons.setdefault("gradient", reason)
    engine.capabilities = known


def _loss(engine: Engines, rows: Sequence[Row], soft: Tensor) -> Tensor:
    """The loss with nothing skipped: what may be skipped is found when a training begins."""
    return answers_loss(
        engine.model, engine.capabilities.fused_lm_head_loss, functools.partial(engine.answer_logits, soft, rows)
    )[0]


@torch.no_grad()
def _seq2seq_short_cuts(engine: Seq2SeqEngine, text_ids: Sequence[int]) -> None:
    rows = _rows(text_ids)
    engine.capabilities = PLAIN
    truth = torch.cat([engine.answer_logits(None, [row])[0] for row in rows])
    engine.capabilities = replace(PLAIN, logits_to_keep=True)
    logits_to_keep = _holds(engine, "logits_to_keep", lambda: engine.answer_logits(None, rows)[0], truth)
    engine.capabilities = Capabilities(prefix_cache=False, logits_to_keep=logits_to_keep)
    starts = torch.tensor([0, len(rows[0].answer)])
    first_logits = torch.stack([truth[starts], truth[starts + 1]], dim=1)  # [B, 2, V]
    incremental_decoding = _holds(
        engine, "incremental_decoding", lambda: engine.forced_logits(None, rows, 2), first_logits
    )
    fused_lm_head_loss = _fused_loss(engine, None, rows, truth)
    engine.capabilities = Capabilities(
        prefix_cache=False,
        logits_to_keep=logits_to_keep,
        incremental_decoding=incremental_decoding,
        fused_lm_head_loss=fused_lm_head_loss,
    )
