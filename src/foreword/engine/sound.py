"""Whether the engine's plain computation equals the model's own pass over token ids; a model for which it does not, or which looks
ahead, is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from foreword.engine.batch import Row
from foreword.engine.capabilities import Capabilities
from foreword.engine.causal import CausalEngine
from foreword.engine.rounding import limit_of
from foreword.engine.seq2seq import Seq2SeqEngine
from foreword.engine.truth import apart, difference, not_finite, plain_logits, sentence
from foreword.util.errors import ForewordError

PLAIN = Capabilities(prefix_cache=False, left_padding=False, logits_to_keep=False)
SOFT = 3  # ids whose vectors stand as a soft prompt


def refuse_unsound_causal(engine: CausalEngine, name: str, ids: Sequence[int]) -> None:
    """Hold the joined computation against the model's plain pass over these ids, the first of them as a soft prompt of their own vectors.
    Where the model does something to ids outside its table of vectors (a factor, positions of its own), the engine is set to do it too.
    Raises ForewordError where that is not found, where the numbers are not finite, or where they depend on later ids."""
    model, ids, answer_length = engine.model, list(ids), 4
    truth = _plain(model, name, ids)
    engine.limit = max(engine.limit, limit_of(model, ids))
    _refuse_looking_ahead(model, name, truth, [(*ids[:-1], ids[0])], limit=engine.limit)
    soft = 0 if engine.reads_ids else SOFT
    line = [*ids[:soft], *engine.start, *ids[soft:]]
    if engine.start:
        truth = _plain(model, name, line)
    row = Row((), tuple(ids[soft:-answer_length]), tuple(ids[-answer_length:]))
    engine.capabilities = PLAIN

    @torch.no_grad()
    def joined() -> Tensor:
        vectors = engine.model.get_input_embeddings()(torch.tensor(ids[:soft], dtype=torch.long, device=engine.device))
        return engine.joined_logits(vectors.float() * engine.factor if soft else None, [row])[0]

    first = difference(joined, truth[-answer_length - 1 : -1], engine.limit)
    if not first:
        return
    for takes, factor in itertools.product((engine.takes_positions, False), _factors(model)):
        engine.takes_positions, engine.factor = takes, factor
        if not difference(joined, truth[-answer_length - 1 : -1], engine.limit):
            return
    raise _unlike(name, first)


def refuse_unsound_seq2seq(engine: Seq2SeqEngine, name: str, ids: Sequence[int], answer: Sequence[int]) -> None:
    """The same for an encoder-decoder: ids for the encoder, the first of them as a soft prompt, and an answer for the decoder."""
    model, ids, answer = engine.model, list(ids), tuple(answer)
    line = [*ids[:SOFT], *engine.start, *ids[SOFT:], *engine.end]
    decoder_ids = (engine.first, *answer[:-1])
    truth = _plain(model, name, line, decoder_ids)
    engine.limit = max(engine.limit, limit_of(model, line, decoder_ids))
    _refuse_looking_ahead(model, name, truth, [(*decoder_ids[:-1], answer[-1])], line, limit=engine.limit)
    row = Row((), tuple(ids[SOFT:]), answer)
    engine.capabilities = PLAIN

    @torch.no_grad()
    def joined() -> Tensor:
        vectors = engine.model.get_input_embeddings()(torch.tensor(ids[:SOFT], device=engine.device)) * engine.factor
        return engine.answer_logits(vectors.float(), [row])[0]

    first = difference(joined, truth, engine.limit)
    if not first:
        return
    for engine.factor in _factors(model):
        if not difference(joined, truth, engine.limit):
            return
    raise _unlike(name, first)


def _plain(model: Any, name: str, ids: Sequence[int], decoder_ids: Sequence[int] = ()) -> Tensor:
    try:
        truth = plain_logits(model, ids, decoder_ids)
    except Exception as error:  # any kind of model may be handed in; the reason is kept
        raise ForewordError(
            f"The model {name} cannot be run on a line of token ids ({sentence(error)}), so it is no language model that foreword can "
            "use; choose another."
        ) from error
    if not_finite(truth):
        kind = str(truth.dtype).removeprefix("torch.")
        advice = "use --dtype float32 or bfloat16" if truth.dtype == torch.float16 else "check that its files are whole"
        raise ForewordError(f"The model {name} gives logits that are not finite in {kind}; {advice}.")
    return truth


def _refuse_looking_ahead(
    model: Any,
    name: str,
    truth: Tensor,
    others: Sequence[Sequence[int]],
    encoder_ids: Sequence[int] = (),
    *,
    limit: float,
) -> None:
    """Another last id must leave the logits before it as they are."""
    for other in others:
        logits = _plain(model, name, encoder_ids or other, other if encoder_ids else ())
        size = apart(logits[:-1], truth[:-1])
        if size > limit:
            raise ForewordError(
                f"The model {name} looks ahead: its logits change by {size:.2g} of their spread with an id that comes later, so it is no "
                "causal language model; choose a decoder-only or an encoder-decoder model."
            )


def _factors(model: Any) -> Iterator[float]:
    """What input vectors may be multiplied with on their way from the table to the first layer, the likeliest first."""
    config = model.config.get_text_config(decoder=True)
    width = int(model.get_input_embeddings().weight.shape[-1])
    named = [value for value in vars(config).values() if isinstance(value, float) and value not in (0.0, 1.0)]
    yield from dict.fromkeys((1.0, math.sqrt(width), *named, 1 / math.sqrt(width)))


def _unlike(name: str, reason: str) -> ForewordError:
    return ForewordError(
        f"The model {name} does something else with input vectors than with the token ids that they belong to ({reason}), and foreword "
        "found no factor or positions that explain it, so a prompt before its input would not be what it says; choose another model."
    )
