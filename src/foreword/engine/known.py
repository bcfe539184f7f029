"""Which short cuts held for each family when the table was made (`python -m recipes.families`), and what to say where one no longer
does; what is taken is decided by running the model."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

from foreword.engine.capabilities import Capabilities

TABLE = Path(__file__).with_name("known.json")
BY_NATURE = {
    "causal": (),
    "seq2seq": ("prefix_cache", "packed_sequence", "shared_prefix"),
}  # short cuts that a kind has no use for


@functools.cache
def known() -> dict[str, list[str]]:
    """model_type to the capabilities that held for it."""
    table: dict[str, list[str]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def notes_on(kind: str, model_type: str, capabilities: Capabilities, reasons: Mapping[str, str]) -> tuple[str, ...]:
    """What a record is to say of short cuts that are off: which and why, and which of them used to hold for this family."""
    off = [name for name, value in vars(capabilities).items() if not value and name not in BY_NATURE[kind]]
    why = "; ".join(f"{name} ({reasons.get(name, 'not tried')})" for name in off)
    notes = [f"Slower, with the same numbers: these short cuts are not exact for this model: {why}."] if off else []
    lost = [name for name in known().get(model_type, ()) if name in off]
    if lost:
        notes.append(
            f"Models of the family {model_type} used to take {', '.join(lost)}, and this one does not: another version of the model "
            "library, other settings, or kernels of its own."
        )
    if "gradient" in reasons:
        notes.append(f"No prompt can be tuned on this model: {reasons['gradient']}.")
    return tuple(notes)
