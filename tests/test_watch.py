"""A server's requests watched: its log, its endpoint and its page say when inputs are no longer what a prompt was tuned on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import entry
import serving
import tiny
import watched
from foreword.engine import load_backbone
from foreword.monitor import Rule, Sketch
from foreword.monitor.profile import Profile, read_profile
from foreword.prompts import store
from foreword.registry import Registry
from foreword.serve.log import lines_of

HERE = [row for number, row in enumerate(entry.rows(200)) if number % 5]  # what the prompt is tuned on
LATER = entry.rows(200)[::5]  # more of the same kind
SIZE = 20  # requests of a window here
OTHER = "a wholly other kind of input that is much longer than any of those, number {}"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, a prompt that `foreword tune` made on it and the store that keeps it."""
    where = tmp_path_factory.mktemp("watched")
    entry.save_model(where / "model")
    entry.save_rows(where / "data.jsonl", HERE)
    flags = ("--model", where / "model", "--data", where / "data.jsonl", "--max-steps", "1", "--prompt-length", "2")
    ran = entry.foreword("tune", *flags, "--max-new-tokens", "4", "--out", where / "prompt")
    assert ran.code == 0, ran.err
    added = entry.foreword("registry", "add", where / "prompt", "--name", "colours", "--store", where / "store")
    assert added.code == 0, added.err
    return where


@pytest.fixture(scope="module")
def running(tuned: Path) -> Iterator[serving.Running]:
    """A server that logs features; the first 40 requests are as the prompt was tuned, the next 20 are not."""
    backbone = load_backbone(str(tuned / "model"))
    settings = {"store": tuned / "store", "log": tuned / "requests.jsonl", "log_features": True, "max_new_tokens": 4}
    with serving.server(backbone, **settings) as server:
        server.service.watch.rule = Rule(SIZE)
        for row in LATER:
            server.complete("colours", row["input"])
        for number in range(20):
            server.complete("colours", OTHER.format(number))
        yield server


def test_tuning_keeps_a_profile_of_its_inputs(tuned: Path) -> None:
    profile = read_profile(tuned / "prompt")
    assert profile is not None
    inputs = [row["input"] for row in HERE]
    assert len(profile.vectors) == len(profile.characters) > 80
    assert {*profile.characters} <= {len(text) for text in inputs}
    sketch = Sketch(load_backbone(str(tuned / "model")))
    assert profile.kind == sketch.kind
    assert {*profile.vectors} <= {sketch.vector(text) for text in inputs}
    written = (tuned / "prompt" / "profile.json").read_text(encoding="utf-8")
    assert not any(row["input"] in written for row in HERE)
    assert Profile.of(profile.as_dict(), "here") == profile


def test_a_profile_of_other_examples_is_refused(tuned: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(tuned / "prompt", tmp_path / "changed")
    raw = json.loads((changed / "profile.json").read_text(encoding="utf-8"))
    raw["characters"][0] += 1
    (changed / "profile.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(Exception, match="is not that of the examples"):
        store.load(changed)
    (changed / "profile.json").unlink()
    assert store.load(changed).profile == {}


def test_the_lines_are_those_of_the_tests(running: serving.Running, tuned: Path) -> None:
    """What the other tests write by hand has the names that the server writes."""
    (real, *_) = lines_of(tuned / "requests.jsonl")
    by_hand = watched.line(0)
    assert set(by_hand) <= set(real)
    for part in ("inputs", "choices"):
        assert set(by_hand[part][0]) <= set(real[part][0])
    assert "text" not in real["inputs"][0] and "input_texts" not in real
    assert len(real["inputs"][0]["vector"]) == 16


def test_the_log_tells_the_shift(running: serving.Running, tuned: Path) -> None:
    argv = ("monitor", tuned / "requests.jsonl", "--window", SIZE, "--baseline", SIZE, "--json")
    ran = entry.foreword(*argv, "--against", "colours@1", "--store", tuned / "store", "--label-next", "2")
    assert ran.code == 3, ran.err
    assert [window["alarm"] for window in ran.json["windows"]] == [False, False, True]
    alarmed = {test["feature"] for test in ran.json["windows"][2]["tests"] if test["alarm"]}
    assert {"input vectors", "input length"} <= alarmed
    assert ran.json["prompt"] == "colours@1" and len(ran.json["label_next"]) == 2
    folder = entry.foreword(*argv, "--against", tuned / "prompt")
    assert folder.json["windows"][0]["tests"] == ran.json["windows"][0]["tests"]
    by_data = entry.foreword(*argv, "--against", tuned / "data.jsonl", "--model", tuned / "model")
    assert "input vectors" in {test["feature"] for test in by_data.json["windows"][2]["tests"] if test["alarm"]}
    lengths = entry.foreword(*argv, "--against", tuned / "data.jsonl")
    assert {test["feature"] for test in lengths.json["windows"][2]["tests"] if test["side"] == "inputs"} == {
        "input length"
    }


def test_a_prompt_without_a_profile_says_to_give_data(running: serving.Running, tuned: Path, tmp_path: Path) -> None:
    old = shutil.copytree(tuned / "prompt", tmp_path / "old")
    (old / "profile.json").unlink()
    says = ("keeps no profile of the examples", "--against DATA")
    entry.refused("monitor", tuned / "requests.jsonl", "--against", old, says=says)


def test_the_endpoint_tells_the_same(running: serving.Running, tuned: Path) -> None:
    document = running.get("/v1/foreword/watch").json()
    (stream,) = document["prompts"]
    assert (stream["prompt"], stream["requests"], stream["waiting"]) == ("colours@1", 60, 0)
    assert stream["against"] == "what colours@1 was tuned on"
    assert [window["alarm"] for window in stream["windows"]] == [False, False, True]
    assert len(document["requests"]) == 20 and document["requests"][0]["status"] == 200
    assert OTHER[:9] not in json.dumps(document)
    assert running.get("/v1/foreword/watch").json()["prompts"] == document["prompts"]


def test_a_key_sees_its_own_requests_and_prompts(tuned: Path, tmp_path: Path) -> None:
    backbone, path = load_backbone(str(tuned / "model")), tmp_path / "keys.json"
    keys = {}
    for name, more in (("a", ["--prompts", "colours"]), ("b", ["--prompts", "else"]), ("boss", ["--admin"])):
        keys[name] = entry.foreword("keys", path, "--name", name, "--json", *more).json["key"]
    heads = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()}
    with serving.server(backbone, store=tuned / "store", keys=path) as server:
        body = {"model": "colours", "prompt": "bana 1 lo", "max_tokens": 2}
        assert server.post("/v1/completions", body, headers=heads["a"]).status_code == 200
        assert server.get("/v1/foreword/watch").status_code == 401
        documents = {name: server.get("/v1/foreword/watch", headers=head).json() for name, head in heads.items()}
    assert {name: len(each["requests"]) for name, each in documents.items()} == {"a": 1, "b": 0, "boss": 1}
    assert {name: len(each["prompts"]) for name, each in documents.items()} == {"a": 1, "b": 0, "boss": 1}


def test_words_alone_are_watched_by_their_answers(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "store")
    from foreword.registry.adding import NewVersion, writer

    registry.add("words", writer(NewVersion(method="zero", max_new_tokens=2)))
    with serving.server(tiny.backbone("llama"), store=registry.folder) as server:
        server.complete("words", "bana 1 lo")
        (stream,) = server.get("/v1/foreword/watch").json()["prompts"]
    assert "give --against DATA" in stream["against"] and stream["requests"] == 1


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((390, "dark"), (1280, "dark"), (390, "light"))),
    ],
)
def test_the_page_shows_drift(browser: Any, running: serving.Running, width: int, scheme: str, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(running.url)
    page.wait_for_selector("#drift tbody tr")
    row = page.locator("#drift tbody tr")
    assert row.inner_text().startswith("colours@1") and "Unlike: input vectors" in row.inner_text()
    page.keyboard.press("End")
    page.locator("#drift summary").press("Enter")
    assert "input length: adjusted p" in row.inner_text() and "Alarms in the last 3 windows: 1" in row.inner_text()
    assert page.locator("#server tbody tr").count() == 20
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert not wrong, wrong
    page.screenshot(path=str(tmp_path / f"drift-{width}-{scheme}.png"), full_page=True)
    page.close()
