"""Whose a soft prompt is: adapters that are more or other than a prompt are refused, its base model is named where it can be
opened again, and a prompt finds its own."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import entry
import tiny
from foreword.config.run import Run
from foreword.engine import Backbone, load_backbone
from foreword.prompts import store
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.study import single
from foreword.study.plan import suits
from foreword.util.errors import ForewordError
from hub import publish

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
RUN = Run(model="any")


def edit(folder: Path, **entries: Any) -> None:
    table = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps(table | entries), encoding="utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(ForewordError) as caught:
        store.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def foreign(folder: Path, backbone: Backbone | None = None, **entries: Any) -> Path:
    """A prompt as PEFT leaves it: no certificate."""
    values = torch.ones(3, 32) if backbone is None else tiny.soft(backbone, 3)
    assert values is not None
    store.save(SoftPrompt(values, Provenance(backbone="org/model", base="org/model")), folder)
    (folder / "foreword.json").unlink()
    edit(folder, **entries)
    return folder


# -- more, or other, than a prompt (M8) -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["base_model.model.embed_tokens.weight", "base_model.score.weight", "lora_A.weight"])
def test_an_adapter_that_is_more_than_a_prompt_is_refused(key: str, tmp_path: Path) -> None:
    folder = foreign(tmp_path / "p")
    assert store.load(folder).length == 3
    save_file(load_file(folder / WEIGHTS) | {key: torch.ones(2, 2)}, folder / WEIGHTS)
    refused = refusal(folder)
    assert f"holds {key} beside the prompt" in refused and "otherwise than it does in PEFT" in refused


def test_an_adapter_that_says_it_trains_more_is_refused(tmp_path: Path) -> None:
    assert "modules_to_save: ['score']" in refusal(foreign(tmp_path / "p", modules_to_save=["score"]))


@pytest.mark.parametrize("task", ["SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION", "else", 7])
def test_an_adapter_for_another_task_type_is_refused(task: object, tmp_path: Path) -> None:
    refused = refusal(foreign(tmp_path / "p", task_type=task))
    assert f"is for the task type {task}" in refused and "CAUSAL_LM" in refused


def test_pefts_own_classifier_with_a_prompt_is_refused(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="PEFT is not installed here")
    transformers = pytest.importorskip("transformers")
    whole = transformers.LlamaForSequenceClassification(tiny._config("llama"))
    config = peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)
    peft.get_peft_model(whole, config).save_pretrained(tmp_path / "p")
    assert "modules_to_save" in refusal(tmp_path / "p")


@pytest.mark.parametrize(
    ("task", "family", "words"),
    [("SEQ_2_SEQ_LM", "llama", "encoder-decoder model and"), ("CAUSAL_LM", "t5", "decoder-only model and")],
)
def test_a_prompt_for_another_kind_of_model_is_refused(task: str, family: str, words: str, tmp_path: Path) -> None:
    backbone, own = tiny.backbone(family), {"llama": "CAUSAL_LM", "t5": "SEQ_2_SEQ_LM"}[family]
    prompt = store.load(foreign(tmp_path / "p", backbone, task_type=task))
    with pytest.raises(ForewordError, match=words):
        suits(RUN, backbone, prompt)
    for known in (own, None):
        edit(tmp_path / "p", task_type=known)
        suits(RUN, backbone, store.load(tmp_path / "p"))


def test_another_base_models_name_is_noted(tmp_path: Path) -> None:
    backbone = load_backbone(str(entry.save_model(tmp_path / "model")), device="cpu")
    prompt = foreign(tmp_path / "p", backbone)
    (note,) = suits(RUN, backbone, store.load(prompt))
    assert note.startswith("The soft prompt says that it was tuned on org/model and is used on ")
    for same in (backbone.name, str(tmp_path / "model"), str(tmp_path / "p" / ".." / "model")):
        edit(prompt, base_model_name_or_path=same)
        assert suits(RUN, backbone, store.load(prompt)) == ()


def test_another_base_models_name_is_noted_by_every_verb(tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "model")
    prompt = foreign(tmp_path / "p", tiny.backbone("llama"))
    data = entry.save_rows(tmp_path / "in.jsonl", entry.rows(4))
    flags = ("--model", model, "--prompt", prompt, "--max-new-tokens", 6)
    assert "tuned on org/model" in entry.foreword("generate", *flags, "--data", data).err
    result = entry.foreword("evaluate", *flags, "--test", data, "--out", tmp_path / "out", "--json")
    assert [note for note in result.json["notes"] if "tuned on org/model" in note]
    folder = next((tmp_path / "out" / "prompts").iterdir())
    assert store.load(folder).provenance.origin == "peft", "what is used as it is keeps its birth"
    assert "Tuned by foreword" not in (folder / "README.md").read_text(encoding="utf-8")


# -- what PEFT users get (M12) ---------------------------------------------------------------------------------------------


def written_files(tmp_path: Path, **provenance: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    """adapter_config.json, the model card's front matter and its text, of a prompt with this birth."""
    store.save(SoftPrompt(torch.ones(3, 8), Provenance(**provenance)), tmp_path / "p")
    card = (tmp_path / "p" / "README.md").read_text(encoding="utf-8")
    _, front, text = card.split("---\n", 2)
    return json.loads((tmp_path / "p" / CONFIG).read_text(encoding="utf-8")), yaml.safe_load(front), text


@pytest.mark.parametrize("name", ["my: model", "- [odd", "quo\"te's", "#x", "ünï{code}", "two\nlines", "tiny"])
def test_a_local_model_is_named_by_its_path_and_no_hub_id(name: str, tmp_path: Path) -> None:
    base = str((tmp_path / name).absolute())
    config, front, text = written_files(tmp_path, backbone=name, base=base, task="a: task\n# more")
    assert config["base_model_name_or_path"] == base and config["revision"] is None
    assert "base_model" not in front and front["tags"] == ["prompt-tuning", "foreword"]
    assert " ".join(name.split()) in text and "\n# more" not in text


def test_a_hub_model_is_named_with_its_revision(tmp_path: Path) -> None:
    config, front, text = written_files(tmp_path, backbone="org/a.model-1", base="org/a.model-1", revision="v2.0")
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/a.model-1", "v2.0")
    assert front["base_model"] == "org/a.model-1" and "base_model:adapter:org/a.model-1" in front["tags"]
    assert "org/a.model-1 at revision v2.0" in text


def test_a_model_card_claims_no_hub_id_that_it_does_not_know(tmp_path: Path) -> None:
    assert "base_model" not in written_files(tmp_path, backbone="tiny")[1]
    assert "base_model" not in written_files(tmp_path, backbone="tiny", base="tiny", origin="peft")[1]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model named by a relative path, `my: model`, a prompt tuned on it, and inputs."""
    folder = tmp_path_factory.mktemp("tuned")
    entry.save_model(folder / "my: model")
    entry.save_rows(folder / "train.jsonl", entry.rows(24))
    entry.save_rows(folder / "in.jsonl", entry.rows(3))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        flags = ("--model", "my: model", "--data", "train.jsonl", "--max-steps", 2, "--prompt-length", 3)
        result = entry.foreword("tune", *flags, "--train-batch-size", 4, "--max-new-tokens", 4, "--out", "prompt")
        assert result.code == 0, result.err
    return folder


def test_a_prompt_tuned_on_a_folder_opens_in_peft_from_anywhere(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peft = pytest.importorskip("peft", reason="PEFT is not installed here")
    monkeypatch.chdir(tmp_path)
    model = peft.AutoPeftModelForCausalLM.from_pretrained(str(tuned / "prompt"))
    assert model.config.hidden_size == 32
    _, front, _ = (tuned / "prompt" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert "base_model" not in yaml.safe_load(front)


# -- the base model from the prompt (C.2) ----------------------------------------------------------------------------------


def test_the_prompt_names_its_model(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ("--prompt", tuned / "prompt", "--data", tuned / "in.jsonl", "--max-new-tokens", 4, "--json")
    expected = entry.foreword("generate", "--model", tuned / "my: model", *flags)
    result = entry.foreword("generate", *flags)
    assert result.code == 0, result.err
    assert result.lines == expected.lines and len(result.lines) == 3
    assert entry.foreword("generate", "-p", tuned / "prompt", *flags).lines[0]["votes"], "two members, one model"
    scored = ("--prompt", tuned / "prompt", "--test", tuned / "in.jsonl", "--out", "out", "--json")
    assert entry.foreword("evaluate", *scored).json["backbone"] == str((tuned / "my: model").resolve())
    assert entry.foreword("show", *scored[:4], "--json").code == 0


def test_a_model_that_is_given_goes_before_the_prompts(tuned: Path, tmp_path: Path) -> None:
    other = entry.save_model(tmp_path / "other", seed=1)
    config = tmp_path / "c.toml"
    config.write_text(f"model = {json.dumps(str(other))}\n", encoding="utf-8")
    argv = ("generate", "--prompt", tuned / "prompt", "--data", tuned / "in.jsonl")
    entry.refused(*argv, "--model", other, says=("is another model (what differs: weights)", "--allow-other-base"))
    entry.refused(*argv, "--config", config, says=("is another model (what differs: weights)",))


def test_a_prompt_that_names_no_model_or_one_that_is_gone_is_refused(tuned: Path, tmp_path: Path) -> None:
    argv = ("generate", "--data", tuned / "in.jsonl", "--prompt")
    entry.refused(*argv, foreign(tmp_path / "p", base_model_name_or_path=None), says=("does not say", "--model"))
    edit(tmp_path / "p", base_model_name_or_path=str(tmp_path / "gone"))
    entry.refused(*argv, tmp_path / "p", says=("gone, which is not there any more", "--model"))
    entry.refused(*argv, tmp_path / "p", "-p", tuned / "prompt", says=("gone and", "my: model", "give --model"))


def test_the_revision_comes_with_the_model(tuned: Path, tmp_path: Path) -> None:
    from foreword.cli.run import run_with

    prompt = foreign(tmp_path / "p", revision="v2")
    assert [getattr(run_with([str(prompt)], {}), name) for name in ("model", "revision")] == ["org/model", "v2"]
    assert run_with([str(prompt)], {"revision": "v3"}).revision == "v3"
    assert run_with([str(prompt)], {"model": "org/other"}).revision == ""


# -- another base, at the user's word --------------------------------------------------------------------------------------


def test_a_prompt_crosses_to_another_base_only_where_the_user_says_so(tuned: Path, tmp_path: Path) -> None:
    twin = entry.save_model(tmp_path / "twin", seed=1)
    flags = ("--model", twin, "--prompt", tuned / "prompt", "--allow-other-base", "--max-new-tokens", 4)
    result = entry.foreword("evaluate", *flags, "--test", tuned / "in.jsonl", "--out", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    assert [note for note in result.json["notes"] if "what differs: weights), as --allow-other-base says" in note]
    outputs = [answer["output"] for answer in json.loads(Path(result.json["record"]).read_text())["answers"]]
    answered = entry.foreword("generate", *flags, "--data", tuned / "in.jsonl", "--json")
    assert [line["output"] for line in answered.lines] == outputs and "what differs: weights" in answered.err
    entry.save_model(tmp_path / "wide", "opt")
    wide = ("generate", "--model", tmp_path / "wide", *flags[2:], "--data", tuned / "in.jsonl")
    entry.refused(*wide, says=("This prompt has 32 columns and the model", "is 24 wide"))


def test_a_quantised_models_prompt_serves_its_full_precision_twin(tmp_path: Path) -> None:
    """Weights rounded as a quantised model holds them, and the entry of the configuration that says so."""
    whole = copy.deepcopy(tiny.model("llama"))
    whole.save_pretrained(tmp_path / "whole")
    with torch.no_grad():
        for value in whole.parameters():
            value.copy_((value * 64).round() / 64)
    whole.config.quantised_from = "float32"
    whole.save_pretrained(tmp_path / "rounded")
    for name in ("whole", "rounded"):
        tiny.tokenizer().save_pretrained(tmp_path / name)
    first, twin = (load_backbone(str(tmp_path / name), device="cpu") for name in ("rounded", "whole"))
    values = tiny.soft(first, 3)
    assert values is not None
    prompt = SoftPrompt(values, Provenance(backbone="rounded", fingerprint=first.fingerprint))
    with pytest.raises(ForewordError, match=r"what differs: weights, configuration\).*--allow-other-base"):
        suits(RUN, twin, prompt)
    (note,) = suits(RUN.model_copy(update={"allow_other_base": True}), twin, prompt)
    assert "what differs: weights, configuration" in note


# -- a prompt by its hub id ------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache of one's own, read by the hub's own library without a network."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


def test_a_prompt_is_taken_by_its_hub_id(
    tuned: Path, hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    publish(hub, "someone/prompt", tuned / "prompt")
    assert store.load(store.located("someone/prompt")).digest == store.load(tuned / "prompt").digest
    flags = ("--data", tuned / "in.jsonl", "--max-new-tokens", 4, "--json")
    result = entry.foreword("generate", "--prompt", "someone/prompt", *flags)
    assert result.code == 0, result.err
    assert result.lines == entry.foreword("generate", "--prompt", tuned / "prompt", *flags).lines


def test_a_hub_id_may_name_a_revision(tuned: Path, hub: Path) -> None:
    publish(hub, "someone/prompt", tuned / "prompt", "v1")
    assert store.load(store.located("someone/prompt@v1")).length == 3
    with pytest.raises(ForewordError, match="neither a folder here nor to be had from the hub"):
        store.located("someone/prompt")


def test_a_folder_goes_before_the_hub_and_a_path_never_asks_it(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(*_: Any, **__: Any) -> str:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    monkeypatch.chdir(tuned)
    (tmp_path / "prompts").mkdir()
    assert store.located("prompt") == Path("prompt")
    for path in ("./a/b", "a/b/c", "~/a", "prompt/nothing", str(tmp_path / "x"), "a b/c", "nowhere"):
        assert store.located(path) == Path(path).expanduser()


def test_the_whole_run_is_the_one_that_the_prompt_wants(tuned: Path) -> None:
    run, prompt = single.with_prompt(Run(model="m", data="d"), str(tuned / "prompt"), None)
    assert prompt is not None and run.tuning.init_prompt == str(tuned / "prompt")
