"""API keys of a server: what each may ask and see, files that change while it runs, files that hold none."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2 as httpx
import pytest

import entry
import serving
import tiny
from foreword.engine import Backbone
from foreword.prompts import store
from foreword.registry import Registry
from serving import Running

BASE = "tiny-llama-0"


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny.backbone("llama")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def complete(running: Running, key: str, model: str = BASE) -> httpx.Response:
    return running.post("/v1/completions", {"model": model, "prompt": "x", "max_tokens": 1}, headers=bearer(key))


@pytest.fixture
def keyed(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file of keys, made by the command, and the keys."""
    path, key_of = tmp_path / "keys.json", {}
    for name, more in {
        "all": (),
        "few": ("--prompts", f"{BASE},b"),
        "slow": ("--rate", 2),
        "boss": ("--admin",),
    }.items():
        key_of[name] = entry.foreword("keys", path, "--name", name, *more, "--json").json["key"]
    return path, key_of


def test_everything_but_health_is_behind_the_keys(
    backbone: Backbone, keyed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    path, key_of = keyed
    text = path.read_text(encoding="utf-8")
    assert not any(key in text for key in key_of.values()), "the file keeps digests alone"
    registry = Registry(tmp_path / "store")
    for number, name in enumerate("ab"):
        store.save(serving.soft(backbone, 3, number), tmp_path / name)
        serving.keep(registry, name, tmp_path / name)
    with serving.server(backbone, keys=path, store=registry.folder, admin=True) as running:

        def response_for(key: str, model: str = BASE) -> httpx.Response:
            body = {"model": model, "prompt": "x", "max_tokens": 1}
            return running.post("/v1/completions", body, headers={"Authorization": f"Bearer {key}"})

        for route in ("/v1/models", "/v1/models/a", "/metrics", "/version"):
            assert running.get(route).status_code == 401
            assert running.get(route, headers={"Authorization": f"Bearer {key_of['all']}"}).status_code == 200
        for route in ("/v1/completions", "/v1/chat/completions", "/v1/foreword/load", "/v1/foreword/unload"):
            assert running.post(route, {}).json()["error"]["code"] == "missing_api_key"
        assert running.get("/health").status_code == running.get("/ready").status_code == 200
        assert response_for("fw-wrong").status_code == response_for(key_of["all"][:-1]).status_code == 401
        assert response_for(key_of["all"]).status_code == response_for(key_of["all"], "a").status_code == 200
        assert response_for(key_of["few"], "b@1").status_code == response_for(key_of["few"], "base").status_code == 200
        assert response_for(key_of["few"], "a").status_code == 403
        cards = running.get("/v1/models", headers={"Authorization": f"Bearer {key_of['few']}"}).json()["data"]
        assert {card["id"].partition("@")[0] for card in cards} == {BASE, "b"}
        codes = [response_for(key_of["slow"]).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert 1 <= int(response_for(key_of["slow"]).headers["retry-after"]) <= 60
        for name, status in (("all", 403), ("boss", 200)):
            headers = {"Authorization": f"Bearer {key_of[name]}"}
            assert running.post("/v1/foreword/unload", {"model": "a"}, headers=headers).status_code == status


def test_a_key_for_base_may_ask_the_model_by_either_name(backbone: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = entry.foreword("keys", path, "--name", "plain", "--prompts", "base", "--json").json["key"]
    with serving.server(backbone, keys=path) as running:
        assert [complete(running, key, model).status_code for model in ("base", BASE)] == [200, 200]
        assert complete(running, key, "b").status_code == complete(running, key, f"{BASE}@1").status_code == 403
        assert [card["id"] for card in running.get("/v1/models", headers=bearer(key)).json()["data"]] == [BASE]
        entry.foreword("keys", path, "--name", "other")
        assert complete(running, key, BASE).status_code == 200, "also when the file is read again"


@pytest.mark.parametrize("prompts", ["", " , "])
def test_a_limit_that_names_nothing_is_no_key_for_all(tmp_path: Path, prompts: str) -> None:
    """As a script's empty variable gives it."""
    path = tmp_path / "keys.json"
    entry.refused("keys", path, "--name", "a", "--prompts", prompts, says=("--prompts", "names none", "leave it out"))
    assert not path.exists()


def test_a_limit_to_a_version_is_refused_for_names_alone_count(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    entry.refused("keys", path, "--name", "a", "--prompts", "dart@2", says=("'dart@2'", "whatever version", "'dart'"))
    assert not path.exists()


def test_files_of_keys_that_are_none_are_refused(tmp_path: Path, keyed: tuple[Path, dict[str, str]]) -> None:
    path, _ = keyed
    entry.refused("keys", path, "--name", "all", says=("has a key named 'all'",))
    entry.refused(
        "keys", path, "--name", "both", "--admin", "--prompts", "b", says=("--admin", "--prompts", "two keys")
    )
    limited = json.dumps({"keys": [{"name": "x", "sha256": "0" * 64, "admin": True, "prompts": ["b"]}]})
    entries = ('[{"name": "x"}]', "[]", '[{"name": "x", "sha256": "1"}]')
    for damaged in ("{", "[]", *(f'{{"keys": {each}}}' for each in entries), limited):
        path.write_text(damaged, encoding="utf-8")
        model = entry.save_model(tmp_path / "model")
        says = ("API keys",)
        entry.refused("serve", "-m", model, "--port", 0, "--api-keys", path, says=says)


def test_a_key_that_is_taken_out_or_made_counts_from_the_next_request(
    backbone: Backbone, keyed: tuple[Path, dict[str, str]]
) -> None:
    path, key_of = keyed
    with serving.server(backbone, keys=path) as running:
        assert [complete(running, key_of["slow"]).status_code for _ in range(3)] == [200, 200, 429]
        assert complete(running, key_of["all"]).status_code == 200
        assert entry.foreword("keys", path, "--name", "all", "--drop").code == 0
        assert complete(running, key_of["all"]).json()["error"]["code"] == "invalid_api_key"
        late = entry.foreword("keys", path, "--name", "late", "--json").json["key"]
        assert complete(running, late).status_code == 200
        assert complete(running, key_of["slow"]).status_code == 429, "who has asked is not forgotten"


def test_while_the_file_is_damaged_or_gone_nobody_is_known(
    backbone: Backbone, keyed: tuple[Path, dict[str, str]]
) -> None:
    path, key_of = keyed
    whole = path.read_bytes()
    with serving.server(backbone, keys=path) as running:
        for damage in (lambda: path.write_bytes(whole[:40]), lambda: path.write_text('{"keys": []}'), path.unlink):
            damage()
            for key in (key_of["all"], "fw-wrong"):
                answer = complete(running, key)
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_api_keys")
            assert running.get("/health").status_code == 200
        path.write_bytes(whole)
        assert complete(running, key_of["all"]).status_code == 200


def test_a_limited_key_sees_the_metrics_of_its_prompts_alone(
    backbone: Backbone, keyed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    path, key_of = keyed
    registry = Registry(tmp_path / "store")
    for number, name in enumerate("ab"):
        store.save(serving.soft(backbone, 3, number), tmp_path / name)
        serving.keep(registry, name, tmp_path / name)
    with serving.server(backbone, keys=path, store=registry.folder) as running:
        assert all(complete(running, key_of["all"], model).status_code == 200 for model in ("a", "b", BASE))
        assert complete(running, "fw-wrong").status_code == 401
        whole, limited = (running.get("/metrics", headers=bearer(key_of[name])).text for name in ("all", "few"))
    prompts = [
        {line.split('prompt="')[1].partition('"')[0] for line in text.splitlines() if 'prompt="' in line}
        for text in (whole, limited)
    ]
    assert prompts == [{"a@1", "b@1", BASE, ""}, {"b@1", BASE}]
    assert "foreword_requests_running" in limited


def test_what_cannot_be_taken_out_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    entry.refused("keys", path, "--name", "x", "--drop", says=(str(path),))
    assert entry.foreword("keys", path, "--name", "alice").code == 0
    before = path.read_bytes()
    entry.refused("keys", path, "--name", "alise", "--drop", says=("'alise'", "'alice'"))
    entry.refused("keys", path, "--name", "alice", "--drop", says=("last key",))
    entry.refused("keys", path, "--name", "alice", "--drop", "--rate", 3, says=("--drop", "--rate"))
    assert path.read_bytes() == before and len(json.loads(before)["keys"]) == 1
