"""Faults that a stranger found in the server: what a request, a disk or a file does to it is told in one sentence, and nothing is lost."""

from __future__ import annotations

import http.client
import json
import resource
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest

import entry
import serving
import tiny
from foreword.engine import Backbone, Request, Row, Session
from foreword.registry import Registry
from foreword.registry.adding import NewVersion, writer
from foreword.serve.engine import Engine, Event, Job
from foreword.serve.errors import HttpError
from foreword.serve.keys import Key
from foreword.serve.log import LogError, RequestLog, lines_of
from foreword.serve.protocol import ChatRequest, CompletionRequest, read

BASE = "tiny-llama-0"


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny.backbone("llama")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def running(backbone: Backbone, place: Path) -> Iterator[serving.Running]:
    registry = Registry(place / "store")
    registry.add("words", writer(NewVersion(method="zero", max_new_tokens=4)))
    pair = NewVersion(method="zero", template={"question": "{one} and {two} =>"}, max_new_tokens=4)
    registry.add("pair", writer(pair))
    with serving.server(backbone, store=registry.folder, log=place / "log.jsonl", admin=True) as server:
        yield server


def refusal(running: serving.Running, body: dict[str, Any], status: int = 400, path: str = "/v1/completions") -> Any:
    answer = running.post(path, body)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


# -- requests ---------------------------------------------------------------------------------------------------------------


def test_half_a_character_in_a_name_is_refused_as_any_other(running: serving.Running) -> None:
    answer = httpx.post(f"{running.url}/v1/completions", content=b'{"model":"words","prompt":"x","\\ud800":1}')
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "\\ud800", "unsupported_parameter")


@pytest.mark.parametrize("header", [("Host", "[::1"), ("Origin", "http://[")])
def test_headers_that_name_no_place_are_refused(running: serving.Running, header: tuple[str, str]) -> None:
    where = urlsplit(running.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port)
    connection.putrequest("GET", "/v1/models", skip_host=header[0] == "Host")
    connection.putheader(*header)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (400, "bad_host")
    connection.close()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"stop": ["x"] * 17}, "stop: List should have at most 16 items after validation, not 17."),
        ({"stop": ["x", ""]}, "stop.1: String should have at least 1 character."),
        ({"stop": [""]}, "stop.0: String should have at least 1 character."),
        ({"response_format": {"type": "json_schema"}}, "json_schema goes with the type"),
    ],
)
def test_of_a_value_of_several_kinds_the_sentence_is_of_its_own_kind(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HttpError) as caught:
        read(json.dumps({"model": "m", "prompt": "x"} | more).encode(), CompletionRequest)
    assert sentence in str(caught.value) and "constrained" not in str(caught.value)
    assert caught.value.param == next(iter(more))


def test_an_answers_message_may_be_sent_back_as_it_came() -> None:
    answer_turn = {"role": "assistant", "content": "b", "refusal": None, "function_call": None}
    turns = [{"role": "user", "content": "a"}, answer_turn, {"role": "user", "content": "c", "name": None}]
    body = read(json.dumps({"model": "m", "messages": turns}).encode(), ChatRequest)
    assert [message.text for message in body.messages] == ["a", "b", "c"]
    answer_turn["refusal"] = "no"
    with pytest.raises(HttpError, match=r"messages.1.refusal: Extra inputs"):
        read(json.dumps({"model": "m", "messages": turns}).encode(), ChatRequest)


@pytest.mark.parametrize(
    "body",
    [
        {"model": "base", "prompt": "x", "fields": {"input": "y"}},
        {"model": "words", "prompt": "x", "raw": True, "fields": {"input": "y"}},
        {"model": "words", "prompt": [5], "fields": {"input": "y"}},
        {"model": "words", "prompt": "x", "fields": {"input": "y"}},
        {"model": "pair", "prompt": "x", "fields": {"one": "y", "two": "z"}},
    ],
)
def test_what_nothing_would_read_is_refused(running: serving.Running, body: dict[str, Any]) -> None:
    assert refusal(running, body | {"max_tokens": 1})["param"] == "fields"


def test_an_answer_longer_than_the_window_is_refused_in_the_words_of_the_api(running: serving.Running) -> None:
    error = refusal(running, {"model": "words", "prompt": "x", "max_tokens": 10**12})
    assert (error["param"], error["code"]) == ("max_tokens", "context_length_exceeded")
    long = refusal(running, {"model": "words", "prompt": "x " * 4000, "max_tokens": 1})
    assert (long["param"], long["code"]) == ("prompt", "context_length_exceeded")
    assert "--" not in error["message"] + long["message"]


def test_a_prompt_that_is_not_there_is_not_found_whatever_is_asked_of_it(running: serving.Running) -> None:
    for path in ("load", "unload"):
        error = refusal(running, {"model": "nobody"}, 404, f"/v1/foreword/{path}")
        assert (error["param"], error["code"]) == ("model", "model_not_found")


def test_the_seconds_of_a_request_are_counted_from_its_coming(running: serving.Running, place: Path) -> None:
    """Also those in which another text is laid out, or a prompt is loaded."""

    def held_back(body: dict[str, Any]) -> Any:
        """A request whose laying out waits 0.4 s for another's."""
        begun, busy, laying = threading.Event(), threading.Event(), running.service._laying
        laying.submit(lambda: (begun.set(), busy.wait(30)))
        assert begun.wait(30), "what waits behind it is the request, and not this"

        def free() -> None:
            while not laying._work_queue.qsize():
                time.sleep(0.005)
            time.sleep(0.4)
            busy.set()

        threading.Thread(target=free).start()
        return running.post("/v1/completions", {"model": "words", "prompt": "x", "max_tokens": 1} | body)

    answer = held_back({})
    line = next(line for line in lines_of(place / "log.jsonl") if line["id"] == answer.json()["id"])
    assert line["seconds"] >= line["seconds_to_first_token"] >= 0.39
    late = held_back({"timeout": 0.2})
    assert (late.status_code, late.json()["error"]["code"]) == (408, "deadline")


def test_a_fault_leaves_its_traceback_on_the_standard_error(
    running: serving.Running, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running.service.shelf, "held", lambda model: {}[model])
    error = refusal(running, {"model": "words", "prompt": "x"}, 500)
    assert "KeyError" in error["message"] and "standard error" in error["message"]
    printed = capfd.readouterr().err
    assert "Traceback" in printed and "in _laid" in printed


def test_the_engine_outlives_a_fault_of_its_own(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(backbone)
    events: dict[str, list[Event]] = {"first": [], "second": [], "third": [], "alone": []}
    news, cancelled = threading.Event(), threading.Event()

    def ended(ids: Sequence[int]) -> bool:
        return len(ids) == 5 and not cancelled.wait(30)

    def submitted(name: str, tokens: int) -> Job:
        def tell(new: list[Event]) -> None:
            events[name] += new
            news.set()

        text = Row((), tuple(backbone.tokenizer.ids("a b c", first=True)))
        job = Job(backbone, [Request(text, None, tokens, ended=ended)], tell)
        engine.submit(job)
        return job

    def until(done: Callable[[], bool]) -> None:
        while not done():
            assert news.wait(30)
            news.clear()

    def in_full(name: str) -> list[int]:
        submitted(name, 4)
        until(lambda: len(events[name]) == 4)
        return [event[1].token for event in events[name] if not isinstance(event, Exception)]

    def broken(*_: Any) -> None:
        raise KeyError("a fault")

    try:
        expected = in_full("alone")
        first, _ = submitted("first", 100), submitted("second", 100)
        until(lambda: bool(events["first"] and events["second"]))
        with monkeypatch.context() as patched:
            patched.setattr(Session, "retire", broken)
            engine.cancel(first)
            cancelled.set()
            until(lambda: isinstance(events["second"][-1], KeyError))
        assert in_full("third") == expected and len(expected) == 4
        assert engine.load == engine.running == 0
    finally:
        engine.close()


def test_a_prompt_by_the_models_own_name_is_told_when_the_server_starts(backbone: Backbone, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "store")
    registry.add("base", writer(NewVersion(method="zero", max_new_tokens=2)))
    with serving.server(backbone, store=registry.folder) as server:
        (sentence,) = server.service.check_store()
        assert "base@VERSION" in sentence
        assert server.complete("base", "x", max_tokens=1)["foreword"]["prompt"] is None
        assert server.complete("base@1", "x", max_tokens=1)["foreword"]["prompt"] == "base@1"
        ids = [card["id"] for card in server.get("/v1/models").json()["data"]]
        assert ids == [BASE, "base@1"], "a bare name that a request takes for the model's is not listed as the prompt's"
        assert [server.get(f"/v1/models/{name}").json()["id"] for name in ("base", "base@1")] == ids


# -- the log ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["gone", '{"birth": null}', '{"birth": {"settings": []}}', "[]", "no JSON"])
def test_a_damaged_version_is_left_out_of_the_list_of_models(backbone: Backbone, tmp_path: Path, damage: str) -> None:
    """It took the whole list with it, and with that the playground."""
    registry = Registry(tmp_path / "store")
    registry.add("a", writer(NewVersion(method="zero", max_new_tokens=4)))
    for length in (4, 5):
        registry.add("b", writer(NewVersion(method="zero", max_new_tokens=length)), aliases=["newest"])
    place = registry.place("b", registry.resolve("b@2")[1])
    if damage == "gone":
        shutil.rmtree(place)
    else:
        (place / "foreword.json").write_text(damage, encoding="utf-8")
    with serving.server(backbone, store=registry.folder) as running:
        answer = running.get("/v1/models")
        assert answer.status_code == 200, answer.text
        assert [card["id"] for card in answer.json()["data"]] == [BASE, "a@1", "a", "b@1"]
    entry.refused("registry", "list", "--store", registry.folder, says=("foreword.json",))


def test_a_full_disk_leaves_whole_lines_and_no_answer_without_one(backbone: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    body = {"model": BASE, "prompt": "x", "max_tokens": 1}
    with serving.server(backbone, log=path) as running:
        running.complete(BASE, "x", max_tokens=1)
        before = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, limits[1]))  # forty bytes of a line fit
        try:
            error = refusal(running, body, 503)
            streamed = running.post("/v1/completions", body | {"stream": True})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (error["type"], error["code"]) == ("server_error", "log_unwritable") and str(path) in error["message"]
        assert "log_unwritable" in streamed.text and "[DONE]" not in streamed.text
        assert path.read_bytes() == before
        again = running.complete(BASE, "x", max_tokens=1)
        counted = running.get("/metrics").text
    assert [line["id"] for line in lines_of(path)][1:] == [again["id"]]
    assert f'foreword_requests_total{{outcome="503",prompt="{BASE}"}} 2.0' in counted
    assert f'foreword_requests_total{{outcome="ok",prompt="{BASE}"}} 2.0' in counted


def test_a_log_that_cannot_be_begun_anew_goes_on_in_the_old_one(tmp_path: Path) -> None:
    """A number of a file that was closed may be a caller's connection a moment later: nothing may be written to it."""
    path = tmp_path / "log.jsonl"
    log = RequestLog(path, 30)
    log.write({"id": 1, "text": "x" * 20})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as free:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free.fileno(), limits[1]))  # no file more can be opened
        try:
            with pytest.raises(LogError, match="cannot be written"):
                log.write({"id": 2})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [line["id"] for line in lines_of(path)] == [1] and not list(tmp_path.glob("log-*"))
    log.write({"id": 3})
    log.close()
    (aside,) = tmp_path.glob("log-*")
    assert [line["id"] for each in (aside, path) for line in lines_of(each)] == [1, 3]


# -- keys -------------------------------------------------------------------------------------------------------------------


def test_who_comes_again_when_told_is_not_told_again() -> None:
    key = Key("a", "0" * 64, rate=1)
    key.take(0.0)
    with pytest.raises(HttpError) as caught:
        key.take(29.6)
    key.take(29.6 + caught.value.retry_after)


@pytest.mark.parametrize("content", ["[]", '{"keys": [{}]}', '{"keys": 5}', "nothing"])
def test_a_damaged_file_of_keys_gets_no_key(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content, encoding="utf-8")
    entry.refused("keys", path, "--name", "a", says=("keys.json", "damaged"))
    assert path.read_text(encoding="utf-8") == content


def test_a_key_has_a_name_and_its_file_is_a_file(tmp_path: Path) -> None:
    entry.refused("keys", tmp_path / "keys.json", "--name", " ", says=("--name",))
    entry.refused("keys", tmp_path, "--name", "a", says=("it is a folder",))


# -- JSON, the store ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}])
def test_a_schema_that_nothing_can_begin_is_refused_before_an_answer(schema: dict[str, Any]) -> None:
    from foreword.engine.constrained import JsonWriter
    from foreword.util.errors import ForewordError

    with pytest.raises(ForewordError, match="schema cannot be held to") as caught:
        JsonWriter(tiny.backbone("llama")).grammar(schema)
    assert "state" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_store_that_is_not_there_is_not_an_empty_one(tmp_path: Path) -> None:
    for verb in ("list", "gc"):
        entry.refused("registry", verb, "--store", tmp_path / "none", says=("There is no store at", "registry add"))


@pytest.mark.parametrize("url", ["data:,x", "memory-less://x", "zip://x::file://{folder}/nothing.zip"])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, url: str) -> None:
    registry = Registry(tmp_path / "store")
    registry.add("words", writer(NewVersion(method="zero", max_new_tokens=2)))
    where = url.format(folder=tmp_path)
    entry.refused("registry", "push", "words", where, "--store", registry.folder, says=(where.partition(":")[0],))
    entry.refused("registry", "pull", where, "words", "--store", registry.folder, says=(where.partition(":")[0],))


@pytest.mark.parametrize("content", ["precious notes without newline", "a,b\n1,2\n3,4", '{"keys": []}\n{"v"', "\n"])
def test_a_file_that_is_no_log_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    """What stood behind its last line end was cut off when the server began, and lines of requests were added to it."""
    path = tmp_path / "notes.txt"
    path.write_text(content, encoding="utf-8")
    argv = ("serve", "--model", "reference-small", "--port", 0, "--log", path)
    entry.refused(*argv, says=("notes.txt is there and is no log of requests", "--log a new file"))
    with pytest.raises(LogError, match="no log of requests"):
        RequestLog(path)
    assert path.read_text(encoding="utf-8") == content
