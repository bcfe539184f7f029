"""The server's limits: queue, deadlines, callers that leave, keys, rates, the log of requests, and its end by SIGTERM or kill -9."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import httpx2 as httpx
import pytest

import entry
import serving
import tiny
from foreword.data.examples import Example
from foreword.engine import Backbone
from foreword.registry import Registry
from foreword.registry.adding import NewVersion, writer
from foreword.serve.app import app_of
from foreword.serve.log import RequestLog, lines_of
from foreword.serve.rows import worded
from foreword.serve.service import Service, Settings
from foreword.serve.shelf import Shelf
from foreword.serve.views import Views
from foreword.util.errors import ForewordError
from serving import Running, slowly, waited

BASE = "tiny-llama-0"
LONG = {"model": BASE, "prompt": [5, 6, 7], "max_tokens": 140}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny.backbone("llama")


def idle(running: Running) -> bool:
    return running.service.engine.load == 0 and running.service.engine.running == 0


# -- queue, deadline, callers that leave ------------------------------------------------------------------------------------


def test_more_than_the_queue_holds_are_told_when_to_come_again(backbone: Backbone) -> None:
    short = LONG | {"max_tokens": 30}
    with serving.server(backbone, max_rows=2, max_waiting=2) as running, ThreadPoolExecutor(12) as pool:
        with serving.held(running):
            futures = [pool.submit(running.post, "/v1/completions", short) for _ in range(12)]
            waited(lambda: sum(each.done() for each in futures) == 8)
        answers = [each.result() for each in futures]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) == 8
        texts = {answer.json()["choices"][0]["text"] for answer in answers if answer.status_code == 200}
        assert len(texts) == 1, "the answered ones have the same answer"
        for answer in refused:
            assert answer.json()["error"]["code"] == "queue_full" and int(answer.headers["retry-after"]) >= 1
        waited(lambda: idle(running))
        assert running.post("/v1/completions", short).status_code == 200


def test_a_version_that_comes_again_answers_under_its_new_number(backbone: Backbone, tmp_path: Path) -> None:
    """Taken out and added again, the same prompt answered as the version that was gone, in the answer, the log and the metrics."""
    registry = Registry(tmp_path / "store")
    shelf = Shelf(Views(backbone), registry, base=BASE)
    for number in (1, 2):
        registry.add("words", writer(NewVersion(method="zero")))
        assert shelf.get("words").id == shelf.get(f"words@{number}").id == f"words@{number}"
        registry.remove(f"words@{number}")


def test_inputs_are_not_kept_for_ever(backbone: Backbone, tmp_path: Path) -> None:
    """Memory grew with every input that was not asked before."""
    registry = Registry(tmp_path / "store")
    registry.add("words", writer(NewVersion(method="zero")))
    served = Shelf(Views(backbone), registry, base=BASE).get("words")

    def grown(numbers: range) -> int:
        before = tracemalloc.get_traced_memory()[0]
        for number in numbers:
            worded(served, Example("x", {"input": f"bana {number} lo {number}"}), 4)
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    first, later = grown(range(600)), grown(range(1_000, 1_600))
    tracemalloc.stop()
    assert later < first / 4, "the newest inputs take the place of the first"


def test_a_deadline_ends_an_answer(backbone: Backbone) -> None:
    with serving.server(backbone) as running, slowly(running):
        answer = running.post("/v1/completions", LONG | {"timeout": 0.2})
        assert answer.status_code == 408 and answer.json()["error"]["code"] == "deadline"
        with httpx.stream(
            "POST", f"{running.url}/v1/completions", json=LONG | {"timeout": 0.4, "stream": True}
        ) as response:
            lines = [line for line in response.iter_lines() if line]
        assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "deadline"
        waited(lambda: idle(running))


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_leaves_is_forgotten(backbone: Backbone, stream: bool, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with serving.server(backbone, log=log) as running, slowly(running, 0.05):
        port = int(running.url.rpartition(":")[2])
        body = json.dumps(LONG | {"stream": stream}).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for caller in callers:
            caller.sendall(head + body)
        waited(lambda: running.service.engine.running == 3)
        for caller in callers:
            caller.close()
        waited(lambda: idle(running))
        waited(lambda: len(list(lines_of(log))) == 3)
        assert {line["status"] for line in lines_of(log)} == {499}
        assert all(line["completion_tokens"] < LONG["max_tokens"] for line in lines_of(log))
        assert running.text(BASE, [5], max_tokens=2) is not None


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions", "/v1/foreword/load"])
def test_a_caller_that_leaves_before_its_body_is_there_is_no_fault(backbone: Backbone, path: str) -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    received = [
        {"type": "http.request", "body": b'{"model": ', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return received.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    with contextlib.closing(Service(backbone, Settings(admin=True))) as service:
        asyncio.run(app_of(service, "test")(scope, receive, send))
    assert sent[0]["status"] == 499 and not received


# -- who may ask -------------------------------------------------------------------------------------------------------


def test_loading_and_unloading_are_off_unless_asked_for(backbone: Backbone) -> None:
    with serving.server(backbone) as running:
        for route in ("/v1/foreword/load", "/v1/foreword/unload"):
            assert running.post(route, {"model": "a"}).status_code == 404


def test_pages_of_other_places_may_not_ask_through_a_browser(backbone: Backbone) -> None:
    with serving.server(backbone) as running:
        body = {"model": BASE, "prompt": "x", "max_tokens": 1}
        for headers, code in (
            ({"Origin": "https://example.org"}, "other_origin"),
            ({"Origin": "null"}, "other_origin"),
            ({"Host": "example.org"}, "other_host"),
        ):
            answer = running.post("/v1/completions", body, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)
        assert running.post("/v1/completions", body, headers={"Origin": running.url}).status_code == 200
        for host in ("localhost:8000", "127.0.0.2:8000", "[::1]:8000"):  # --host 127.0.0.2 listens here alone too
            assert running.post("/v1/completions", body, headers={"Host": host}).status_code == 200


def test_an_open_door_is_refused(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        entry.refused("serve", "-m", "x", "--host", host, says=(host, "--api-keys FILE", "foreword keys"))
    entry.refused("serve", "-m", "x", "--prompts", tmp_path / "none", says=("no store", "foreword registry add"))
    for argv, says in (
        (("--log-content",), ("--log-content", "neither --log nor --otlp")),
        (("--log-bytes", 5000), ("--log-bytes", "no --log")),
        (("--log", tmp_path), (str(tmp_path), "it is a folder")),
        (("--api-keys", tmp_path / "none.json"), ("no file of API keys", "none.json")),
    ):  # before a model is loaded
        entry.refused("serve", "-m", "no-such-model", *argv, says=says)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        entry.refused("serve", "-m", "x", "--port", port, says=(f"127.0.0.1:{port}", "another --port"))


# -- the log ----------------------------------------------------------------------------------------------------------------


def test_the_log_says_what_happened_and_not_what_was_said(backbone: Backbone, tmp_path: Path) -> None:
    for content in (False, True):
        log = tmp_path / f"{content}.jsonl"
        with serving.server(backbone, log=log, log_content=content) as running:
            answer = running.complete(BASE, "bana secret", max_tokens=5, user="alice", temperature=1.0, seed=7)
            body = {"model": BASE, "prompt": "bana secret", "max_tokens": 6, "stream": True}
            with httpx.stream("POST", f"{running.url}/v1/completions", json=body) as response:
                streamed = response.read().decode()
                name = response.headers["x-request-id"]
            assert running.post("/v1/completions", {"model": "nobody", "prompt": "x"}).status_code == 404
        first, second, refused = lines_of(log)
        assert (refused["status"], refused["model"], refused["param"]) == (404, "nobody", "model")
        assert first["id"] == answer["id"] and second["id"] == name and name in streamed
        assert (first["model"], first["status"], first["seed"], first["stream"]) == (BASE, 200, 7, False)
        assert first["completion_tokens"] == 5 and second["choices"][0]["tokens"] == 6
        assert first["choices"][0]["logprob"] < 0 and 0 < first["seconds_to_first_token"] <= first["seconds"]
        whole = log.read_text(encoding="utf-8")
        assert ("secret" in whole) == content and "alice" not in whole


def test_a_log_is_put_aside_when_it_is_full_and_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = RequestLog(path, 500)
    for number in range(60):
        log.write({"id": number, "text": "é\ud800\n" * (number % 5)})
    log.close()
    files = sorted(tmp_path.glob("log-*.jsonl"))
    assert len(files) > 3 and all(file.stat().st_size <= 500 for file in [*files, path])
    ids = [line["id"] for file in [*files, path] for line in lines_of(file)]
    assert ids == list(range(60))


def test_half_a_line_of_a_killed_server_is_cut_off(tmp_path: Path) -> None:
    for rest in (b'{"v": 1, "id', b"x" * 200_000):
        path = tmp_path / f"{len(rest)}.jsonl"
        path.write_bytes(b'{"v": 1, "id": 1}\n{"v": 1, "id": 2}\n' + rest)
        log = RequestLog(path)
        log.write({"id": 3})
        log.close()
        assert [line["id"] for line in lines_of(path)] == [1, 2, 3]
    only = tmp_path / "only.jsonl"
    only.write_bytes(b'{"v": 1, "ha')
    RequestLog(only).close()
    assert only.read_bytes() == b""


def test_two_servers_do_not_write_one_log(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log.jsonl")
    with pytest.raises(ForewordError, match=r"Another server writes the log .* give --log another file"):
        RequestLog(tmp_path / "log.jsonl")
    log.close()


# -- the end ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entry.save_model(tmp_path_factory.mktemp("end") / "model")


def started(folder: Path, streams: Path, *more: object) -> tuple[entry.Process, str]:
    """A server of its own process, and where it listens."""
    child = entry.Process(["serve", "-m", folder, "--port", 0, "--json", *more], streams)
    waited(lambda: child.out.read_text(encoding="utf-8").endswith("\n") or not child.alive(), 120)
    assert child.alive(), child.err.read_text(encoding="utf-8")
    return child, json.loads(child.out.read_text(encoding="utf-8"))["url"]


def test_sigterm_lets_answers_end_and_the_command_end_well(folder: Path, tmp_path: Path) -> None:
    child, url = started(folder, tmp_path / "s", "--log", tmp_path / "log.jsonl")
    streams: list[list[str]] = [[], [], []]

    def read_stream(lines: list[str]) -> None:
        body = {"model": "model", "prompt": [5, 6], "max_tokens": 150, "stream": True}
        with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=60) as answer:
            for line in answer.iter_lines():
                lines.append(line)

    callers = [threading.Thread(target=read_stream, args=[lines]) for lines in streams]
    for caller in callers:
        caller.start()
    waited(lambda: all(streams))  # each caller's answer has begun: one that comes later finds no server
    os.kill(child.pid, signal.SIGTERM)
    for caller in callers:
        caller.join(60)
    assert child.wait() == 0, child.err.read_text(encoding="utf-8")
    assert all("data: [DONE]" in lines for lines in streams), "what was under way was answered to its end"
    assert [line["status"] for line in lines_of(tmp_path / "log.jsonl")] == [200] * 3
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def killed_under_load(folder: Path, tmp_path: Path, times: int) -> None:
    rng = Random("serve/kill")
    log = tmp_path / "log.jsonl"
    finished: set[str] = set()
    for number in range(times):
        begun = time.monotonic()
        child, url = started(folder, tmp_path / f"s{number}", "--log", log, "--log-bytes", 4000)
        up = time.monotonic() - begun
        stop = threading.Event()

        def asking(url: str = url, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                body = {"model": "model", "prompt": [5, 6, 7], "max_tokens": rng.randint(1, 12)}
                try:
                    finished.add(httpx.post(f"{url}/v1/completions", json=body, timeout=120).json()["id"])
                except (httpx.HTTPError, KeyError, ValueError):
                    return

        callers = [threading.Thread(target=asking) for _ in range(6)]
        for caller in callers:
            caller.start()
        enough = len(finished) + rng.randint(1, 12)
        waited(lambda enough=enough: len(finished) >= enough, 120)
        time.sleep(rng.uniform(0.0, 0.1))
        child.kill()
        stop.set()
        assert child.wait() == -signal.SIGKILL and up < 240
        for caller in callers:
            caller.join(30)
    child, _ = started(folder, tmp_path / "last", "--log", log)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == 0
    files = [log, *tmp_path.glob("log-*.jsonl")]
    assert all(file.read_bytes()[-1:] in (b"", b"\n") for file in files)
    known = [line["id"] for file in files for line in lines_of(file)]
    assert finished <= set(known) and len(known) == len(set(known)), "whoever was answered is in the log, once"
    assert len(finished) > times


def test_killed_under_load_the_log_has_whole_lines_and_every_answer(folder: Path, tmp_path: Path) -> None:
    killed_under_load(folder, tmp_path, 2)


@pytest.mark.slow
def test_killed_under_load_twenty_times(folder: Path, tmp_path: Path) -> None:
    killed_under_load(folder, tmp_path, 20)


def test_without_its_libraries_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no', name='uvicorn')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(
        [sys.executable, "-m", "foreword", "serve", "-m", "x"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2 and re.search(r"pip install 'foreword\[serve\]'", result.stderr), result.stderr
