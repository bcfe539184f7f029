"""The list of models that have a name, and what of them is on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from foreword.models import MODELS, reference
from foreword.models.cache import converted_folder, model_folder, size_of


@dataclass(frozen=True)
class Listed:
    """One model with a name. weights: how many numbers it has. bytes: what of it is on this machine. ready: whether --model takes it at
    once. download: bytes that fetching it takes; 0 for what comes with foreword."""

    name: str
    summary: str
    weights: int
    licence: str
    source: str
    shipped: bool
    ready: bool
    bytes: int
    download: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def listed() -> list[Listed]:
    """The models that come with foreword or its source, then those that are fetched by name."""
    rows = []
    for model in reference.REFERENCES.values():
        folder = reference.here(model)
        source = "From foreword's source" if folder is None else "Comes with foreword"
        size, download = (0, model.size) if folder is None else (size_of(folder), 0)
        about = (model.name, model.summary, model.weights, "Apache-2.0", source, True)
        rows.append(Listed(*about, folder is not None, size, download))
    for entry in MODELS.values():
        path = model_folder(entry) / entry.file
        there = path.is_file()
        converted = converted_folder(path, entry.digest)
        size = size_of(path.parent) + size_of(converted)
        ready = there and converted.is_dir()
        rows.append(
            Listed(
                entry.name,
                entry.summary,
                entry.weights,
                entry.licence,
                entry.source,
                False,
                ready,
                size,
                entry.download,
            )
        )
    return rows
