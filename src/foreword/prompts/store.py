"""Soft prompts on disk as PEFT prompt-tuning folders with our certificate beside them; pickles, damaged or changed files, and adapters
that are more than a prompt are refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import huggingface_hub
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised

from foreword.config.run import Run
from foreword.prompts.soft_prompt import Provenance, SoftPrompt, profile_digest, worked_digest
from foreword.util import phrases
from foreword.util.errors import ForewordError
from foreword.util.files import canonical, read_json, whole_folder
from foreword.util.fingerprint import SCHEME

CONFIG, WEIGHTS, CERTIFICATE = "adapter_config.json", "adapter_model.safetensors", "foreword.json"
WORKED = "demonstrations.jsonl"
PROFILE = "profile.json"
KEY = "prompt_embeddings"
PLACES = {
    "front": "It stands before the tokenizer's first token.",
    "behind": "It stands behind the encoder's input, so it works in foreword; PEFT would put it in front, where it does not.",
    "system": "It stands inside the system message of the model's chat template (the first user message where there is none).",
}
MAKERS = {"peft": "PEFT", "t5x": "T5X's prompt tuning"}
KINDS = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
HUB_ID = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
FILES = ("*.json", "*.jsonl", "*.safetensors")  # what is fetched of a prompt on the hub


def save(prompt: SoftPrompt, folder: Path) -> None:
    """Write the folder whole or not at all: adapter_config.json and adapter_model.safetensors as PEFT reads them (one tensor
    `prompt_embeddings` [P, H], float32), foreword.json (the birth certificate), README.md (the model card),
    of a method that shows demonstrations, demonstrations.jsonl (the examples that it may show), and, of one that was tuned here,
    profile.json (how the inputs that it was tuned on are distributed, and digests of their questions)."""
    with whole_folder(folder) as part:
        (part / CONFIG).write_text(json.dumps(_peft_config(prompt), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (part / WEIGHTS).write_bytes(serialised({KEY: prompt.values}, metadata={"format": "pt"}))
        certificate: dict[str, Any] = {"digest": prompt.digest, "birth": prompt.provenance.as_dict()}
        certificate["contents"] = _contents_digest(certificate)
        (part / CERTIFICATE).write_text(
            json.dumps(certificate, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (part / "README.md").write_text(_card(prompt), encoding="utf-8")
        if prompt.worked:
            lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in prompt.worked]
            (part / WORKED).write_text("".join(lines), encoding="utf-8")
        if prompt.profile:
            (part / PROFILE).write_text(json.dumps(prompt.profile, sort_keys=True) + "\n", encoding="utf-8")


def located(name: str) -> Path:
    """The folder of a prompt: a path, or else a hub id such as `owner/name` or `owner/name@revision`, which is fetched. Raises
    ForewordError where there is neither."""
    path, hub_id = Path(name).expanduser(), HUB_ID.fullmatch(name)
    if path.exists() or (path.parent.is_dir() and path.parent != Path()) or hub_id is None:
        return path
    try:
        folder = huggingface_hub.snapshot_download(
            hub_id["name"], revision=hub_id["revision"], allow_patterns=list(FILES)
        )
        return Path(folder)
    except Exception as error:  # the hub's library raises many kinds; the user gets one sentence
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ForewordError(
            f"The prompt {name} is neither a folder here nor to be had from the hub ({reason}); check the path or the id, and the network."
        ) from error


def load(folder: Path) -> SoftPrompt:
    """Read a prompt that foreword or PEFT wrote. Raises ForewordError when the folder is absent, damaged, of another adapter
    type, for another kind of task, more than a prompt, or only there as a pickle."""
    if not folder.is_dir():
        raise ForewordError(
            f"There is no prompt folder at {folder}; give the folder that `foreword tune` or PEFT wrote."
        )
    config = read_json(folder / CONFIG, "prompt's adapter_config.json")
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind not in ("PROMPT_TUNING", "P_TUNING"):
        raise ForewordError(
            f"The adapter at {folder} is of type {kind}; foreword reads prompt tuning (PROMPT_TUNING, P_TUNING)."
        )
    kind = _kind(folder, config)
    values = _numbers(folder)
    rows = config.get("num_virtual_tokens")
    if not isinstance(rows, int) or rows < 1 or values.dim() != 2 or len(values) < rows:
        raise ForewordError(
            f"The prompt at {folder} says {rows} virtual tokens and holds numbers of shape "
            f"{tuple(values.shape)}; it is damaged, copy it again."
        )
    values = values[:rows]  # PEFT writes twice the rows for encoder-decoders; the second half is never used
    provenance, digest = _certified(folder, config, kind)
    prompt = SoftPrompt(values, provenance, _worked(folder / WORKED), _profile(folder / PROFILE))
    if prompt.worked and worked_digest(prompt.worked) != provenance.settings.get("demonstrations"):
        raise ForewordError(
            f"The demonstrations in {folder / WORKED} are not those that the prompt was tuned with; copy the whole folder again, or delete "
            "that file and give --demonstrations."
        )
    if prompt.profile and profile_digest(prompt.profile) != provenance.settings.get("profile"):
        raise ForewordError(
            f"The profile {folder / PROFILE} is not that of the examples that the prompt was tuned on; copy the whole folder again, or "
            "delete that file."
        )
    if digest is not None and digest != prompt.digest:
        raise ForewordError(
            f"The numbers of the prompt at {folder} are not those its certificate was made for; "
            "copy the whole folder again, or delete foreword.json."
        )
    return prompt


def _kind(folder: Path, config: dict[str, Any]) -> str:
    """The kind of model that an adapter is for; empty where it does not say. Raises ForewordError for one that brings more than a prompt,
    or whose task is not to write text."""
    more = config.get("modules_to_save")
    if more:
        raise ForewordError(
            f"The adapter at {folder} trains more than a prompt (modules_to_save: {str(more)[:80]}), and foreword would use the prompt "
            "alone and answer otherwise than it does in PEFT; use it there, or train a prompt alone."
        )
    task = config.get("task_type")
    if task is None:
        return "seq2seq" if config.get("num_transformer_submodules") == 2 else ""
    kind = next((kind for kind, known in KINDS.items() if known == task), None)
    if kind is None:
        raise ForewordError(
            f"The adapter at {folder} is for the task type {str(task)[:40]}; foreword reads those whose answers are text "
            f"({', '.join(KINDS.values())})."
        )
    return kind


def _worked(path: Path) -> tuple[dict[str, Any], ...]:
    """The rows of a file of worked examples; none where there is none, for the user may have taken it away."""
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # a text may hold other line ends
        rows: tuple[dict[str, Any], ...] = tuple(json.loads(line) for line in lines)
        for row in rows:
            _WorkedExample.model_validate(row)
    except (OSError, ValueError, RecursionError) as error:
        raise ForewordError(f"The file {path} is damaged ({_reason(error)}); copy the whole folder again.") from error
    return rows


def _profile(path: Path) -> dict[str, Any]:
    """The values of a profile; none where there is none, for the user may have taken it away."""
    if not path.is_file():
        return {}
    raw: dict[str, Any] = read_json(path, "prompt's profile")
    try:
        _QUESTIONS.validate_python(raw.get("questions", {}), strict=True)
    except (AttributeError, ValidationError) as error:
        raise ForewordError(
            f"The file {path} is damaged (it holds no profile); copy the whole folder again."
        ) from error
    return raw


def _numbers(folder: Path) -> Any:
    path = folder / WEIGHTS
    if not path.is_file():
        if (folder / "adapter_model.bin").is_file():
            raise ForewordError(
                f"The prompt at {folder} is a pickle (adapter_model.bin), which foreword does not open; "
                "load it in PEFT and save it as safetensors."
            )
        raise ForewordError(
            f"There is no {WEIGHTS} in {folder}; copy the whole folder that `foreword tune` or PEFT wrote."
        )
    try:
        with safe_open(path, framework="pt") as stream:
            names = sorted(stream.keys())
            if KEY not in names:
                raise ForewordError(
                    f"The file {path} holds {_few(names) or 'nothing'} and no '{KEY}'; it is no prompt-tuning adapter."
                )
            if len(names) > 1:
                raise ForewordError(
                    f"The file {path} holds {_few(name for name in names if name != KEY)} beside the prompt, and foreword would use the "
                    "prompt alone and answer otherwise than it does in PEFT; use it there, or save it without them (save_pretrained with "
                    "save_embedding_layers=False)."
                )
            return stream.get_tensor(KEY).float()
    except (SafetensorError, OSError, ValueError) as error:
        raise ForewordError(f"The file {path} is damaged ({error}); copy or tune the prompt again.") from error


def _few(names: Iterable[str], shown: int = 3) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _reason(error: Exception) -> str:
    """What is wrong, in a line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else "it is no object"


class _WorkedExample(BaseModel):
    """A row of a file of worked examples."""

    model_config = ConfigDict(strict=True)

    id: str
    fields: dict[str, str]
    targets: Annotated[list[str], Field(min_length=1)]
    choices: list[str]


class _Wording(BaseModel):
    """The template's parts, as a certificate holds them; nothing else may stand among them, for they become settings."""

    model_config = ConfigDict(extra="forbid", strict=True)

    instruction: str = ""
    question: str = ""
    answer: str = ""
    separator: str = ""
    stop: str | list[str] = ""
    extract: str = ""
    empty_answers: bool = False


def _certified(folder: Path, config: dict[str, Any], kind: str) -> tuple[Provenance, str | None]:
    """The birth, and the digest of the numbers it belongs to; of a prompt made elsewhere, which has no certificate, no digest.

    A certificate's own digest covers its birth. One that was taken away is only missed where a fingerprint is claimed: who empties
    that says that the model is not to be checked."""
    path = folder / CERTIFICATE
    if not path.is_file():
        base, revision = (str(config.get(name) or "") for name in ("base_model_name_or_path", "revision"))
        return Provenance(backbone=base, kind=kind, origin="peft", base=base, revision=revision), None
    raw = read_json(path, "prompt's certificate")
    try:
        digest, provenance = raw["digest"], Provenance(**raw["birth"])
        _PROVENANCE.validate_json(canonical(raw["birth"]), strict=True)
        if provenance.kind not in (*KINDS, "") or provenance.place not in PLACES:
            raise ValueError(f"kind '{provenance.kind}', place '{provenance.place}'")
        _Wording.model_validate(provenance.template)
        known = {name: value for name, value in provenance.settings.items() if name in Run.model_fields}
        Run.model_validate({"model": "any", **known})  # they become settings, too
    except (KeyError, TypeError, ValueError, ForewordError) as error:
        raise ForewordError(
            f"The certificate {path} does not have the shape this version writes ({_reason(error).rstrip('.')}); tune the prompt again."
        ) from error
    sealed = raw.get("contents")
    if sealed != _contents_digest(raw) and (sealed is not None or provenance.fingerprint.startswith(f"{SCHEME}:")):
        raise ForewordError(
            f"The certificate {path} was changed after it was written; copy the whole folder again, or delete foreword.json to use the "
            "numbers as a prompt made elsewhere."
        )
    return provenance, digest


_PROVENANCE, _QUESTIONS = TypeAdapter(Provenance), TypeAdapter(dict[str, list[str]])


def _contents_digest(certificate: dict[str, Any]) -> str:
    """A digest of what a certificate says."""
    return hashlib.sha256(canonical([certificate["digest"], certificate["birth"]]).encode()).hexdigest()


def _peft_config(prompt: SoftPrompt) -> dict[str, Any]:
    notes = {
        "behind": "behind the input; PEFT would put it in front",
        "system": "inside the system message; PEFT would put it before the first token",
    }
    place = {"foreword_place": notes[prompt.provenance.place]} if prompt.provenance.place in notes else {}
    return place | {
        "auto_mapping": None,
        "base_model_name_or_path": prompt.provenance.base or prompt.provenance.backbone,
        "inference_mode": True,
        "modules_to_save": None,
        "num_attention_heads": None,
        "num_layers": None,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": prompt.length,
        "peft_type": "PROMPT_TUNING",
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": None,
        "revision": prompt.provenance.revision or None,
        "task_type": KINDS.get(prompt.provenance.kind),
        "token_dim": prompt.hidden,
        "tokenizer_kwargs": None,
        "tokenizer_name_or_path": None,
    }


def _card(prompt: SoftPrompt) -> str:
    provenance = prompt.provenance
    scores = phrases.scores(provenance.scores) or "none recorded"
    pipeline = "text2text-generation" if provenance.kind == "seq2seq" else "text-generation"
    ours = provenance.origin == "foreword"
    on_hub = ours and re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", provenance.base, re.ASCII)
    named = [f"base_model: {_quoted(provenance.base)}"] if on_hub else []
    tags = [f"base_model:adapter:{provenance.base}"] if on_hub else []
    head = ["library_name: peft", *named, f"pipeline_tag: {pipeline}", "tags:"]
    head += [f"- {_quoted(tag)}" for tag in (*tags, "prompt-tuning", "foreword")]
    base = " ".join((provenance.base if on_hub else provenance.backbone).split())
    base += f" at revision {provenance.revision}" if provenance.revision else ""
    front = "\n".join(["---", *head, "---"])
    task = " ".join(provenance.task.split()) or "unnamed"
    tuned = f"Tuned by foreword ({provenance.label or 'pt'}) on the task {task}, seed {provenance.seed}."
    unsaid = provenance.settings.get("not_recorded") or []
    missing = f" Not recorded where it comes from: {', '.join(map(str, unsaid))}." if unsaid else ""
    origin = tuned if ours else f"Made by {MAKERS.get(provenance.origin, provenance.origin)}.{missing}"
    return (
        f"{front}\n\n# A soft prompt of {prompt.length} vectors for {base}\n\n{origin} Scores: {scores}.\n\n"
        f"{PLACES[provenance.place]} The wording it was trained with, its settings and the fingerprint of its\n"
        "backbone are in foreword.json.\n"
        + (f"\n{WORKED} holds the training examples that it shows as demonstrations.\n" if prompt.worked else "")
    )


def _quoted(text: str) -> str:
    """A text as YAML reads it back, whatever stands in it."""
    return json.dumps(text, ensure_ascii=False)
