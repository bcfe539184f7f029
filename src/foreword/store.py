"""Soft prompts on disk as PEFT prompt-tuning folders with our certificate beside them; it refuses pickles, damaged or changed
files, and prompts born of another backbone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised

from foreword.errors import ForewordError
from foreword.files import canonical, read_json, whole_folder
from foreword.softprompt import SCHEME, Birth, SoftPrompt

CONFIG, WEIGHTS, CERTIFICATE = "adapter_config.json", "adapter_model.safetensors", "foreword.json"
KEY = "prompt_embeddings"
PLACES = {
    "front": "It stands before the tokenizer's first token.",
    "behind": "It stands behind the encoder's input, so it works in foreword; PEFT would put it in front, where it does not.",
    "system": "It stands inside the system message of the model's chat template (the first user message where there is none).",
}
KINDS = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}


def save(prompt: SoftPrompt, folder: Path) -> None:
    """Write the folder whole or not at all: adapter_config.json and adapter_model.safetensors as PEFT reads them (one tensor
    `prompt_embeddings` [P, H], float32), foreword.json (the birth certificate), README.md (the model card)."""
    with whole_folder(folder) as part:
        (part / CONFIG).write_text(json.dumps(_peft_config(prompt), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (part / WEIGHTS).write_bytes(serialised({KEY: prompt.values}, metadata={"format": "pt"}))
        certificate: dict[str, Any] = {"digest": prompt.digest, "birth": prompt.birth.as_dict()}
        certificate["contents"] = _contents_digest(certificate)
        (part / CERTIFICATE).write_text(
            json.dumps(certificate, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (part / "README.md").write_text(_card(prompt), encoding="utf-8")


def load(folder: Path) -> SoftPrompt:
    """Read a prompt that foreword or PEFT wrote. Raises ForewordError when the folder is absent, damaged, of another adapter
    type, or only there as a pickle."""
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
    values = _numbers(folder)
    rows = config.get("num_virtual_tokens")
    if not isinstance(rows, int) or rows < 1 or values.dim() != 2 or len(values) < rows:
        raise ForewordError(
            f"The prompt at {folder} says {rows} virtual tokens and holds numbers of shape "
            f"{tuple(values.shape)}; it is damaged, copy it again."
        )
    values = values[:rows]  # PEFT writes twice the rows for encoder-decoders; the second half is never used
    birth, digest = _certified(folder, config)
    prompt = SoftPrompt(values, birth)
    if digest is not None and digest != prompt.digest:
        raise ForewordError(
            f"The numbers of the prompt at {folder} are not those its certificate was made for; "
            "copy the whole folder again, or delete foreword.json."
        )
    return prompt


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
            if KEY not in list(stream.keys()):
                raise ForewordError(
                    f"The file {path} holds {', '.join(stream.keys())} and no '{KEY}'; it is no prompt-tuning adapter."
                )
            return stream.get_tensor(KEY).float()
    except (SafetensorError, OSError, ValueError) as error:
        raise ForewordError(f"The file {path} is damaged ({error}); copy or tune the prompt again.") from error


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


def _certified(folder: Path, config: dict[str, Any]) -> tuple[Birth, str | None]:
    """The birth, and the digest of the numbers it belongs to; of a prompt made elsewhere, which has no certificate, no digest.

    A certificate's own digest covers its birth. One that was taken away is only missed where a fingerprint is claimed: who empties
    that says that the model is not to be checked."""
    path = folder / CERTIFICATE
    if not path.is_file():
        kind = "seq2seq" if config.get("task_type") == KINDS["seq2seq"] else "causal"
        return Birth(backbone=str(config.get("base_model_name_or_path") or ""), kind=kind, origin="peft"), None
    raw = read_json(path, "prompt's certificate")
    try:
        digest, birth = raw["digest"], Birth(**raw["birth"])
        _BIRTH.validate_json(canonical(raw["birth"]), strict=True)
        if birth.kind not in KINDS or birth.place not in PLACES:
            raise ValueError(f"kind '{birth.kind}', place '{birth.place}'")
        _Wording.model_validate(birth.template)
    except (KeyError, TypeError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ForewordError(
            f"The certificate {path} does not have the shape this version writes ({reason}); tune the prompt again."
        ) from error
    sealed = raw.get("contents")
    if sealed != _contents_digest(raw) and (sealed is not None or birth.fingerprint.startswith(f"{SCHEME}:")):
        raise ForewordError(
            f"The certificate {path} was changed after it was written; copy the whole folder again, or delete foreword.json to use the "
            "numbers as a prompt made elsewhere."
        )
    return birth, digest


_BIRTH = TypeAdapter(Birth)


def _contents_digest(certificate: dict[str, Any]) -> str:
    """A digest of what a certificate says."""
    return hashlib.sha256(canonical([certificate["digest"], certificate["birth"]]).encode()).hexdigest()


def _peft_config(prompt: SoftPrompt) -> dict[str, Any]:
    notes = {
        "behind": "behind the input; PEFT would put it in front",
        "system": "inside the system message; PEFT would put it before the first token",
    }
    place = {"foreword_place": notes[prompt.birth.place]} if prompt.birth.place in notes else {}
    return place | {
        "auto_mapping": None,
        "base_model_name_or_path": prompt.birth.backbone,
        "inference_mode": True,
        "modules_to_save": None,
        "num_attention_heads": None,
        "num_layers": None,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": prompt.length,
        "peft_type": "PROMPT_TUNING",
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": None,
        "revision": None,
        "task_type": KINDS[prompt.birth.kind],
        "token_dim": prompt.hidden,
        "tokenizer_kwargs": None,
        "tokenizer_name_or_path": None,
    }


def _card(prompt: SoftPrompt) -> str:
    birth = prompt.birth
    scores = ", ".join(f"{name} {value:.1f}" for name, value in sorted(birth.scores.items())) or "none recorded"
    pipeline = "text-generation" if birth.kind == "causal" else "text2text-generation"
    return (
        f"---\nlibrary_name: peft\nbase_model: {birth.backbone}\npipeline_tag: {pipeline}\n"
        f"tags:\n- base_model:adapter:{birth.backbone}\n- prompt-tuning\n- foreword\n---\n\n"
        f"# A soft prompt of {prompt.length} vectors for {birth.backbone}\n\n"
        f"Tuned by foreword ({birth.label or 'pt'}) on the task {birth.task or 'unnamed'}, seed {birth.seed}. Scores: {scores}.\n\n"
        f"{PLACES[birth.place]} The wording it was trained with, its settings and the fingerprint of its\n"
        "backbone are in foreword.json.\n"
    )
