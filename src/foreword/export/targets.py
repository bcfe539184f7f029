"""The formats in which a prompt is exported; it refuses what cannot be exact there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from foreword.config.run import ANSWER_TOKENS
from foreword.data.template import Template
from foreword.export.clients import client_files
from foreword.prompts import store
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.registry import StoredPrompt
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import whole_folder

ARRAY = "prompt.npy"


@dataclass(frozen=True)
class Source:
    """What is exported. name: for people, such as `dart@2`. salt: of the contents, for caches."""

    name: str
    stored: StoredPrompt
    prompt: SoftPrompt
    salt: str


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
    if source.stored.method.demonstrations == "retrieved":
        raise ForewordError(
            f"{source.name} shows each input its own demonstrations, and no {name} client finds them; serve it with `foreword serve`."
        )
    if source.stored.method.demonstrations != "none":
        raise ForewordError(
            f"{source.name} shows demonstrations, which this client does not; serve it with `foreword serve`."
        )
    template = source.stored.template(Template())
    if source.stored.method.instruction and template.instruction:
        raise ForewordError(
            f"{source.name} was tuned in front of an instruction, which this client does not send; serve it with `foreword serve`."
        )
    longest = source.stored.max_new_tokens or ANSWER_TOKENS
    for path, text in client_files(server, source.prompt, template, source.name, source.salt, longest).items():
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
    stored, provenance = source.stored, source.prompt.provenance
    notes = []
    if stored.choices or provenance.settings.get("choices_column"):
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
        notes += _read_otherwise(stored.template(Template()))
    if target != "peft" and stored.method.demonstrations != "none":
        notes.append("The demonstrations that the prompt shows are not exported.")
    return notes


def _read_otherwise(template: Template) -> list[str]:
    """What of an answer a client's server, or the client, does not read as foreword does."""
    notes = []
    blank = next((stop for stop in template.stops if not stop.strip()), None)
    if blank is not None:
        notes.append(
            f"An answer that begins with the stop text {json.dumps(blank)} ends there at once; foreword reads on behind leading blanks."
        )
    if template.extract:
        notes.append(
            "The prompt takes its answer out of what was generated by a regular expression; the client does not."
        )
    return notes


def _readme(source: Source, target: str, notes: list[str]) -> str:
    values, base = source.prompt, source.prompt.provenance.backbone or "its model"
    remarks = "".join(f"* {note}\n" for note in notes)
    return (
        f"# {source.name} for {target}\n\n{values.length} vectors of width {values.hidden} (float32) for {base}, "
        f"digest {values.digest}.\n\n{remarks}"
    )
