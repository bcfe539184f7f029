"""The server through its real front door: OpenAI's shapes, streams and errors, many prompts in one batch, and no answer that another
request, a stream or a cache can change."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import openai
import pytest

import entry
import serving
from foreword.api.predictor import Predictor
from foreword.engine import Backbone, Session
from foreword.prompts import store
from foreword.prompts.retrieve import make
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.registry import Registry
from foreword.registry.adding import NewVersion, writer
from serving import Running, events, refusal

INPUTS = ("bana 1 lo", "tem 3 na and a longer one that goes on", "x")
PROMPTS = ("a", "b", "c", "ipt", "icl", "few", "zero", "labels")


@pytest.fixture(scope="module")
def backbone() -> Iterator[Backbone]:
    with serving.backbone() as backbone:
        yield backbone


@pytest.fixture(scope="module")
def registry(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return serving.filled(backbone, tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def running(backbone: Backbone, registry: Registry) -> Iterator[Running]:
    with serving.server(backbone, store=registry.folder, max_rows=12, admin=True) as server:
        yield server


# -- the same answer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_answers_as_a_predictor_does(
    running: Running, registry: Registry, backbone: Backbone, name: str
) -> None:
    prompt, label, more = registry.folder.parent / name, None, {}
    if name in ("icl", "few", "zero"):
        prompt, label = None, registry.resolve(name) and running.service.shelf.get(name).stored.provenance.label  # type: ignore[union-attr]
    if name in ("ipt", "icl", "few"):
        more["demonstrations"] = str(registry.folder.parent / "pool.jsonl")
    if name == "labels":
        more["choices"] = ["red", "green", "blue"]
    with Predictor(backbone, prompt, method=label, max_new_tokens=12, **more) as predictor:
        answers = predictor.generate(list(INPUTS))
    for text, expected in zip(INPUTS, answers, strict=True):
        assert running.text(name, text, max_tokens=12) == expected
        body = {"model": name, "messages": [{"role": "user", "content": text}], "max_tokens": 12}
        completion = running.post("/v1/chat/completions", body).json()
        assert completion["choices"][0]["message"]["content"] == expected


def test_the_command_line_says_the_same(running: Running, registry: Registry, tmp_path: Path) -> None:
    data = entry.save_rows(tmp_path / "in.jsonl", [{"input": text} for text in INPUTS])
    more = ("--demonstrations", registry.folder.parent / "pool.jsonl", "--max-new-tokens", 12, "--json")
    result = entry.foreword("generate", "-m", serving.MODEL, "-p", registry.folder.parent / "ipt", "-d", data, *more)
    assert result.code == 0, result.err
    assert [line["output"] for line in result.lines] == [running.text("ipt", text, max_tokens=12) for text in INPUTS]


def test_an_answer_is_the_same_alone_in_any_mix_streamed_and_behind_a_cache_hit(running: Running) -> None:
    rng = Random("mix")
    bodies: list[dict[str, Any]] = []
    for number in range(28):
        body: dict[str, Any] = {
            "model": rng.choice([*PROMPTS, "base", "a@1"]),
            "prompt": f"{rng.choice(INPUTS)} {number % 7}",
            "max_tokens": rng.randint(1, 14),
        }
        if body["model"] != "labels":
            body |= rng.choice(
                [{}, {"temperature": 0.9, "seed": number}, {"temperature": 1.2, "top_p": 0.8, "seed": 1, "n": 2}]
            )
            body |= rng.choice([{}, {"stop": ["e", "na"]}, {"logprobs": 2}])
        bodies.append(body)
    alone = [running.post("/v1/completions", body).json() for body in bodies]
    order = list(range(len(bodies)))
    rng.shuffle(order)
    with ThreadPoolExecutor(24) as pool:
        mixed = dict(
            zip(order, pool.map(lambda at: running.post("/v1/completions", bodies[at]).json(), order), strict=True)
        )
        streamed = list(pool.map(lambda body: events(running.url, "/v1/completions", body), bodies))
    for at, body in enumerate(bodies):
        expected_choices = {choice["index"]: choice for choice in alone[at]["choices"]}
        texts = dict.fromkeys(expected_choices, "")
        reasons: dict[int, str] = {}
        for chunk in streamed[at]:
            (choice,) = chunk["choices"]
            texts[choice["index"]] += choice["text"]
            if choice["finish_reason"]:
                reasons[choice["index"]] = choice["finish_reason"]
        assert texts == {place: choice["text"] for place, choice in expected_choices.items()}, body
        assert reasons == {place: choice["finish_reason"] for place, choice in expected_choices.items()}, body
        for choice in mixed[at]["choices"]:
            expected = expected_choices[choice["index"]]
            assert (choice["text"], choice["finish_reason"]) == (expected["text"], expected["finish_reason"]), body
            if expected["logprobs"]:
                logprobs, right = (each["logprobs"]["token_logprobs"] for each in (choice, expected))
                assert logprobs == pytest.approx(right, abs=1e-4)
        assert mixed[at]["usage"] == alone[at]["usage"]


def test_prompts_do_not_answer_for_each_other(running: Running) -> None:
    texts = {name: running.text(name, "bana 1 lo", max_tokens=14, raw=True) for name in ("a", "b", "c", "base")}
    assert len(set(texts.values())) == 4, texts
    assert {name: running.text(name, "bana 1 lo", max_tokens=14, raw=True) for name in texts} == texts


def test_the_order_of_fields_changes_no_demonstration(backbone: Backbone, tmp_path: Path) -> None:
    """Vectors are made of the fields as the prompt's own examples have them: in another order they are of another text."""
    registry = Registry(tmp_path / "store")
    rows = [{"one": f"bana {number}", "two": f"lo {number % 3}", "target": "x"} for number in range(9)]
    wording, pool = {"question": "{one} and {two} =>"}, str(entry.save_rows(tmp_path / "pool.jsonl", rows))
    words = NewVersion(method="icl:dense:2", template=wording, demonstrations=pool, encoder="backbone:mean")
    registry.add("near", writer(words))
    with serving.server(backbone, store=registry.folder) as running:
        fields = {"one": "bana 4", "two": "ri 1"}
        both = [
            running.complete("near", "", fields=dict(order), max_tokens=1)["foreword"]["inputs"]
            for order in (fields.items(), reversed(fields.items()))
        ]
    assert both[0] == both[1] and both[0][0]["demonstrations"][0]["similarity"] is not None


# -- clients --------------------------------------------------------------------------------------------------------------


def test_the_openai_client(running: Running) -> None:
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    expected = running.expected("b", "bana 1 lo")
    assert {"reference-small", "a", "a@1", "ipt", "icl"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("a@1").root == "reference-small"  # type: ignore[attr-defined]
    answer = client.completions.create(model="b", prompt="bana 1 lo", max_tokens=12)
    assert answer.choices[0].text == expected and answer.usage is not None and answer.usage.completion_tokens
    chunks = list(
        client.completions.create(
            model="b", prompt="bana 1 lo", max_tokens=12, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == expected
    assert chunks[-1].usage == answer.usage
    messages: Any = [{"role": "user", "content": "bana 1 lo"}]
    chat = client.chat.completions.create(model="b", messages=messages, max_completion_tokens=12)
    assert chat.choices[0].message.content == expected
    with client.chat.completions.stream(model="b", messages=messages, max_completion_tokens=12) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == expected
    with pytest.raises(openai.NotFoundError) as missing:
        client.completions.create(model="nobody", prompt="x")
    assert missing.value.code == "model_not_found" and missing.value.param == "model"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.completions.create(model="a", prompt="x", presence_penalty=1.0)
    assert wrong.value.param == "presence_penalty"


def test_the_async_openai_client(running: Running) -> None:
    async def both() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
            jobs = [client.completions.create(model="b", prompt=text, max_tokens=12) for text in INPUTS]
            texts = [answer.choices[0].text for answer in await asyncio.gather(*jobs)]
            stream = await client.completions.create(model="b", prompt=INPUTS[0], max_tokens=12, stream=True)
            return [*texts, "".join([chunk.choices[0].text async for chunk in stream])]

    expected = [running.expected("b", text) for text in INPUTS]
    assert asyncio.run(both()) == [*expected, expected[0]]


# -- the shelf while it runs ------------------------------------------------------------------------------------------------


def test_versions_and_aliases_are_served_as_the_store_has_them(
    running: Running, registry: Registry, backbone: Backbone, tmp_path: Path
) -> None:
    for seed in (10, 13):
        store.save(serving.soft(backbone, 6, seed), tmp_path / str(seed))
        serving.keep(registry, "moving", tmp_path / str(seed))
    first, second = (running.text(f"moving@{number}", raw=True) for number in (1, 2))
    assert first != second == running.text("moving", raw=True)
    registry.tag("moving@1", "production")
    assert running.text("moving", raw=True) == running.text("moving@production", raw=True) == first
    registry.tag("moving@2", "production")
    assert running.text("moving", raw=True) == second
    registry.rollback("moving", "production")
    digest = registry.resolve("moving@1")[1].digest
    assert running.text("moving", raw=True) == running.text(f"moving@{digest[:10]}", raw=True) == first
    cards = {card["id"]: card for card in running.get("/v1/models").json()["data"]}
    assert (
        cards["moving@1"]["foreword"]["aliases"] == ["production"] and cards["moving@2"]["parent"] == "reference-small"
    )
    for way in ("moving@v1", f"moving@{digest[:10]}", "moving@1"):
        assert running.get(f"/v1/models/{way}").json() == cards["moving@1"], "as a request may say it"
    assert running.get("/v1/models/moving@production").json() == cards["moving@production"]
    own = running.get("/v1/models/reference-small").json()
    assert running.get("/v1/models/base").json() == own == cards["reference-small"]
    assert running.get("/v1/models/moving@7").status_code == 404
    registry.remove_all("moving")
    refusal(running.post("/v1/completions", {"model": "moving", "prompt": "x"}), 404, "model")


def test_a_prompt_of_another_model_or_with_a_changed_byte_is_refused(
    running: Running, registry: Registry, backbone: Backbone, tmp_path: Path
) -> None:
    born = serving.soft(backbone, 3, 1)
    fingerprint = backbone.fingerprint.replace(
        backbone.fingerprint[-1], "0" if backbone.fingerprint[-1] != "0" else "1"
    )
    other = SoftPrompt(born.values, type(born.provenance)(**(born.provenance.as_dict() | {"fingerprint": fingerprint})))
    store.save(other, tmp_path / "other")
    serving.keep(registry, "other", tmp_path / "other")
    message = refusal(running.post("/v1/completions", {"model": "other", "prompt": "x"}), 400, "prompt")
    assert "another model" in message
    store.save(serving.soft(backbone, 3, 2), tmp_path / "damaged")
    version = serving.keep(registry, "damaged", tmp_path / "damaged")
    path = registry.place("damaged", version) / "README.md"
    path.write_text("changed", encoding="utf-8")
    message = refusal(running.post("/v1/completions", {"model": "damaged", "prompt": "x"}), 400, "prompt")
    assert "README.md" in message and running.service.check_store()
    for name in ("other", "damaged"):
        registry.remove_all(name)


def listed(running: Running) -> set[str]:
    """The models that /v1/models names."""
    return {card["id"] for card in running.get("/v1/models").json()["data"]}


def test_prompts_are_loaded_and_unloaded_while_others_answer(
    running: Running, registry: Registry, backbone: Backbone, tmp_path: Path
) -> None:
    expected = {name: running.text(name, max_tokens=14) for name in ("a", "b", "c")}
    for number in (20, 21):
        store.save(serving.soft(backbone, 5, number), tmp_path / str(number))

    def change(step: int) -> int:
        time.sleep(0.1 * step)
        if step < 2:
            serving.keep(registry, f"new{step}", tmp_path / f"2{step}")
            return running.post("/v1/foreword/load", {"model": f"new{step}"}).status_code
        return running.post("/v1/foreword/unload", {"model": "a"}).status_code

    with ThreadPoolExecutor(16) as pool:
        changes = [pool.submit(change, step) for step in range(3)]
        names = ["a", "b", "c"] * 16
        answers = list(
            pool.map(
                lambda name: running.post("/v1/completions", {"model": name, "prompt": "bana 1 lo", "max_tokens": 14}),
                names,
            )
        )
        assert [each.result() for each in changes] == [200, 200, 200]
    for name, answer in zip(names, answers, strict=True):
        if answer.status_code == 404:
            assert name == "a"
        else:
            assert answer.json()["choices"][0]["text"] == expected[name]
    assert "unloaded" in refusal(running.post("/v1/completions", {"model": "a", "prompt": "x"}), 404, "model")
    assert not {"a", "a@1"} & listed(running) and running.get("/v1/models/a@1").status_code == 404
    assert running.post("/v1/foreword/load", {"model": "a"}).json() == {"loaded": "a@1"}
    assert {"a", "a@1"} <= listed(running) and running.get("/v1/models/a@1").status_code == 200
    assert running.text("a", max_tokens=14) == expected["a"] and running.text("new1", max_tokens=2)


def test_a_prompt_that_takes_long_to_index_holds_nobody_else_up(
    running: Running, registry: Registry, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = entry.save_rows(tmp_path / "pool.jsonl", entry.rows(12))
    for kind in ("bm25", "dense"):
        store.save(serving.soft(backbone, 5, 4, f"ipt:{kind}:2", template={}), tmp_path / kind)
        serving.keep(registry, f"slow-{kind}", tmp_path / kind, demonstrations=str(pool))
    indexed, begun, go_on = [], threading.Event(), threading.Event()

    def slow(name: str, *arguments: Any, **more: Any) -> Any:
        indexed.append(name)
        begun.set()
        assert go_on.wait(30)
        return make(name, *arguments, **more)

    monkeypatch.setattr("foreword.serve.shelf.make", slow)
    with ThreadPoolExecutor(4) as callers:
        waiting = [callers.submit(running.text, name, max_tokens=9) for name in 2 * ("slow-bm25", "slow-dense")]
        assert begun.wait(30)
        texts = [running.text(name, max_tokens=4) for name in ("b", "ipt", "base")]
        assert len(texts) == 3 and not any(each.done() for each in waiting)
        hasty = running.post("/v1/completions", {"model": "slow-bm25", "prompt": "x", "timeout": 0.2})
        assert (hasty.status_code, hasty.json()["error"]["code"]) == (408, "deadline")
        assert "goes on loading" in hasty.json()["error"]["message"]
        go_on.set()
        answers = [each.result() for each in waiting]
    assert sorted(indexed) == ["bm25", "dense"], "each once, though two asked"
    monkeypatch.undo()
    expected = [running.expected(name, "bana 1 lo", 9) for name in ("slow-bm25", "slow-dense")]
    assert answers == 2 * expected and expected[0] == running.expected("ipt", "bana 1 lo", 9)
    for name in ("slow-bm25", "slow-dense"):
        registry.remove_all(name)


def test_a_request_that_breaks_a_step_fails_alone(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the memory ends: the step raises, and whose fault it was is found out; the others begin anew and lose no token."""
    step = Session.step

    def breaking(self: Session) -> list[Any]:
        if any(live.request.row.own == (9, 9, 9) for live in (*self.running.values(), *self.waiting)):
            raise RuntimeError("out of memory")
        return step(self)

    monkeypatch.setattr(Session, "step", breaking)
    expected = running.text("b", max_tokens=40, raw=True)

    def answer_of(name: str) -> tuple[int, str]:
        if name == "bad":
            answer = running.post("/v1/completions", {"model": "base", "prompt": [9, 9, 9], "max_tokens": 4})
            return answer.status_code, answer.json()["error"]["type"]
        body = {"model": "b", "prompt": "bana 1 lo", "max_tokens": 40, "raw": True}
        return 200, "".join(chunk["choices"][0]["text"] for chunk in events(running.url, "/v1/completions", body))

    with ThreadPoolExecutor(8) as pool:
        names = ["b", "b", "bad", "b", "bad", "b"]
        answers = list(pool.map(answer_of, names))
    assert answers == [(500, "server_error") if name == "bad" else (200, expected) for name in names]
    assert running.service.engine.load == 0 and running.text("b", max_tokens=40, raw=True) == expected


def test_the_pages_beside(running: Running) -> None:
    assert running.get("/health").json() == {"status": "ok"} and running.get("/ready").status_code == 200
    version = running.get("/version").json()
    assert version["model"] == "reference-small" and version["window"] == 512
    running.text("b", max_tokens=2)
    metrics = running.get("/metrics").text
    for name in (
        'foreword_requests_total{outcome="ok",prompt="b@1"}',
        'foreword_completion_tokens_total{prompt="b@1"}',
        'foreword_virtual_tokens_total{prompt="b@1"}',
        'foreword_time_to_first_token_seconds_bucket{le="0.5",prompt="b@1"}',
        "foreword_requests_running 0.0",
        "foreword_requests_waiting 0.0",
        "foreword_cached_prefixes",
    ):
        assert name in metrics, name
    described = running.get("/openapi.json").json()
    assert (
        "temperature"
        in described["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"][
            "properties"
        ]
    )
    assert running.get("/").headers["content-security-policy"].startswith("default-src 'none'")
