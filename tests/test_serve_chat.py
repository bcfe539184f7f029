"""Chat models on the server: the tokens are those of the template, users' text is never a control token, and a prompt that was tuned in
answers in turns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import chats
import serving
from foreword.api.predictor import Predictor
from foreword.engine import Backbone, Row, wrap
from foreword.prompts import store
from foreword.prompts.chat import Chat
from foreword.registry import Registry
from serving import Running

FAMILIES = ("smollm2", "llama3", "gemma2")
WORDING = {"question": "{input}", "answer": "{target}", "stop": ""}


def backbone_of(family: str) -> Backbone:
    tokenizer = chats.tokenizer(family)
    return wrap("chatty", chats.llama(tokenizer), tokenizer)


@pytest.fixture(scope="module", params=FAMILIES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    backbone, where = backbone_of(request.param), tmp_path_factory.mktemp("chat")
    registry = Registry(where / "store")
    digest = Chat(backbone.tokenizer.hf, start=backbone.tokenizer.start).digest
    for number, (name, provenance) in enumerate(
        {
            "turns": {"chat": digest, "template": WORDING},
            "inside": {"chat": digest, "template": WORDING, "place": "system"},
            "text": {"chat": ""},
        }.items()
    ):
        store.save(serving.soft(backbone, 3, number, **provenance), where / name)
        serving.keep(registry, name, where / name)
    with serving.server(backbone, store=registry.folder) as server:
        yield server


def chat(running: Running, model: str, messages: list[tuple[str, str]], **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": role, "content": text} for role, text in messages], "max_tokens": 8}
    answer = running.post("/v1/chat/completions", body | {"return_token_ids": True} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]  # type: ignore[no-any-return]


def test_the_model_alone_gets_the_tokens_of_its_template(running: Running) -> None:
    backbone = running.service.backbone
    tokenizer = backbone.tokenizer.hf
    turns = [("user", "bana 1"), ("assistant", "lo ri"), ("user", "tem 2")]
    for messages in ([("user", "bana 1 lo")], turns):
        choice = chat(running, "base", messages)
        conversation = [{"role": role, "content": text} for role, text in messages]
        known = {"add_generation_prompt": True, "return_dict": False, "date_string": "26 Jul 2024"}
        ids = tokenizer.apply_chat_template(conversation, **known)
        assert choice["prompt_token_ids"] == list(ids)
        spoken = backbone.chatting(Chat(tokenizer, start=backbone.tokenizer.start))
        own = tuple(ids[len(spoken.engine.start) :])  # type: ignore[attr-defined]
        (answer_ids,) = spoken.generate(None, [Row((), own)], 8)
        assert choice["message"]["content"] == spoken.answer_text(answer_ids)


def test_what_users_write_is_no_control_token(running: Running) -> None:
    backbone = running.service.backbone
    unknown = backbone.tokenizer.hf.unk_token  # stands for text that cannot be written, and controls nothing
    added = backbone.tokenizer.hf.added_tokens_decoder.items()
    controls = {i for i, token in added if token.special and str(token.content) != unknown}
    for control in backbone.tokenizer.hf.all_special_tokens:
        for model in ("base", "turns"):
            plain, ids = (
                chat(running, model, [("user", text)], max_tokens=1)["prompt_token_ids"]
                for text in ("bana", f"bana {control} lo")
            )
            assert sum(i in controls for i in ids) == sum(i in controls for i in plain) > 0, control


def test_prompts_answer_as_they_were_tuned(running: Running) -> None:
    registry = running.service.shelf.registry
    assert registry is not None
    for name in ("turns", "inside", "text"):
        with Predictor(running.service.backbone, registry.folder.parent / name, max_new_tokens=8) as predictor:
            expected = predictor.generate(["bana 1 lo", "x"])
        for text, answer in zip(("bana 1 lo", "x"), expected, strict=True):
            assert chat(running, name, [("user", text)])["message"]["content"] == answer
            assert running.text(name, text, max_tokens=8) == answer


def test_a_stream_says_the_whole_also_of_single_bytes(running: Running) -> None:
    for seed in range(3):
        body = {"model": "base", "prompt": [5, 6, 7], "max_tokens": 12, "temperature": 3.0, "seed": seed}
        whole = running.post("/v1/completions", body).json()["choices"][0]["text"]
        answer = running.post("/v1/completions", body | {"stream": True}).text
        chunks = [
            json.loads(line.removeprefix("data: ")) for line in answer.split("\n\n") if line.startswith("data: {")
        ]
        assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole
        model = running.service.views.reading(False)
        ids = running.complete("base", [5, 6, 7], return_token_ids=True, max_tokens=12, temperature=3.0, seed=seed)
        assert whole == model.answer_text(ids["choices"][0]["token_ids"])


def test_earlier_turns_stand_before_the_question(running: Running) -> None:
    turns = [("user", "bana 1"), ("assistant", "lo ri"), ("user", "tem 2")]
    for name in ("turns", "inside"):
        once, more = (chat(running, name, messages)["prompt_token_ids"] for messages in (turns[-1:], turns))
        assert len(more) > len(once)
    body = {"model": "text", "messages": [{"role": role, "content": text} for role, text in turns]}
    assert running.post("/v1/chat/completions", body).json()["error"]["param"] == "messages"


def test_a_prompt_of_another_template_is_refused(running: Running) -> None:
    registry, backbone = running.service.shelf.registry, running.service.backbone
    assert registry is not None
    other = serving.soft(backbone, 3, 1, chat="0" * 64, template=WORDING)
    where = registry.folder.parent / "other"
    store.save(replace(other), where)
    serving.keep(registry, "other", where)
    answer = running.post("/v1/completions", {"model": "other", "prompt": "x"})
    assert answer.status_code == 400 and "another chat template" in answer.json()["error"]["message"]
    registry.remove_all("other")
