"""What a request to the server may say, in OpenAI's shapes, and how what is wrong with one is refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

import serving
from foreword.engine import Backbone, Row
from serving import Running, events, refusal


@pytest.fixture(scope="module")
def backbone() -> Iterator[Backbone]:
    with serving.backbone() as backbone:
        yield backbone


@pytest.fixture(scope="module")
def running(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    registry = serving.filled(backbone, tmp_path_factory.mktemp("requests"))
    with serving.server(backbone, store=registry.folder, max_rows=12) as server:
        yield server


def test_virtual_tokens_stand_in_no_count_and_are_reported_apart(running: Running) -> None:
    body = {"prompt": [5, 6, 7], "max_tokens": 4, "return_token_ids": True}
    plain, soft = running.complete("base", **body), running.complete("c", **body)
    for answer, virtual in ((plain, 0), (soft, 11)):
        assert answer["usage"] == {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "foreword_virtual_tokens": virtual,
        }
        assert answer["choices"][0]["prompt_token_ids"] == [5, 6, 7]
        assert len(answer["choices"][0]["token_ids"]) == 4
    assert soft["foreword"]["prompt"] == "c@1" and soft["foreword"]["virtual_tokens"] == 11


def test_token_ids_and_their_text_answer_alike(running: Running, backbone: Backbone) -> None:
    ids = list(backbone.tokenizer.ids("bana 1 lo", first=True))
    assert running.text("b", ids, max_tokens=9) == running.text("b", "bana 1 lo", max_tokens=9, raw=True)
    both = running.complete("b", ["bana 1 lo", "x"], max_tokens=5, n=2, temperature=1.0, seed=3)
    assert [choice["index"] for choice in both["choices"]] == [0, 1, 2, 3]
    alone = running.complete("b", "x", max_tokens=5, n=2, temperature=1.0, seed=3)
    assert [c["text"] for c in both["choices"][2:]] == [c["text"] for c in alone["choices"]]


def test_seeds_decide_and_choices_of_one_request_differ(running: Running) -> None:
    def drawn(**more: Any) -> list[str]:
        answer = running.complete("base", "bana", max_tokens=12, temperature=1.5, **more)
        return [choice["text"] for choice in answer["choices"]]

    assert drawn(seed=1, n=3) == drawn(seed=1, n=3) and len(set(drawn(seed=1, n=3))) == 3
    assert drawn(seed=1) == drawn(seed=1, n=3)[:1] != drawn(seed=2)
    assert len({drawn()[0] for _ in range(4)}) > 1, "without a seed, each request has its own"


def test_stop_texts_end_an_answer_and_are_no_part_of_it(running: Running) -> None:
    whole = running.text("base", "bana 1 lo", max_tokens=20)
    for stop in (whole[4:7], whole[:1], [whole[9:11], whole[3:5]]):
        first = min(whole.find(each) for each in ([stop] if isinstance(stop, str) else stop))
        answer = running.complete("base", "bana 1 lo", max_tokens=20, stop=stop)
        assert answer["choices"][0]["text"] == whole[:first] and answer["choices"][0]["finish_reason"] == "stop"
        chunks = events(
            running.url, "/v1/completions", {"model": "base", "prompt": "bana 1 lo", "max_tokens": 20, "stop": stop}
        )
        assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole[:first]


def test_log_probabilities_are_the_models(running: Running, backbone: Backbone) -> None:
    answer = running.complete("base", [5, 6, 7], max_tokens=4, logprobs=3, return_token_ids=True)["choices"][0]
    ids = tuple(answer["token_ids"])
    (score,) = backbone.score(None, [Row((), (5, 6, 7), ids)])
    assert sum(answer["logprobs"]["token_logprobs"]) == pytest.approx(score, abs=1e-3)
    assert all(len(top) in (3, 4) for top in answer["logprobs"]["top_logprobs"])
    echoed = running.complete("base", [5, 6, 7, *ids], max_tokens=0, echo=True, logprobs=0)["choices"][0]["logprobs"]
    assert echoed["token_logprobs"][0] is None
    assert echoed["token_logprobs"][3:] == pytest.approx(answer["logprobs"]["token_logprobs"], abs=1e-3)
    both = running.complete("c", [5, 6, 7], max_tokens=2, echo=True, logprobs=0)["choices"][0]["logprobs"]
    soft = running.service.shelf.get("c").prefix
    (score,) = backbone.score(soft, [Row((), (5,), (6, 7))])
    assert sum(both["token_logprobs"][1:3]) == pytest.approx(score, abs=1e-3)
    body = {
        "model": "b",
        "messages": [{"role": "user", "content": "bana"}],
        "logprobs": True,
        "top_logprobs": 2,
        "max_tokens": 3,
    }
    content = running.post("/v1/chat/completions", body).json()["choices"][0]["logprobs"]["content"]
    assert all(
        len(token["top_logprobs"]) == 2 and bytes(token["bytes"]).decode() == token["token"] for token in content
    )


def test_echo_gives_back_what_was_sent(running: Running) -> None:
    text = running.text("base", "bana 1 lo", max_tokens=5)
    assert running.text("base", "bana 1 lo", max_tokens=5, echo=True) == "bana 1 lo" + text
    body = {"model": "base", "prompt": "bana 1 lo", "max_tokens": 5, "echo": True}
    assert "".join(c["choices"][0]["text"] for c in events(running.url, "/v1/completions", body)) == "bana 1 lo" + text


def test_demonstrations_are_told_with_their_similarity(running: Running) -> None:
    answer = running.complete("icl", "bana 1 lo", max_tokens=2)
    (inputs,) = answer["foreword"]["inputs"]
    assert len(inputs["demonstrations"]) == 2
    similarities = [shown["similarity"] for shown in inputs["demonstrations"]]
    assert similarities == sorted(similarities) and all(0 <= value <= 1 for value in similarities)
    assert running.complete("icl", "bana 1 lo")["usage"]["completion_tokens"] <= 9, "the prompt keeps its own limit"


def test_a_prompt_of_choices_tells_their_log_probabilities_and_draws_by_them(running: Running) -> None:
    answer = running.complete("labels", "bana 1 lo")
    (scores,) = answer["foreword"]["choice_logprobs"]
    assert set(scores) == {"red", "green", "blue"}
    assert answer["choices"][0]["text"] == max(scores, key=lambda label: scores[label])
    drawn = [running.text("labels", "bana 1 lo", temperature=50.0, seed=seed) for seed in range(12)]
    assert len(set(drawn)) > 1 and set(drawn) <= set(scores)
    assert drawn[0] == running.text("labels", "bana 1 lo", temperature=50.0, seed=0)
    body = {"model": "labels", "prompt": "x", "top_p": 0.5}
    assert "choices" in refusal(running.post("/v1/completions", body), 400, "top_p")


def test_fields_of_a_wording_are_named(running: Running) -> None:
    fields = {"one": "bana", "two": "lo"}
    assert (
        running.text("two", "", fields=fields, max_tokens=4)
        == running.text("two", "bana and lo =>", raw=True, max_tokens=4).strip()
    )
    body = {"model": "two", "prompt": "bana"}
    assert "one, two" in refusal(running.post("/v1/completions", body), 400, "fields")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10_000}, "max_tokens"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"logprobs": 21}, "logprobs"),
        ({"seed": 1.5}, "seed"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"best_of": 2}, "best_of"),
        ({"suffix": "x"}, "suffix"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"tempreature": 0}, "tempreature"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"model": "base", "prompt": ""}, "prompt"),
        ({"prompt": [10**6]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"prompt": ["x"] * 129}, "prompt"),
        ({"prompt": "x " * 2000}, "prompt"),
        ({"model": "nobody"}, "model"),
        ({"model": "a@7"}, "model"),
        ({"model": "a@nothing"}, "model"),
        ({"model": "../a"}, "model"),
        ({"fields": {"input": 3}}, "fields"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_what_is_wrong_is_refused_naming_it(running: Running, more: dict[str, Any], param: str) -> None:
    body = json.dumps({"model": "a", "prompt": "bana", **more})
    answer = httpx.post(f"{running.url}/v1/completions", content=body, timeout=60)
    refusal(answer, 404 if param == "model" else 400, param)


def test_neutral_values_and_nulls_are_no_parameters(running: Running) -> None:
    more = {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "best_of": 1, "suffix": None, "n": None}
    assert running.text("a", max_tokens=3, response_format={"type": "text"}, **more) == running.text("a", max_tokens=3)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"model": 1}'])
def test_a_body_that_is_no_request_is_refused(running: Running, body: bytes) -> None:
    for path in ("/v1/completions", "/v1/chat/completions"):
        answer = httpx.post(f"{running.url}{path}", content=body, timeout=60)
        assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error", answer.text


def test_messages_that_are_no_single_turn_are_refused_where_there_are_no_turns(running: Running) -> None:
    user, reply = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
    for messages in ([], [reply], [user, user], [user, reply], [{"role": "tool", "content": "x"}], [user, reply, user]):
        refusal(running.post("/v1/chat/completions", {"model": "a", "messages": messages}), 400, "messages")
    body = {"model": "base", "messages": [user]}
    assert "no chat template" in refusal(running.post("/v1/chat/completions", body), 400, "model")
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    refusal(running.post("/v1/chat/completions", {"model": "a", "messages": [picture]}), 400, "messages")


def test_unknown_routes_and_large_bodies_have_the_error_object_too(running: Running) -> None:
    refusal(running.get("/v1/nothing"), 404, None)
    refusal(running.get("/v1/completions"), 405, None)
    refusal(running.post("/v1/completions", {"model": "a", "prompt": "x" * 5_000_000}), 413, None)
