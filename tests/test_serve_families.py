"""Other kinds of models on the server: encoder-decoders, states, rows that cannot join; mixed requests are answered as each alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import entry
import serving
import tiny
from foreword.api.predictor import Predictor
from foreword.engine import load_backbone
from foreword.prompts import store
from foreword.registry import Registry

TEXTS = ("bana 1 lo", "tem 2", "a b c d e f")


@pytest.mark.parametrize("family", ["t5", "bart", "mamba", "falcon", "gpt2"])
def test_mixed_requests_are_answered_as_a_predictor_does(family: str, tmp_path: Path) -> None:
    backbone = tiny.backbone(family)
    registry = Registry(tmp_path / "store")
    pool = entry.save_rows(tmp_path / "pool.jsonl", entry.rows(6))
    place = "behind" if family == "bart" else "front"
    labels = {"p": "pt", "q": "pt", "shown": "ipt:dense:1"}
    for number, (name, label) in enumerate(labels.items()):
        store.save(serving.soft(backbone, 3 + number, number, label, place=place), tmp_path / name)
        serving.keep(registry, name, tmp_path / name, demonstrations=str(pool) if name == "shown" else "")
    expected: dict[tuple[str, str], str] = {}
    for name in labels:
        more = {"demonstrations": str(pool)} if name == "shown" else {}
        with Predictor(backbone, tmp_path / name, max_new_tokens=7, **more) as predictor:  # type: ignore[arg-type]
            expected |= {
                (name, text): answer for text, answer in zip(TEXTS, predictor.generate(list(TEXTS)), strict=True)
            }
    with serving.server(backbone, store=registry.folder, max_rows=4) as running:
        pairs = [(name, text) for text in TEXTS for name in labels]
        with ThreadPoolExecutor(9) as callers:
            answers = list(callers.map(lambda pair: running.text(*pair, max_tokens=7), pairs))
        assert answers == [expected[pair] for pair in pairs]
        plain = running.complete("base", [5, 6, 7], max_tokens=4, return_token_ids=True, logprobs=1)["choices"][0]
        assert len(plain["logprobs"]["token_logprobs"]) == len(plain["token_ids"]) <= 4
        body = {"model": "q", "prompt": TEXTS[0], "max_tokens": 7, "logprobs": 1}
        whole = running.complete(**body)["choices"][0]["logprobs"]
        parts = [chunk["choices"][0]["logprobs"] for chunk in serving.events(running.url, "/v1/completions", body)]
        assert {name: [value for part in parts for value in part[name]] for name in whole} == whole
        if backbone.kind == "seq2seq":
            body = {"model": "base", "prompt": "x", "echo": True, "logprobs": 1, "max_tokens": 1}
            assert running.post("/v1/completions", body).json()["error"]["param"] == "echo"


def test_what_a_model_gets_is_shown_in_its_own_letters(shared: Path) -> None:
    """Not in those of its answers, where these are others."""
    with (
        load_backbone(str(shared / "models" / "g2p-bart-us"), device="cpu") as backbone,
        serving.server(backbone) as running,
    ):
        shown = running.post("/v1/foreword/show", {"model": "base", "prompt": "table"}).json()["inputs"][0]
    assert "".join(shown["tokens"][1:-1]) == shown["text"] == "table"


@pytest.mark.parametrize("family", ["t5", "bloom"])
def test_no_answer_is_longer_than_its_memory_can_be(family: str) -> None:
    """Of a model without a window: memory for the whole answer is taken at once, and a fault of that began everybody's answers anew."""
    with serving.server(tiny.backbone(family)) as running:
        answer = running.post("/v1/completions", {"model": "base", "prompt": "x", "max_tokens": 10**10})
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (400, "max_tokens", "context_length_exceeded")
        assert "32,768 at most" in error["message"]
        assert running.text("base", max_tokens=2)
