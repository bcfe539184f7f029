"""Takes a reference model out of foreword's source, a folder or an archive, whole or not at all; files of another digest are refused."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from foreword.models.cache import file_digest
from foreword.models.reference import REFERENCES, SOURCE, Reference, folder, here, kept_folder
from foreword.util.errors import ForewordError
from foreword.util.files import tidy, whole_folder

FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
PAPERS = ("README.md", "recipe.json")
BY_NAME = {model.name: model for model in REFERENCES.values()}


def digest_of(place: Path, source: Path | None = None) -> str:
    """A digest of a model's files by name and contents, in hexadecimal. source: what they were taken out of, to be named. Raises
    ForewordError where one is not there."""
    lines = []
    for name in FILES:
        if not (place / name).is_file():
            raise ForewordError(
                f"The source {source or place} has no {name}; give foreword's source, or the model's folder in it."
            )
        lines.append(f"{name} {file_digest(place / name)}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def here_by_name(name: str) -> bool:
    """Whether a name is that of a reference model that is on this machine."""
    return name in BY_NAME and here(BY_NAME[name]) is not None


def take(name: str, sources: Sequence[Path] = ()) -> Path:
    """The folder of a reference model: where it is already, or copied from foreword's source, a clone's folder, the model's own folder or
    a source archive (.tar.gz). Raises ForewordError where it is not here and no source is given, for a source without it, and for
    files of another digest."""
    model = BY_NAME[name]
    if here(model) is not None or not sources:
        return folder(model.folder)
    source, place = sources[0], kept_folder(model)
    tidy(place.parent, place.name)
    with whole_folder(place) as part:
        if source.is_dir():
            _copy(model, source, part)
        elif source.is_file():
            _unpack(model, source, part)
        else:
            raise ForewordError(
                f"There is no foreword source at {source}; give a clone's folder or a source archive (.tar.gz)."
            )
        if digest_of(part, source) != model.digest:
            raise ForewordError(
                f"The files of '{name}' in {source} are not those of this version of foreword; give the source of the same version."
            )
    return place


def _copy(model: Reference, source: Path, part: Path) -> None:
    inner = source / SOURCE / model.folder
    folder_of_it = inner if inner.is_dir() else source
    for name in (*FILES, *PAPERS):
        if (folder_of_it / name).is_file():
            shutil.copyfile(folder_of_it / name, part / name)


def _unpack(model: Reference, source: Path, part: Path) -> None:
    """Only the files of these names, each a plain file: nothing in an archive says where to write."""
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                path = Path(member.name)
                inside = path.parent.as_posix().endswith(f"{SOURCE}/{model.folder}")
                if inside and member.isfile() and path.name in (*FILES, *PAPERS):
                    stream = archive.extractfile(member)
                    assert stream is not None
                    with stream, (part / path.name).open("wb") as copy:
                        shutil.copyfileobj(stream, copy)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ForewordError(f"{source} is not a whole source archive ({error}); download it again.") from error
