"""The shelf of trainables: every file here that holds a TRAINABLE, and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.prompts.methods import ROWS, current
from foreword.train.trainables.base import PrefixLike, Rate, Setup, Trainable, Training
from foreword.util.plugins import Plugin, Shelf, own_items

__all__ = ["TRAINABLES", "PrefixLike", "Rate", "Setup", "Trainable", "Training", "tuning_for", "usable"]


def _files() -> dict[str, Trainable]:
    def of(module: ModuleType) -> tuple[Trainable, ...]:
        return (module.TRAINABLE,) if hasattr(module, "TRAINABLE") else ()

    return own_items(__name__, __path__, "trainable", of)


def _accept(brought: Any, plugin: Plugin) -> Trainable:
    if not isinstance(brought, Trainable) or brought.name != plugin.point.name:
        raise plugin.fault("is no foreword.train.trainables.Trainable of that name")
    return brought


_OWN: Mapping[str, Trainable] = _files()
TRAINABLES: Shelf[Trainable] = Shelf("trainable", lambda: _OWN, lambda name: _OWN[name], _accept)


def tuning_for(run: Run, name: str) -> Tuning:
    """The settings by which a run trains what this trainable trains: its own learning rate, and the defaults for settings that only
    other trainables read, so that they change no key of its trials. The run's own settings where the name is empty."""
    if not name:
        return run.tuning
    entry = TRAINABLES.named(name)
    foreign = {key for other in _OWN.values() for key in other.settings} - entry.settings
    update: dict[str, Any] = {key: Tuning.model_fields[key].default for key in foreign}
    rate: Any = run
    for part in entry.rate.setting.split("."):
        rate = getattr(rate, part)
    return run.tuning.model_copy(update=update | {"learning_rate": rate})


def usable(label: str) -> bool:
    """Whether the method of this label can be used after a comparison: it trains nothing, or what it trains is kept."""
    row = ROWS.get(current(label).split(":")[0].split("+")[0])
    return row is None or not row.trainable or TRAINABLES.named(row.trainable).artifact is not None
