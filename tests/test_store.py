"""Prompts on disk: a round trip keeps every number, and each damaged or foreign folder is refused in one sentence."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from foreword.prompts import soft_prompt, store
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.util.errors import ForewordError


def prompt(length: int = 3, hidden: int = 8) -> SoftPrompt:
    values = torch.randn((length, hidden), generator=torch.Generator().manual_seed(1))
    provenance = Provenance(
        backbone="some/model",
        base="some/model",
        fingerprint="f" * 64,
        task="a task",
        label="ipt:bm25:2",
        method={"soft": True, "k": 2},
        template={"question": "Frage: {input} – ü"},
        seed=4,
        scores={"bleu": 12.5},
    )
    return SoftPrompt(values, provenance)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store.save(prompt(), tmp_path / "prompt")
    return tmp_path / "prompt"


def test_a_round_trip_keeps_everything(folder: Path) -> None:
    loaded, expected = store.load(folder), prompt()
    assert torch.equal(loaded.values, expected.values)
    assert loaded.provenance == expected.provenance
    assert loaded.digest == expected.digest
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["adapter_config.json", "adapter_model.safetensors", "foreword.json", "README.md"]
    )


def test_the_same_prompt_is_written_in_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    store.save(prompt(), tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_the_files_are_as_peft_writes_them(folder: Path) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    assert list(tensors) == ["prompt_embeddings"]
    assert tensors["prompt_embeddings"].dtype == torch.float32 and tuple(tensors["prompt_embeddings"].shape) == (3, 8)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["peft_type"], config["num_virtual_tokens"], config["token_dim"]) == ("PROMPT_TUNING", 3, 8)
    assert config["base_model_name_or_path"] == "some/model"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith('---\nlibrary_name: peft\nbase_model: "some/model"\n') and "bleu 12.5" in card


def test_a_prompt_that_stands_behind_the_input_says_so(tmp_path: Path) -> None:
    """PEFT knows no such place, so whoever opens the folder there must be told."""
    provenance = Provenance(backbone="some/model", kind="seq2seq", place="behind")
    store.save(SoftPrompt(torch.ones(2, 4), provenance), tmp_path / "p")
    assert store.load(tmp_path / "p").provenance.place == "behind"
    assert "behind the input" in (tmp_path / "p" / "adapter_config.json").read_text(encoding="utf-8")
    assert "behind the encoder's input" in (tmp_path / "p" / "README.md").read_text(encoding="utf-8")


def test_a_second_save_takes_the_firsts_place(folder: Path) -> None:
    store.save(prompt(5), folder)
    assert store.load(folder).length == 5
    assert [path.name for path in folder.parent.iterdir()] == ["prompt"]


def test_a_save_that_fails_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "serialised", full)
    with pytest.raises(ForewordError, match="No space left on device; free some space"):
        store.save(prompt(5), folder)
    assert store.load(folder).length == 3
    assert [path.name for path in folder.parent.iterdir()] == ["prompt"]


def test_numbers_in_bfloat16_are_read(folder: Path) -> None:
    (folder / "foreword.json").unlink()
    save_file({"prompt_embeddings": prompt().values.bfloat16()}, folder / "adapter_model.safetensors")
    loaded = store.load(folder)
    assert loaded.values.dtype == torch.float32 and torch.allclose(loaded.values, prompt().values, atol=0.02)
    assert loaded.provenance == Provenance(backbone="some/model", base="some/model", origin="peft")


def test_the_second_half_of_an_encoder_decoders_rows_is_left_out(folder: Path) -> None:
    (folder / "foreword.json").unlink()
    save_file({"prompt_embeddings": torch.cat([prompt().values] * 2)}, folder / "adapter_model.safetensors")
    assert torch.equal(store.load(folder).values, prompt().values)


# -- refusals -------------------------------------------------------------------------------------------------------------


def cut(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-20])


def pickled(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"prompt_embeddings": 1}))


def retyped(folder: Path) -> None:
    edit(folder / "adapter_config.json", "peft_type", "LORA")


def edited(folder: Path) -> None:
    values = prompt().values.clone()
    values[1, 2] += 1e-6
    save_file({"prompt_embeddings": values}, folder / "adapter_model.safetensors")


def renamed(folder: Path) -> None:
    save_file({"lora_A": prompt().values}, folder / "adapter_model.safetensors")


def unborn(folder: Path) -> None:
    path = folder / "foreword.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["birth"]["shoe_size"] = 43
    path.write_text(json.dumps(raw), encoding="utf-8")


def edit(path: Path, key: str, value: object) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(raw | {key: value}), encoding="utf-8")


def infinite(folder: Path) -> None:
    (folder / "foreword.json").unlink()
    save_file({"prompt_embeddings": torch.full((3, 8), float("nan"))}, folder / "adapter_model.safetensors")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (cut, r"adapter_model.safetensors is damaged \(.*\); copy or tune the prompt again\."),
    "not a file of tensors": (
        lambda f: (f / "adapter_model.safetensors").write_bytes(b"hello"),
        r"adapter_model.safetensors is damaged",
    ),
    "no numbers": (
        lambda f: (f / "adapter_model.safetensors").unlink(),
        r"There is no adapter_model.safetensors in .*; copy the whole folder",
    ),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), r"There is no prompt's adapter_config.json at"),
    "config broken": (lambda f: (f / "adapter_config.json").write_text("{"), r"adapter_config.json at .* is damaged"),
    "config of another shape": (lambda f: (f / "adapter_config.json").write_text("[1]"), r"is of type None"),
    "pickle only": (pickled, r"is a pickle \(adapter_model.bin\), which foreword does not open; load it in PEFT"),
    "another adapter": (retyped, r"is of type LORA; foreword reads prompt tuning"),
    "edited": (edited, r"are not those its certificate was made for; copy the whole folder again"),
    "another tensor": (renamed, r"holds lora_A and no 'prompt_embeddings'; it is no prompt-tuning adapter"),
    "too few rows": (
        lambda f: edit(f / "adapter_config.json", "num_virtual_tokens", 9),
        r"says 9 virtual tokens and holds numbers of shape \(3, 8\)",
    ),
    "no count": (lambda f: edit(f / "adapter_config.json", "num_virtual_tokens", None), r"says None virtual tokens"),
    "certificate of another shape": (unborn, r"does not have the shape this version writes .*shoe_size"),
    "certificate broken": (lambda f: (f / "foreword.json").write_text("{"), r"certificate at .* is damaged"),
    "certificate no table": (
        lambda f: (f / "foreword.json").write_text("[]"),
        r"does not have the shape this version writes",
    ),
    "not finite": (infinite, r"numbers that are not finite"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_refused(name: str, folder: Path) -> None:
    damage, sentence = DAMAGES[name]
    damage(folder)
    with pytest.raises(ForewordError, match=sentence) as caught:
        store.load(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match=r"There is no prompt folder at .*nowhere; give the folder"):
        store.load(tmp_path / "nowhere")


# -- whose prompt it is ---------------------------------------------------------------------------------------------------


def test_a_prompt_serves_no_other_backbone(tmp_path: Path) -> None:
    backbone, other, wider = tiny.backbone("llama"), tiny.backbone("llama", 1), tiny.backbone("opt")
    assert backbone.fingerprint != other.fingerprint
    values = tiny.soft(backbone, 3)
    assert values is not None
    store.save(SoftPrompt(values, Provenance(backbone=backbone.name, fingerprint=backbone.fingerprint)), tmp_path / "p")
    loaded = store.load(tmp_path / "p")
    loaded.fits(name=backbone.name, fingerprint=backbone.fingerprint, hidden=backbone.hidden)
    with pytest.raises(ForewordError, match=r"was tuned on tiny-llama-0, and tiny-llama-1 is another model"):
        loaded.fits(name=other.name, fingerprint=other.fingerprint, hidden=other.hidden)
    with pytest.raises(ForewordError, match=r"has 32 columns and the model tiny-opt-0 is 24 wide"):
        loaded.fits(name=wider.name, fingerprint=wider.fingerprint, hidden=wider.hidden)


def test_a_prompt_without_a_certificate_is_held_to_its_width_only() -> None:
    foreign = SoftPrompt(torch.ones(2, 8), Provenance(backbone="elsewhere"))
    foreign.fits(name="any", fingerprint="x", hidden=8)
    with pytest.raises(ForewordError, match="use it with elsewhere"):
        foreign.fits(name="any", fingerprint="x", hidden=9)


@pytest.mark.parametrize("values", [torch.ones(3), torch.ones(0, 4), torch.ones(1, 2, 3)])
def test_a_prompt_is_a_matrix_with_rows(values: torch.Tensor) -> None:
    with pytest.raises(ForewordError, match="matrix of P rows and H columns"):
        SoftPrompt(values, Provenance(backbone="x"))


def test_the_digest_sees_shape_and_every_number() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    digests = {
        SoftPrompt(vectors, Provenance("x")).digest
        for vectors in (values, values.reshape(3, 2), values + torch.eye(2, 3) * 1e-6)
    }
    assert len(digests) == 3


def test_line_ends_inside_demonstrations_stay_what_they_are(tmp_path: Path) -> None:
    """JSON leaves some of Unicode's line ends as they are: only its own ends a line of the file."""
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    rows = ({"id": text, "fields": {"input": text}, "targets": [text], "choices": []},)
    values = torch.ones((2, 4))
    provenance = Provenance("m", label="ipt", settings={"demonstrations": soft_prompt.worked_digest(rows)})
    store.save(SoftPrompt(values, provenance, rows), tmp_path / "p")
    assert store.load(tmp_path / "p").worked == rows


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"choices": "yes"}, "choices is 'yes' .text., but must be a list"),
        ({"shots": "x"}, "shots is 'x' .text., but must be a whole number"),
        ({"encoder": 5}, "encoder is 5, but must be text"),
        ({"metrics": [3]}, "metrics holds 3"),
        ({"max_new_tokens": -3}, "max_new_tokens is -3"),
    ],
)
def test_settings_of_another_kind_are_refused(settings: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    """They become the run's: the choices `yes` answered `s`, others were tracebacks."""
    store.save(SoftPrompt(torch.ones((2, 4)), Provenance("m", settings=settings)), tmp_path / "p")
    with pytest.raises(ForewordError, match=rf"does not have the shape this version writes \({sentence}"):
        store.load(tmp_path / "p")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"id": None}, "id: "),
        ({"fields": {"input": 3}}, "fields.input: "),
        ({"targets": []}, "targets: "),
        ({"choices": "yes"}, "choices: "),
        (None, "it is no object"),
    ],
)
def test_demonstrations_of_another_shape_are_refused(changed: Any, sentence: str, tmp_path: Path) -> None:
    row = {"id": "1", "fields": {"input": "a"}, "targets": ["b"], "choices": []}
    rows: tuple[Any, ...] = ([1, 2],) if changed is None else (row | changed,)
    provenance = Provenance("m", label="ipt", settings={"demonstrations": soft_prompt.worked_digest(rows)})
    store.save(SoftPrompt(torch.ones((2, 4)), provenance, rows), tmp_path / "p")
    with pytest.raises(ForewordError, match=rf"demonstrations\.jsonl is damaged \({sentence}"):
        store.load(tmp_path / "p")
