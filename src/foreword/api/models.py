"""A model as the interface takes it: a name, a Backbone, or a loaded transformers model with its tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import Any

from foreword.engine import Backbone, wrap
from foreword.util.errors import ForewordError

LOADING = ("dtype", "device", "revision", "target_tokenizer")  # settings by which a model is loaded


def taken(model: Any, tokenizer: Any = None) -> tuple[str, Backbone | None]:
    """A model's name, and its Backbone where it is in memory. A loaded model is frozen and in eval mode until its Backbone is
    closed. Raises ForewordError for a model without its tokenizer, and for what is no model."""
    if isinstance(model, str | PathLike):
        if tokenizer is not None:
            raise ForewordError(
                f"A tokenizer is given beside the model's name {model}; give the loaded model, or leave it out."
            )
        return str(model), None
    if isinstance(model, Backbone):
        if tokenizer is not None:
            raise ForewordError(
                f"A tokenizer is given beside the Backbone {model.name}, which has its own; leave it out."
            )
        return model.name, model
    if not callable(getattr(model, "named_parameters", None)):
        raise ForewordError(
            f"The model is an object of the type {type(model).__name__}; give a name, a folder, a Backbone, or a loaded transformers model "
            "with tokenizer=... beside it."
        )
    if tokenizer is None:
        raise ForewordError(
            f"The model is a {type(model).__name__} without its tokenizer; give tokenizer=... beside it."
        )
    name = str(getattr(model, "name_or_path", "") or type(model).__name__)
    return name, wrap(name, model, tokenizer)


@contextmanager
def in_use(
    model: Any, tokenizer: Any = None, settings: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, Backbone | None]]:
    """The same for the time of one call: what the engine put into a loaded model is taken out at the end. settings: of the call. Raises
    ForewordError also where they say how to load a model that is loaded already."""
    loading = [key for key in LOADING if (settings or {}).get(key) is not None]
    if loading and not isinstance(model, str | PathLike):
        raise ForewordError(
            f"{loading[0]} says how a model is loaded, and the one given is loaded already; load it so, or give its name."
        )
    name, backbone = taken(model, tokenizer)
    try:
        yield name, backbone
    finally:
        if backbone is not None and backbone is not model:
            backbone.close()
