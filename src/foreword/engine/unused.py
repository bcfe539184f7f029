"""What a model's generation config asks for that would change a greedy answer and that foreword does not do: it is said in a note."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Changes = Callable[[Any], bool]


def _is_set(value: Any) -> bool:
    return value is not None and value != [] and value is not False


def _above(limit: float) -> Changes:
    return lambda value: value is not None and value > limit


def _other_than(neutral: float) -> Changes:
    return lambda value: value is not None and value != neutral


# Entries that change the token of the highest logit, or when an answer ends, each with what says whether its value does.
CHANGING: dict[str, Changes] = {
    "bad_words_ids": _is_set,
    "begin_suppress_tokens": _is_set,
    "constraints": _is_set,
    "dola_layers": _is_set,
    "encoder_no_repeat_ngram_size": _above(0),
    "encoder_repetition_penalty": _other_than(1.0),
    "exponential_decay_length_penalty": _is_set,
    "force_words_ids": _is_set,
    "forced_eos_token_id": _is_set,
    "guidance_scale": _other_than(1.0),
    "min_length": _above(0),
    "min_new_tokens": _above(0),
    "no_repeat_ngram_size": _above(0),
    "num_beams": _above(1),
    "penalty_alpha": _above(0),
    "repetition_penalty": _other_than(1.0),
    "sequence_bias": _is_set,
    "stop_strings": _is_set,
    "suppress_tokens": _is_set,
    "token_healing": _is_set,
    "watermarking_config": _is_set,
}
FORCED = "forced_bos_token_id"  # begins an encoder-decoder's answer here too


def unused_settings(model: Any) -> tuple[str, ...]:
    """One note that names, with their values, the entries of the model's generation config that change greedy answers and are not
    used; none where there are none."""
    config = model.generation_config
    settings = [(name, getattr(config, name, None)) for name in CHANGING]
    changing = [(name, value) for name, value in settings if CHANGING[name](value)]
    if not model.config.is_encoder_decoder and getattr(config, FORCED, None) is not None:
        changing.append((FORCED, getattr(config, FORCED)))
    if not changing:
        return ()
    listed = ", ".join(f"{name} {_short(value)}" for name, value in sorted(changing))
    return (
        f"The model's generation config asks for {listed}, which would change generated answers; not used: each "
        "token is the likeliest.",
    )


def _short(value: Any, longest: int = 40) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= longest else f"{text[:longest]}..."
