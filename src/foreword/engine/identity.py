"""The fingerprint of a backbone: by its contents, all that can change one of its numbers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

from foreword.engine.numbers import combined, digests, state
from foreword.engine.stored import Stored
from foreword.engine.tokenizer_adapter import TokenizerAdapter
from foreword.engine.vocabulary import source_digests, tokenizer_text
from foreword.util.fingerprint import SCHEME

# Entries of a configuration, and of those within it, that change no number: names, the dtype of loading, what a pass gives back.
UNREAD = frozenset(
    (
        "_name_or_path",
        "name_or_path",
        "_commit_hash",
        "transformers_version",
        "dtype",
        "torch_dtype",
        "architectures",
        "auto_map",
        "_attn_implementation",
        "_experts_implementation",
        "attn_implementation",
        "use_cache",
        "return_dict",
        "output_attentions",
        "output_hidden_states",
        "id2label",
        "label2id",
        "problem_type",
    )
)
GENERATION = (
    "bos_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "eot_token_id",
    "forced_bos_token_id",
)  # all that foreword reads of it


def fingerprint(
    model: Any, tokenizer: TokenizerAdapter, target_tokenizer: TokenizerAdapter, stored: Stored | None = None
) -> str:
    """`v3:weights.config.tokenizer`: three digests, so that a refusal can say what differs.

    weights: every number of weights and persistent buffers as float32 holds them (the dtype of loading and the division into files do
    not matter). config: every entry that is not in UNREAD and not None, which says the same as absence; of the generation config, what
    foreword reads; and the model's own code, where it brings some. tokenizer: see `tokenizer_text`. stored: the files that the model
    was loaded from; without them the numbers in memory are read. Raises ForewordError where numbers are not at hand.
    """
    settings: dict[str, Any] = {
        "class": type(model).__name__,
        "code": source_digests({type(part) for part in (*model.modules(), model.config)}),
        "config": config_contents(model.config),
    }
    weights = combined(digests(state(model))) if stored is None else stored.weights_digest(model, settings)
    generation = {name: getattr(model.generation_config, name, None) for name in GENERATION}
    generation = {name: value for name, value in generation.items() if value is not None}
    texts = [
        adapter.digest_text()
        for adapter in ([tokenizer] if target_tokenizer is tokenizer else [tokenizer, target_tokenizer])
    ]
    return f"{SCHEME}:{weights[:32]}.{_short([settings, generation])}.{_short(texts)}"


def config_contents(config: Any) -> Any:
    """A configuration's entries that can change a number, as plain values."""
    return _read(json.loads(config.to_json_string(use_diff=False)), top=True)


def encoder_fingerprint(encoder: torch.nn.Module) -> str:
    """Identifies a sentence encoder (sentence-transformers) by contents: its numbers, each part's settings and configuration, the code
    that it brings, its tokenizer, and the prompt that stands before every text."""
    parts: list[Any] = []
    for name, part in encoder.named_modules():
        settings: dict[str, Any] = getattr(part, "get_config_dict", dict)()
        config = getattr(part, "config", None)
        contents = config_contents(config) if hasattr(config, "to_json_string") else None
        parts.append([name, type(part).__name__, _read(settings), contents, getattr(part, "max_seq_length", None)])
    code = source_digests({type(part) for part in encoder.modules()})
    parts += [code] if code else []
    prompts = [getattr(encoder, "prompts", None), getattr(encoder, "default_prompt_name", None)]
    tokenizer = getattr(encoder, "tokenizer", None)
    text = tokenizer_text(tokenizer) if hasattr(tokenizer, "all_special_ids") else repr(type(tokenizer))
    return f"{SCHEME}:{combined(digests(state(encoder)))[:32]}.{_short([parts, prompts, text])}"


def _read(value: Any, *, top: bool = False) -> Any:
    if isinstance(value, dict):
        unread = (
            UNREAD if top or "model_type" in value else frozenset()
        )  # a `dtype` in how weights are quantised does count
        return {str(name): _read(entry) for name, entry in value.items() if name not in unread and entry is not None}
    return [_read(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _short(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
