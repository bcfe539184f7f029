"""A prompt that chooses is used as it was tuned: how its choices are compared is kept, and asked of nobody again, on a server neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import chats
import entry
import serving
import tiny
from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import wrap
from foreword.infer.predict import predict
from foreword.prompts import store
from foreword.prompts.chat import Chat
from foreword.prompts.layout import Layout
from foreword.prompts.methods import METHODS
from foreword.registry import Registry
from foreword.serve.gate import Gate, decide

LONG = ("ba", "lo ri tem na sho ku der fin ost ba lo ri")
TEMPLATE = Template(question="{input}\nOutput:")
INPUTS = [row["input"] for row in entry.rows(24)]
SCORES = ("sum", "mean", "calibrated")


def settings(score: str) -> dict[str, Any]:
    return {"choices": list(LONG), "choice_score": score, "metrics": ["accuracy"]}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The same numbers, kept as prompts that compare their choices in three ways."""
    where, backbone = tmp_path_factory.mktemp("chosen"), tiny.backbone("llama")
    registry = Registry(where / "store")
    for score in SCORES:
        prompt = serving.soft(backbone, 3, 1, template=TEMPLATE.as_dict(), settings=settings(score))
        store.save(prompt, where / score)
        serving.keep(registry, score, where / score)
    return registry


def expected(registry: Registry, score: str) -> list[str]:
    """What `predict` says."""
    backbone, prompt = tiny.backbone("llama"), store.load(registry.folder.parent / score)
    layout = Layout(backbone, TEMPLATE, METHODS["pt"], soft=3, reserve=6, calibrated=True)
    laid = [layout.lay(Example(text, {"input": text}, (), LONG)) for text in INPUTS]
    how: dict[str, Any] = {"longest": 6, "batch_size": 8, "choice_score": score}
    return list(predict(backbone, TEMPLATE, prompt.values, laid, **how).outputs)


def test_a_server_compares_choices_as_the_prompt_was_tuned(registry: Registry) -> None:
    answers = {score: expected(registry, score) for score in SCORES}
    assert len({tuple(each) for each in answers.values()}) == 3, "the three ways choose otherwise"
    with serving.server(tiny.backbone("llama"), store=registry.folder) as running:
        for score in SCORES:
            whole = running.complete(score, INPUTS)
            assert [choice["text"] for choice in whole["choices"]] == answers[score]
            logprobs = whole["foreword"]["choice_logprobs"]
            assert all(set(each) == set(LONG) and each["ba"] > each[LONG[1]] for each in logprobs)


def test_a_chat_with_earlier_turns_is_held_against_the_same_turns(tmp_path: Path) -> None:
    tokenizer = chats.tokenizer("smollm2")
    backbone = wrap("chatty", chats.llama(tokenizer), tokenizer)
    digest = Chat(backbone.tokenizer.hf, start=backbone.tokenizer.start).digest
    wording = Template(question="{input}", answer="{target}", stop="").as_dict()
    prompt = serving.soft(backbone, 3, 1, chat=digest, template=wording, settings=settings("calibrated"))
    store.save(prompt, tmp_path / "p")
    serving.keep(Registry(tmp_path / "store"), "p", tmp_path / "p")
    turns = [{"role": "user", "content": "bana"}, {"role": "assistant", "content": "ba"}]
    with serving.server(backbone, store=tmp_path / "store") as running:
        body = {"model": "p", "messages": [*turns, {"role": "user", "content": "N/A"}]}
        answer = running.post("/v1/chat/completions", body).json()
        assert answer["choices"][0]["message"]["content"] == "ba", "of equal ones the first"
        assert len(answer["foreword"]["choice_logprobs"][0]) == 2


@pytest.mark.parametrize("score", ["mean", "calibrated"])
def test_the_gate_compares_choices_as_the_prompt_was_tuned(registry: Registry, tmp_path: Path, score: str) -> None:
    both, place = Registry(tmp_path / "store"), registry.folder.parent
    for name in (score, "sum"):
        serving.keep(both, "p", place / name)
    both.tag("p@2", "production")
    answers = zip(INPUTS, expected(registry, score), strict=True)
    test = entry.save_rows(tmp_path / "test.jsonl", [{"input": text, "target": target} for text, target in answers])
    decision = decide(Gate(both.folder, "p@1", test, dry_run=True), tiny.backbone("llama"))
    assert decision.candidate_score == 100.0 > decision.production_score


def test_evaluate_asks_for_it_once(tmp_path: Path) -> None:
    model, data = entry.save_model(tmp_path / "model"), tmp_path / "own.jsonl"
    entry.save_rows(data, entry.rows(40, choices=LONG))
    own = ("-m", model, "-d", data)
    tuned = ("tune", *own, "--choice-score", "mean", *("--max-steps", 1, "--prompt-length", 2), "--out", tmp_path / "p")
    assert entry.foreword(*tuned).code == 0
    command = ("evaluate", *own, "-p", tmp_path / "p", "--out", tmp_path / "out", "--json")
    alone, named, other = (
        entry.foreword(*command, *more).json for more in ((), ("--choice-score", "mean"), ("--choice-score", "sum"))
    )
    assert alone["record"] == named["record"] != other["record"]
    free = entry.foreword("generate", *own, "-p", tmp_path / "p", "--choices", "none", "--limit", 2, "--json")
    assert free.code == 0, free.err


def test_a_column_in_which_all_choices_are_the_same_is_read_again(tmp_path: Path) -> None:
    labelled = [row | {"options": list(LONG)} for row in entry.rows(40, choices=LONG)]
    own = ("-m", entry.save_model(tmp_path / "model"), "-d", entry.save_rows(tmp_path / "own.jsonl", labelled))
    tuned = ("tune", *own, "--choices-column", "options", *("--max-steps", 1, "--prompt-length", 2))
    assert entry.foreword(*tuned, "--out", tmp_path / "p").code == 0
    command = ("evaluate", *own, "-p", tmp_path / "p", "--out", tmp_path / "out", "--json")
    for more in ((), ("--choices", ",".join(LONG))):
        result = entry.foreword(*command, *more)
        assert result.code == 0 and "accuracy" in result.json["metrics"], result.err
