"""Keys and records: what can change a number is in the key; a record of another making or trial is refused, never misread."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import regex

import entry
import tiny
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.engine import load_backbone
from foreword.metrics import METRICS
from foreword.models import reference
from foreword.prompts import store
from foreword.prompts.methods import parse
from foreword.prompts.retrieve import RETRIEVERS, bm25, signature, vectors
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.results.record import ENGINE, Record, refuse_older
from foreword.study.spec import Spec
from foreword.study.trial import Trial
from foreword.util import folding
from foreword.util.errors import ForewordError
from foreword.util.files import canonical

TASK = Task(
    "toy",
    tuple(Example(f"e{i}", {"input": f"ba lo {i}"}, (f"ri {i}",)) for i in range(6)),
    (),
    tuple(Example(f"t{i}", {"input": f"ba ri {i}"}, (f"lo {i}",)) for i in range(2)),
    Template(),
    ("bleu", "exact_match"),
)


def spec(label: str, **more: Any) -> Spec:
    return Spec(label, parse(label, shots=1, retriever="bm25", retrievers=list(RETRIEVERS)), 0, Tuning(), 4, **more)


def key(label: str) -> str:
    return spec(label).key(tiny.backbone("gpt2"), TASK)


# -- keys -----------------------------------------------------------------------------------------------------------------


def test_every_retriever_has_a_signature() -> None:
    assert len({signature(name) for name in RETRIEVERS}) == len(RETRIEVERS)
    with pytest.raises(ForewordError, match="There is no retriever 'bm52'; did you mean 'bm25'"):
        signature("bm52")


@pytest.mark.parametrize(
    ("label", "module", "name", "value"),
    [
        ("icl", bm25, "K1", 1.2),
        ("icl", bm25, "B", 0.5),
        ("icl", bm25, "METHOD", "robertson"),
        ("icl", folding, "_PIECE", regex.compile(r"\w+")),
        ("icl", folding, "_UNSEEN", regex.compile(r"(?!)")),
        ("icl", bm25, "pieces", lambda text: text.split()),
        ("icl", bm25, "trigrams", lambda text: text.split()),
        ("icl:dense", vectors, "DECIMALS", 5),
    ],
)
def test_a_retrievers_constants_are_in_the_key(
    label: str, module: Any, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, zero, random = key(label), key("zero"), key("icl:random")
    monkeypatch.setattr(module, name, value)
    assert key(label) != before
    assert (key("zero"), key("icl:random")) == (zero, random), "methods that do not use it keep their keys"


def test_a_metrics_signature_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key("zero")
    contents = spec("zero").contents(tiny.backbone("gpt2"), TASK)["metrics"]
    assert contents == {name: METRICS[name].signature() for name in TASK.metrics}
    other = replace(METRICS["exact_match"], signature=lambda: "exact_match|case:lower")
    monkeypatch.setattr("foreword.study.spec.metric", lambda name: other if name == "exact_match" else METRICS[name])
    changed = key("zero")
    absent = replace(METRICS["exact_match"], absence=lambda: "Java is not here.")
    monkeypatch.setattr("foreword.study.spec.metric", lambda name: absent if name == "exact_match" else METRICS[name])
    assert len({before, changed, key("zero")}) == 3


def test_a_key_says_of_which_making_it_is() -> None:
    assert re.fullmatch(rf"[0-9a-f]{{24}}-v{ENGINE}", key("zero"))


# -- records --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(spec("zero"), tiny.backbone("gpt2"), TASK, tmp_path)


def rewritten(trial: Trial, stem: str, **more: Any) -> Path:
    """The trial's record under another name, with some of its entries changed, and the digest that belongs to them."""
    contents = json.loads(trial.path.read_text(encoding="utf-8")) | more
    del contents["digest"]
    contents["digest"] = hashlib.sha256(canonical(contents).encode()).hexdigest()
    path = trial.path.with_name(f"{stem}.json")
    path.write_text(json.dumps(contents), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["", "-v3", f"-v{ENGINE + 1}"])
def test_a_record_of_another_making_is_refused(trial: Trial, ending: str) -> None:
    trial.run()
    old = trial.key.partition("-")[0] + ending
    path = rewritten(trial, old, key=old)
    with pytest.raises(
        ForewordError, match=r"written by another version of foreword .*; give another folder, or delete"
    ) as refusal:
        Record.read(path)
    assert "\n" not in str(refusal.value)
    with pytest.raises(ForewordError, match="written by another version of foreword"):
        Record.read(rewritten(trial, trial.key, key=old))
    trial.path.unlink()
    with pytest.raises(ForewordError, match="written by another version of foreword"):
        refuse_older(path.parent)


def test_a_record_under_another_trials_name_is_refused(trial: Trial) -> None:
    trial.run()
    other = "0" * 24 + f"-v{ENGINE}"
    with pytest.raises(ForewordError, match=rf"is of another trial \({trial.key}\); delete it to run that trial again"):
        Record.read(rewritten(trial, other))
    refuse_older(trial.path.parent)


def test_a_record_of_another_shape_is_refused(trial: Trial) -> None:
    trial.run()
    for more in ({"costs": {}}, {"more": 1}, {"answers": [{"id": "x"}]}):
        with pytest.raises(ForewordError, match="does not have the shape this version writes"):
            Record.read(rewritten(trial, trial.key, **more))
    trial.path.write_text("[]", encoding="utf-8")
    with pytest.raises(ForewordError, match="does not have the shape this version writes"):
        Record.read(trial.path)


def test_a_run_folder_of_an_older_foreword_is_refused_in_one_sentence(tmp_path: Path) -> None:
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(20))
    records = tmp_path / "out" / "records"
    records.mkdir(parents=True)
    (records / f"{'a' * 24}.json").write_text("{}", encoding="utf-8")
    (records / "notes.json").write_text("{}", encoding="utf-8")
    arguments = ("-m", "reference-small", "-d", data, "--limit", 2, "--out", tmp_path / "out")
    for command in (("compare", "--methods", "zero"), ("evaluate", "--method", "zero")):
        result = entry.foreword(command[0], *arguments, *command[1:])
        assert result.code == 2 and "written by another version of foreword" in result.err
        assert "Traceback" not in result.err
    (records / f"{'a' * 24}.json").unlink()
    assert entry.foreword("evaluate", *arguments, "--method", "zero").code == 0


def test_a_prompt_of_an_older_foreword_is_refused_in_one_sentence(tmp_path: Path) -> None:
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(4))
    model = load_backbone("reference-small")
    for name, fingerprint in (("old", "f" * 64), ("emptied", ""), ("new", model.fingerprint)):
        provenance = Provenance(backbone="reference-small", fingerprint=fingerprint, label="pt")
        store.save(SoftPrompt(model.embed([40, 41]), provenance), tmp_path / name)

    def generated(name: str) -> entry.CommandResult:
        arguments = ("-m", "reference-small", "-d", data, "--limit", 1, "--max-new-tokens", 2)
        return entry.foreword("generate", *arguments, "--prompt", tmp_path / name)

    result = generated("old")
    assert result.code == 2 and "made by another version of foreword" in result.err and "Traceback" not in result.err
    assert generated("emptied").code == generated("new").code == 0


# -- a run folder answers for the model that was asked for -----------------------------------------------------------------


def changed(folder: Path, name: str, **entries: Any) -> str:
    """A copy of the small reference model with entries of one of its files changed."""
    folder.mkdir()
    for path in Path(reference.folder("small")).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    contents = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(contents | entries), encoding="utf-8")
    return str(folder)


def models(folder: Path) -> dict[str, str]:
    rope = {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}}
    return {
        "A": changed(folder / "A", "config.json"),
        "B": changed(folder / "B", "config.json", **rope),
        "C": changed(folder / "C", "tokenizer.json", normalizer={"type": "Lowercase"}),
    }


def bleu(model: str, out: Path, limit: int) -> float:
    """With demonstrations out of as few examples as are scored."""
    arguments = ("--model", model, "--task", "mini-dart", "--method", "icl", "--limit", limit, "--train-limit", limit)
    result = entry.foreword("evaluate", *arguments, "--out", out, "--json")
    assert result.code == 0, result.err
    return float(result.json["metrics"]["bleu"]["score"])


@pytest.mark.parametrize("limit", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_one_run_folder_serves_no_model_for_another(tmp_path: Path, limit: int) -> None:
    three = models(tmp_path)
    same = {name: bleu(model, tmp_path / "same", limit) for name, model in three.items()}
    alone = {name: bleu(model, tmp_path / f"out-{name}", limit) for name, model in three.items()}
    assert same == alone and len(set(alone.values())) == 3
    assert len(list((tmp_path / "same" / "records").iterdir())) == 3
    assert bleu(three["A"], tmp_path / "same", limit) == same["A"]
    assert len(list((tmp_path / "same" / "records").iterdir())) == 3, "taken as it is"
    if limit == 30:
        assert [round(alone[name], 1) for name in "ABC"] == [33.8, 2.5, 0.8]
