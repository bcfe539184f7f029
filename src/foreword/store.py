"""Soft prompts on disk as PEFT prompt-tuning folders with our certificate beside them; it refuses pickles, damaged files and
prompts born of another backbone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised

from foreword.errors import ForewordError
from foreword.files import read_json, whole_folder
from foreword.softprompt import Birth, SoftPrompt, worked_digest

CONFIG, WEIGHTS, CERTIFICATE = "adapter_config.json", "adapter_model.safetensors", "foreword.json"
WORKED = "demonstrations.jsonl"
KEY = "prompt_embeddings"
PLACES = {
    "front": "It stands before the tokenizer's first token.",
    "behind": "It stands behind the encoder's input, so it works in foreword; PEFT would put it in front, where it does not.",
    "system": "It stands inside the system message of the model's chat template (the first user message where there is none).",
}
KINDS = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}


def save(prompt: SoftPrompt, folder: Path) -> None:
    """Write the folder whole or not at all: adapter_config.json and adapter_model.safetensors as PEFT reads them (one tensor
    `prompt_embeddings` [P, H], float32), foreword.json (the birth certificate), README.md (the model card),
    and, of a method that shows demonstrations, demonstrations.jsonl (the examples that it may show)."""
    with whole_folder(folder) as part:
        (part / CONFIG).write_text(json.dumps(_peft_config(prompt), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (part / WEIGHTS).write_bytes(serialised({KEY: prompt.values}, metadata={"format": "pt"}))
        certificate = {"digest": prompt.digest, "birth": prompt.birth.as_dict()}
        (part / CERTIFICATE).write_text(
            json.dumps(certificate, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (part / "README.md").write_text(_card(prompt), encoding="utf-8")
        if prompt.worked:
            lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in prompt.worked]
            (part / WORKED).write_text("".join(lines), encoding="utf-8")


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
    birth = _birth(folder, config)
    prompt = SoftPrompt(values, birth, _worked(folder / WORKED))
    if prompt.worked and worked_digest(prompt.worked) != birth.settings.get("demonstrations"):
        raise ForewordError(
            f"The demonstrations in {folder / WORKED} are not those that the prompt was tuned with; copy the whole folder again, or delete "
            "that file and give --demonstrations."
        )
    certificate = folder / CERTIFICATE
    if certificate.is_file() and read_json(certificate, "prompt's certificate").get("digest") != prompt.digest:
        raise ForewordError(
            f"The numbers of the prompt at {folder} are not those its certificate was made for; "
            "copy the whole folder again, or delete foreword.json."
        )
    return prompt


def _worked(path: Path) -> tuple[dict[str, Any], ...]:
    """The rows of a file of worked examples; none where there is none, for the user may have taken it away."""
    if not path.is_file():
        return ()
    try:
        return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError, RecursionError) as error:
        raise ForewordError(f"The file {path} is damaged ({error}); copy the whole folder again.") from error


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


def _birth(folder: Path, config: dict[str, Any]) -> Birth:
    if not (folder / CERTIFICATE).is_file():
        kind = "seq2seq" if config.get("task_type") == KINDS["seq2seq"] else "causal"
        return Birth(backbone=str(config.get("base_model_name_or_path") or ""), kind=kind, origin="peft")
    raw = read_json(folder / CERTIFICATE, "prompt's certificate")
    try:
        return Birth(**raw["birth"])
    except (KeyError, TypeError) as error:
        raise ForewordError(
            f"The certificate {folder / CERTIFICATE} does not have the shape this version writes ({error}); tune the prompt again."
        ) from error


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
        + (f"\n{WORKED} holds the training examples that it shows as demonstrations.\n" if prompt.worked else "")
    )
