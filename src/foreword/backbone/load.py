"""Loads a backbone from a folder or the hub, frozen and in eval mode; it refuses pickles, and foreign code unless the user allows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import transformers

from foreword import reference
from foreword.backbone.allocator import keep_freed
from foreword.backbone.causal import CausalEngine
from foreword.backbone.check import causal_traits, seq2seq_traits
from foreword.backbone.core import Backbone
from foreword.backbone.fused import fuse
from foreword.backbone.seq2seq import Seq2SeqEngine
from foreword.backbone.wording import Wording
from foreword.errors import ForewordError, unknown

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_backbone(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    target_tokenizer: str = "",
    trust_remote_code: bool = False,
) -> Backbone:
    """Load a frozen backbone.

    name: a folder, a hub id, or `reference` for the model that comes with foreword. dtype: auto (float32 on a CPU, bfloat16 on an
    accelerator), float32, bfloat16 or float16. device: auto, cpu, cuda, cuda:N or mps. target_tokenizer: a folder, for an
    encoder-decoder whose output alphabet is its own; one lying in a sub-folder of the model's is found without being named.
    Raises ForewordError when it is not there, damaged, of a kind that cannot generate, or only there as a pickle.
    """
    _quiet()
    where = _device(device)
    numbers = _dtype(dtype, where)
    source = _source(name)
    given: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    given = {key: value for key, value in given.items() if value}
    try:
        config = transformers.AutoConfig.from_pretrained(source, **given)
        kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
        model = kind.from_pretrained(source, dtype=numbers, use_safetensors=True, **given)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, **given)
    except Exception as error:  # the libraries below raise many kinds; the user gets one sentence
        raise _refusal(name, error) from error
    notes: tuple[str, ...] = ()
    output = tokenizer
    second = _second_tokenizer(source, target_tokenizer) if config.is_encoder_decoder else None
    if second is not None:
        output = transformers.AutoTokenizer.from_pretrained(second)
        notes = (f"Answers are written with the tokenizer in {Path(second).name}/.",)
    return wrap(name, model.to(where), tokenizer, output, notes=notes)


def wrap(name: str, model: Any, tokenizer: Any, output: Any = None, *, notes: tuple[str, ...] = ()) -> Backbone:
    """Make a Backbone of a model and a tokenizer that are in memory already; the model is frozen and set to eval mode."""
    keep_freed()
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    fuse(model)
    rows = int(model.get_input_embeddings().weight.shape[0])
    words = Wording(tokenizer, rows)
    head = model.get_output_embeddings()
    written = rows if head is None else max(rows, int(head.weight.shape[0]))
    answers = words if output is None or output is tokenizer else Wording(output, written)
    sample = words.frequent(2000)[-24:]
    if model.config.is_encoder_decoder:
        encoder = Seq2SeqEngine(model, start=words.start, end=words.end, pad=words.pad)
        backbone = Backbone(name, model, words, answers, encoder, notes=notes)
        encoder.traits = seq2seq_traits(encoder, answers.frequent(2000)[-24:])
        return backbone
    engine = CausalEngine(model, start=words.start, pad=words.pad)
    backbone = Backbone(name, model, words, answers, engine, notes=notes)
    engine.traits = causal_traits(engine, sample)
    return backbone


def _quiet() -> None:
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ForewordError(
            f"The device '{name}' cannot be used here ({str(error).splitlines()[0]}); try --device cpu."
        ) from error
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if name not in DTYPES:
        raise unknown("dtype", name, ["auto", *DTYPES])
    return DTYPES[name]


def _source(name: str) -> str:
    if name == "reference" or name.startswith("reference-"):
        return str(reference.folder(name.removeprefix("reference").removeprefix("-") or "medium"))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ForewordError(
                f"The folder {name} has no config.json, so it holds no model; name the folder that save_pretrained wrote."
            )
        return str(path)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ForewordError(f"There is no model folder at {name}; check the path, or give a hub id such as 'gpt2'.")
    return name


def _second_tokenizer(source: str, given: str) -> str | None:
    if given:
        path = Path(given) if Path(given).is_dir() else Path(source) / given
        if not path.is_dir():
            raise ForewordError(
                f"There is no tokenizer folder at {given}; give the folder that holds the output tokenizer's files."
            )
        return str(path)
    if not Path(source).is_dir():
        return None
    found = [one.parent for one in sorted(Path(source).glob("*/tokenizer.json"))]
    return str(found[0]) if len(found) == 1 else None


def _refusal(name: str, error: Exception) -> ForewordError:
    text = " ".join(str(error).split())
    if "safetensors" in text and ("does not appear" in text or "no file named" in text.lower()):
        return ForewordError(
            f"The model {name} has no model.safetensors; foreword reads no pickles: load it once with transformers and save_pretrained it."
        )
    if "trust_remote_code" in text:
        return ForewordError(f"The model {name} brings its own code; add --trust-remote-code if you trust its authors.")
    if any(
        word in text
        for word in (
            "offline",
            "connect",
            "Connection",
            "resolve",
            "couldn't find them in the cached",
            "not a valid model identifier",
            "Repository Not Found",
        )
    ):
        return ForewordError(
            f"The model '{name}' is neither a folder here nor reachable on the hub; check the name, the network, or download it first."
        )
    return ForewordError(f"The model {name} could not be loaded ({text[:300]}); check that its files are whole.")
