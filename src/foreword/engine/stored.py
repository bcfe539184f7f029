"""The weight files that a loaded model came from: they give the numbers that a narrower dtype rounded away, and let a digest be cached
until the files change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from torch import Tensor

from foreword.engine.numbers import WIDER, combined, digest, digests, in_threads, is_plain, state
from foreword.util.errors import ForewordError
from foreword.util.files import cache_folder, canonical, read_json, write_json

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
WORTH_KEEPING = 1 << 26  # bytes of weight files from which on a digest is kept
SETTLED = (
    2_000_000_000  # nanoseconds: a file that was younger when it was read may change once more under the same time
)
# Stored dtypes whose every number the dtype of loading holds. What float32 does not hold (float64), no dtype of loading does.
HELD = {
    torch.bfloat16: {"BF16", "F8_E4M3", "F8_E5M2"},
    torch.float16: {"F16", "F8_E4M3", "F8_E5M2"},
}


@dataclass(frozen=True)
class Stored:
    """Where a model's numbers stand on disk. paths: its safetensors files; none where they cannot be named. began: time_ns before
    they were read. anew: loads the model once more, in float32, for files whose tensors are not those of the model. marks: tells
    whether the weights in memory were written to since. source, revision: a hub id and what was asked for of it, or a folder's
    absolute path. stamps: of each file when it had been read, by which a change is seen (the clock would not do: the dates of files
    go in ticks of some milliseconds, behind it)."""

    paths: tuple[Path, ...]
    began: int
    anew: Callable[[], torch.nn.Module]
    marks: tuple[tuple[int, int], ...]
    source: str = ""
    revision: str = ""
    stamps: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(
        cls, model: torch.nn.Module, source: str, revision: str | None, began: int, anew: Callable[[], torch.nn.Module]
    ) -> Stored:
        """The files of a model that was just loaded from a folder or a hub id."""
        folder = Path(source).is_dir()
        origin = (str(Path(source).resolve()), "") if folder else (source, revision or "")
        paths = weight_files(source, revision)
        return cls(paths, began, anew, _marks(model), *origin, tuple(map(_stamp, paths)))

    def weights_digest(self, model: torch.nn.Module, about: Any) -> str:
        """The digest of the model's numbers as float32 holds them, whatever dtype it was loaded in; taken from the cache where these
        very files were read before with the same `about` (what else decides the numbers, as plain values). Raises ForewordError
        where the files were changed while they were needed."""
        if _marks(model) != self.marks:
            return combined(digests(state(model)))
        cached = self._cache_file(about)
        if cached is not None and cached.is_file():
            with contextlib.suppress(ForewordError, KeyError, TypeError):  # damaged: it is computed and written again
                return str(read_json(cached, "kept digest")["weights"])
        whole = combined(self._digests(model))
        if cached is not None:
            with contextlib.suppress(ForewordError):  # a cache that cannot be written costs time, and no number
                write_json(cached, {"weights": whole, "files": [str(path) for path in self.paths]})
        return whole

    def _cache_file(self, about: Any) -> Path | None:
        """The file of the cache for these files as they are; None where they are small or not settled."""
        try:
            stats = [(str(path.resolve()), path.stat()) for path in self.paths]
        except OSError:
            return None
        young = any(max(stat.st_mtime_ns, stat.st_ctime_ns) > self.began - SETTLED for _, stat in stats)
        if young or sum(stat.st_size for _, stat in stats) < WORTH_KEEPING:
            return None
        files = [[path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino] for path, stat in stats]
        name = hashlib.sha256(canonical([files, about, transformers.__version__]).encode()).hexdigest()
        return cache_folder() / "weights" / f"{name[:40]}.json"

    def _digests(self, model: torch.nn.Module) -> dict[str, str]:
        narrow = {value.dtype for value in model.parameters()} & set(HELD)
        offloaded = any(value.is_meta for value in model.parameters())
        if not narrow and not offloaded:
            return digests(state(model))
        headers = {path: _header(path) for path in self.paths}
        dtypes = {about["dtype"] for header in headers.values() for about in header.values()}
        floats = {name for name in dtypes if name.startswith(("F", "BF"))}
        if headers and not offloaded and all(floats <= HELD[dtype] for dtype in narrow):
            return digests(state(model))
        if tuple(map(_stamp, self.paths)) != self.stamps:
            raise ForewordError("The model's weight files were changed after it was loaded; load it again.")
        places = {name: path for path, header in headers.items() for name in header}
        values = state(model)
        tensor_digests = in_threads(
            lambda names: self._as_stored(model, values[names[0]], names, places), _aliases(values)
        )
        if any(digest is None for digest in tensor_digests):
            return digests(state(self.anew()))
        return {name: digest for names, digest in zip(_aliases(values), tensor_digests, strict=True) for name in names}

    def _as_stored(
        self, model: torch.nn.Module, value: Any, names: list[str], places: Mapping[str, Path]
    ) -> str | None:
        """The digest of a tensor of the files that is this value when it is rounded to its dtype; None where there is none."""
        if not is_plain(value) or value.dtype not in WIDER or (value.dtype == torch.float32 and not value.is_meta):
            return digest(value)
        prefix = getattr(model, "base_model_prefix", "") + "."
        known = [key for name in names for key in (name, prefix + name, name.removeprefix(prefix)) if key in places]
        for key in known[:1]:
            with safe_open(places[key], framework="pt") as stream:
                tensor: Tensor = stream.get_tensor(key)
            same = value.is_meta or torch.equal(tensor.to(value.dtype), value.cpu())
            if tensor.shape == value.shape and tensor.is_floating_point() and same:
                return digest(tensor.float())
        return None


def weight_files(source: str, revision: str | None) -> tuple[Path, ...]:
    """The safetensors files of a folder or of a hub model that is in the hub's cache; none where it has others."""
    for name in (WHOLE, INDEX):
        path = file_of(source, revision, name, local=True)
        if path is not None and name == WHOLE:
            return (path,)
        if path is not None:
            shards = sorted(set(read_json(path, "list of weight files")["weight_map"].values()))
            paths = [file_of(source, revision, shard, local=True) for shard in shards]
            return tuple(path for path in paths if path is not None) if None not in paths else ()
    return ()


def file_of(source: str, revision: str | None, name: str, *, local: bool) -> Path | None:
    """The local path of a file of a folder or of a hub model; None where there is none. local: it is not fetched. Raises what the hub's
    library raises where there is no such model, or no way to it."""
    if Path(source).is_dir():
        return Path(source) / name if (Path(source) / name).is_file() else None
    path = transformers.utils.cached_file(
        source,
        name,
        revision=revision,
        local_files_only=local,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if path is None else Path(path)


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes with a file's contents: its date in nanoseconds, its size, and which file it is."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _header(path: Path) -> dict[str, Any]:
    """The names, dtypes and shapes of a safetensors file's tensors."""
    with path.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(size))
    return {name: about for name, about in header.items() if name != "__metadata__"}


def _aliases(values: Mapping[str, Any]) -> list[list[str]]:
    """The names of a state dict, those of one and the same tensor together."""
    groups: dict[Any, list[str]] = {}
    for name, value in values.items():
        alone = not is_plain(value) or value.is_meta or not value.numel()
        owner = name if alone else (value.data_ptr(), tuple(value.shape), value.stride())
        groups.setdefault(owner, []).append(name)
    return list(groups.values())


def _marks(model: torch.nn.Module) -> tuple[tuple[int, int], ...]:
    """Each weight's identity and how often it was written to."""
    tensors = [*model.parameters(), *model.buffers()]
    return tuple((id(value), 0 if value.is_inference() else value._version) for value in tensors)
