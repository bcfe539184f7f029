"""Whatever a request holds, the server answers it or refuses it with the error object: never a fault of its own, never silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving
import tiny
from foreword.registry import Registry

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
MODELS = st.sampled_from(["words", "base", "words@1", "words@9", "nobody", "@", "words@production", "a/b", ""])
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 3) | st.integers(-1, 2),
    "top_p": st.floats(0, 1.1),
    "top_k": st.integers(-2, 9),
    "min_p": st.floats(0, 1),
    "repetition_penalty": st.floats(0, 2),
    "seed": st.integers(-5, 2**64),
    "stop": st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=3),
    "n": st.integers(0, 3),
    "stream": st.booleans(),
    "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}),
    "user": st.text(max_size=5),
    "echo": st.booleans(),
    "logprobs": st.integers(-1, 4) | st.booleans(),
    "top_logprobs": st.integers(-1, 4),
    "raw": st.booleans(),
    "fields": st.dictionaries(st.sampled_from(["input", "other"]), st.text(max_size=5), max_size=2),
    "return_token_ids": st.booleans(),
    "timeout": st.floats(0, 5),
    "response_format": st.fixed_dictionaries({"type": st.sampled_from(["text", "json_object"])}),
    "presence_penalty": st.sampled_from([0, 0.5]),
}
PROMPTS = st.text(max_size=20) | st.lists(st.integers(-1, 330), max_size=6) | st.lists(st.text(max_size=5), max_size=3)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "x"]), "content": st.text(max_size=9)}
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Running]:
    from foreword.registry.adding import NewVersion, writer

    registry = Registry(tmp_path_factory.mktemp("fuzz") / "store")
    registry.add("words", writer(NewVersion(method="zero")))
    with serving.server(tiny.backbone("llama"), store=registry.folder) as server:
        yield server


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_every_body_is_answered_or_refused(running: serving.Running, data: st.DataObject) -> None:
    answered_or_refused(running, data)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(data=st.data())
def test_many_bodies_are(running: serving.Running, data: st.DataObject) -> None:
    answered_or_refused(running, data)


def answered_or_refused(running: serving.Running, data: st.DataObject) -> None:
    chat = data.draw(st.booleans())
    body: dict[str, Any] = {"model": data.draw(MODELS), "max_tokens": data.draw(st.integers(0, 3))}
    body |= {"messages": data.draw(MESSAGES)} if chat else {"prompt": data.draw(PROMPTS)}
    for name in data.draw(st.lists(st.sampled_from(list(LIKELY)), max_size=4, unique=True)):
        body[name] = data.draw(LIKELY[name])
    if data.draw(st.integers(0, 3)) == 0:
        body[data.draw(st.sampled_from([*body, "unknown"]))] = data.draw(JSON)
    path = "/v1/chat/completions" if chat else "/v1/completions"
    answer = httpx.post(f"{running.url}{path}", content=json.dumps(body), timeout=60)
    text = answer.text
    if answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream"):
        assert text.endswith("data: [DONE]\n\n") or '"error"' in text, text
        assert "fault in the server" not in text, text
        return
    values = answer.json()
    if answer.status_code == 200:
        assert values["choices"] and values["usage"]["total_tokens"] > 0
    else:
        assert answer.status_code in (400, 404, 408), text
        assert set(values["error"]) == {"message", "type", "param", "code"} and values["error"]["message"]
