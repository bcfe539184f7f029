"""The environment of a run, library versions and hardware, as a record keeps it; it is part of no key."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

LIBRARIES = (
    "foreword",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "sacrebleu",
    "bm25s",
    "numpy",
    "scipy",
)


def versions() -> dict[str, str]:
    """Python and the libraries that decide the numbers."""
    installed = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "absent"
    return installed


def hardware(device: torch.device) -> str:
    """The processor or accelerator that computed, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    chip = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        chip = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), chip)
    except OSError:
        pass
    threads = torch.get_num_threads()
    return f"{chip}, {os.cpu_count()} cores, {threads} thread{'s' * (threads > 1)}, {device.type}"
