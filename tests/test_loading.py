"""Loading: a check at load finds what is broken and the answers stay exact; what cannot be loaded is refused in one sentence."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers

import entry
import tiny
from foreword.engine import Row, load_backbone, wrap
from foreword.prompts import store
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.study.base import base_of
from foreword.util.errors import ForewordError

# -- broken models: the check at load switches the short cut off, and the answers stay exact -------------------------------


class Deaf(transformers.LlamaForCausalLM):
    """Takes position ids and ignores them, as a wrapper that prepares its own does."""

    def forward(self, input_ids: Any = None, position_ids: Any = None, **kwargs: Any) -> Any:
        return super().forward(input_ids=input_ids, **kwargs)


class Forgetful(transformers.LlamaForCausalLM):
    """Its cache loses the last position of each pass."""

    def forward(self, input_ids: Any = None, position_ids: Any = None, **kwargs: Any) -> Any:
        out = super().forward(input_ids=input_ids, position_ids=position_ids, **kwargs)
        if out.past_key_values is not None:
            for layer in out.past_key_values.layers:
                layer.keys.detach()[:, :, -1] = 0
        return out


class Cacheless(transformers.LlamaForCausalLM):
    """Has never heard of a cache."""

    def forward(
        self,
        input_ids: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        use_cache: Any = None,
        **kwargs: Any,
    ) -> Any:
        if past_key_values is not None:
            raise TypeError("forward() got an unexpected keyword argument 'past_key_values'")
        return super().forward(input_ids=input_ids, position_ids=position_ids, use_cache=False, **kwargs)


class Mute(transformers.LlamaForCausalLM):
    """Computes its logits without calling its output layer."""

    def forward(self, input_ids: Any = None, position_ids: Any = None, **kwargs: Any) -> Any:
        out = self.model(input_ids=input_ids, position_ids=position_ids, **kwargs)
        logits = out.last_hidden_state @ self.lm_head.weight.T
        return transformers.modeling_outputs.CausalLMOutputWithPast(
            logits=logits, past_key_values=out.past_key_values, hidden_states=out.hidden_states
        )


def fresh(kind: Any) -> Any:
    model = kind(tiny._config("llama")).eval()
    model.load_state_dict(tiny.model("llama").state_dict())
    return model


CAPABILITIES = (
    "prefix_cache",
    "left_padding",
    "logits_to_keep",
    "incremental_decoding",
    "packed_sequence",
    "shared_prefix",
    "fused_lm_head_loss",
)


def only(*names: str) -> dict[str, bool]:
    """These traits hold and no others."""
    return {name: name in names for name in CAPABILITIES}


BROKEN: dict[str, tuple[Any, dict[str, bool]]] = {
    "deaf": (Deaf, only("prefix_cache", "logits_to_keep", "incremental_decoding", "fused_lm_head_loss")),
    "forgetful": (Forgetful, only("logits_to_keep", "fused_lm_head_loss")),
    "cacheless": (Cacheless, only("logits_to_keep", "fused_lm_head_loss")),
    "mute": (Mute, only("prefix_cache", "left_padding", "incremental_decoding")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_short_cut_is_found_and_not_taken(name: str) -> None:
    kind, capabilities = BROKEN[name]
    broken, whole = wrap(name, fresh(kind), tiny.tokenizer()), tiny.backbone("llama")
    assert vars(broken.engine.capabilities) == capabilities
    rows = tiny.rows(14, seed="broken", prefix=tiny.ids(3, "broken"), longest=10)
    start = tiny.soft(whole, 4)
    assert start is not None
    expected = whole.generate(start, rows, 6)
    assert broken.generate(start, rows, 6) == expected
    assert [broken.generate(start, [row], 6)[0] for row in rows] == expected
    assert broken.score(start, rows) == pytest.approx(whole.score(start, rows), rel=1e-4)
    gradients = []
    for backbone in (broken, whole):
        soft = start.clone().requires_grad_(True)
        backbone.loss(soft, rows)[0].backward()  # type: ignore[no-untyped-call]
        gradients.append(soft.grad)
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-5  # type: ignore[operator,union-attr]


class StaleBart(transformers.BartForConditionalGeneration):
    """Its decoder's cache loses the last position of each pass."""

    def forward(self, attention_mask: Any = None, **kwargs: Any) -> Any:
        out = super().forward(attention_mask=attention_mask, **kwargs)
        if kwargs.get("past_key_values") is not None:
            for layer in kwargs["past_key_values"].self_attention_cache.layers:
                layer.keys[:, :, -1] = 0
        return out


class PlainBart(transformers.BartForConditionalGeneration):
    """Knows no cache and calls no output layer."""

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        encoder_outputs: Any = None,
        decoder_input_ids: Any = None,
        use_cache: Any = None,
    ) -> Any:
        out = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_outputs=encoder_outputs,
            decoder_input_ids=decoder_input_ids,
        )
        logits = out.last_hidden_state @ self.lm_head.weight.T + self.final_logits_bias
        return transformers.modeling_outputs.Seq2SeqLMOutput(logits=logits)


@pytest.mark.parametrize(("kind", "picks"), [(StaleBart, True), (PlainBart, False)])
def test_an_encoder_decoders_broken_cache_is_found_and_not_used(kind: Any, picks: bool) -> None:
    model = kind(tiny._config("bart")).eval()
    model.load_state_dict(tiny.model("bart").state_dict())
    broken, whole = wrap("broken", model, tiny.tokenizer()), tiny.backbone("bart")
    assert whole.engine.capabilities.incremental_decoding and whole.engine.capabilities.logits_to_keep
    assert (broken.engine.capabilities.incremental_decoding, broken.engine.capabilities.logits_to_keep) == (
        False,
        picks,
    )
    rows, soft = tiny.rows(12, seed="stale"), tiny.soft(whole, 3)
    expected = whole.generate(soft, rows, 6)
    assert broken.generate(soft, rows, 6) == expected
    assert [broken.generate(soft, [row], 6)[0] for row in rows] == expected
    assert broken.score(soft, rows) == pytest.approx(whole.score(soft, rows), rel=1e-4)


def test_a_short_cut_wrongly_trusted_would_be_wrong() -> None:
    """The broken models are really broken: forced onto the short cut, their answers change."""
    whole, rows = tiny.backbone("llama"), tiny.rows(14, seed="broken", longest=10)
    soft = tiny.soft(whole, 4)
    expected = whole.generate(soft, rows, 6)
    for kind, keeps in ((Deaf, True), (Deaf, False), (Forgetful, False)):
        forced = wrap("forced", fresh(kind), tiny.tokenizer())
        forced.engine.capabilities = replace(whole.engine.capabilities, shared_prefix=keeps)
        assert forced.generate(soft, rows, 6) != expected


def test_states_are_there_where_the_head_cannot_be_heard() -> None:
    mute = wrap("mute", fresh(Mute), tiny.tokenizer())
    assert not mute.engine.capabilities.logits_to_keep
    heard = wrap("heard", fresh(transformers.LlamaForCausalLM), tiny.tokenizer())
    assert np.abs(mute.states(("ba lo", "tem na sho ku")) - heard.states(("ba lo", "tem na sho ku"))).max() < 1e-4


# -- loading --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    copy.deepcopy(tiny.model("llama")).save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path


def test_a_folder_is_loaded(folder: Path) -> None:
    backbone = load_backbone(str(folder), device="cpu")
    assert (backbone.kind, backbone.hidden, backbone.vocab, backbone.window, backbone.eos) == (
        "causal",
        32,
        tiny.WORDS,
        160,
        (2,),
    )
    assert backbone.fingerprint == tiny.backbone("llama").fingerprint


@pytest.mark.parametrize("beside", ["a checkpoint", "a copy", "another"])
def test_the_output_alphabet_is_no_checkpoints_tokenizer_nor_a_copy(beside: str, tmp_path: Path) -> None:
    folder = entry.save_model(tmp_path / "t5", "t5")
    alone = load_backbone(str(folder), device="cpu")
    if beside == "a checkpoint":  # as a Trainer leaves one in its output folder; its tokenizer may be of another moment
        entry.save_model(folder / "checkpoint-500", "t5")
        tiny.tokenizer(bos=True).save_pretrained(folder / "checkpoint-500")
    else:
        tiny.tokenizer(bos=beside == "another").save_pretrained(folder / "target")
    with_it = load_backbone(str(folder), device="cpu")
    assert (with_it.fingerprint == alone.fingerprint) == (beside != "another")
    assert any("Answers are written" in note for note in with_it.notes) == (beside == "another")


@pytest.mark.parametrize("name", ["reference", "reference-small", "smollm2"])
def test_a_folder_of_the_name_of_a_model_of_forewords_is_not_passed_over(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / name)
    assert (
        f"'{name}' is a model of foreword's and a folder" in (message := refusal(name))
        and f"--model ./{name}" in message
    )
    assert load_backbone(f"./{name}", device="cpu").fingerprint == tiny.backbone("llama").fingerprint


def test_a_name_like_one_of_forewords_is_a_folder_or_a_hub_id(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "on the hub (did you mean 'reference-small'?)" in refusal("reference-smal")
    shutil.copytree(folder, tmp_path / "reference-mine")
    assert load_backbone("reference-mine", device="cpu").fingerprint == tiny.backbone("llama").fingerprint
    born = Provenance(backbone="reference-mine", base=str(tmp_path / "reference-mine"))
    store.save(SoftPrompt(torch.ones(2, 32), born), tmp_path / "prompt")
    assert base_of([str(tmp_path / "prompt")]).model == str(tmp_path / "reference-mine"), "from another folder too"
    assert load_backbone("reference-medium", device="cpu").hidden == load_backbone("reference", device="cpu").hidden


def refusal(name: str, **options: Any) -> str:
    with pytest.raises(ForewordError) as caught:
        load_backbone(name, **({"device": "cpu"} | options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_loaded_is_refused_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    assert "There is no model folder at" in refusal(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "has no config.json, so it holds no model" in refusal(str(tmp_path / "empty"))
    assert "There is no dtype 'float31'; did you mean 'float32'?" in refusal(str(folder), dtype="float31")
    assert "cannot be used here" in refusal(str(folder), device="abacus")
    assert "neither a folder here nor reachable on the hub" in refusal("no-such-model-anywhere")


def damaged(folder: Path, to: Path, **files: bytes | None) -> str:
    shutil.copytree(folder, to)
    for name, data in files.items():
        path = to / name.replace("__", ".")
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
    return refusal(str(to))


def test_damaged_folders_are_refused_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    assert "could not be loaded" in damaged(folder, tmp_path / "cut", model__safetensors=whole[:-500])
    assert "could not be loaded" in damaged(folder, tmp_path / "config", config__json=b"{")
    message = damaged(folder, tmp_path / "pickle", model__safetensors=None, pytorch_model__bin=b"x")
    assert "has no model.safetensors; foreword reads no pickles" in message


def test_rows_are_the_same_through_a_folder(folder: Path) -> None:
    loaded, memory = load_backbone(str(folder), device="cpu"), tiny.backbone("llama")
    rows: Sequence[Row] = tiny.rows(4, seed="folder")
    assert loaded.score(None, rows) == memory.score(None, rows)
