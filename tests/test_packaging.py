"""What is installed: few libraries, one small model; the other models are taken from foreword's source, whole or not at all."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import entry
from foreword.data.readers import read_rows
from foreword.models import reference
from foreword.models.list import listed
from foreword.models.shipped import BY_NAME, digest_of, take
from foreword.util.errors import ForewordError, MissingExtraError

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = {"pyarrow", "datasets", "pystemmer", "pandas", "accelerate", "fastapi", "faiss-cpu", "scikit-learn"}


def required() -> set[str]:
    """Everything that installing foreword without extras installs here, by the metadata of what is installed."""
    waiting, names = [Requirement(text) for text in PROJECT["project"]["dependencies"]], set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in names or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        names.add(name)
        try:
            more = importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:  # of another platform
            more = []
        waiting += [Requirement(text) for text in more]
    return names


def test_nothing_heavy_is_installed_unasked() -> None:
    names = required()
    assert {"torch", "transformers", "sacrebleu"} <= names and not names & HEAVY, names & HEAVY


def test_parquet_without_its_library_says_the_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"own.parquet needs a library .* pip install 'foreword\[parquet\]'"):
        read_rows(tmp_path / "own.parquet")


def test_each_reference_model_is_what_the_table_says() -> None:
    for model in reference.REFERENCES.values():
        place = reference.folder(model.folder)
        assert digest_of(place) == model.digest
        assert (
            sum(path.stat().st_size for path in place.iterdir() if path.name not in ("README.md", "recipe.json"))
            == model.size
        )


@pytest.fixture
def as_from_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation without the other models, and an empty cache."""
    (tmp_path / "installed").mkdir()
    monkeypatch.setattr(reference, "__file__", str(tmp_path / "installed" / "__init__.py"))
    monkeypatch.setenv("FOREWORD_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_model_that_the_wheel_lacks_says_where_it_is(as_from_the_wheel: Path) -> None:
    with pytest.raises(
        ForewordError, match=r"does not come with the wheel.*foreword models get reference-small --from PATH"
    ):
        reference.folder("small")
    entry.refused("models", "get", "reference-t5", says=("foreword's source", "src/foreword/models/reference/t5"))
    row = next(row for row in listed() if row.name == "reference-small")
    assert (row.ready, row.bytes, row.weights) == (False, 0, 750_816) and row.download > 10**6
    with pytest.raises(ForewordError, match="no reference model 'huge'"):
        reference.folder("huge")


@pytest.mark.parametrize("kind", ["clone", "folder", "archive"])
def test_a_model_is_taken_from_the_source(kind: str, as_from_the_wheel: Path) -> None:
    source, inner = ROOT, ROOT / reference.SOURCE / "small"
    if kind == "folder":
        source = inner
    if kind == "archive":
        source = as_from_the_wheel / "foreword-0.1.0.tar.gz"
        with tarfile.open(source, "w:gz") as archive:
            archive.add(inner, arcname=f"foreword-0.1.0/{reference.SOURCE}/small")
            archive.add(inner / "config.json", arcname="../../config.json")
    ran = entry.foreword("models", "get", "reference-small", "--from", source, "--json")
    assert ran.code == 0, ran.err
    place = reference.folder("small")
    assert str(place) == ran.json["folder"] and place.is_relative_to(as_from_the_wheel / "cache")
    assert digest_of(place) == BY_NAME["reference-small"].digest and (place / "README.md").is_file()


def test_another_model_or_a_damaged_source_leaves_nothing(as_from_the_wheel: Path) -> None:
    other = as_from_the_wheel / "other"
    shutil.copytree(ROOT / reference.SOURCE / "medium", other)
    with pytest.raises(ForewordError, match="are not those of this version of foreword"):
        take("reference-small", [other])
    (other / "model.safetensors").unlink()
    empty = as_from_the_wheel / "empty.tar.gz"
    tarfile.open(empty, "w:gz").close()
    for source, lacks in ((other, "model.safetensors"), (ROOT / "docs", "config.json"), (empty, "config.json")):
        with pytest.raises(ForewordError, match=f"The source {source} has no {lacks}; give foreword's source"):
            take("reference-small", [source])
    (as_from_the_wheel / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ForewordError, match="is not a whole source archive"):
        take("reference-small", [as_from_the_wheel / "broken.tar.gz"])
    with pytest.raises(ForewordError, match="There is no foreword source at"):
        take("reference-small", [as_from_the_wheel / "none"])
    assert not list((as_from_the_wheel / "cache").glob("models/*"))


@pytest.mark.slow
def test_the_wheel_is_small_and_whole(tmp_path: Path) -> None:
    """Built from a copy of what git knows: every file of the package but the other models."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / "source" / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(tmp_path),
        str(tmp_path / "source"),
    ]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 5_500_000
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("foreword/")}
    lacks = {name.removeprefix("src/") for name in names if name.startswith("src/foreword/")} - inside
    assert lacks and {name.split("/")[3] for name in lacks} == {"small", "large", "t5", "t5-adapted"}
