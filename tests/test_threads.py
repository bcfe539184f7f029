"""Threads and tasks: concurrent calls on one backbone are the sequential ones, and what was put into the model comes out to the bit."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

import entry
import tiny
from foreword.engine import Backbone, load_backbone, wrap
from foreword.engine.install import PatchedForward
from foreword.util.errors import ForewordError

FAMILIES = ("gpt2", "llama", "gemma3", "bloom", "t5")


def fresh(family: str) -> Backbone:
    return wrap(family, copy.deepcopy(tiny.model(family)), tiny.tokenizer())


def plain_logits(model: Any) -> Tensor:
    """The model's own pass over ids, whatever foreword has put into it."""
    ids = torch.tensor([tiny.ids(9, "plain"), tiny.ids(9, "other")])
    decoder_inputs = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=ids, **decoder_inputs).logits  # type: ignore[no-any-return]


def calls(backbone: Backbone, count: int) -> list[Callable[[], Any]]:
    """Losses with their gradients (with and without activation checkpointing), scores, answers and plain passes, mixed by a seed."""
    rng = Random("calls")
    softs = [tiny.soft(backbone, 1 + seed, seed) for seed in range(4)]
    rows = [tiny.rows(2 + seed, seed=f"call {seed}", longest=6) for seed in range(4)]
    questions = [tiny.rows(2 + seed, seed=f"call {seed}", longest=6, answer=0) for seed in range(4)]

    def loss(soft: Tensor, which: int, checkpointing: bool) -> list[float]:
        start = soft.clone().requires_grad_(True)
        with backbone.activation_checkpointing(checkpointing):
            value, _ = backbone.loss(start, rows[which])
            (grad,) = torch.autograd.grad(value, start)
        return [float(value), *grad.flatten().tolist()]

    work: list[Callable[[], Any]] = []
    for _ in range(count):
        soft, which, kind = softs[rng.randrange(4)], rng.randrange(4), rng.randrange(5)
        assert soft is not None
        if kind < 2:
            work.append(lambda soft=soft, which=which, kind=kind: loss(soft, which, kind == 1))
        elif kind == 2:
            work.append(lambda soft=soft, which=which: backbone.score(soft, rows[which]))
        elif kind == 3:
            work.append(lambda soft=soft, which=which: backbone.generate(soft, questions[which], 4))
        else:
            work.append(lambda: plain_logits(backbone.model).flatten().tolist())
    return work


def assert_equal(result: Any, expected: Any) -> None:
    """Sums may be taken in another order where another prefix is kept, so numbers are equal up to float32's rounding."""
    if expected and isinstance(expected[0], list):
        assert result == expected
    else:
        torch.testing.assert_close(torch.tensor(result), torch.tensor(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_four_threads_compute_what_one_does(family: str) -> None:
    before = plain_logits(tiny.model(family))
    backbone = fresh(family)
    assert plain_logits(backbone.model).equal(before)
    work = calls(backbone, 200)
    expected = [call() for call in work]
    backbone.forget()
    with ThreadPoolExecutor(4) as threads:
        turns = [threads.submit(lambda: [call() for call in work]) for _ in range(4)]
        for turn in turns:
            for result, single in zip(turn.result(), expected, strict=True):
                assert_equal(result, single)
    assert plain_logits(backbone.model).equal(before)
    backbone.close()
    assert plain_logits(backbone.model).equal(before)
    assert not any("forward" in vars(module) for module in backbone.model.modules())
    assert not any(module._forward_pre_hooks for module in backbone.model.modules())
    assert backbone.model.config._attn_implementation == tiny.model(family).config._attn_implementation


@pytest.mark.parametrize("family", ["llama", "bloom"])
def test_tasks_of_one_thread_do_not_see_each_others_pass(family: str) -> None:
    backbone = fresh(family)
    work = calls(backbone, 24)
    expected = [call() for call in work]

    async def turn(call: Callable[[], Any]) -> Any:
        with backbone.activation_checkpointing(True):
            await asyncio.sleep(0)
            return call()

    async def every() -> list[Any]:
        return list(await asyncio.gather(*(turn(call) for call in work)))

    for result, single in zip(asyncio.run(every()), expected, strict=True):
        assert_equal(result, single)
    assert not backbone.checkpointing


def test_another_models_pass_is_not_its_own() -> None:
    """A model that runs inside another's pass (a draft model, a second backbone) computes what it always does."""
    outer, inner = fresh("llama"), fresh("gpt2")
    expected = inner.score(None, tiny.rows(3))
    inner_scores: list[list[float]] = []
    handle = outer.model.get_output_embeddings().register_forward_pre_hook(
        lambda *_: inner_scores.append(inner.score(None, tiny.rows(3)))
    )
    outer.loss(tiny.soft(outer, 3), tiny.rows(2))
    handle.remove()
    assert inner_scores and all(scores == pytest.approx(expected, rel=1e-6) for scores in inner_scores)


def test_two_backbones_of_one_model_and_a_copy() -> None:
    model = copy.deepcopy(tiny.model("llama"))
    before = plain_logits(model)
    first, second = wrap("a", model, tiny.tokenizer()), wrap("b", model, tiny.tokenizer(True))
    expected = second.score(None, tiny.rows(3))
    twin = copy.deepcopy(model)
    wrap("twin", twin, tiny.tokenizer()).close()
    assert not any("forward" in vars(module) or module._forward_pre_hooks for module in twin.modules())
    twin = copy.deepcopy(model)
    assert plain_logits(twin).equal(before)
    assert not any(isinstance(vars(module).get("forward"), PatchedForward) for module in twin.modules())
    pickle.dumps(model.config)
    first.close()
    first.close()
    assert second.score(None, tiny.rows(3)) == expected
    with pytest.raises(ForewordError, match="was closed; load the model again"):
        first.score(None, tiny.rows(3))
    with second:
        pass
    assert plain_logits(model).equal(before)
    assert wrap("c", model, tiny.tokenizer(True)).score(None, tiny.rows(3)) == expected


def test_a_failure_leaves_the_model_as_it_was() -> None:
    backbone = fresh("llama")
    before = plain_logits(backbone.model)
    with pytest.raises((RuntimeError, ForewordError)):
        backbone.loss(torch.zeros(3, backbone.hidden + 1), tiny.rows(2))
    assert plain_logits(backbone.model).equal(before)
    assert backbone.model.config._attn_implementation != "foreword"


def test_models_are_loaded_in_several_threads_at_once(tmp_path: Path) -> None:
    folders = [
        entry.save_model(tmp_path / f"{family}{number}", family) for number in range(2) for family in ("gpt2", "bloom")
    ]
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(load_backbone, map(str, folders * 3)))
    assert {backbone.fingerprint for backbone in loaded[:2]} == {backbone.fingerprint for backbone in loaded[2:]}
