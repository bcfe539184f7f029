"""The shelf of trainables: every file here that holds a TRAINABLE; two of one name are refused."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.prompts.methods import METHODS, REFERENCES, current
from foreword.train.trainables.base import PrefixLike, Rate, Setup, Trainable, Training

__all__ = ["TRAINABLES", "PrefixLike", "Rate", "Setup", "Trainable", "Training", "tuning_for", "usable"]


def _shelf() -> dict[str, Trainable]:
    entries: dict[str, Trainable] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        entry = getattr(importlib.import_module(f"{__name__}.{module}"), "TRAINABLE", None)
        if entry is None:
            continue
        if entry.name in entries:
            raise ValueError(f"Two trainables are called '{entry.name}'; the second is in trainables/{module}.py.")
        entries[entry.name] = entry
    return entries


TRAINABLES: Mapping[str, Trainable] = MappingProxyType(_shelf())


def tuning_for(run: Run, name: str) -> Tuning:
    """The settings by which a run trains what this trainable trains: its own learning rate, and the defaults for settings that only
    other trainables read, so that they change no key of its trials. The run's own settings where the name is empty."""
    if not name:
        return run.tuning
    entry = TRAINABLES[name]
    foreign = {key for other in TRAINABLES.values() for key in other.settings} - entry.settings
    update: dict[str, Any] = {key: Tuning.model_fields[key].default for key in foreign}
    rate: Any = run
    for part in entry.rate.setting.split("."):
        rate = getattr(rate, part)
    return run.tuning.model_copy(update=update | {"learning_rate": rate})


def usable(label: str) -> bool:
    """Whether the method of this label can be used after a comparison: it trains nothing, or what it trains is kept."""
    row = (METHODS | REFERENCES).get(current(label).split(":")[0].split("+")[0])
    return row is None or not row.trainable or TRAINABLES[row.trainable].artifact is not None
