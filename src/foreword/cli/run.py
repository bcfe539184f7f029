"""From config file, overrides and flags to a Run; it refuses a run without a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreword.cli.options import settings

if TYPE_CHECKING:
    from foreword.config import Run


def run_of(flags: dict[str, Any], *, config: str | None = None, overrides: Sequence[str] = (), **defaults: Any) -> Run:
    """The Run: defaults of the verb, then the TOML file, then `key=value` overrides, then flags; the later wins."""
    from foreword.config import load

    given = settings(flags)
    return load(Path(config) if config else None, list(overrides), flags=given, defaults=defaults)
