"""The language models that foreword ships, a folder each."""

from __future__ import annotations

from pathlib import Path

from foreword.util.errors import unknown


def folder(name: str) -> Path:
    """The folder of a shipped model, `medium` say. Raises ForewordError for a name that is not shipped."""
    here = Path(__file__).parent
    shipped = sorted(path.parent.name for path in here.glob("*/config.json"))
    if name not in shipped:
        raise unknown("reference model", name, shipped)
    return here / name
