"""The models that come with foreword, by name; it refuses names it does not hold."""

from __future__ import annotations

from pathlib import Path

from foreword.errors import unknown

NAMES = {"reference": "medium", "reference-medium": "medium"}


def folder(name: str) -> Path:
    """The folder of a shipped model. Raises ForewordError for a name that is not shipped."""
    if name not in NAMES:
        raise unknown("reference model", name, NAMES)
    return Path(__file__).parent / NAMES[name]
