"""What a model brings along runs, or is read, only where the user says so: code, pickles, files elsewhere, adapters; each refusal is one
sentence."""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers

import entry
import tiny
from foreword.__main__ import QUIET
from foreword.engine import load_backbone
from foreword.engine.trainable import load_trainable
from foreword.models.one_load import NO_ROBOT
from foreword.prompts.retrieve import sentence_encoder
from foreword.util.errors import ForewordError
from hub import publish

SOURCE = Path(__file__).parents[1] / "src" / "foreword"
LOADERS = ("from_pretrained", "from_config", "SentenceTransformer")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entry.save_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    """A copy of a model to be spoilt."""
    return Path(shutil.copytree(model, tmp_path / "model"))


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(ForewordError) as caught:
        load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def loading(folder: Path, **options: Any) -> Callable[[], object]:
    return lambda: load_backbone(str(folder), device="cpu", **options)


def edit(path: Path, **entries: Any) -> None:
    table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(table | entries), encoding="utf-8")


# -- code of a model's own (C.3, D.1) --------------------------------------------------------------------------------------


def test_every_call_that_can_run_a_models_code_says_whether_it_may() -> None:
    """The model library takes a missing argument for a question on stdin."""
    count, silent = 0, []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = [node.func, *node.args] if ast.unparse(node.func).endswith("partial") else [node.func]
            if any(isinstance(part, ast.Attribute) and part.attr in LOADERS for part in called):
                count += 1
                if "trust_remote_code" not in {keyword.arg for keyword in node.keywords}:
                    silent.append(f"{path.relative_to(SOURCE)}:{node.lineno} {ast.unparse(node)[:80]}")
    assert count >= 7
    assert not silent, "\n".join(silent)


CODE = """
import pathlib
pathlib.Path({mark!r}).write_text("ran")
import transformers
class OwnConfig(transformers.LlamaConfig):
    model_type = "own"
class OwnModel(transformers.LlamaForCausalLM):
    config_class = OwnConfig
class OwnTokenizer(transformers.PreTrainedTokenizerFast):
    pass
"""


def bring_code(folder: Path, mark: Path, file: str = "config.json") -> None:
    """Give a model folder code of its own, which leaves a mark when it runs."""
    (folder / "own.py").write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    if file == "config.json":
        own = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
        edit(folder / file, auto_map=own, model_type="own", architectures=["OwnModel"])
    else:
        edit(folder / file, auto_map={"AutoTokenizer": [None, "own.OwnTokenizer"]}, tokenizer_class="OwnTokenizer")


@pytest.fixture
def questions_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions put to the user, each answered with yes."""
    questions: list[str] = []
    monkeypatch.setattr(builtins, "input", lambda question="": questions.append(question) or "y")
    return questions


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_models_own_code_never_runs_unasked_nor_is_asked_for(
    file: str, folder: Path, tmp_path: Path, questions_asked: list[str]
) -> None:
    bring_code(folder, tmp_path / "mark", file)
    refused = refusal(loading(folder))
    assert "brings its own code; add --trust-remote-code if you trust its authors" in refused
    assert not questions_asked and not (tmp_path / "mark").exists()
    assert load_backbone(str(folder), device="cpu", trust_remote_code=True).hidden == 32
    assert (tmp_path / "mark").exists(), "with the flag it does run"


def test_the_command_line_refuses_a_models_own_code(folder: Path, tmp_path: Path, questions_asked: list[str]) -> None:
    bring_code(folder, tmp_path / "mark")
    data = entry.save_rows(tmp_path / "in.jsonl", [{"input": "ba"}])
    argv = ("generate", "--model", folder, "--data", data, "--max-new-tokens", 2)
    entry.refused(*argv, says=("brings its own code", "--trust-remote-code"))
    assert not questions_asked and not (tmp_path / "mark").exists()
    assert entry.foreword(*argv, "--trust-remote-code").code == 0


@pytest.mark.parametrize("load", [load_backbone, load_trainable])
def test_a_second_tokenizers_own_code_never_runs_unasked(load: Any, tmp_path: Path, questions_asked: list[str]) -> None:
    folder = entry.save_model(tmp_path / "t5", "t5")
    tiny.tokenizer().save_pretrained(folder / "target")
    bring_code(folder / "target", tmp_path / "mark", "tokenizer_config.json")
    assert "--trust-remote-code" in refusal(lambda: load(str(folder), device="cpu"))
    assert not questions_asked and not (tmp_path / "mark").exists()


# -- pickles, and files that lie elsewhere (D.3) ---------------------------------------------------------------------------


def sharded(folder: Path, shard: str) -> None:
    """The model's weights as one shard of this name, as a pickle where the name is none of safetensors."""
    weights = transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    path = folder / shard
    if shard.endswith(".safetensors"):
        from safetensors.torch import save_file

        save_file({name: value.clone() for name, value in weights.items()}, path, metadata={"format": "pt"})
    else:
        torch.save(weights, path)
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(weights, shard)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.fixture
def no_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr(torch, "load", opened)


@pytest.mark.usefixtures("no_pickles")
def test_a_list_of_weight_files_names_safetensors_of_its_own_folder_alone(folder: Path, tmp_path: Path) -> None:
    sharded(folder, "own.safetensors")
    assert load_backbone(str(folder), device="cpu").fingerprint == tiny.backbone("llama").fingerprint
    (folder / "own.safetensors").rename(tmp_path / "elsewhere.safetensors")
    for away in ("../elsewhere.safetensors", str(tmp_path / "elsewhere.safetensors"), "..\\elsewhere.safetensors"):
        edit(folder / "model.safetensors.index.json", weight_map={"lm_head.weight": away})
        refused = refusal(loading(folder))
        assert "lies outside its folder" in refused and "model.safetensors.index.json" in refused


@pytest.mark.usefixtures("no_pickles")
@pytest.mark.parametrize("shard", ["pytorch_model.bin", "weights.pt", "model.safetensors.bin"])
def test_a_list_of_weight_files_that_names_a_pickle_is_refused(shard: str, folder: Path) -> None:
    sharded(folder, shard)
    refused = refusal(loading(folder))
    assert shard in refused and "foreword reads no pickles" in refused and "weights_only" not in refused


@pytest.mark.usefixtures("no_pickles")
def test_a_config_that_names_other_weight_files_is_held_to_the_same(folder: Path) -> None:
    edit(folder / "config.json", transformers_weights="adapter_model.bin")
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.bin")
    assert "config.json, which is no safetensors file" in refusal(loading(folder))
    edit(folder / "config.json", transformers_weights="../model.safetensors")
    assert "lies outside its folder" in refusal(loading(folder))
    edit(folder / "config.json", transformers_weights="other.safetensors.index.json")
    edit(folder / "other.safetensors.index.json", weight_map={"lm_head.weight": "x.bin"}, metadata={})
    assert "'x.bin' in other.safetensors.index.json" in refusal(loading(folder))


@pytest.mark.parametrize("index", ["[]", '{"weight_map": 3}', "{}", '{"weight_map": {"a": 5}}'])
def test_a_damaged_list_of_weight_files_is_refused(index: str, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    assert "model.safetensors.index.json" in refusal(loading(folder))


@pytest.mark.parametrize("kind", ["LORA", "PROMPT_TUNING"])
def test_an_adapter_in_a_model_folder_is_not_applied_silently(kind: str, folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="PEFT is not installed here")
    whole = transformers.AutoModelForCausalLM.from_pretrained(folder)
    config = (
        peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False)
        if kind == "LORA"
        else peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    )
    peft.get_peft_model(whole, config).save_pretrained(tmp_path / "adapter")
    for path in (tmp_path / "adapter").iterdir():
        if path.name.startswith("adapter"):
            shutil.copy(path, folder)
    refused = refusal(loading(folder))
    assert f"holds an adapter (adapter_config.json: {kind} of " in refused
    assert ("--prompt" if kind == "PROMPT_TUNING" else "merge_and_unload") in refused
    assert f"adapter_config.json: {kind}" in refusal(loading(tmp_path / "adapter")), "a folder that is an adapter alone"


def test_a_model_of_the_hub_is_held_to_the_same(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its files lie in the cache of the hub's library: behind links, which are no files elsewhere."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    publish(tmp_path / "hub", "someone/model", folder)
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    backbone = load_backbone("someone/model", device="cpu")
    assert backbone.fingerprint == tiny.backbone("llama").fingerprint
    assert backbone.stored is not None and (backbone.stored.source, backbone.stored.revision) == ("someone/model", "")
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "base_model_name_or_path": "x/y"}', encoding="utf-8"
    )
    refused = refusal(lambda: load_backbone("someone/model", device="cpu"))
    assert refused.startswith("The model someone/model holds an adapter (adapter_config.json: LORA of x/y)")
    (folder / "adapter_config.json").unlink()
    edit(folder / "model.safetensors.index.json", weight_map={"a": "pytorch_model.bin"})
    assert "foreword reads no pickles" in refusal(lambda: load_backbone("someone/model", device="cpu"))


@pytest.mark.parametrize("set_to", [None, "0"])
def test_no_robot_is_asked_for_a_conversion_from_python_either(
    set_to: str | None, folder: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line sets the variable for its process; what the user has set stays."""
    library, during = importlib.import_module("sentence_transformers"), []
    for owner, name in ((transformers.AutoModelForCausalLM, "from_pretrained"), (library, "SentenceTransformer")):
        own = getattr(owner, name)

        def spied(*args: Any, own: Any = own, **options: Any) -> Any:
            during.append(os.environ.get(NO_ROBOT))
            return own(*args, **options)

        monkeypatch.setattr(owner, name, spied)
    monkeypatch.delenv(NO_ROBOT, raising=False)
    if set_to is not None:
        monkeypatch.setenv(NO_ROBOT, set_to)
    load_backbone(str(folder), device="cpu")
    sentence_encoder(str(encoder), device="cpu")
    assert during == [set_to or "1"] * 2
    assert os.environ.get(NO_ROBOT) == set_to, "it is put back"
    assert NO_ROBOT in QUIET


# -- sentence encoders -----------------------------------------------------------------------------------------------------


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A tiny sentence encoder with a layer of its own behind the pooling."""
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    parts = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    shape = transformers.BertConfig(
        vocab_size=tiny.WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(shape).save_pretrained(tmp_path / "bert")
    tiny.tokenizer().save_pretrained(tmp_path / "bert")
    modules = [parts.Transformer(str(tmp_path / "bert")), parts.Pooling(16), parts.Dense(16, 8)]
    library.SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "encoder"))
    return tmp_path / "encoder"


def encoding(folder: Path) -> Callable[[], object]:
    return lambda: sentence_encoder(str(folder), device="cpu")


@pytest.mark.usefixtures("no_pickles")
def test_a_sentence_encoder_reads_no_pickle(encoder: Path) -> None:
    assert sentence_encoder(str(encoder), device="cpu")(["ba lo"]).shape == (1, 8)
    pickled = sorted(encoder.rglob("model.safetensors"))
    assert len(pickled) == 2
    for path in pickled:
        path.rename(path.with_name("pytorch_model.bin"))
        refused = refusal(encoding(encoder))
        assert "foreword reads no pickles" in refused and "pytorch_model.bin" in refused
        path.with_name("pytorch_model.bin").rename(path)


def test_a_sentence_encoders_adapter_and_code_are_refused(
    encoder: Path, tmp_path: Path, questions_asked: list[str]
) -> None:
    (encoder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    assert "adapter_config.json: LORA" in refusal(encoding(encoder))
    (encoder / "adapter_config.json").unlink()
    (encoder / "own.py").write_text(CODE.format(mark=str(tmp_path / "mark")), encoding="utf-8")
    modules = json.loads((encoder / "modules.json").read_text(encoding="utf-8"))
    modules[1]["type"] = "own.OwnModel"
    (encoder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    assert "brings its own code; add --trust-remote-code" in refusal(encoding(encoder))
    assert not questions_asked and not (tmp_path / "mark").exists()
