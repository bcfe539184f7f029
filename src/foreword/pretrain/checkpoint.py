"""A checkpoint is one safetensors file with all that a training run needs to go on; it refuses a damaged one, or another model's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from foreword.errors import ForewordError
from foreword.files import whole_file

_STATE = "state"


def keep(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer, plain: dict[str, Any]) -> None:
    """Write the model's parameters, the optimiser's state and `plain` (what JSON can hold) whole or not at all.

    Learning rates and the like stand in no checkpoint: they follow from the recipe and from `plain`. Raises ForewordError when
    the file cannot be written.
    """
    tensors = {f"model.{name}": value.detach() for name, value in model.named_parameters()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
    whole = save(
        {name: value.contiguous().cpu() for name, value in tensors.items()},
        {_STATE: json.dumps(plain, allow_nan=False)},
    )
    with whole_file(path) as part:
        part.write_bytes(whole)


def put_back(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Set a model and its optimiser, both just made, to where `keep` left them; returns `plain`.

    Raises ForewordError when the file is damaged or holds a model of other parameters; then nothing is changed.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
            plain: dict[str, Any] = json.loads((stream.metadata() or {})[_STATE])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ForewordError(
            f"The checkpoint {path} is damaged ({error}); delete it to train from the start."
        ) from error
    parameters = dict(model.named_parameters())
    found = {name.removeprefix("model."): value.shape for name, value in tensors.items() if name.startswith("model.")}
    if found != {name: value.shape for name, value in parameters.items()}:
        raise ForewordError(
            f"The checkpoint {path} holds another model's parameters; choose another folder, or delete it to train from the start."
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model.{name}"])
    held: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            held.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": held, "param_groups": optimiser.state_dict()["param_groups"]})
    return plain
