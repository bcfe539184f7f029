"""A GGUF file is converted to safetensors once, in a cache folder, and loaded from there; it refuses a file that transformers cannot read.

The numbers are those that transformers unpacks. Each tensor is stored in the smallest type that holds every one of its numbers
exactly, so a quantised one becomes float32 (a 4-bit number times a float16 scale has more digits than 16 bits hold) and one of float16
or bfloat16 numbers keeps its type: a loaded folder equals the file itself, in every dtype that it is loaded in.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors
import torch
import transformers

from foreword.models.cache import converted_folder, file_digest, room_for
from foreword.models.one_load import one_load
from foreword.util.errors import ForewordError, MissingExtraError
from foreword.util.files import tidy, whole_folder, write_json
from foreword.util.progress import Progress, silent

SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
ENDS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
UNPACKING = "transformers.modeling_gguf_pytorch_utils"  # where transformers counts the tensors that it has unpacked


@dataclass(frozen=True)
class Header:
    """What is read of a GGUF file before it is converted. numbers: how many its tensors hold. factors: its tensors of rotary factors.
    ends: ids that end an answer."""

    architecture: str
    numbers: int
    factors: tuple[str, ...]
    ends: tuple[int, ...]


def file_in(folder: Path) -> Path | None:
    """The GGUF file that a folder holds; None where it holds none, or weights in safetensors beside it. Raises ForewordError with their
    names where there are several."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".gguf" and path.is_file())
    if not files or any(folder.glob("*.safetensors")):
        return None
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise ForewordError(
            f"The folder {folder} holds {len(files)} GGUF files ({names}); name one: --model {files[0]}."
        )
    return files[0]


def converted(path: Path, *, progress: Progress = silent) -> Path:
    """The folder with the model and the tokenizer of a GGUF file, as save_pretrained leaves them; made at the first call.

    Keyed by the file's contents and the versions of the libraries that read it; written whole or not at all. Raises ForewordError: the
    package gguf is missing, the file is cut short or damaged, its architecture or quantisation is one that transformers cannot read,
    the disk is full.
    """
    split = SPLIT.search(path.name)
    if split:
        raise ForewordError(
            f"The file {path} is part {int(split[1])} of {int(split[2])} of a split GGUF file; join the parts with llama-gguf-split "
            "--merge and name the joined file."
        )
    reader = _library("gguf", "Reading a GGUF file")
    _library("accelerate", "Reading a GGUF file")
    folder = converted_folder(path, file_digest(path))
    if folder.is_dir():
        return folder
    what = f"converting {path.name}"
    progress(what, 0, 4, "reading the header")
    header = _header(path, reader)
    room_for(4 * header.numbers, folder, f"Converting {path.name} to safetensors")
    tidy(folder.parent, folder.name)
    with _no_bars(), whole_folder(folder) as part:
        progress(what, 1, 4, "tokenizer")
        tokenizer = _read(path, header, transformers.AutoTokenizer)
        progress(what, 2, 4, "weights")
        with _counted(progress, f"unpacking {path.name}"):
            options = _unpacked() | {"output_loading_info": True}
            model, loading = _read(path, header, transformers.AutoModelForCausalLM, **options)
        _refuse_other_weights(path, header, model, loading)
        model = _dense(model)
        progress(what, 3, 4, "writing")
        _write(model, tokenizer, header, part, folder)
        write_json(part / "foreword.json", {"file": path.name, "sha256": file_digest(path)})
    progress(what, 4, 4)
    return folder


def _library(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(what, "gguf") from error


def _header(path: Path, library: Any) -> Header:
    try:
        reader = library.GGUFReader(path)
        fields = {
            name: field.contents() for name, field in reader.fields.items() if name in ("general.architecture", *ENDS)
        }
        numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
        factors = tuple(str(tensor.name) for tensor in reader.tensors if str(tensor.name).startswith("rope_"))
        architecture = str(fields["general.architecture"])
    except OSError as error:
        raise ForewordError(
            f"The GGUF file {path} cannot be read ({error.strerror or error}); check its rights."
        ) from error
    except Exception as error:  # the reader trusts its file: what is cut short fails wherever it happens to be read
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if "GGMLQuantizationType" in reason:
            raise ForewordError(
                f"The GGUF file {path} holds weights of a quantisation that gguf {metadata.version('gguf')} does not know ({reason}); "
                "use a newer gguf, or a file of another quantisation."
            ) from error
        raise ForewordError(f"The file {path} is no whole GGUF file ({reason}); download it again.") from error
    return Header(
        architecture, numbers, factors, tuple(dict.fromkeys(int(fields[name]) for name in ENDS if name in fields))
    )


def _unpacked() -> dict[str, Any]:
    """Ask for plain numbers: newer versions of transformers may keep the file's blocks where they have a kernel for them."""
    config = getattr(transformers, "GgufConfig", None)
    return {"dtype": torch.float32} | ({} if config is None else {"quantization_config": config(dequantize=True)})


def _read(path: Path, header: Header, kind: Any, **options: Any) -> Any:
    try:
        with one_load():
            return kind.from_pretrained(
                str(path.parent), gguf_file=path.name, local_files_only=True, trust_remote_code=False, **options
            )
    except MemoryError:
        raise
    except Exception as error:  # the library raises many kinds for what it does not know; the user gets one sentence
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        version = transformers.__version__
        if "not supported" in reason or "Cannot rebuild a config" in reason or "Unknown gguf model_type" in reason:
            reason = f"architecture '{header.architecture}'"
        raise ForewordError(
            f"The GGUF file {path} is of a kind that transformers {version} cannot read ({reason}); use the model's safetensors."
        ) from error


def _refuse_other_weights(path: Path, header: Header, model: Any, loading: dict[str, Any]) -> None:
    """Raises ForewordError where the model has weights that the file has not (they would be random), or the file has numbers that
    the model does not use (the factors of stretched positions, say: the model would compute something else)."""
    lacks = sorted(loading["missing_keys"])
    if lacks:
        raise ForewordError(
            f"The GGUF file {path} lacks {len(lacks)} of the model's weights ({lacks[0]}); download it again, or use the model's "
            "safetensors."
        )
    used = sum(values.numel() for values in model.parameters())
    if used != header.numbers:
        named = f" ({', '.join(header.factors)})" if header.factors else ""
        raise ForewordError(
            f"The GGUF file {path} holds {header.numbers:,} numbers and transformers {transformers.__version__} makes a model of "
            f"{used:,} of them{named}; it would compute something else than the file says: use the model's safetensors."
        )


def _dense(model: Any) -> Any:
    """The same weights under a config that does not call them quantised, which save_pretrained would refuse."""
    settings = model.config.to_dict()
    for name in ("quantization_config", "_name_or_path"):
        settings.pop(name, None)
    state = {name: values.to(exact_dtype(values)) for name, values in model.state_dict().items()}
    with torch.device("meta"):
        dense = type(model)(type(model.config).from_dict(settings))
    dense.load_state_dict(state, strict=True, assign=True)
    dense.tie_weights()
    dense.generation_config = model.generation_config
    return dense


def exact_dtype(values: torch.Tensor) -> torch.dtype:
    """The smallest of bfloat16, float16 and float32 that holds every number of a float32 tensor exactly."""
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(values.to(dtype).to(values.dtype), values):
            return dtype
    return values.dtype


def _write(model: Any, tokenizer: Any, header: Header, part: Path, folder: Path) -> None:
    if header.ends:
        model.generation_config.eos_token_id = header.ends[0] if len(header.ends) == 1 else list(header.ends)
    try:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
    except safetensors.SafetensorError as error:  # a full disk, as the writer of weights puts it
        raise ForewordError(
            f"Cannot write {folder}: {' '.join(str(error).split())[:120]}; free some space, or set FOREWORD_CACHE to a folder on another "
            "disk."
        ) from error


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Within the block transformers draws no progress bars: how far it is, is told to `progress`."""
    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


@contextlib.contextmanager
def _counted(progress: Progress, what: str) -> Iterator[None]:
    """Within the block transformers tells `progress` of each tensor instead of drawing a bar of its own."""
    module: Any = importlib.import_module(UNPACKING) if importlib.util.find_spec(UNPACKING) else None
    if module is None or not hasattr(module, "tqdm"):
        yield
        return

    def counting(items: Iterable[Any], **_: Any) -> Iterator[Any]:
        known = list(items)
        for done, item in enumerate(known):
            progress(what, done, len(known))
            yield item
        progress(what, len(known), len(known))

    before, module.tqdm = module.tqdm, counting
    try:
        yield
    finally:
        module.tqdm = before
