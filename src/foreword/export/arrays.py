"""Prompts as T5X's prompt tuning leaves them: an array in a file of its own, or in the folder of a checkpoint; it refuses pickles inside
them, and to guess between two."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch

from foreword.prompts.soft_prompt import KINDS, Provenance, SoftPrompt
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import read_object

PARAMETER = "prompt.prompt"  # how the name of a prompt's array ends in a checkpoint: encoder.prompt.prompt.prompt
UNSAID = ("the fingerprint of its model", "its wording", "its tuning", "its seed", "its scores")


def array_in(path: Path) -> Path:
    """The file of a prompt: the path itself, or the one array of a folder that T5X's prompt tuning wrote (a model's folder, its
    numpy_checkpoints, or one checkpoint there). Raises ForewordError where there is none, or several."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ForewordError(
            f"There is no file or folder at {path}; give an .npy file, or the folder of a T5X checkpoint."
        )
    arrays = sorted(
        file for file in path.rglob("*") if file.is_file() and (file.suffix == ".npy" or file.name.endswith(PARAMETER))
    )
    if len(arrays) == 1:
        return arrays[0]
    if not arrays:
        raise ForewordError(
            f"The folder {path} holds no array of a prompt (*.npy, or *{PARAMETER} as in numpy_checkpoints/checkpoint_1150000); give the "
            "folder that T5X's prompt tuning wrote."
        )
    some = ", ".join(str(file.relative_to(path)) for file in arrays[:3])
    raise ForewordError(
        f"The folder {path} holds {len(arrays)} arrays ({some}{', ...' * (len(arrays) > 3)}); name the one you mean."
    )


def kind_of(path: Path, kind: str | None) -> str:
    """For what kind of model an array is: as the user says, else as foreword's own certificate beside it does, else seq2seq, as T5X's are.
    Raises ForewordError for an unknown kind."""
    beside = path.with_name("prompt.json")
    if kind is None and beside.is_file():
        kind = str(read_object(beside, "certificate of an array").get("kind", "seq2seq"))
    kind = kind or "seq2seq"
    if kind not in KINDS:
        raise unknown("kind of model", kind, KINDS)
    return kind


def read_array(path: Path, *, model: str, kind: str | None = None, task: str = "") -> SoftPrompt:
    """A prompt [P, H] that T5X's prompt tuning wrote (an array of float32, as in its pretrained_prompts). model: the one that it was
    tuned on, as the hub calls it. kind: see `kind_of`. Its certificate says what is not known of it. Raises ForewordError for a file that
    is no such array."""
    kind = kind_of(path, kind)
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ForewordError(f"{path} is no array ({error}); give an .npy file of float32 numbers [P, H].") from error
    if not isinstance(values, np.ndarray):
        raise ForewordError(f"{path} holds several arrays (.npz); give an .npy file of float32 numbers [P, H].")
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or values.dtype.kind != "f" or 0 in values.shape:
        raise ForewordError(
            f"{path} holds {values.dtype} numbers of shape {values.shape}; a prompt is float32 numbers [P, H]."
        )
    values = np.ascontiguousarray(values, dtype=np.float32)
    unsaid = [*UNSAID, *([] if task else ["its task"])]
    provenance = Provenance(backbone=model, kind=kind, task=task, origin="t5x", settings={"not_recorded": unsaid})
    return SoftPrompt(torch.from_numpy(values), provenance)
