"""Records, checkpoints and certificates that were changed, or hold values of the wrong type, are refused in one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import tiny
from foreword.prompts import store
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.results.record import Record
from foreword.study.trial import Trial
from foreword.train import checkpoint
from foreword.util.errors import ForewordError
from foreword.util.files import canonical
from test_record import TASK, spec


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    trial = Trial(spec("zero"), tiny.backbone("gpt2"), TASK, tmp_path_factory.mktemp("finished"))
    trial.run()
    return trial


def edited(trial: Trial, out: Path, change: Callable[[dict[str, Any]], object], *, sealed: bool = False) -> Path:
    """A copy of the record with a change in it, under its own name. sealed: its digest belongs to the changed contents."""
    raw = json.loads(trial.path.read_text(encoding="utf-8"))
    change(raw)
    if sealed:
        del raw["digest"]
        raw["digest"] = hashlib.sha256(canonical(raw).encode()).hexdigest()
    path = out / trial.path.name
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path


def into(raw: Any, *way: Any, value: Any) -> None:
    for step in way[:-1]:
        raw = raw[step]
    raw[way[-1]] = value


@pytest.mark.parametrize(
    "way", [("scores", "bleu"), ("answers", 0, "output"), ("costs", "seconds_per_answer"), ("seed",), ("notes",)]
)
def test_a_record_that_was_changed_is_refused(finished: Trial, tmp_path: Path, way: tuple[Any, ...]) -> None:
    value: Any = {"notes": ["x"], "output": "x"}.get(way[-1], 99)
    path = edited(finished, tmp_path, lambda raw: into(raw, *way, value=value))
    with pytest.raises(ForewordError, match=r"was changed after it was written .*; delete it to run that trial again"):
        Record.read(path)


def test_a_record_holds_what_its_key_is_made_of(finished: Trial, tmp_path: Path) -> None:
    path = edited(finished, tmp_path, lambda raw: into(raw, "spec", "seed", value=3), sealed=True)
    with pytest.raises(ForewordError, match="says one key and holds another"):
        Record.read(path)
    other = Trial(spec("few"), finished.backbone, TASK, tmp_path)
    other.path.parent.mkdir()
    raw = json.loads(finished.path.read_text(encoding="utf-8")) | {"key": other.key}
    other.path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ForewordError, match="was changed after it was written"):
        other.run()


WRONG: tuple[Any, ...] = (None, True, 7, -1.5, "text", [], [[]], {}, {"a": 1}, [None], float("nan"))


def test_a_record_of_wrong_types_is_one_sentence(finished: Trial, tmp_path: Path) -> None:
    """Every entry with every kind of value, its digest right, so that only the types are wrong: refused, or of the right type."""
    whole = json.loads(finished.path.read_text(encoding="utf-8"))
    ways: list[tuple[Any, ...]] = [(name,) for name in whole if name != "digest"]
    ways += [("answers", 0, name) for name in whole["answers"][0]] + [("costs", name) for name in whole["costs"]]
    refusals = 0
    for way in ways:
        for value in WRONG:
            raw = json.loads(json.dumps(whole))
            into(raw, *way, value=value)
            del raw["digest"]
            text = json.dumps(raw, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            raw["digest"] = hashlib.sha256(text.encode()).hexdigest()
            path = tmp_path / finished.path.name
            path.write_text(json.dumps(raw), encoding="utf-8")
            try:
                Record.read(path)
            except ForewordError as error:
                assert "\n" not in str(error) and str(path) in str(error)
                refusals += 1
    assert refusals > 0.8 * len(ways) * len(WRONG)
    for text in ("[]", "7", "[" * 100_000, '{"key": 1' + "0" * 5000 + "}", '{"key": "\\ud800"}', "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(ForewordError, match="record at"):
            Record.read(path)


def checkpoint_at(path: Path) -> dict[str, torch.Tensor]:
    tensors = {"trained.prompt": torch.arange(6.0).reshape(2, 3), "optimizer.0.step": torch.tensor(3.0)}
    checkpoint.write(path, tensors, {"step": 3, "curve": [{"dev": 0.5}]}, mark="mine")
    return tensors


def test_a_checkpoint_comes_back_whole_and_only_to_its_own(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    tensors = checkpoint_at(path)
    loaded = checkpoint.read(path, mark="mine")
    assert loaded is not None and loaded[1] == {"step": 3, "curve": [{"dev": 0.5}]}
    assert all(torch.equal(loaded[0][name], value) for name, value in tensors.items())
    assert checkpoint.read(path, mark="another") is None


@pytest.mark.parametrize("place", ["number", "state", "no digest"])
def test_a_checkpoint_that_was_changed_is_refused(tmp_path: Path, place: str) -> None:
    path = tmp_path / "c.safetensors"
    tensors = checkpoint_at(path)
    with safe_open(path, framework="pt") as stream:
        metadata = dict(stream.metadata())
    if place == "number":
        tensors["trained.prompt"][1, 2] = 5.0000005
    if place == "state":
        metadata["state"] = metadata["state"].replace("0.5", "0.4")
    if place == "no digest":
        del metadata["digest"]
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(ForewordError, match=r"is damaged .*; delete it to train from the start"):
        checkpoint.read(path, mark="mine")


def kept_prompt(folder: Path, **provenance: Any) -> dict[str, Any]:
    store.save(SoftPrompt(torch.ones(2, 4), Provenance(backbone="m", fingerprint="v3:a.b.c", **provenance)), folder)
    whole: dict[str, Any] = json.loads((folder / "foreword.json").read_text(encoding="utf-8"))
    return whole


def test_a_certificate_that_was_changed_is_refused(tmp_path: Path) -> None:
    whole = kept_prompt(tmp_path / "p", scores={"bleu": 10.0})
    changes: tuple[tuple[str, Any], ...] = (
        ("seed", 5), ("scores", {"bleu": 99.0}), ("fingerprint", "v3:x.y.z"), ("template", {"question": "{input}?"})
    )  # fmt: skip
    for name, value in changes:
        changed = json.loads(json.dumps(whole))
        changed["birth"][name] = value
        for certificate in (changed, {key: part for key, part in changed.items() if key != "contents"}):
            (tmp_path / "p" / "foreword.json").write_text(json.dumps(certificate), encoding="utf-8")
            with pytest.raises(ForewordError, match="was changed after it was written; copy the whole folder again"):
                store.load(tmp_path / "p")
    del changed["contents"]
    changed["birth"]["fingerprint"] = ""  # what the refusal of an older prompt says to do
    (tmp_path / "p" / "foreword.json").write_text(json.dumps(changed), encoding="utf-8")
    assert store.load(tmp_path / "p").provenance.fingerprint == ""


def test_a_certificate_of_wrong_types_is_one_sentence(tmp_path: Path) -> None:
    whole = kept_prompt(tmp_path / "p")
    refusals = 0
    values = [(name, value) for name in whole["birth"] for value in WRONG]
    values += [("template", {"question": value}) for value in WRONG if not isinstance(value, str)]
    values += [
        ("template", {"limit": "text"}),
        ("template", {"stop": [1]}),
    ]  # the first would become a setting of the run
    for name, value in values:
        changed = json.loads(json.dumps(whole))
        changed["birth"] |= {name: value}
        text = json.dumps([changed["digest"], changed["birth"]], sort_keys=True, separators=(",", ":"))
        changed["contents"] = hashlib.sha256(text.encode()).hexdigest()
        (tmp_path / "p" / "foreword.json").write_text(json.dumps(changed), encoding="utf-8")
        try:
            provenance = store.load(tmp_path / "p").provenance
            assert (
                type(getattr(provenance, name)) is type(getattr(Provenance("m"), name)) and name != "template"
            ) or value == {}
        except ForewordError as error:
            assert "\n" not in str(error)
            refusals += 1
    assert refusals > 0.7 * len(values)
