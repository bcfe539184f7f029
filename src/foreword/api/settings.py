"""Keyword arguments become a Run: the names of `Run`, those of `Tuning` beside them, lists also as comma text, choices also as the command
line reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from foreword.config.choices import choices_of
from foreword.config.run import Run
from foreword.config.settings import Settings, flag_of
from foreword.config.tuning import Tuning, refuse_unread
from foreword.util.errors import ForewordError
from foreword.util.text import comma_list

LISTS = ("methods", "metrics", "header")


def _by_flag(model: type[Settings]) -> dict[str, str]:
    """The settings that the command line calls otherwise, by the names of their flags: `soft_place` is place."""
    flags = {key: flag_of(field) for key, field in model.model_fields.items()}
    return {flag.argument(key): key for key, flag in flags.items() if flag and flag.name}


OTHERWISE = {"method": "methods", "seed": "seeds"} | _by_flag(Run)
TUNING_OTHERWISE = _by_flag(Tuning)


def run_of(**settings: Any) -> Run:
    """The Run of keyword arguments; None means what is not given. A setting may have its flag's name: `train_batch_size` is the tuning's
    batch, `soft_place` its place. Raises ForewordError for a name that neither Run nor Tuning has, for a setting under two names, and for
    a value that is not accepted."""
    run: dict[str, Any] = {}
    tuning: dict[str, Any] = {}
    for name, value in settings.items():
        if value is None:
            continue
        value = _number(value)
        if name in TUNING_OTHERWISE or (name in Tuning.model_fields and name not in Run.model_fields):
            _put(tuning, TUNING_OTHERWISE.get(name, name), value, name)
        elif name == "tuning" and isinstance(value, Mapping | Tuning):
            table = value if isinstance(value, Mapping) else value.model_dump(exclude_unset=True)
            for key, inner in table.items():
                _put(tuning, key, _number(inner), f"tuning's {key}")
        else:
            key = OTHERWISE.get(name, name)
            _put(run, key, READERS.get(key, _text)(value), name)
    refuse_unread(tuning)
    if tuning:
        run.setdefault("tuning", tuning)
    return Run.model_validate(run)


def _put(settings: dict[str, Any], key: str, value: Any, name: str) -> None:
    """One setting more, which the call knows by this name. Raises ForewordError where it is there already."""
    if key in settings:
        raise ForewordError(f"{key} is given twice, once as {name}; keep the one you mean.")
    settings[key] = value


def refuse_several(settings: Mapping[str, Any]) -> None:
    """Raises ForewordError where a call that takes one method and one seed is given those of a comparison."""
    for key, single in (("methods", "method"), ("seeds", "seed")):
        if settings.get(key) is not None:
            raise ForewordError(f"{key} is a setting of compare, which runs several; give {single}=... here.")


def _list(value: Any) -> Any:
    """The parts of a comma text, or of anything else that has parts; what has none is left for the Run to refuse."""
    if isinstance(value, str):
        return comma_list(value)
    return list(value) if isinstance(value, Iterable) else value


def _seeds(value: Any) -> Any:
    """Seeds from a comma text, a number, or numbers, numpy's as Python's."""
    value = value.tolist() if hasattr(value, "tolist") else value
    seeds = [value] if isinstance(value, int) else _list(value)
    if not isinstance(seeds, list):
        return seeds
    return [int(seed) if isinstance(seed, str) and seed.isdecimal() else _number(seed) for seed in seeds]


def _number(value: Any) -> Any:
    """A single number of numpy's or torch's as Python's; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _choices(value: Any) -> Any:
    """The choices that a text names as `--choices` does, or those of a file; of anything else its parts. Raises ForewordError for a path
    of no file."""
    if isinstance(value, PathLike) and not Path(value).is_file():
        raise ForewordError(
            f"choices is the path {fspath(value)}, where no file is; give a file with one choice a line, or a list."
        )
    return choices_of(fspath(value), "choices") if isinstance(value, str | PathLike) else _list(value)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, PathLike) else value


READERS: Mapping[str, Callable[[Any], Any]] = {"seeds": _seeds, "choices": _choices, **dict.fromkeys(LISTS, _list)}
