"""The base model of a prompt: what it names, and whether a backbone goes by that name; it refuses to guess between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foreword.engine import Backbone
from foreword.models import MODELS, reference
from foreword.prompts import store
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.util.errors import ForewordError


@dataclass(frozen=True)
class Base:
    """A base model as --model and --revision take it."""

    model: str
    revision: str = ""


def base_of(prompts: Sequence[str]) -> Base:
    """The base model that these prompts name (folders or hub ids), which are all to name the same. Raises ForewordError where one names
    none, where they name several, and where the folder that they name is not there."""
    bases = {folder: _named(folder, store.load(store.located(folder)).provenance) for folder in prompts}
    (folder, base), *others = bases.items()
    for other, its in others:
        if its != base:
            raise ForewordError(
                f"The prompt {folder} was tuned on {base.model} and {other} on {its.model}; give --model, or leave one of them out."
            )
    if Path(base.model).is_absolute() and not Path(base.model).exists():
        raise ForewordError(
            f"The prompt {folder} was tuned on {base.model}, which is not there any more; give its base model with --model."
        )
    return base


def _named(folder: str, provenance: Provenance) -> Base:
    named = provenance.backbone in MODELS or reference.folder_name(provenance.backbone)
    name = provenance.backbone if named or not provenance.base else provenance.base
    if not name:
        raise ForewordError(f"The prompt {folder} does not say which model it was tuned on; give --model.")
    return Base(name, provenance.revision)


def other_name(backbone: Backbone, prompt: SoftPrompt) -> tuple[str, ...]:
    """A note where a prompt without a fingerprint names another base model than the one that it is used on."""
    provenance = prompt.provenance
    if provenance.fingerprint or not provenance.backbone:
        return ()
    source = "" if backbone.stored is None else backbone.stored.source
    names = {backbone.name, source, str(getattr(backbone.model.config, "_name_or_path", ""))}
    if _resolved({provenance.backbone, provenance.base}) & _resolved(names):
        return ()
    return (
        f"The soft prompt says that it was tuned on {provenance.backbone} and is used on {backbone.name}; whether they are one model "
        "cannot be told, as it carries no fingerprint.",
    )


def _resolved(names: set[str]) -> set[str]:
    """The names, those of folders here as absolute paths too."""
    return {name for name in names if name} | {
        str(Path(name).resolve()) for name in names if name and Path(name).is_dir()
    }
