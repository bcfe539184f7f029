"""Prompts cross between foreword and PEFT in both directions with the same logits; no other way of loading is tried here."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
from foreword.config.tuning import Tuning
from foreword.engine import Backbone, Row, wrap
from foreword.prompts import store
from foreword.prompts.inits import InitSource
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.train.loop import dev_loss, train
from foreword.train.trainables import TRAINABLES, Setup

peft = pytest.importorskip("peft", reason="PEFT is not installed here")

FAMILIES = ("llama", "gpt2", "opt", "bloom", "gpt_neox", "t5", "bart")
TASKS = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}


@pytest.fixture(params=FAMILIES)
def one(request: pytest.FixtureRequest, tmp_path: Path) -> Backbone:
    """A tiny backbone, with its model in a folder as PEFT wants it."""
    found = tiny.backbone(request.param)
    found.model.save_pretrained(tmp_path / "model")
    return found


def same_size(one: Backbone, count: int = 3) -> list[Row]:
    """Rows of one length, so that no batch holds padding."""
    return [Row((), tiny.ids(6, f"peft own {i}"), tiny.ids(3, f"peft answer {i}")) for i in range(count)]


def ours(one: Backbone, values: Tensor, rows: list[Row]) -> Tensor:
    """Logits [N, V] at the answer tokens, by foreword."""
    with torch.no_grad():
        return one.engine.answer_logits(values, rows)[0]  # type: ignore[attr-defined,no-any-return]


def theirs(model: Any, one: Backbone, rows: list[Row]) -> Tensor:
    """The same by PEFT's forward pass over an unpadded batch."""
    read = torch.tensor(
        [one.tokenizer.start + row.own + (one.tokenizer.end if one.kind == "seq2seq" else ()) for row in rows]
    )
    said = torch.tensor([row.answer for row in rows])
    with torch.no_grad():
        if one.kind == "seq2seq":
            first = torch.full((len(rows), 1), one.model.config.decoder_start_token_id)
            mask = torch.ones_like(read)
            decoded = torch.cat([first, said[:, :-1]], dim=1)
            logits = model(input_ids=read, attention_mask=mask, decoder_input_ids=decoded).logits
        else:
            ids = torch.cat([read, said[:, :-1]], dim=1)
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits[:, -said.shape[1] :].reshape(-1, logits.shape[-1])


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


def test_a_prompt_tuned_here_opens_in_peft(one: Backbone, tmp_path: Path) -> None:
    rows = same_size(one)
    start = tiny.soft(one, 5)
    assert start is not None
    tuning = Tuning(prompt_length=5, max_steps=4, eval_every=4, batch_size=3)
    trainable = TRAINABLES["prompt"]
    setup = Setup(one, tuning, 0, InitSource(prompt=SoftPrompt(start, Provenance(backbone="x"))))
    _, tuned = train(trainable, setup, rows, lambda backbone: dev_loss(backbone, rows, 8), folder=tmp_path / "work")
    provenance = Provenance(backbone=str(tmp_path / "model"), fingerprint=one.fingerprint, kind=one.kind)
    assert trainable.artifact is not None
    prompt = trainable.artifact(tuned.best, provenance)
    store.save(prompt, tmp_path / "prompt")
    model = peft.PeftModel.from_pretrained(copy.deepcopy(one.model), str(tmp_path / "prompt")).eval()
    assert type(model).__name__ == {"causal": "PeftModelForCausalLM", "seq2seq": "PeftModelForSeq2SeqLM"}[one.kind]
    found = theirs(model, one, rows)
    assert apart(found, ours(one, prompt.values, rows)) < 1e-5
    assert apart(found, ours(one, start, rows)) > 1e-3


def test_a_prompt_trained_in_peft_opens_here(one: Backbone, tmp_path: Path) -> None:
    rows = same_size(one)
    config = peft.PromptTuningConfig(task_type=TASKS[one.kind], num_virtual_tokens=4)
    config.token_dim = one.hidden  # PEFT takes the layers' width where an OPT's embedding rows are narrower
    torch.manual_seed(1)
    model = peft.get_peft_model(copy.deepcopy(one.model), config)
    trained = [value for value in model.parameters() if value.requires_grad]
    assert [tuple(value.shape) for value in trained] == [(8 if one.kind == "seq2seq" else 4, one.hidden)]
    steps = torch.optim.AdamW(trained, lr=0.05)
    read, said = torch.tensor([row.own for row in rows]), torch.tensor([row.answer for row in rows])
    for _ in range(3):
        if one.kind == "seq2seq":
            loss = model(input_ids=read, attention_mask=torch.ones_like(read), labels=said).loss
        else:
            ids = torch.cat([read, said], dim=1)
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss
        steps.zero_grad()
        loss.backward()
        steps.step()
    model.eval()
    model.save_pretrained(str(tmp_path / "theirs"))
    prompt = store.load(tmp_path / "theirs")
    assert prompt.provenance.origin == "peft" and prompt.provenance.kind == one.kind
    assert (prompt.length, prompt.hidden) == (4, one.hidden)
    prompt.fits(name=one.name, fingerprint=one.fingerprint, hidden=one.hidden)
    assert apart(ours(one, prompt.values, rows), theirs(model, one, rows)) < 1e-5
    store.save(prompt, tmp_path / "and back")
    again = peft.PeftModel.from_pretrained(copy.deepcopy(one.model), str(tmp_path / "and back")).eval()
    assert apart(theirs(again, one, rows), theirs(model, one, rows)) < 1e-5


def test_peft_generates_what_foreword_generates_where_nothing_is_padded(tmp_path: Path) -> None:
    one = tiny.backbone("llama")
    values = tiny.soft(one, 5)
    assert values is not None
    store.save(SoftPrompt(values, Provenance(backbone="tiny", fingerprint=one.fingerprint)), tmp_path / "prompt")
    model = peft.PeftModel.from_pretrained(copy.deepcopy(one.model), str(tmp_path / "prompt")).eval()
    for row in same_size(one):
        ids = torch.tensor([row.own])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
        assert out[0, len(row.own) :].tolist() == one.generate(values, [row], 6)[0]


def test_a_p_tuning_adapter_opens_here(tmp_path: Path) -> None:
    one = tiny.backbone("llama")
    config = peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4, encoder_hidden_size=16)
    model = peft.get_peft_model(copy.deepcopy(one.model), config).eval()
    model.save_pretrained(str(tmp_path / "theirs"))
    prompt = store.load(tmp_path / "theirs")
    rows = same_size(one)
    assert apart(ours(one, prompt.values, rows), theirs(model, one, rows)) < 1e-5


def test_the_config_says_what_peft_itself_writes(tmp_path: Path) -> None:
    one = wrap("tiny", copy.deepcopy(tiny.model("llama")), tiny.tokenizer())
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    peft.get_peft_model(one.model, config).save_pretrained(str(tmp_path / "theirs"))
    store.save(SoftPrompt(torch.ones(3, 32), Provenance(backbone="x")), tmp_path / "ours")
    told = {
        name: json.loads((tmp_path / name / "adapter_config.json").read_text(encoding="utf-8"))
        for name in ("theirs", "ours")
    }
    assert set(told["ours"]) - set(told["theirs"]) == set()
    for key in ("peft_type", "task_type", "num_virtual_tokens", "token_dim", "inference_mode", "prompt_tuning_init"):
        assert told["ours"][key] == told["theirs"][key], key
