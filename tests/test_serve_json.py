"""Answers in JSON: well-formed and by the schema, whatever the model would rather say, in any mix; no other row is touched, and what cannot
be held to is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import openai
import pytest
import torch

import serving
import tiny
from foreword.data.template import Template
from foreword.engine import Backbone, JsonWriter, Request, Sampling
from foreword.engine.sampling import choose, ruled_out
from foreword.prompts import store
from foreword.util.errors import ForewordError
from serving import Running, events, refusal

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "item": {"enum": ["bread", "cake", "pie"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 99},
        "notes": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["item", "count", "notes"],
    "additionalProperties": False,
}
SCHEMAS: tuple[dict[str, Any], ...] = (
    ORDER,
    {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 2, "maxItems": 4},
    {"anyOf": [{"const": None}, {"type": "string", "maxLength": 6}]},
    {
        "type": "object",
        "properties": {"é": {"type": "string", "pattern": "^[a-z]{2,5}$"}},
        "required": ["é"],
        "additionalProperties": False,
    },
)


def by(schema: dict[str, Any]) -> dict[str, Any]:
    """A request's part that asks for it."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


# -- in the session -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gpt2", "llama", "mamba", "t5"])
def test_rows_of_json_hold_to_it_and_touch_no_others(family: str) -> None:
    backbone = tiny.backbone(family)
    writer = JsonWriter(backbone)
    rng = Random(family)
    requests = []
    for number, row in enumerate(tiny.rows(12, answer=0, seed=family)):
        sampling = rng.choice([Sampling(), Sampling(1.5, seed=number), Sampling(0.8, top_k=5, top_p=0.9, seed=number)])
        constraint = writer.grammar(SCHEMAS[number % 4]).constraint() if number % 2 else None
        requests.append(Request(row, None, 60, sampling=sampling, constraint=constraint))
    together = backbone.answer(requests, max_rows=7)
    for number, (request, ids) in enumerate(zip(requests, together, strict=True)):
        assert backbone.answer([request]) == [ids], "alone as beside others, and a constraint may be used again"
        if number % 2:
            text = backbone.answer_text([token for token in ids if token not in backbone.eos])
            assert len(ids) < 60
            jsonschema.validate(json.loads(text), SCHEMAS[number % 4])
        else:
            plain = Request(request.row, None, 60, sampling=request.sampling)
            assert backbone.answer([plain]) == [ids]


def test_a_constraint_says_the_same_whatever_it_was_asked_before() -> None:
    grammar = JsonWriter(tiny.backbone("gpt2")).grammar(ORDER)
    first, second = grammar.constraint(), grammar.constraint()
    ids: list[int] = []
    while not first.ended(ids):
        mask = first.allowed(ids)
        assert torch.equal(mask, second.allowed(list(ids))) and int(mask.sum()) > 0
        second.allowed([])
        ids.append(int(mask.nonzero()[-1]))
    assert not first.ended(ids[:-1]) and first.ended(ids)


def test_what_is_ruled_out_is_never_chosen() -> None:
    logits = torch.linspace(0, 5, 12)
    allowed = torch.zeros(10, dtype=torch.bool)
    allowed[[2, 4]] = True
    for sampling in (Sampling(), Sampling(repetition_penalty=2.0), Sampling(9.0, top_k=7, min_p=0.01, seed=3)):
        drawn = {choose(ruled_out(logits, allowed), sampling, position, [4]) for position in range(40)}
        assert drawn <= {2, 4} and (sampling.temperature == 0 or len(drawn) == 2)


def test_the_words_before_an_answer_come_first() -> None:
    backbone = tiny.backbone("gpt2")
    grammar = JsonWriter(backbone).grammar(ORDER, ' so:\n "')
    (ids,) = backbone.answer([Request(tiny.rows(1, answer=0)[0], None, 80, constraint=grammar.constraint())])
    text = backbone.answer_text(ids)
    assert text.startswith(' so:\n "{')
    jsonschema.validate(json.loads(text.removeprefix(' so:\n "')), ORDER)


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({"type": "nonsense"}, "nonsense"),
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "http://localhost/x"}, "localhost"),
        ({"type": "integer", "minimum": 5, "maximum": 1}, "minimum"),
        ({"enum": ["x" * 300_000]}, "200,000"),
    ],
)
def test_a_schema_that_cannot_be_held_to_is_refused(schema: dict[str, Any], what: str) -> None:
    with pytest.raises(ForewordError, match=what):
        JsonWriter(tiny.backbone("gpt2")).grammar(schema)


# -- over HTTP ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def backbone() -> Iterator[Backbone]:
    with serving.backbone() as backbone:
        yield backbone


@pytest.fixture(scope="module")
def running(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    registry = serving.filled(backbone, tmp_path_factory.mktemp("json"))
    worded = Template(question="{input} =>", answer=" Answer: {target};", stop=(";", "e", "{"))
    store.save(serving.soft(backbone, 6, 9, template=worded.as_dict()), registry.folder.parent / "worded")
    serving.keep(registry, "worded", registry.folder.parent / "worded")
    with serving.server(backbone, store=registry.folder, max_rows=12) as server:
        yield server


@pytest.mark.parametrize("model", ["base", "a", "b", "icl", "worded"])
def test_an_answer_is_json_by_the_schema(running: Running, model: str) -> None:
    for schema in SCHEMAS:
        for more in ({}, {"temperature": 1.4, "seed": 5, "n": 2}):
            answer = running.complete(model, max_tokens=100, **by(schema), **more)
            for choice in answer["choices"]:
                assert choice["finish_reason"] == "stop", choice
                jsonschema.validate(json.loads(choice["text"]), schema)
            assert answer["foreword"]["json_whole"] == [True] * len(answer["choices"])


def test_streams_and_mixes_say_the_same_and_others_what_they_say_alone(running: Running) -> None:
    bodies: list[dict[str, Any]] = []
    for number in range(20):
        body: dict[str, Any] = {"model": ("a", "worded", "base", "icl")[number % 4], "prompt": f"bana {number}"}
        body |= {"max_tokens": 50, "temperature": 0.0 if number % 3 else 1.1, "seed": number}
        bodies.append(body | (by(SCHEMAS[number // 2 % 4]) if number % 2 else {}))
    alone = [running.post("/v1/completions", body).json() for body in bodies]
    with ThreadPoolExecutor(20) as pool:
        mixed = list(pool.map(lambda body: running.post("/v1/completions", body).json(), bodies))
        streamed = list(pool.map(lambda body: events(running.url, "/v1/completions", body), bodies))
    for first, second, chunks in zip(alone, mixed, streamed, strict=True):
        assert first["choices"] == second["choices"]
        assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == first["choices"][0]["text"]


def test_any_object_and_an_answer_that_is_cut_says_so(running: Running) -> None:
    for limit in (2, 400):
        body = {"model": "a", "messages": [{"role": "user", "content": "x"}], "max_tokens": limit, "temperature": 1.0}
        answer = running.post(
            "/v1/chat/completions", body | {"seed": 2, "response_format": {"type": "json_object"}}
        ).json()
        (choice,) = answer["choices"]
        whole = choice["finish_reason"] == "stop"
        assert answer["foreword"]["json_whole"] == [whole] and whole == (limit == 400), answer
        if whole:
            assert isinstance(json.loads(choice["message"]["content"]), dict)
        else:
            assert choice["finish_reason"] == "length" and choice["message"]["content"].startswith("{")


def test_what_does_not_go_together_is_refused(running: Running) -> None:
    shape = by(ORDER)
    for model, more, param in (
        ("a", {"stop": "x"} | shape, "stop"),
        ("labels", shape, "response_format"),
        ("a", {"response_format": {"type": "json_schema"}}, "response_format"),
        ("a", {"response_format": {"type": "json_object", "json_schema": {"schema": {}}}}, "response_format"),
        ("a", {"response_format": {"type": "xml"}}, "response_format"),
        ("a", by({"type": "nonsense"}), "response_format"),
        ("a", by({"not": {}}), "response_format"),
    ):
        refusal(running.post("/v1/completions", {"model": model, "prompt": "bana", **more}), 400, param)


def test_the_openai_client_parses_it(running: Running) -> None:
    import pydantic

    class Order(pydantic.BaseModel):
        item: str = pydantic.Field(max_length=5)
        count: int = pydantic.Field(ge=0, le=9)

    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    answer = client.chat.completions.parse(
        model="b", messages=[{"role": "user", "content": "bana 1 lo"}], response_format=Order, max_completion_tokens=120
    )
    assert isinstance(answer.choices[0].message.parsed, Order)


def test_without_the_library_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['llguidance'] = None\nimport tiny\nfrom foreword.engine import JsonWriter\n"
        "from foreword.util.errors import MissingExtraError\n"
        "try:\n    JsonWriter(tiny.backbone('gpt2'))\nexcept MissingExtraError as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert "pip install 'foreword[json]'" in ran.stdout, ran.stderr
