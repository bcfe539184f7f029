"""Log-probabilities of what a request sent, for `echo`; it refuses models that do not read from left to right."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from foreword.engine import Backbone, Prefix, Row
from foreword.serve.errors import HttpError

NEVER = -9999.0
PIECE = 256  # positions whose logits are normalised at once


@dataclass(frozen=True)
class Token:
    """A token of a text. logprob, top: in nats; None and () where they were not asked for, and for the first of a text. end: it ends an
    answer and is no part of its text. offset: characters of its choice's text before it."""

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    end: bool = False
    offset: int = 0

    @classmethod
    def of(cls, token: int, logprob: float | None, top: Iterable[tuple[int, float]], *, end: bool = False) -> Token:
        """A token with numbers that JSON can hold."""
        likeliest = tuple((i, finite(value)) for i, value in top)
        return cls(token, None if logprob is None else finite(logprob), likeliest, end)


def finite(logprob: float) -> float:
    """A log-probability as OpenAI's API has it: -9999 where a token is ruled out."""
    return max(logprob, NEVER)


@torch.no_grad()
def prompt_tokens(model: Backbone, prefix: Prefix | None, row: Row, ids: Sequence[int], top: int) -> tuple[Token, ...]:
    """Each token that the model reads with its log-probability behind those before it and the soft prompt. ids: all of them. Raises
    HttpError for encoder-decoders, and for soft prompts that stand inside the text."""
    if model.kind == "seq2seq" or row.before:
        raise HttpError(
            400,
            "echo with logprobs needs a model that reads from left to right and a soft prompt in front; leave one of them out.",
            param="echo",
        )
    if len(ids) == 1:
        return (Token(ids[0]),)
    engine = copy.copy(model.engine)
    engine.start = ()  # type: ignore[attr-defined]  # the ids have it
    whole = Row((), tuple(ids[:1]), tuple(ids[1:]))
    placed = None if prefix is None else prefix.on(model.device)
    logits, labels = engine.answer_logits(placed, [whole])  # type: ignore[attr-defined]  # [N, V], [N]
    tokens = [Token(ids[0])]
    for at in range(0, len(labels), PIECE):
        logprobs = torch.log_softmax(logits[at : at + PIECE].float(), dim=-1)
        own = logprobs.gather(1, labels[at : at + PIECE].unsqueeze(1)).squeeze(1).tolist()
        best = torch.topk(logprobs, min(top, logprobs.shape[1]), dim=-1)
        rows = zip(labels[at : at + PIECE].tolist(), own, best.indices.tolist(), best.values.tolist(), strict=True)
        tokens += [Token.of(i, value, zip(known, values, strict=True)) for i, value, known, values in rows]
    return tuple(tokens)
