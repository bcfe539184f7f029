"""A digest of every number of a model's weights and persistent buffers; a value whose numbers cannot be read is refused."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from foreword.util.errors import ForewordError

CHUNK = 1 << 22  # numbers that are converted and read at once
WIDER = frozenset(  # a float32 holds each of their numbers exactly, so they are read as float32
    getattr(torch, name)
    for name in ("float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
    if hasattr(torch, name)
)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def state(model: torch.nn.Module) -> dict[str, Any]:
    """What a model's state dict holds, by name, without the prefix that `torch.compile` puts before names; tied weights stand under
    each of their names."""
    return {name.replace("_orig_mod.", ""): value for name, value in model.state_dict().items()}


def digests(values: Mapping[str, Any]) -> dict[str, str]:
    """A digest for each value; tensors that share their memory are read once. A tensor of floats has the same digest in every dtype
    that holds its numbers. Raises ForewordError for a value whose numbers are not at hand."""
    owners = {name: _owner(name, value) for name, value in values.items()}
    unique = {owner: values[name] for name, owner in owners.items()}
    read = dict(zip(unique, in_threads(digest, unique.values()), strict=True))
    return {name: read[owner] for name, owner in owners.items()}


def in_threads(function: Any, values: Iterable[Any]) -> list[Any]:
    """The function of each value, in order; hashing lets other threads run."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, values))


def combined(digests: Mapping[str, str]) -> str:
    """One digest of named digests, whatever their order."""
    return hashlib.sha256("".join(f"{name} {digests[name]}\n" for name in sorted(digests)).encode()).hexdigest()


def digest(value: Any) -> str:
    """A digest of a value of a state dict: a tensor, or plain values and tensors in dicts and lists. See `digests`."""
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()


def is_plain(value: Any) -> bool:
    """Whether a value is a tensor that holds its numbers itself, and not a quantised one made of several."""
    return isinstance(value, Tensor) and not hasattr(value, "__tensor_flatten__")


def _owner(name: str, value: Any) -> tuple[Any, ...]:
    if not is_plain(value) or value.is_meta or value.layout != torch.strided or not value.numel():
        return (name,)
    return (value.data_ptr(), value.dtype, tuple(value.shape), value.stride())


def _feed(sha: Any, value: Any) -> None:
    if is_plain(value):
        _feed_tensor(sha, value)
    elif isinstance(value, Tensor):  # a quantised one: packed numbers, scales and zero points are its inner tensors
        inner, context = value.__tensor_flatten__()  # type: ignore[attr-defined]
        sha.update(_ADDRESS.sub("", f"{type(value).__name__}{tuple(value.shape)}{context!r}").encode())
        for name in sorted(inner):
            sha.update(f"\n{name}:".encode())
            _feed(sha, getattr(value, name))
    elif isinstance(value, Mapping):
        sha.update(f"{{{len(value)}".encode())
        for key in sorted(value, key=str):
            sha.update(f"\n{key}:".encode())
            _feed(sha, value[key])
    elif isinstance(value, (list, tuple)):
        sha.update(f"[{len(value)}".encode())
        for part in value:
            sha.update(b"\n")
            _feed(sha, part)
    elif value is None or isinstance(value, (bool, int, float, str, bytes, Enum, torch.dtype)):
        sha.update(repr(value).encode())
    else:
        raise ForewordError(
            f"The model keeps a value of type {type(value).__name__} among its weights, which foreword cannot tell from another; "
            "load the model in another form."
        )


def _feed_tensor(sha: Any, values: Tensor) -> None:
    if values.is_meta:
        raise ForewordError(
            "The model's weights are not in memory (they are offloaded, or on the meta device), so it cannot be told from another "
            "model; load it whole, or from a folder."
        )
    floats = values.dtype in WIDER
    sha.update(f"{'float' if floats else values.dtype}{tuple(values.shape)}:".encode())
    if not values.numel():
        return
    flat = (values.detach().to_dense() if values.layout != torch.strided else values.detach()).reshape(-1)
    for start in range(0, len(flat), CHUNK):
        part = flat[start : start + CHUNK]
        here = part.to("cpu", torch.float32) if floats else part.to("cpu").contiguous().view(torch.uint8)
        sha.update(here.contiguous().numpy().data)
