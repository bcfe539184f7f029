"""The checkpoint of a pre-training or an adaptation: model, optimiser and place in the stream in one file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from foreword.train import checkpoint
from foreword.util.errors import ForewordError
from foreword.util.files import held, tidy, writable_folder

NAMES = (
    "checkpoint.safetensors",
    "recipe.json",
    "tokenizer.json",
    "model",
)  # of all that is written into a folder of training


@contextlib.contextmanager
def workplace(out: Path) -> Iterator[None]:
    """The folder of a training, made where it is missing, and this process's alone in the block; what a killed one left half-written
    is removed. Raises ForewordError where another process trains there."""
    with held(writable_folder(out)) as free:
        if not free:
            raise ForewordError(f"Another process is training in {out} now; give --out another folder, or wait for it.")
        for name in NAMES:
            tidy(out, name)
        yield


def keep(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer, plain: dict[str, Any]) -> None:
    """Write the model's parameters, the optimiser's state and `plain` (what JSON can hold) whole or not at all. Raises ForewordError
    when the file cannot be written."""
    tensors = {f"model.{name}": value for name, value in model.named_parameters()}
    checkpoint.write(path, tensors | checkpoint.optimizer_tensors(optimiser), plain)


def put_back(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Set a model and its optimiser, both just made, to where `keep` left them; returns `plain`.

    Raises ForewordError when the file is damaged, was changed, or holds a model of other parameters; then nothing is changed.
    """
    saved = checkpoint.read(path)
    if saved is None:
        raise checkpoint.damaged(path, "it is of another kind of training, or of an earlier version of foreword")
    tensors, plain = saved
    parameters = dict(model.named_parameters())
    shapes = {name.removeprefix("model."): value.shape for name, value in tensors.items() if name.startswith("model.")}
    if shapes != {name: value.shape for name, value in parameters.items()}:
        raise ForewordError(
            f"The checkpoint {path} holds another model's parameters; choose another folder, or delete it to train from the start."
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model.{name}"])
    checkpoint.put_back(optimiser, tensors)
    return plain
