"""Whether a loaded model is complete: every weight from its files, in memory and on a device; one that the model library filled up with
random numbers is refused."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from foreword.util.errors import ForewordError


def refuse_made_up(name: str, loading: Mapping[str, Any]) -> tuple[str, ...]:
    """Notes on what of the files was not used. loading: the model library's own account of what it loaded (`output_loading_info`).
    Raises ForewordError where weights are in no file, or of another shape there than the config says."""
    mismatched = sorted(str(each[0]) if isinstance(each, tuple) else str(each) for each in loading["mismatched_keys"])
    if mismatched:
        raise ForewordError(
            f"The files of the model {name} hold {_few(mismatched)} in another shape than its config.json says; use the config that it was "
            "saved with."
        )
    missing, unexpected = sorted(loading["missing_keys"]), sorted(loading["unexpected_keys"])
    if missing:
        other = f" (they hold {_few(unexpected)} instead)" if unexpected else ""
        raise ForewordError(
            f"The files of the model {name} lack {_few(missing)}{other}, and random numbers would stand in their place; use a folder that "
            "holds the whole language model."
        )
    return (f"The files of {name} hold {_few(unexpected)} beside the language model; not used.",) if unexpected else ()


def refuse_unready(name: str, model: Any) -> None:
    """Raises ForewordError for a model with parts that are on no device, or that takes no input vectors."""
    absent = [path for path, value in model.named_parameters() if value.is_meta]
    if absent:
        raise ForewordError(
            f"The model {name} has {_few(absent)} on no device (offloaded or never loaded), and foreword needs all weights in memory; load "
            "it without offloading, in a smaller --dtype or over more devices (--device spread)."
        )
    reader = model.get_encoder() if model.config.is_encoder_decoder else model
    settings = inspect.signature(reader.forward).parameters
    if "inputs_embeds" not in settings and not any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in settings.values()
    ):
        raise ForewordError(
            f"The model {name} ({model.config.model_type}) takes token ids alone and no input vectors, so no soft prompt can stand before "
            "its input; choose another model."
        )


def refuse_odd_values(name: str, model: Any, tokenizers: Iterable[Any]) -> None:
    """Raises ForewordError for a value in a model's or a tokenizer's configuration that the model library takes in and cannot use: an
    id of a special token that is no id, a length that is no number."""
    rows = _decoder_rows(model)
    for config in (model.config, model.config.get_text_config(decoder=True), getattr(model, "generation_config", None)):
        for key, value in vars(config).items() if config is not None else ():
            if not key.endswith("_token_id") or value is None:
                continue
            ids = value if key == "eos_token_id" and isinstance(value, list | tuple) else [value]
            if not all(type(token) is int and abs(token) < 2**31 for token in ids):
                raise _odd(name, key, value, "the number of a token")
            if key == "decoder_start_token_id" and rows is not None and not 0 <= value < rows:
                raise _odd(name, key, value, f"one of the decoder's {rows:,} tokens")
    for tokenizer in tokenizers:
        longest = getattr(tokenizer, "model_max_length", None)
        if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int | float)):
            raise _odd(name, "model_max_length", longest, "a number of tokens")


def _decoder_rows(model: Any) -> int | None:
    """How many tokens the decoder of an encoder-decoder has vectors for."""
    table = model.get_decoder().get_input_embeddings() if model.config.is_encoder_decoder else None
    return None if table is None else int(table.weight.shape[0])


def _odd(name: str, key: str, value: Any, accepted: str) -> ForewordError:
    return ForewordError(
        f"The files of the model {name} say that {key} is {str(value)[:60]!r}, which is not {accepted}; mend its configuration, or "
        "download the model again."
    )


def _few(names: Iterable[str], shown: int = 3) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
