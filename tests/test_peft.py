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
def backbone(request: pytest.FixtureRequest, tmp_path: Path) -> Backbone:
    """A tiny backbone, with its model in a folder as PEFT wants it."""
    tiny_backbone = tiny.backbone(request.param)
    tiny_backbone.model.save_pretrained(tmp_path / "model")
    return tiny_backbone


def same_size(backbone: Backbone, count: int = 3) -> list[Row]:
    """Rows of one length, so that no batch holds padding."""
    return [Row((), tiny.ids(6, f"peft own {i}"), tiny.ids(3, f"peft answer {i}")) for i in range(count)]


def ours(backbone: Backbone, values: Tensor, rows: list[Row]) -> Tensor:
    """Logits [N, V] at the answer tokens, by foreword."""
    with torch.no_grad():
        return backbone.engine.answer_logits(values, rows)[0]  # type: ignore[attr-defined,no-any-return]


def theirs(model: Any, backbone: Backbone, rows: list[Row]) -> Tensor:
    """The same by PEFT's forward pass over an unpadded batch."""
    read = torch.tensor(
        [
            backbone.tokenizer.start + row.own + (backbone.tokenizer.end if backbone.kind == "seq2seq" else ())
            for row in rows
        ]
    )
    answers = torch.tensor([row.answer for row in rows])
    with torch.no_grad():
        if backbone.kind == "seq2seq":
            first = torch.full((len(rows), 1), backbone.model.config.decoder_start_token_id)
            mask = torch.ones_like(read)
            decoded = torch.cat([first, answers[:, :-1]], dim=1)
            logits = model(input_ids=read, attention_mask=mask, decoder_input_ids=decoded).logits
        else:
            ids = torch.cat([read, answers[:, :-1]], dim=1)
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits[:, -answers.shape[1] :].reshape(-1, logits.shape[-1])


def apart(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


def test_a_prompt_tuned_here_opens_in_peft(backbone: Backbone, tmp_path: Path) -> None:
    rows = same_size(backbone)
    start = tiny.soft(backbone, 5)
    assert start is not None
    tuning = Tuning(prompt_length=5, max_steps=4, eval_every=4, batch_size=3)
    trainable = TRAINABLES["prompt"]
    setup = Setup(backbone, tuning, 0, InitSource(prompt=SoftPrompt(start, Provenance(backbone="x"))))
    _, tuned = train(trainable, setup, rows, lambda trained: dev_loss(trained, rows, 8), folder=tmp_path / "work")
    provenance = Provenance(backbone=str(tmp_path / "model"), fingerprint=backbone.fingerprint, kind=backbone.kind)
    assert trainable.artifact is not None
    prompt = trainable.artifact(tuned.best, provenance)
    store.save(prompt, tmp_path / "prompt")
    model = peft.PeftModel.from_pretrained(copy.deepcopy(backbone.model), str(tmp_path / "prompt")).eval()
    assert type(model).__name__ == {"causal": "PeftModelForCausalLM", "seq2seq": "PeftModelForSeq2SeqLM"}[backbone.kind]
    logits = theirs(model, backbone, rows)
    assert apart(logits, ours(backbone, prompt.values, rows)) < 1e-5
    assert apart(logits, ours(backbone, start, rows)) > 1e-3


def test_a_prompt_trained_in_peft_opens_here(backbone: Backbone, tmp_path: Path) -> None:
    rows = same_size(backbone)
    config = peft.PromptTuningConfig(task_type=TASKS[backbone.kind], num_virtual_tokens=4)
    config.token_dim = backbone.hidden  # PEFT takes the layers' width where an OPT's embedding rows are narrower
    torch.manual_seed(1)
    model = peft.get_peft_model(copy.deepcopy(backbone.model), config)
    trained = [value for value in model.parameters() if value.requires_grad]
    assert [tuple(value.shape) for value in trained] == [(8 if backbone.kind == "seq2seq" else 4, backbone.hidden)]
    steps = torch.optim.AdamW(trained, lr=0.05)
    read, answers = torch.tensor([row.own for row in rows]), torch.tensor([row.answer for row in rows])
    for _ in range(3):
        if backbone.kind == "seq2seq":
            loss = model(input_ids=read, attention_mask=torch.ones_like(read), labels=answers).loss
        else:
            ids = torch.cat([read, answers], dim=1)
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss
        steps.zero_grad()
        loss.backward()
        steps.step()
    model.eval()
    model.save_pretrained(str(tmp_path / "theirs"))
    prompt = store.load(tmp_path / "theirs")
    assert prompt.provenance.origin == "peft" and prompt.provenance.kind == backbone.kind
    assert (prompt.length, prompt.hidden) == (4, backbone.hidden)
    prompt.fits(name=backbone.name, fingerprint=backbone.fingerprint, hidden=backbone.hidden)
    assert apart(ours(backbone, prompt.values, rows), theirs(model, backbone, rows)) < 1e-5
    store.save(prompt, tmp_path / "and back")
    again = peft.PeftModel.from_pretrained(copy.deepcopy(backbone.model), str(tmp_path / "and back")).eval()
    assert apart(theirs(again, backbone, rows), theirs(model, backbone, rows)) < 1e-5


def test_peft_generates_what_foreword_generates_where_nothing_is_padded(tmp_path: Path) -> None:
    backbone = tiny.backbone("llama")
    values = tiny.soft(backbone, 5)
    assert values is not None
    store.save(SoftPrompt(values, Provenance(backbone="tiny", fingerprint=backbone.fingerprint)), tmp_path / "prompt")
    model = peft.PeftModel.from_pretrained(copy.deepcopy(backbone.model), str(tmp_path / "prompt")).eval()
    for row in same_size(backbone):
        ids = torch.tensor([row.own])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
        assert out[0, len(row.own) :].tolist() == backbone.generate(values, [row], 6)[0]


def test_a_p_tuning_adapter_opens_here(tmp_path: Path) -> None:
    backbone = tiny.backbone("llama")
    config = peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4, encoder_hidden_size=16)
    model = peft.get_peft_model(copy.deepcopy(backbone.model), config).eval()
    model.save_pretrained(str(tmp_path / "theirs"))
    prompt = store.load(tmp_path / "theirs")
    rows = same_size(backbone)
    assert apart(ours(backbone, prompt.values, rows), theirs(model, backbone, rows)) < 1e-5


def test_the_config_says_what_peft_itself_writes(tmp_path: Path) -> None:
    backbone = wrap("tiny", copy.deepcopy(tiny.model("llama")), tiny.tokenizer())
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    peft.get_peft_model(backbone.model, config).save_pretrained(str(tmp_path / "theirs"))
    store.save(SoftPrompt(torch.ones(3, 32), Provenance(backbone="x")), tmp_path / "ours")
    configs = {
        name: json.loads((tmp_path / name / "adapter_config.json").read_text(encoding="utf-8"))
        for name in ("theirs", "ours")
    }
    assert set(configs["ours"]) - set(configs["theirs"]) == set()
    for key in ("peft_type", "task_type", "num_virtual_tokens", "token_dim", "inference_mode", "prompt_tuning_init"):
        assert configs["ours"][key] == configs["theirs"][key], key
