"""A checkpoint: one safetensors file with all that a training needs to resume; a changed one is refused."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from foreword.engine.numbers import combined, digests
from foreword.util.errors import ForewordError
from foreword.util.files import whole_file


def write(path: Path, tensors: Mapping[str, Tensor], plain: Mapping[str, Any], *, mark: str = "") -> None:
    """Write tensors and `plain` (what JSON can hold) whole or not at all, with a digest of both. mark: identifies the
    training that it belongs to. Raises ForewordError when the file cannot be written."""
    held = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    state = json.dumps(dict(plain), allow_nan=False)
    about = {"mark": mark, "state": state, "digest": _digest(held, state)}
    with whole_file(path) as part:
        try:
            save_file(
                held, part, about
            )  # from where the numbers stand: a copy of them may be more than the memory holds
        except SafetensorError as error:
            raise OSError(errno.ENOSPC if "os error 28" in str(error) else errno.EIO, str(error)) from error


def read(path: Path, *, mark: str = "") -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `write` wrote; None where the file is of another mark. Raises ForewordError where it is damaged or was changed."""
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            if metadata.get("mark") != mark:
                return None
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
        state, digest = metadata["state"], metadata["digest"]
        plain = json.loads(state)
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if _digest(tensors, state) != digest:
        raise damaged(path, "its numbers are not those that were written")
    return tensors, plain


def damaged(path: Path, why: object) -> ForewordError:
    """The refusal of a checkpoint that cannot be used."""
    return ForewordError(f"The checkpoint {path} is damaged ({why}); delete it to train from the start.")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors. Learning rates and the like stand in no checkpoint: they follow from the settings."""
    states = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": torch.as_tensor(value)
        for index, held in states.items()
        for key, value in held.items()
    }


def put_back(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Set an optimiser that was just made to where its named tensors left it."""
    held: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            held.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": held, "param_groups": optimizer.state_dict()["param_groups"]})


def _digest(tensors: Mapping[str, Tensor], state: str) -> str:
    return hashlib.sha256(f"{combined(digests(tensors))} {state}".encode()).hexdigest()
