"""Tokens over HTTP: their texts with the blank they begin with, their bytes, their places in the text, on two kinds of tokenizers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import entry
import serving
from foreword.engine import load_backbone
from foreword.registry import Registry
from foreword.registry.adding import NewVersion, writer

LILY = ", there was a little girl named Lily"


@pytest.fixture(scope="module")
def sentencepiece(shared: Path) -> Iterator[serving.Running]:
    """A model whose tokens carry their blank as a sign, and fall back on bytes."""
    with (
        load_backbone(str(shared / "models" / "stories260k"), device="cpu") as backbone,
        serving.server(backbone) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Running]:
    """A model whose tokens are bytes, with a prompt of words."""
    registry = Registry(tmp_path_factory.mktemp("tokens") / "store")
    pool = entry.save_rows(registry.folder.parent / "pool.jsonl", entry.rows(12))
    registry.add("words", writer(NewVersion(method="icl:bm25:1", demonstrations=str(pool))))
    with (
        load_backbone("reference-small", device="cpu") as backbone,
        serving.server(backbone, store=registry.folder) as running,
    ):
        yield running


def answer(running: serving.Running, prompt: Any, model: str = "base", **more: Any) -> dict[str, Any]:
    choices = running.complete(model, prompt, **more)["choices"]
    return choices[0]  # type: ignore[no-any-return]


def stands_at_its_offsets(choice: dict[str, Any]) -> None:
    """Each token that is a text stands where its offset says."""
    logprobs, text = choice["logprobs"], choice["text"]
    plain = [
        (name, offset)
        for name, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True)
        if not name.startswith(("bytes:", "<")) and offset + len(name) <= len(text)
    ]
    assert plain, text
    other = [(name, offset) for name, offset in plain if text[offset : offset + len(name)] != name]
    assert len(other) <= 1, "the first of an answer alone, whose blank the wording takes off"
    assert all(text[offset:].startswith(name.lstrip()) for name, offset in other), (other, text)


def test_a_raw_answer_goes_on_with_the_blank_it_begins_with(sentencepiece: serving.Running) -> None:
    """It was `upon a time,`, so that prompt and answer read `Onceupon`, and a stop text at the beginning did not stop."""
    assert answer(sentencepiece, "Once", max_tokens=4)["text"] == " upon a time,"
    assert answer(sentencepiece, "Once", max_tokens=4, echo=True)["text"] == "Once upon a time,"
    assert answer(sentencepiece, "The do", max_tokens=4, echo=True)["text"] == "The dog was a big"
    stopped = answer(sentencepiece, "Once", max_tokens=4, stop=[" upon"])
    assert (stopped["text"], stopped["finish_reason"]) == ("", "stop")
    cut = answer(sentencepiece, "Once", max_tokens=9, stop=["time, "], return_token_ids=True)
    assert cut["text"] == " upon a " and cut["finish_reason"] == "stop" and len(cut["token_ids"]) == 5
    streamed = serving.events(
        sentencepiece.url, "/v1/completions", {"model": "base", "prompt": "Once", "max_tokens": 4}
    )
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == " upon a time,"


@pytest.mark.parametrize("echo", [False, True])
def test_tokens_join_to_the_text(sentencepiece: serving.Running, echo: bool) -> None:
    """They had lost every blank; offsets counted control tokens, and blanks that are not there."""
    choice = answer(sentencepiece, "Once upon a time", max_tokens=12, logprobs=2, echo=echo)
    names = [name for name in choice["logprobs"]["tokens"] if name != "<s>"]
    assert "".join(names).removeprefix(" ") == choice["text"].removeprefix(" ")
    assert LILY in choice["text"]
    stands_at_its_offsets(choice)


def test_tokens_of_one_text_are_told_apart(sentencepiece: serving.Running) -> None:
    """The byte of a comma was `,` too, so that what is never chosen read as the likeliest."""
    words = sentencepiece.service.views.input_tokens
    size = len(sentencepiece.service.backbone.tokenizer.hf)
    assert len({words.name(token) for token in range(size)}) == size
    byte = sentencepiece.service.backbone.tokenizer.hf.convert_tokens_to_ids("<0x2C>")
    ids = [*sentencepiece.service.backbone.tokenizer.ids("Once upon a time", first=True), byte]
    last = answer(sentencepiece, ids, max_tokens=0, echo=True, logprobs=1)["logprobs"]
    assert last["tokens"][-1] == "bytes:\\x2c" and set(last["top_logprobs"][-1]) == {",", "bytes:\\x2c"}
    assert len(answer(sentencepiece, "Once", max_tokens=3, logprobs=20)["logprobs"]["top_logprobs"][0]) == 20


def test_bytes_are_the_tokens_own(byte_level: serving.Running) -> None:
    """Each part of a letter was U+FFFD's three bytes."""
    sign = "\U0001f389\u00e9"
    body = {
        "model": "words",
        "messages": [{"role": "user", "content": "x"}],
        "max_tokens": 40,
        "logprobs": True,
        "response_format": {"type": "json_schema", "json_schema": {"name": "sign", "schema": {"enum": [sign]}}},
    }
    choice = byte_level.post("/v1/chat/completions", body).json()["choices"][0]
    joined = b"".join(bytes(token["bytes"]) for token in choice["logprobs"]["content"])
    assert joined.decode().strip() == choice["message"]["content"] == f'"{sign}"'
    assert any(token["token"] == "bytes:\\xf0" for token in choice["logprobs"]["content"])


def test_offsets_are_places_in_the_text(byte_level: serving.Running) -> None:
    """They were sums of lengths: one too far behind a blank that the wording takes off, two behind a sign of four bytes."""
    for more in ({}, {"echo": True}, {"stop": ["em"]}):
        stands_at_its_offsets(answer(byte_level, "hello", "words", max_tokens=10, logprobs=0, **more))
    echoed = answer(byte_level, "a \U0001f389 b", max_tokens=0, echo=True, logprobs=0)
    stands_at_its_offsets(echoed)
    assert echoed["logprobs"]["text_offset"][-1] == 3 and echoed["logprobs"]["tokens"][-1] == " b"
