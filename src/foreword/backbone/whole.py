"""Whether a loaded model is whole: every weight out of its files, in memory and on a device; it refuses one that the model library has
filled up with chance."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from foreword.errors import ForewordError


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
    if "inputs_embeds" not in settings and not any(one.kind is one.VAR_KEYWORD for one in settings.values()):
        raise ForewordError(
            f"The model {name} ({model.config.model_type}) takes token ids alone and no input vectors, so no soft prompt can stand before "
            "its input; choose another model."
        )


def _few(names: Iterable[str], shown: int = 3) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
