"""Loads a backbone from a folder or the hub, frozen and in eval mode; it refuses pickles, and foreign code unless the user allows it."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from foreword.engine.activation_checkpointing import patch_checkpointing
from foreword.engine.causal import CausalEngine
from foreword.engine.check import batch_mates, causal_capabilities, seq2seq_capabilities
from foreword.engine.core import Backbone
from foreword.engine.fused import patch_fused
from foreword.engine.gguf import converted, file_in
from foreword.engine.half_layers import patch_half_layers
from foreword.engine.install import Installation
from foreword.engine.known import notes_on
from foreword.engine.seq2seq import Seq2SeqEngine
from foreword.engine.skippable import patch_skippable
from foreword.engine.stored import Stored, file_of
from foreword.engine.switch import SwitchEngine, switch_of
from foreword.engine.tokenizer_adapter import TokenizerAdapter
from foreword.engine.unused import unused_settings
from foreword.engine.vocabulary import tokenizer_text
from foreword.engine.whole import refuse_made_up, refuse_odd_values, refuse_unready
from foreword.models import MODELS, reference
from foreword.models.cache import located
from foreword.models.one_load import one_load
from foreword.models.vetted import ADAPTER, refuse_adapter, refuse_unsafe
from foreword.util.errors import ForewordError, closest, unknown
from foreword.util.progress import Progress, silent

SPREAD = "spread"  # over all devices, as accelerate places the parts
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_backbone(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    target_tokenizer: str = "",
    trust_remote_code: bool = False,
    progress: Progress = silent,
) -> Backbone:
    """Load a frozen backbone.

    name: a folder, a GGUF file or a folder that holds one, a hub id, a name that `foreword models` lists, or `reference` for the model
    that comes with foreword. progress: hears of a GGUF file's conversion, at its first use. dtype: auto (float32 on a CPU, bfloat16 on an
    accelerator), float32, bfloat16 or float16. device: auto, cpu, cuda, cuda:N, mps, or spread (over all devices; needs accelerate).
    target_tokenizer: a folder, for an
    encoder-decoder whose output alphabet is its own; one lying in a sub-folder of the model's is found without being named.
    Raises ForewordError when it is not there, damaged, of a kind that cannot generate, or only there as a pickle.
    """
    where = _device(device)
    numbers = _dtype(dtype, where)
    source = _source(name, progress)
    refuse_unsafe(f"The model {name}", functools.partial(_file_of, source, revision))
    pinned: dict[str, Any] = {"revision": revision} if revision else {}
    began = time.time_ns()
    try:
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code, **pinned)
        kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
        again = functools.partial(
            _read, kind, source, use_safetensors=True, trust_remote_code=trust_remote_code, **pinned
        )
        placed: dict[str, Any] = {"device_map": "auto"} if device == SPREAD else {}
        model, loading = again(dtype=numbers, output_loading_info=True, **placed)
        tokenizer = output = transformers.AutoTokenizer.from_pretrained(
            source, trust_remote_code=trust_remote_code, **pinned
        )
        second = _second_tokenizer(source, target_tokenizer) if config.is_encoder_decoder else None
        if second is not None:
            output = transformers.AutoTokenizer.from_pretrained(second, trust_remote_code=trust_remote_code)
            if tokenizer_text(output) == tokenizer_text(tokenizer):
                output, second = tokenizer, None
    except ForewordError:
        raise
    except (
        BaseException
    ) as error:  # the libraries below raise many kinds, a panic in Rust among them; the user gets one sentence
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _refusal(name, error) from error
    notes = refuse_made_up(name, loading)
    if second is not None:
        notes = (*notes, f"Answers are written with the tokenizer in {Path(second).name}/.")
    backbone = wrap(name, model if placed else model.to(where), tokenizer, output, notes=notes)
    anew = functools.partial(again, dtype=torch.float32)
    backbone.stored = Stored.of(backbone.model, source, revision, began, anew)
    return backbone


def _read(kind: Any, source: str, *, trust_remote_code: bool, **options: Any) -> Any:
    """What a model class of the library reads from a source; one thread at a time."""
    with one_load():
        return kind.from_pretrained(source, trust_remote_code=trust_remote_code, **options)


def _file_of(source: str, revision: str | None, name: str) -> Path | None:
    """The local path of a file of a folder or of a hub model, fetched if need be; None where there is none."""
    try:
        return file_of(source, revision, name, local=False)
    except (OSError, ValueError):  # no such model, or no way to it: loading it says so
        return None


def wrap(name: str, model: Any, tokenizer: Any, output: Any = None, *, notes: tuple[str, ...] = ()) -> Backbone:
    """Make a Backbone of a model and a tokenizer that are in memory already; until the backbone is closed the model is frozen and in eval
    mode, and has in it what the engine needs.

    A model that `torch.compile` was called on runs as it was before: what a short cut asks of a layer is not in the compiled one.
    Raises ForewordError for a model that is not whole, takes no input vectors, or whose plain pass over ids is not what the engine
    computes."""
    model = getattr(model, "_orig_mod", model)
    refuse_unready(name, model)
    refuse_odd_values(name, model, (tokenizer, output))
    installation = install(model)
    try:
        return _checked(name, model, installation, (tokenizer, output), notes)
    except BaseException:  # whatever it is, it goes on; the model is left as it came
        installation.close()
        raise


def _checked(
    name: str, model: Any, installation: Installation, tokenizers: tuple[Any, Any], notes: tuple[str, ...]
) -> Backbone:
    """The backbone, with what was found to be exact for its model."""
    tokenizer, output = tokenizers
    rows = int(model.get_input_embeddings().weight.shape[0])
    adapter = TokenizerAdapter(tokenizer, rows)
    target_adapter = adapter if output is None or output is tokenizer else TokenizerAdapter(output, rows)
    if model.config.is_encoder_decoder:
        target_adapter = _answering(target_adapter, model)
    sample = adapter.frequent(2000)[-24:]
    if model.config.is_encoder_decoder:
        encoder = Seq2SeqEngine(model, installation, start=adapter.start, end=adapter.end, pad=adapter.pad)
        backbone = Backbone(name, model, adapter, target_adapter, encoder, notes=notes)
        seq2seq_capabilities(encoder, name, sample, target_adapter.frequent(2000)[-24:])
        return _noted(backbone)
    switch = switch_of(model)
    engine = _causal(model, installation, adapter, switch)
    backbone = Backbone(name, model, adapter, target_adapter, engine, notes=notes)
    if switch is not None and switch[1]:
        backbone.window = switch[0]
    causal_capabilities(engine, name, sample)
    reason = "" if engine.capabilities.logits_to_keep or switch else batch_mates(engine, sample)
    if reason:
        backbone.engine = engine = _causal(model, installation, adapter, (0, False))
        causal_capabilities(engine, name, sample)
        off = (capability for capability, value in vars(engine.capabilities).items() if not value)
        engine.reasons |= dict.fromkeys(off, f"rows may not share a pass: {reason}")
    return _noted(backbone)


def _causal(
    model: Any, installation: Installation, adapter: TokenizerAdapter, switch: tuple[int, bool] | None
) -> CausalEngine:
    if switch is None:
        return CausalEngine(model, installation, start=adapter.start, pad=adapter.pad)
    longest, remembers = switch
    return SwitchEngine(model, installation, start=adapter.start, pad=adapter.pad, switch=longest, remembers=remembers)


def _noted(backbone: Backbone) -> Backbone:
    engine, model_type = backbone.engine, backbone.model.config.model_type
    notes = notes_on(backbone.kind, model_type, engine.capabilities, engine.reasons)
    backbone.notes = (*backbone.notes, *notes, *unused_settings(backbone.model))
    return backbone


def install(model: Any) -> Installation:
    """Put into a model's modules, once, what the engine needs there; outside foreword's passes the model computes what it did."""
    installation = Installation.of(model)
    if installation.users == 1:
        patch_half_layers(installation)
        patch_fused(installation)
        if not model.config.is_encoder_decoder:
            patch_skippable(installation)
        patch_checkpointing(installation)
    return installation


def _answering(answers: TokenizerAdapter, model: Any) -> TokenizerAdapter:
    """The tokenizer of an encoder-decoder's answers: as the tokenizer writes a target, begun with the id that generation is made to begin
    with, and ended at the first end."""
    target = answers.target()
    forced = getattr(model.generation_config, "forced_bos_token_id", None)
    if forced is not None and target.start[:1] != (int(forced),):
        target = target.with_ends((int(forced), *target.start[1:]), target.end)
    last = next((at for at, token in enumerate(target.end) if token == target.hf.eos_token_id), len(target.end))
    return target.with_ends(target.start, target.end[: last + 1])


def _device(name: str) -> torch.device:
    if name in ("auto", SPREAD):
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


def _source(name: str, progress: Progress = silent) -> str:
    own = reference.folder_name(name)
    if (own or name in MODELS) and [*Path(name).glob("config.json"), *Path(name).glob("*.gguf")]:
        raise ForewordError(
            f"'{name}' is a model of foreword's and a folder with a model here; write --model ./{name} for the folder, or rename it."
        )
    if own:
        return str(reference.folder(own))
    path = located(name) if name in MODELS else Path(name).expanduser()
    packed = file_in(path) if path.is_dir() else path if path.is_file() and path.suffix.lower() == ".gguf" else None
    if packed is not None:
        return str(converted(packed, progress=progress))
    if path.is_dir():
        if not (path / "config.json").is_file():
            refuse_adapter(f"The folder {name}", path / ADAPTER if (path / ADAPTER).is_file() else None)
            raise ForewordError(
                f"The folder {name} has no config.json, so it holds no model; name the folder that save_pretrained wrote."
            )
        return str(path)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ForewordError(f"There is no model folder at {name}; check the path, or give a hub id such as 'gpt2'.")
    return name


def _second_tokenizer(source: str, folder: str) -> str | None:
    if folder:
        path = Path(folder) if Path(folder).is_dir() else Path(source) / folder
        if not path.is_dir():
            raise ForewordError(
                f"There is no tokenizer folder at {folder}; give the folder that holds the output tokenizer's files."
            )
        return str(path)
    if not Path(source).is_dir():
        return None
    folders = [file.parent for file in sorted(Path(source).glob("*/tokenizer.json"))]
    folders = [
        path for path in folders if not (path / "config.json").is_file()
    ]  # a model of its own, as a checkpoint is
    return str(folders[0]) if len(folders) == 1 else None


def _refusal(name: str, error: BaseException) -> ForewordError:
    text = " ".join(str(error).split())
    if "safetensors" in text and ("does not appear" in text or "no file named" in text.lower()):
        return ForewordError(
            f"The model {name} has no model.safetensors; foreword reads no pickles: load it once with transformers and save_pretrained it."
        )
    if isinstance(error, ImportError):
        return ForewordError(f"The model {name} needs a library that is not installed ({text[:200]}); install it.")
    if "Unrecognized configuration class" in text:
        kind = text.split("configuration class")[1].split(" for ")[0].strip(" <>'").rpartition(".")[2].rstrip("'>")
        return ForewordError(
            f"The model {name} ({kind}) is none that the model library has a language model for: not decoder-only, nor an encoder-decoder "
            "that reads text; choose a text model."
        )
    if "size mismatch" in text or "ignore_mismatched_sizes" in text:
        return ForewordError(
            f"The files of the model {name} hold weights in another shape than its config.json says ({text[:200]}); use the config that it "
            "was saved with."
        )
    if "trust_remote_code" in text:
        return ForewordError(f"The model {name} brings its own code; add --trust-remote-code if you trust its authors.")
    if "weights_only" in text or "torch.load" in text:
        return ForewordError(
            f"The model {name} has weights that are kept as a pickle, which foreword does not open; use a copy kept as safetensors."
        )
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
        close = closest(name, [*(known.name for known in reference.REFERENCES.values()), *MODELS], 0.6)
        hint = f" (did you mean '{close}'?)" if close else ""
        return ForewordError(
            f"The model '{name}' is neither a folder here nor reachable on the hub{hint}; check the name, the network, or download it "
            "first."
        )
    return ForewordError(f"The model {name} could not be loaded ({text[:300]}); check that its files are whole.")
