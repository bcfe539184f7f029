"""Prefixes: soft prompts, tokens, keys and values, alone and in a row, are what they are in the plain computation; digests tell them
apart."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

import tiny
from foreword.engine import Backbone, Prefix, Row, wrap
from foreword.engine.prefix import Embeddings, KeysValues, Tokens
from foreword.util.errors import ForewordError

FAMILIES = ("gpt2", "llama", "gemma3", "falcon", "bloom")


def keys_values(backbone: Backbone, length: int, seed: int = 0) -> KeysValues:
    """Random keys and values in the shapes of this model's own cache."""
    with torch.no_grad():
        cache = backbone.model(input_ids=torch.tensor([[5, 6]]), use_cache=True).past_key_values
    generator = torch.Generator().manual_seed(seed)
    pairs = []
    for layer in cache.layers:
        shape = (1, layer.keys.shape[1], length, layer.keys.shape[3])
        pairs.append((torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)))
    return KeysValues(tuple(pairs))


def plain_loss(backbone: Backbone, states: KeysValues, row: Row) -> Tensor:
    """By the model library alone: a cache that begins with these keys and values."""
    cache = DynamicCache()
    for index, (keys, values) in enumerate(states.layers):
        cache.update(keys, values, index)
    ids = torch.tensor([[*backbone.tokenizer.start, *row.prefix, *row.own, *row.answer[:-1]]])
    size = len(states) + ids.shape[1]
    position_ids = torch.arange(len(states), size).unsqueeze(0)
    keywords = {"position_ids": position_ids} if backbone.engine.takes_positions else {}  # type: ignore[attr-defined]
    out = backbone.model(
        input_ids=ids, past_key_values=cache, attention_mask=torch.ones(1, size, dtype=torch.long), **keywords
    )
    logits = out.logits[0, -len(row.answer) :]
    return functional.cross_entropy(logits.float(), torch.tensor(row.answer), reduction="sum")


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_and_values_are_a_prefix_with_gradients(family: str) -> None:
    backbone = tiny.backbone(family)
    rows = tiny.rows(4, seed="kv", prefix=tiny.ids(3, "kv"))
    states = keys_values(backbone, 5)
    leaves = [tensor.requires_grad_(True) for tensor in states.tensors()]
    loss, _ = backbone.loss(Prefix((states,)), rows)
    grads = torch.autograd.grad(loss, leaves, allow_unused=True)
    plain = torch.stack([plain_loss(backbone, states, row) for row in rows]).sum()
    expected = torch.autograd.grad(plain, leaves, allow_unused=True)
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    for grad, other in zip(grads, expected, strict=True):
        assert (grad is None) == (other is None)
        if grad is not None and other is not None:
            assert float((grad - other).norm()) <= 1e-5 * float(other.norm()) + 1e-7
    scores = backbone.score(Prefix((states,)), rows)
    assert -sum(scores) == pytest.approx(float(plain.detach()), rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_several_pieces_in_a_row_are_one_prefix(family: str) -> None:
    """A soft prompt, tokens, another soft prompt: as the embeddings of all of them in one matrix."""
    backbone = tiny.backbone(family)
    if backbone.engine.reads_ids:  # type: ignore[attr-defined]
        pytest.skip("its layers read ids beside embeddings")
    first, second = tiny.soft(backbone, 3, 1), tiny.soft(backbone, 2, 2)
    assert first is not None and second is not None
    words = tiny.ids(4, "between")
    mixed = Prefix((Embeddings(first), Tokens(words), Embeddings(second)))
    whole = torch.cat([first, backbone.embed(words), second])
    rows = tiny.rows(5, seed="mixed", answer=3)
    assert backbone.score(mixed, rows) == pytest.approx(backbone.score(whole, rows), rel=1e-4)
    assert float(backbone.loss(mixed, rows)[0]) == pytest.approx(float(backbone.loss(whole, rows)[0]), rel=1e-5)
    unanswered = tiny.rows(5, seed="mixed", answer=0)
    assert backbone.generate(mixed, unanswered, 4) == backbone.generate(whole, unanswered, 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_soft_prompt_may_stand_inside_the_text(family: str) -> None:
    """Behind the tokenizer's start and the head of a turn: loss, gradient, scores and answers of the plain line."""
    backbone = tiny.backbone(family, 0, True)
    soft = tiny.soft(backbone, 3)
    assert soft is not None and backbone.tokenizer.start
    head = tiny.ids(4, "head")
    rows = [replace(row, before=head) for row in tiny.rows(4, seed="inside", prefix=tiny.ids(2, "after"))]
    plain = torch.cat([backbone.embed((*backbone.tokenizer.start, *head)), soft])

    def line(values: Tensor, row: Row) -> Tensor:
        ids = torch.tensor([[*row.prefix, *row.own, *row.answer[:-1]]])
        table = backbone.model.get_input_embeddings()
        before = torch.cat([table(torch.tensor([*backbone.tokenizer.start, *head])), values])
        vectors = torch.cat([before.unsqueeze(0), table(ids)], dim=1)
        logits = backbone.model(inputs_embeds=vectors).logits[0, -len(row.answer) :]
        return functional.cross_entropy(logits.float(), torch.tensor(row.answer), reduction="sum")

    leaf, other = soft.clone().requires_grad_(True), soft.clone().requires_grad_(True)
    loss, expected = backbone.loss(leaf, rows)[0], torch.stack([line(other, row) for row in rows]).sum()
    grad, expected_grad = torch.autograd.grad(loss, leaf)[0], torch.autograd.grad(expected, other)[0]
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert float((grad - expected_grad).norm() / expected_grad.norm()) < 1e-5
    assert backbone.score(soft, rows) == pytest.approx([-float(line(soft, row).detach()) for row in rows], rel=1e-4)
    unanswered = [replace(row, answer=()) for row in rows]
    both = backbone.generate(
        [soft, None, soft, soft], [*unanswered[:1], replace(unanswered[1], before=()), *unanswered[2:]], 3
    )
    assert both[0] == backbone.generate(soft, unanswered[:1], 3)[0] and both[2:] == backbone.generate(
        soft, unanswered[2:], 3
    )
    assert len(plain) == 3 + len(head) + 1


def test_digests_tell_prefixes_apart_and_are_made_once() -> None:
    backbone = tiny.backbone("llama")
    soft = tiny.soft(backbone, 4)
    assert soft is not None
    moved = soft.clone()
    moved[1, 2] += 1e-6
    pieces = [
        (Embeddings(soft),),
        (Embeddings(moved),),
        (Embeddings(soft[:2]), Embeddings(soft[2:])),
        (Tokens((1, 2)),),
        (Tokens((1, 2)), Embeddings(soft)),
        (keys_values(backbone, 2),),
        (keys_values(backbone, 2, 1),),
        (keys_values(backbone, 2), Embeddings(soft)),
    ]
    digests = [Prefix(each).digest for each in pieces]
    assert len(set(digests)) == len(pieces)
    prefix = Prefix((Embeddings(soft),))
    assert prefix.digest is prefix.digest and prefix.digest == Prefix.of(soft.clone()).digest  # type: ignore[union-attr]
    there = prefix.on(torch.device("meta"))
    assert there is prefix.on(torch.device("meta")) and there.digest == prefix.digest
    assert prefix.on(torch.device("cpu")) is prefix


def test_what_cannot_stand_in_a_prefix_is_refused() -> None:
    backbone, other = tiny.backbone("llama"), tiny.backbone("t5")
    states = keys_values(backbone, 2)
    with pytest.raises(ForewordError, match="put them first"):
        Prefix((Tokens((1,)), states))
    with pytest.raises(ForewordError, match="matrix"):
        Embeddings(torch.zeros(3))
    with pytest.raises(ForewordError, match="one length"):
        KeysValues((states.layers[0], (states.layers[0][0][:, :, :1], states.layers[0][1])))
    with pytest.raises(ForewordError, match="takes a soft prompt"):
        other.score(Prefix((states,)), tiny.rows(1))
    with pytest.raises(ForewordError, match="use a soft prompt"):
        tiny.backbone("mamba").score(Prefix((states,)), tiny.rows(1))


# -- autocast, and gradients of gradients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gemma2", "mistral", "gpt2", "bloom", "t5"])
def test_under_autocast_a_loss_is_the_plain_one_and_plain_answers_stay(family: str) -> None:
    backbone = wrap("fresh", copy.deepcopy(tiny.model(family)), tiny.tokenizer())
    soft, rows = tiny.soft(backbone, 4), tiny.rows(4, seed="autocast")
    assert soft is not None
    unanswered = tiny.rows(4, seed="autocast", answer=0)
    exact, before = backbone.loss(soft, rows)[0], backbone.generate(soft, unanswered, 5)
    leaf = soft.clone().requires_grad_(True)
    backbone.forget()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = backbone.loss(leaf, rows)
        backbone.generate(soft, unanswered, 5)
        backbone.score(soft, rows)
    (grad,) = torch.autograd.grad(loss, leaf)
    assert math.isclose(float(loss.detach()), float(exact), rel_tol=0.05)
    assert bool(torch.isfinite(grad).all()) and float(grad.norm()) > 0
    assert backbone.generate(soft, unanswered, 5) == before, "what was kept under autocast serves no plain answer"


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
def test_a_gradient_of_a_gradient_is_right_or_refused(family: str) -> None:
    backbone = tiny.backbone(family)
    soft = tiny.soft(backbone, 3)
    assert soft is not None
    leaf = soft.clone().requires_grad_(True)
    loss, _ = backbone.loss(leaf, tiny.rows(2, seed="second"))
    (grad,) = torch.autograd.grad(loss, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.square().sum().backward()
