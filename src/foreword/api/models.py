"""A model as the interface takes it: a name, a Backbone, or a loaded transformers model with its tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

from foreword.engine import Backbone, wrap
from foreword.util.errors import ForewordError


def taken(model: Any, tokenizer: Any = None) -> tuple[str, Backbone | None]:
    """A model's name, and its Backbone where it is in memory. A loaded model is frozen and set to eval mode. Raises ForewordError for
    a model without its tokenizer."""
    if isinstance(model, str | PathLike):
        if tokenizer is not None:
            raise ForewordError(
                f"A tokenizer is given beside the model's name {model}; give the loaded model, or leave it out."
            )
        return str(model), None
    if isinstance(model, Backbone):
        return model.name, model
    if tokenizer is None:
        raise ForewordError(
            f"The model is a {type(model).__name__} without its tokenizer; give tokenizer=... beside it."
        )
    name = str(getattr(model, "name_or_path", "") or type(model).__name__)
    return name, wrap(name, model, tokenizer)


@contextmanager
def in_use(model: Any, tokenizer: Any = None) -> Iterator[tuple[str, Backbone | None]]:
    """The same for the time of one call: what the engine put into a loaded model is taken out at the end."""
    name, backbone = taken(model, tokenizer)
    try:
        yield name, backbone
    finally:
        if backbone is not None and backbone is not model:
            backbone.close()
