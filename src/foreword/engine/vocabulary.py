"""What of a tokenizer can change a token or a text, as plain text: rules as well as words."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

# Arguments of a tokenizer that change no token of a text: where it came from, and what only padding or chats read.
UNREAD = frozenset(
    (
        "name_or_path",
        "_commit_hash",
        "auto_map",
        "backend",
        "chat_template",
        "local_files_only",
        "is_local",
        "model_input_names",
        "model_max_length",
        "max_length",
        "padding_side",
        "truncation_side",
        "processor_class",
        "special_tokens_map_file",
        "tokenizer_class",
        "tokenizer_file",
        "tokenizer_object",
        "trust_remote_code",
    )
)
SPECIALS = (
    "bos_token_id",
    "eos_token_id",
    "unk_token_id",
    "pad_token_id",
    "sep_token_id",
    "cls_token_id",
    "mask_token_id",
)


def tokenizer_text(tokenizer: Any) -> str:
    """Everything of a tokenizer that its tokens and texts depend on. A fast one: its own serialisation (normaliser, pre-tokenizer,
    model with merges, decoder, added tokens), without the padding and truncation that a call may have set, and the code that it brings.
    A slow one: its class, code and arguments, its vocabulary and the contents of its vocabulary files. The chat template does not
    count."""
    whole: dict[str, Any] = {
        "specials": {name: getattr(tokenizer, name, None) for name in SPECIALS},
        "special_ids": sorted(int(i) for i in tokenizer.all_special_ids),
        "split_special_tokens": bool(getattr(tokenizer, "split_special_tokens", False)),
    }
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        whole["rules"] = {name: rules[name] for name in rules if name not in ("padding", "truncation")}
        code = source_digests(set(type(tokenizer).__mro__))
        whole |= {"code": code} if code else {}
    else:
        whole["slow"] = _slow(tokenizer)
    return json.dumps(whole, sort_keys=True, ensure_ascii=False)


def source_digests(classes: set[type]) -> dict[str, str]:
    """A digest of the source file of each class that came with a model (`--trust-remote-code`), and of each file that those import from
    beside them, by its name (parts of an encoder may bring several files of one name)."""
    modules = {cls.__module__ for cls in classes if cls.__module__.startswith("transformers_modules")}
    files = [getattr(sys.modules.get(module), "__file__", None) for module in modules]
    digests: dict[str, set[str]] = {}
    for path in [part for file in files if file for part in (file, *get_relative_import_files(file))]:
        digests.setdefault(Path(path).name, set()).add(hashlib.sha256(Path(path).read_bytes()).hexdigest())
    return {name: " ".join(sorted(digests[name])) for name in sorted(digests)}


def _slow(tokenizer: Any) -> dict[str, Any]:
    arguments = getattr(tokenizer, "init_kwargs", {})
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(NotImplementedError, AttributeError):  # without files, its entries are all there is
            tokenizer.save_vocabulary(folder)
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(folder).iterdir())}
    return {
        "class": type(tokenizer).__name__,
        "code": source_digests(set(type(tokenizer).__mro__)),
        "arguments": {
            name: value
            for name, value in sorted(arguments.items())
            if name not in UNREAD and not name.endswith("_file") and isinstance(value, (bool, int, float, str))
        },
        "added": sorted((int(i), repr(token)) for i, token in tokenizer.added_tokens_decoder.items()),
        "vocabulary": sorted((int(i), str(token)) for token, i in tokenizer.get_vocab().items()),
        "files": files,
    }
