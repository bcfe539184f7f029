"""The formats in which a prompt is exported, and the one in which T5X's prompts are read: arrays without pickles."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from foreword.data.template import Template
from foreword.export.clients import client_files
from foreword.prompts import store
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.registry import Kept
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import whole_folder

ARRAY = "prompt.npy"


@dataclass(frozen=True)
class Source:
    """What is exported. name: for people, such as `dart@2`. salt: of the contents, for caches."""

    name: str
    entry: Kept
    prompt: SoftPrompt
    salt: str


def read_array(path: Path, *, model: str, kind: str = "seq2seq") -> SoftPrompt:
    """A prompt [P, H] that T5X's prompt tuning wrote (an .npy file of float32, as in its pretrained_prompts). model: the one that it was
    tuned on, as the hub calls it. Raises ForewordError for a file that is no such array."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ForewordError(f"{path} is no array ({error}); give an .npy file of float32 numbers [P, H].") from error
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or values.dtype.kind != "f":
        raise ForewordError(
            f"{path} holds {values.dtype} numbers of shape {values.shape}; a prompt is float32 numbers [P, H]."
        )
    values = np.ascontiguousarray(values, dtype=np.float32)
    return SoftPrompt(torch.from_numpy(values), Provenance(backbone=model, kind=kind, origin="t5x"))


def export(source: Source, target: str, out: Path) -> list[str]:
    """Write a prompt for another tool into a new folder; what is not the same there, as sentences. Raises ForewordError."""
    if target not in TARGETS:
        raise unknown("target of an export", target, TARGETS)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ForewordError(f"{out} is not empty; give --out a new folder.")
    notes = _remarks(source, target)
    with whole_folder(out) as part:
        TARGETS[target](source, part)
        if target != "peft":
            (part / "README.md").write_text(_readme(source, target, notes), encoding="utf-8")
    return notes


def _peft(source: Source, part: Path) -> None:
    store.save(replace(source.prompt), part / "prompt")
    for path in (part / "prompt").iterdir():
        path.replace(part / path.name)
    (part / "prompt").rmdir()


def _numpy(source: Source, part: Path) -> None:
    np.save(part / ARRAY, source.prompt.values.numpy(), allow_pickle=False)
    provenance = json.dumps(source.prompt.provenance.as_dict(), indent=2, sort_keys=True, ensure_ascii=False)
    (part / "prompt.json").write_text(provenance + "\n", encoding="utf-8")


def _t5x(source: Source, part: Path) -> None:
    provenance = source.prompt.provenance
    if provenance.kind != "seq2seq" or provenance.place != "front":
        raise ForewordError(
            f"T5X puts a prompt in front of a T5 encoder's input, and {source.name} was tuned for a {provenance.kind} model, "
            f"place {provenance.place}; export it to numpy or peft."
        )
    np.save(part / ARRAY, source.prompt.values.numpy(), allow_pickle=False)


def _to_server(server: str, source: Source, part: Path) -> None:
    provenance, name = source.prompt.provenance, {"vllm": "vLLM", "sglang": "SGLang"}[server]
    if provenance.kind != "causal" or provenance.place != "front" or provenance.chat:
        raise ForewordError(
            f"{name} takes embeddings of a causal model's whole input, and {source.name} is of kind {provenance.kind}, "
            f"place {provenance.place}{', inside a chat' if provenance.chat else ''}; serve it with `foreword serve`."
        )
    if source.entry.method.demonstrations == "retrieved":
        raise ForewordError(
            f"{source.name} shows each input its own demonstrations, and no {name} client finds them; serve it with `foreword serve`."
        )
    if source.entry.method.demonstrations != "none":
        raise ForewordError(
            f"{source.name} shows demonstrations, which this client does not; serve it with `foreword serve`."
        )
    template = source.entry.template(Template())
    for path, text in client_files(server, source.prompt, template, source.name, source.salt).items():
        (part / path).write_text(text, encoding="utf-8")
    np.save(part / ARRAY, source.prompt.values.numpy(), allow_pickle=False)


TARGETS: dict[str, Callable[[Source, Path], None]] = {
    "peft": _peft,
    "numpy": _numpy,
    "t5x": _t5x,
    "vllm": partial(_to_server, "vllm"),
    "sglang": partial(_to_server, "sglang"),
}


def _remarks(source: Source, target: str) -> list[str]:
    """What another tool does not do as foreword does."""
    stored, provenance = source.entry, source.prompt.provenance
    notes = []
    if stored.choices:
        notes.append(
            "The prompt picks the likeliest of its choices; there it says free text, which may be none of them."
        )
    if target == "peft" and provenance.place != "front":
        notes.append(
            f"The prompt stands {provenance.place} in foreword; PEFT puts it in front, where it was not tuned."
        )
    if target == "peft":
        notes.append(
            "PEFT counts positions over padding: an answer beside inputs of other lengths differs from the one alone, which is foreword's."
        )
    if target == "sglang":
        notes.append(
            "SGLang takes embeddings on its own endpoint alone (/generate, not OpenAI's), and only where it was started with "
            "--disable-radix-cache; it then computes every input whole."
        )
    if target in ("vllm", "sglang"):
        notes.append(
            "The server computes in its own precision, in which a near tie may fall otherwise than in foreword's float32."
        )
    if target != "peft" and stored.method.demonstrations != "none":
        notes.append("The demonstrations that the prompt shows are not exported.")
    return notes


def _readme(source: Source, target: str, notes: list[str]) -> str:
    values, base = source.prompt, source.prompt.provenance.backbone or "its model"
    remarks = "".join(f"* {note}\n" for note in notes)
    return (
        f"# {source.name} for {target}\n\n{values.length} vectors of width {values.hidden} (float32) for {base}, "
        f"digest {values.digest}.\n\n{remarks}"
    )
