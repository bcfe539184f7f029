"""Keyword arguments become a Run: the names of `Run`, those of `Tuning` beside them, and lists also as comma text."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from foreword.config.run import Run
from foreword.config.tuning import Tuning

LISTS = ("methods", "metrics", "choices", "header")
OTHERWISE = {"train_batch_size": "batch_size", "method": "methods", "seed": "seeds"}


def run_of(**settings: Any) -> Run:
    """The Run of keyword arguments; None means what is not given. `train_batch_size` is the tuning's batch. Raises ForewordError for a
    name that neither Run nor Tuning has, and for a value that is not accepted."""
    run: dict[str, Any] = {}
    tuning: dict[str, Any] = {}
    for name, value in settings.items():
        if value is None:
            continue
        if name == "train_batch_size" or (name in Tuning.model_fields and name not in Run.model_fields):
            tuning[OTHERWISE.get(name, name)] = value
        elif name == "tuning":
            tuning |= value if isinstance(value, Mapping) else value.model_dump(exclude_unset=True)
        else:
            key = OTHERWISE.get(name, name)
            run[key] = _list(value) if key in (*LISTS, "seeds") else _text(value)
    if tuning:
        run["tuning"] = tuning
    return Run.model_validate(run)


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value] if isinstance(value, int) else list(value)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, PathLike) else value
