"""Versions on the Hugging Face hub as PEFT repositories, over the hub's own endpoints: pushed whole, pulled by tag, and refused in one
sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

import entry
import hub_server
import serving
import tiny
from foreword.prompts import store
from foreword.registry import Registry
from foreword.registry.hub import Hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    with hub_server.hub() as here:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", here.url)
        monkeypatch.setattr(
            huggingface_hub.constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            here.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield here


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "store")
    for seed in (1, 2):
        store.save(serving.soft(tiny.backbone("llama"), 3 + seed, seed), tmp_path / f"p{seed}")
        serving.keep(registry, "p", tmp_path / f"p{seed}", **({"choices": ("red", "green")} if seed == 1 else {}))
    return registry


def run_registry(*argv: object) -> entry.CommandResult:
    answer = entry.foreword("registry", *argv, "--json")
    assert answer.code == 0, answer.err
    return answer


def test_a_version_goes_to_the_hub_and_comes_back(hub: hub_server.Hub, registry: Registry, tmp_path: Path) -> None:
    at = ("--store", registry.folder)
    pushed = run_registry("push", "p@1", "hf://ada/mine", "--alias", "production", *at).json
    assert (pushed["version"], pushed["new"]) == (1, True)
    repository = hub.repositories["ada/mine"]
    assert repository.private
    files = repository.commits[repository.refs["main"]]
    assert {"adapter_config.json", "adapter_model.safetensors", "foreword.json"} <= set(files), "PEFT opens it"
    assert not run_registry("push", "p@1", "hf://ada/mine", *at).json["new"], "the same is there already"
    run_registry("push", "p@2", "hf://ada/mine", "--alias", "staging", *at)
    stored = registry.load("p", registry.resolve("p@2")[1])
    files = repository.commits[repository.refs["main"]]
    assert set(files) - {".gitattributes"} == set(registry.resolve("p@2")[1].files), "what the first had more is gone"
    other = tmp_path / "other"
    for which, version in (("theirs", "p@2"), ("theirs@production", "p@1"), ("theirs@staging", "p@2")):
        pulled = run_registry("pull", "hf://ada/mine", which, "--store", other).json
        assert pulled["digest"] == registry.resolve(version)[1].digest, "the same contents are the same version"
    back = Registry(other)
    assert len(back.index("theirs").versions) == 2
    prompt = back.load("theirs", back.resolve("theirs@1")[1]).prompt
    assert prompt is not None and stored.prompt is not None and torch.equal(prompt.values, stored.prompt.values)
    run_registry("push", "p@2", "hf://ada/mine", "--alias", "production", *at)
    assert run_registry("pull", "hf://ada/mine", "theirs@production", "--store", other).json["version"] == 1, (
        "a tag moves"
    )


def test_a_repository_is_public_where_that_is_said(hub: hub_server.Hub, registry: Registry, tmp_path: Path) -> None:
    run_registry("push", "p", "hf://ada/open", "--public", "--store", registry.folder)
    assert not hub.repositories["ada/open"].private
    says = ("--public", "hf://")
    entry.refused("registry", "push", "p", tmp_path / "x", "--public", "--store", registry.folder, says=says)


def test_what_cannot_be_had_is_one_sentence(hub: hub_server.Hub, registry: Registry) -> None:
    at = ("--store", registry.folder)
    entry.refused("registry", "push", "p", "hf://nobody", *at, says=("hf://OWNER/NAME",))
    entry.refused("registry", "pull", "hf://ada/none", "x", *at, says=("hf://ada/none", "hf auth login"))
    run_registry("push", "p", "hf://ada/mine", *at)
    entry.refused("registry", "pull", "hf://ada/mine", "x@nothing", *at, says=("hf://ada/mine",))
    hub.refuse = 403
    entry.refused("registry", "push", "p@1", "hf://ada/mine", *at, says=("may not write here",))
    repository = hub.repositories["ada/mine"]
    files = dict(repository.commits[repository.refs["main"]])
    weights = bytearray(files["adapter_model.safetensors"])
    weights[-1] ^= 64
    repository.commit(files | {"adapter_model.safetensors": bytes(weights)}, "main")
    entry.refused("registry", "pull", "hf://ada/mine", "x", *at, says=("certificate",))
    assert registry.names() == ["p"] and Hub("hf://ada/mine/").id == "ada/mine"
