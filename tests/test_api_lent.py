"""What the Python interface is lent comes back as it was, what it is given is taken at once, and what is not meant is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import entry
import foreword
from foreword.api.data import path_of

ROWS = entry.rows(40, choices=("red", "green"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entry.save_model(tmp_path_factory.mktemp("models") / "tiny")


def test_a_loaded_model_comes_back_as_it_was(model: Path) -> None:
    """It stayed frozen and in eval mode, so a training that went on after a call did nothing, or failed."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole, tokenizer = AutoModelForCausalLM.from_pretrained(model).train(), AutoTokenizer.from_pretrained(model)
    frozen = next(whole.parameters()).requires_grad_(False)
    frozen_part = next(whole.children()).eval()
    modes = [module.training for module in whole.modules()]
    with foreword.Predictor(whole, tokenizer=tokenizer, max_new_tokens=2) as predictor:
        assert not any(module.training for module in whole.modules())
        assert not any(parameter.requires_grad for parameter in whole.parameters())
        predictor.generate(["tem 1"])
    assert [module.training for module in whole.modules()] == modes and not frozen_part.training
    assert [parameter is frozen for parameter in whole.parameters() if not parameter.requires_grad] == [True]


def test_a_home_folder_is_the_users(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/p` made a folder of the name `~` here, and then did not find the data in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    foreword.tune(model, ROWS, out="~/p", max_steps=np.int64(1), prompt_length=2, seed=np.int64(3))
    assert (tmp_path / "p").is_dir() and not (tmp_path / "~").exists()
    assert foreword.load_prompt("~/p").provenance.seed == 3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda model, p: foreword.evaluate(model, ROWS, prompt=""), "The prompt is an empty name"),
        (lambda model, p: foreword.evaluate(model, ROWS, prompt=[p]), "The prompt is an object of the type list"),
        (lambda model, p: foreword.evaluate(model, ROWS, dev=ROWS), "evaluate uses no dev examples"),
        (lambda model, p: foreword.tune(model, ROWS, test=ROWS), "tune uses no test examples"),
        (lambda model, p: foreword.Predictor(model, []), "prompt is an empty list"),
        (lambda model, p: foreword.Predictor(model, data="x.csv"), "A Predictor answers what `generate` is given"),
        (
            lambda model, p: foreword.Predictor(model, method="few", demonstrations={"train": ROWS, "test": ROWS}),
            "As demonstrations the splits train and test are given; give one of them",
        ),
        (lambda model, p: foreword.compare(None, ROWS, tokenizer=p), "an object of the type NoneType"),
        (lambda model, p: foreword.compare(model, [*ROWS, "red"]), "Row 41 of the data is an object of the type str"),
        (lambda model, p: foreword.compare(model, ROWS, max_steps=[1] * 999), r"1, 1\.\.\.,"),
    ],
)
def test_what_is_not_meant_is_refused(model: Path, tmp_path: Path, call: Any, says: str) -> None:
    with pytest.raises(foreword.ForewordError, match=says):
        call(model, tmp_path)


def test_a_predictor_answers_by_the_prompt_as_it_was(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read the folder anew at every call: gone after a change of the working directory, and another prompt's after a replacement."""
    monkeypatch.chdir(tmp_path)
    foreword.tune(model, ROWS, out="mine", max_steps=1, prompt_length=2)
    with foreword.Predictor(model, "mine") as predictor:
        answers = predictor.generate(["tem 2"])
        (tmp_path / "mine").rename(tmp_path / "gone")
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        assert predictor.generate(["tem 2"]) == answers
    with pytest.raises(foreword.ForewordError, match="was closed"):
        predictor.generate(["tem 2"])


def test_times_of_numpy_are_texts(tmp_path: Path) -> None:
    moment = np.datetime64("2024-03-01T00:00:00.123456789", "ns")
    path = path_of([{"input": moment, "target": "x"}], tmp_path, "examples")
    assert json.loads(Path(path).read_text())["input"] == "2024-03-01T00:00:00.123456"
    with pytest.raises(foreword.ForewordError, match="timedelta"):
        path_of([{"input": moment - moment}], tmp_path, "examples")


def test_prompts_of_the_same_numbers_are_told_apart(model: Path, tmp_path: Path) -> None:
    """In memory they were known by their numbers alone, so the second was taken for the first, with its wording."""
    prompt = foreword.tune(model, ROWS, out=tmp_path / "p", max_steps=1, prompt_length=2)
    question = prompt.provenance.template | {"question": "Q: {input}\nA:"}
    other = replace(prompt, provenance=replace(prompt.provenance, template=question))
    with pytest.raises(foreword.ForewordError, match="other settings of --question"):
        foreword.Predictor(model, [prompt, other]).generate(["tem 1"])
