"""What a model folder says of its weight files is read before any of them is; it refuses pickles, files that lie elsewhere, and adapters
that would be applied without a word."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from foreword.util.errors import ForewordError
from foreword.util.files import read_json

CONFIG, INDEX, ADAPTER = "config.json", "model.safetensors.index.json", "adapter_config.json"
PROMPTS = ("PROMPT_TUNING", "P_TUNING")  # the types of adapter that foreword itself takes, by --prompt

Locate = Callable[[str], Path | None]  # the local path of a model's file, None where it has none of this name


def refuse_unsafe(model: str, locate: Locate) -> None:
    """Raises ForewordError for a model that is or holds an adapter, and for one whose lists of weight files name anything but
    safetensors files of its own. model: its kind and name, at the head of a sentence."""
    refuse_adapter(model, locate(ADAPTER))
    lists = [INDEX]
    explicit = _table(locate(CONFIG)).get("transformers_weights")
    if explicit is not None:
        refuse_file(model, explicit, CONFIG, kinds=(".safetensors", ".safetensors.index.json"))
        lists += [explicit] if explicit.endswith(".json") else []
    for file in lists:
        path = locate(file)
        for weights in [] if path is None else _listed(model, path):
            refuse_file(model, weights, file)


def refuse_adapter(model: str, path: Path | None) -> None:
    """Raises ForewordError where a model holds an adapter_config.json: the model library applies such an adapter silently."""
    if path is None:
        return
    adapter = _table(path)
    kind, base = adapter.get("peft_type"), adapter.get("base_model_name_or_path")
    base = f" of {base}" if isinstance(base, str) and base else ""
    advice = (
        "give its base model with --model, and this with --prompt"
        if kind in PROMPTS
        else "merge it into its base model first (merge_and_unload of PEFT, then save_pretrained)"
    )
    raise ForewordError(
        f"{model} holds an adapter ({ADAPTER}: {kind if isinstance(kind, str) else 'of unknown type'}{base}), which would be applied "
        f"without a word; {advice}, or take {ADAPTER} out of a folder whose weights are to be used as they are."
    )


def refuse_file(model: str, file: Any, where: str, *, kinds: tuple[str, ...] = (".safetensors",)) -> None:
    """Raises ForewordError for a weight file's name that is not of these kinds or leads out of the model's folder. where: the file that
    names it."""
    if not isinstance(file, str) or not file.endswith(kinds):
        raise ForewordError(
            f"{model} names the weight file {str(file)[:80]!r} in {where}, which is no safetensors file; foreword reads no pickles: "
            "use a copy of the model that is kept as safetensors."
        )
    windows = PureWindowsPath(file)
    if windows.anchor or ".." in windows.parts or PurePosixPath(file).is_absolute() or "\0" in file:
        raise ForewordError(
            f"{model} names the weight file {file[:80]!r} in {where}, which lies outside its folder; put the file into the folder, "
            "and its bare name into the list."
        )


def _listed(model: str, path: Path) -> list[Any]:
    files = _table(path).get("weight_map")
    if not isinstance(files, dict):
        raise ForewordError(f"{model} has a damaged list of weight files ({path.name}); download it or save it again.")
    return sorted(set(map(str, files.values())))


def _table(path: Path | None) -> dict[str, Any]:
    """A JSON file's table; empty where there is none, or where it is damaged, which its own reader says."""
    if path is not None:
        with contextlib.suppress(ForewordError):
            table = read_json(path, path.name)
            return table if isinstance(table, dict) else {}
    return {}
