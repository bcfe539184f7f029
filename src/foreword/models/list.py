"""The list of models that have a name, and what of them is on this machine."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foreword.models import MODELS, reference
from foreword.models.cache import converted_folder, model_folder, size_of

SHIPPED = {
    "reference": ("medium", "made by foreword of text that it generates, decoder-only"),
    "reference-small": ("small", "the same, smaller"),
    "reference-large": ("large", "the same, larger and less trained"),
    "reference-t5": ("t5", "an encoder-decoder, by span corruption alone"),
    "reference-t5-adapted": ("t5-adapted", "the same after LM adaptation"),
}


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
    """The models that come with foreword, then those that are fetched by name."""
    rows = []
    for name, (folder, summary) in SHIPPED.items():
        here = reference.folder(folder)
        weights = weights_in(here / "model.safetensors")
        rows.append(Listed(name, summary, weights, "Apache-2.0", "Comes with foreword", True, True, size_of(here), 0))
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


def weights_in(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    with path.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
