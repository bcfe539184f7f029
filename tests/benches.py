"""Runs a bench as its own command and reads its document; it refuses one that failed or does not say what it ran on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parents[1] / "bench"


def document(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The one document that a run of a single repeat prints."""
    told = subprocess.run(
        [sys.executable, str(BENCH / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    assert found["bench"] == name
    assert found["settings"]["repeats"] == 1
    assert {"processor", "cores", "threads"} <= found["hardware"].keys()
    assert {"python", "torch", "numpy"} <= found["versions"].keys()
    return found
