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
    completed = subprocess.run(
        [sys.executable, str(BENCH / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert completed.returncode == 0, completed.stderr
    document: dict[str, Any] = json.loads(completed.stdout)
    assert document["bench"] == name
    assert document["settings"]["repeats"] == 1
    assert {"processor", "cores", "threads"} <= document["hardware"].keys()
    assert {"python", "torch", "numpy"} <= document["versions"].keys()
    return document
