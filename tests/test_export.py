"""Prompts for other tools: arrays bit for bit, T5X both ways, and the clients of vLLM and SGLang send what foreword's own pass reads."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import entry
import serving
import tiny
from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import Row
from foreword.prompts import store
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.registry import Registry


def saved_prompt(where: Path, family: str = "llama", label: str = "pt", **provenance: Any) -> SoftPrompt:
    """A prompt in a folder."""
    prompt = serving.soft(tiny.backbone(family), 4, 1, label, **provenance)
    store.save(prompt, where)
    return prompt


def exported(source: object, to: str, out: Path, *more: object) -> list[str]:
    result = entry.foreword("export", source, "--to", to, "--out", out, "--json", *more)
    assert result.code == 0, result.err
    return list(result.json["notes"])


def test_numbers_are_the_same_bit_for_bit(tmp_path: Path) -> None:
    values = saved_prompt(tmp_path / "p").values.numpy()
    for to, name in (("numpy", "prompt.npy"), ("vllm", "prompt.npy"), ("sglang", "prompt.npy")):
        exported(tmp_path / "p", to, tmp_path / to)
        assert (np.load(tmp_path / to / name, allow_pickle=False) == values).all()
        assert "README.md" in {path.name for path in (tmp_path / to).iterdir()}
    notes = exported(tmp_path / "p", "peft", tmp_path / "peft")
    assert torch.equal(store.load(tmp_path / "peft").values, torch.from_numpy(values))
    assert any("padding" in note for note in notes)
    entry.refused("export", tmp_path / "p", "--to", "numpy", "--out", tmp_path / "peft", says=("not empty", "--out"))
    entry.refused("export", tmp_path / "p", "--to", "onnx", "--out", tmp_path / "x", says=("'onnx'", "vllm"))


def test_t5x_both_ways(tmp_path: Path) -> None:
    values = saved_prompt(tmp_path / "p", "t5").values.numpy()
    exported(tmp_path / "p", "t5x", tmp_path / "there")
    array = tmp_path / "there" / "prompt.npy"
    assert np.load(array, allow_pickle=False).dtype == np.float32
    exported(array, "peft", tmp_path / "back", "--model", "google/t5-base-lm-adapt")
    back = store.load(tmp_path / "back")
    assert (back.values.numpy() == values).all() and back.provenance.kind == "seq2seq"
    assert back.provenance.backbone == "google/t5-base-lm-adapt"
    saved_prompt(tmp_path / "causal")
    says = ("causal", "numpy or peft")
    entry.refused("export", tmp_path / "causal", "--to", "t5x", "--out", tmp_path / "x", says=says)


def test_the_published_t5_prompts_come_in(shared: Path, tmp_path: Path) -> None:
    array = shared / "prompts" / "t5_1_1_lm100k_base-sst2.npy"
    exported(array, "peft", tmp_path / "sst2", "--model", "google/t5-base-lm-adapt")
    values = store.load(tmp_path / "sst2").values
    assert tuple(values.shape) == (100, 768)
    assert float(values.norm(dim=1).mean()) == pytest.approx(1385, abs=1), "as they were published"
    exported(tmp_path / "sst2", "t5x", tmp_path / "again")
    assert (np.load(tmp_path / "again" / "prompt.npy") == np.load(array)).all()


def test_an_array_of_ones_own_says_its_kind(tmp_path: Path) -> None:
    """Every array became a prompt for an encoder-decoder, foreword's own of a decoder-only model too."""
    saved_prompt(tmp_path / "p")
    exported(tmp_path / "p", "numpy", tmp_path / "there")
    for name, more in (("own", ()), ("said", ("--kind", "seq2seq"))):
        exported(tmp_path / "there" / "prompt.npy", "peft", tmp_path / name, "--model", "m", *more)
    kinds = [store.load(tmp_path / name).provenance.kind for name in ("own", "said")]
    assert kinds == ["causal", "seq2seq"]


@pytest.mark.parametrize("damage", ["text", "empty", "zip", "pickle", "ints", "shape", "width", "nan"])
def test_files_that_are_no_array_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "p.npy"
    if damage in ("text", "empty", "zip"):
        path.write_text({"text": "no array", "empty": "", "zip": "PK\x03\x04 and no more"}[damage], encoding="utf-8")
    elif damage == "pickle":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif damage == "ints":
        np.save(path, np.ones((3, 4), dtype=np.int64))
    elif damage == "width":
        np.save(path, np.ones((3, 0), dtype=np.float32))
    elif damage == "shape":
        np.save(path, np.ones((2, 3, 4), dtype=np.float32))
    else:
        np.save(path, np.full((3, 4), np.nan, dtype=np.float32))
    word = "not finite" if damage == "nan" else str(path)
    entry.refused("export", path, "--to", "peft", "-o", tmp_path / "x", "--model", "m", says=(word,))
    entry.refused("export", path, "--to", "peft", "-o", tmp_path / "x", says=("--model NAME",))


@pytest.mark.parametrize("server", ["vllm", "sglang"])
def test_a_server_gets_the_embeddings_that_foreword_computes_with(tmp_path: Path, server: str) -> None:
    backbone = tiny.backbone("llama")
    prompt = saved_prompt(tmp_path / "p")
    notes = exported(tmp_path / "p", server, tmp_path / "v")
    assert any("precision" in note for note in notes)
    assert any("--disable-radix-cache" in note for note in notes) == (server == "sglang")
    model = entry.save_model(tmp_path / "model")
    spec = importlib.util.spec_from_file_location("client", tmp_path / "v" / "client.py")
    assert spec is not None and spec.loader is not None
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)
    embed, tokenizer = client.table(model)
    text = client.worded({"input": "bana 1 lo"})
    assert text == "Q: bana 1 lo\nA:"
    vectors = client.embeddings(embed, tokenizer, text)
    row = Row((), backbone.tokenizer.ids(text, first=True))
    (expected,) = backbone.generate(prompt.values, [row], 10)
    plain = transformers.AutoModelForCausalLM.from_pretrained(model)
    output = plain.generate(inputs_embeds=vectors.unsqueeze(0), max_new_tokens=10, do_sample=False, pad_token_id=0)[0]
    assert output.tolist()[: len(expected)] == expected
    body = client.body("m", vectors)
    if server == "vllm":
        assert body["cache_salt"] == prompt.digest and body["stop"] == ["\n", "!"] and "prompt" not in body
        assert (client.ROUTE, client.text_of({"choices": [{"text": "x"}]})) == ("/v1/completions", "x")
    else:
        assert body["sampling_params"] == {"temperature": 0, "max_new_tokens": 64, "stop": ["\n", "!"]}
        assert torch.equal(torch.tensor(body["input_embeds"]), vectors), "numbers come back as they were"
        assert (client.ROUTE, client.text_of({"text": "x", "meta_info": {}})) == ("/generate", "x")
    json.dumps(body)
    assert client.read(" red! and more") == "red"
    assert json.loads((tmp_path / "v" / "settings.json").read_text(encoding="utf-8"))["virtual_tokens"] == 4


def client_of(folder: Path) -> ModuleType:
    """The client of an export."""
    spec = importlib.util.spec_from_file_location("client", folder / "client.py")
    assert spec is not None and spec.loader is not None
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)
    return client


@pytest.mark.parametrize("server", ["vllm", "sglang"])
def test_a_client_asks_for_as_long_an_answer_as_the_prompt_says(tmp_path: Path, server: str) -> None:
    saved_prompt(tmp_path / "short", settings={"max_new_tokens": 9})
    exported(tmp_path / "short", server, tmp_path / "v")
    body = client_of(tmp_path / "v").body("m", torch.zeros(2, 4))
    assert (body if server == "vllm" else body["sampling_params"])[
        "max_tokens" if server == "vllm" else "max_new_tokens"
    ] == 9


def test_a_client_takes_the_control_tokens_of_an_input_for_text(tmp_path: Path) -> None:
    saved_prompt(tmp_path / "p")
    exported(tmp_path / "p", "vllm", tmp_path / "v")
    backbone, client = tiny.backbone("llama"), client_of(tmp_path / "v")
    embed, tokenizer = client.table(entry.save_model(tmp_path / "model"))
    example = Example("x", {"input": "bana </s> lo"})
    ids = backbone.tokenizer.ids(serving.TEMPLATES[1].question_runs(example), first=True)
    assert backbone.eos[0] not in ids
    vectors = client.embeddings(embed, tokenizer, client.worded(dict(example.fields)))
    assert torch.equal(vectors[4:], embed(list(ids)))
    client.SETTINGS["question"] = [["bana </s> ", True], ["input", False]]  # the wording's own is one
    assert len(client.embeddings(embed, tokenizer, "bana </s> lo")) < len(vectors)


@pytest.mark.parametrize(
    "template",
    [
        Template(),
        Template(answer=" Answer: {target}", stop=("\n", ";")),
        Template(answer=" The {target} it is.", stop="\n\n"),
        Template(answer="{target};", stop="", empty_answers=True),
    ],
)
def test_a_client_reads_an_answer_as_foreword_does(tmp_path: Path, template: Template) -> None:
    saved_prompt(tmp_path / "p", template=template.as_dict())
    exported(tmp_path / "p", "vllm", tmp_path / "v")
    client, rng = client_of(tmp_path / "v"), random.Random(0)
    pieces = ("\n", " ", "a", "b", "; ", ";", "Answer:", "The", " it is.", "it is.", "\n\n")
    for _ in range(500):
        text = "".join(rng.choices(pieces, k=rng.randint(0, 6)))
        assert client.read(text) == template.read(text), repr(text)


def test_what_a_client_does_not_do_is_refused_or_said(tmp_path: Path) -> None:
    wording = Template(instruction="Say it.", extract="is (.+)").as_dict()
    saved_prompt(tmp_path / "told", label="pt+instruction", template=wording)
    entry.refused("export", tmp_path / "told", "--to", "vllm", "--out", tmp_path / "x", says=("an instruction",))
    saved_prompt(tmp_path / "pt", template=wording)
    notes = " ".join(exported(tmp_path / "pt", "vllm", tmp_path / "v"))
    assert "regular expression" in notes and 'stop text "\\n"' in notes


@pytest.mark.parametrize(("server", "name"), [("vllm", "vLLM"), ("sglang", "SGLang")])
def test_what_a_server_cannot_do_is_refused_and_what_differs_is_said(tmp_path: Path, server: str, name: str) -> None:
    saved_prompt(tmp_path / "ipt", label="ipt")
    says = ("its own demonstrations", f"no {name} client", "foreword serve")
    entry.refused("export", tmp_path / "ipt", "--to", server, "--out", tmp_path / "x", says=says)
    saved_prompt(tmp_path / "t5", "t5")
    entry.refused("export", tmp_path / "t5", "--to", server, "--out", tmp_path / "x", says=(name, "seq2seq"))
    assert any("demonstrations" in note for note in exported(tmp_path / "ipt", "numpy", tmp_path / "n"))


def test_a_prompt_with_choices_of_each_inputs_own_says_that_it_picks_them(tmp_path: Path) -> None:
    saved_prompt(tmp_path / "p", settings={"choices": [], "choices_column": "opts"})
    assert any("likeliest of its choices" in note for note in exported(tmp_path / "p", "numpy", tmp_path / "out"))
    saved_prompt(tmp_path / "free", settings={"choices": [], "choices_column": ""})
    assert not any("choices" in note for note in exported(tmp_path / "free", "numpy", tmp_path / "free-out"))


def test_a_version_of_a_store_is_exported_by_its_name(tmp_path: Path) -> None:
    saved_prompt(tmp_path / "p")
    registry = Registry(tmp_path / "store")
    serving.keep(registry, "p", tmp_path / "p", choices=("red", "green"))
    notes = exported("p@1", "numpy", tmp_path / "out", "--store", registry.folder)
    assert any("choices" in note for note in notes)
    assert (tmp_path / "out" / "README.md").read_text(encoding="utf-8").startswith("# p@1 for numpy")
