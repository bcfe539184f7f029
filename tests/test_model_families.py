"""Every family of which a tiny model can be made loads, and its loss, gradient and answers are those of its plain pass over ids; they
refuse a family that is not exact, and a table that is not what is measured."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import tiny
from foreword.backbone import Backbone, Row, wrap

sys.path.insert(0, str(Path(__file__).parents[1]))  # recipes stand beside the package, not in it

from recipes.families import shapes  # noqa: E402

EVERY = tuple(shapes.FAMILIES)


@functools.cache
def backbone(family: str) -> Backbone:
    return wrap(f"tiny-{family}", shapes.model(family), tiny.tokenizer())


def plain_logits(one: Backbone, head: tuple[int, ...], answer: tuple[int, ...]) -> Tensor:
    """Logits [A, V] for an answer's tokens behind these ids: ids alone (a cache would be filled in place, which RWKV has no
    gradient for)."""
    if one.kind == "seq2seq":
        decoder_ids = torch.tensor([[one.engine.first, *answer[:-1]]])  # type: ignore[attr-defined]
        return one.model(input_ids=torch.tensor([head]), decoder_input_ids=decoder_ids).logits[0]
    given = {"input_ids": torch.tensor([[*head, *answer[:-1]]])}
    return one.model(**given, use_cache=False).logits[0, -len(answer) :]


def plain_loss(one: Backbone, text: tuple[int, ...], row: Row) -> Tensor:
    logits = plain_logits(one, text + row.prefix + row.own, row.answer)
    return functional.cross_entropy(logits, torch.tensor(row.answer), reduction="sum")


def plain_greedy(one: Backbone, head: tuple[int, ...], longest: int) -> list[int]:
    said: list[int] = []
    while len(said) < longest and (not said or said[-1] not in one.eos):
        said.append(int(plain_logits(one, head, (*said, 0))[-1].argmax()))
    return said


class Vectors:
    """What a model's table of vectors gives for the first ids of a call stands in place of it: gradients reach it."""

    def __init__(self, one: Backbone, text: tuple[int, ...]) -> None:
        self.text = list(text)
        self.soft = one.embed(text).requires_grad_(True)
        self.factor = one.engine.factor
        reader = one.model.get_encoder() if one.kind == "seq2seq" else one.model
        self.handle = reader.get_input_embeddings().register_forward_hook(self)

    def __call__(self, _: torch.nn.Module, args: tuple[Tensor, ...], vectors: Tensor) -> Tensor:
        size = len(self.text)
        if args[0][0, :size].tolist() != self.text:  # the decoder's ids
            return vectors
        return torch.cat([(self.soft / self.factor).unsqueeze(0), vectors[:, size:]], dim=1)


TEXT = tiny.ids(4, "text")


@pytest.mark.parametrize("family", EVERY)
def test_loss_and_gradient_are_those_of_the_plain_pass(family: str) -> None:
    """Over rows of several lengths that share a prefix, behind a soft prompt of a text's own vectors."""
    one = backbone(family)
    rows = tiny.rows(3, seed="loss", prefix=tiny.ids(3, "loss"), longest=12)
    soft = one.embed(TEXT).requires_grad_(True)
    loss, count = one.loss(soft, rows)
    loss.backward()  # type: ignore[no-untyped-call]
    assert count == sum(len(row.answer) for row in rows)
    wanted = 0.0
    vectors = Vectors(one, TEXT)
    try:
        for row in rows:
            plain = plain_loss(one, TEXT, row)
            plain.backward()  # type: ignore[no-untyped-call]
            wanted += float(plain.detach())
    finally:
        vectors.handle.remove()
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-5)
    grad = vectors.soft.grad
    assert grad is not None and soft.grad is not None
    assert float((soft.grad - grad).norm() / grad.norm()) < 1e-4
    assert "gradient" not in one.engine.reasons


@torch.no_grad()
@pytest.mark.parametrize("family", EVERY)
def test_answers_are_those_of_the_plain_pass_alone_and_in_a_batch(family: str) -> None:
    """The rows are of different lengths, past the windows of local attention too."""
    one = backbone(family)
    soft = one.embed(TEXT)
    rows = [Row(tiny.ids(3, "greedy"), tiny.ids(size, f"greedy {size}")) for size in (2, 9, 30)]
    together = one.generate(soft, rows, 4)
    assert [one.generate(soft, [row], 4)[0] for row in rows] == together
    assert together == [plain_greedy(one, TEXT + row.prefix + row.own, 4) for row in rows]
    scored = [Row(row.prefix, row.own, tuple(ids)) for row, ids in zip(rows, together, strict=True)]
    plain = [-float(plain_loss(one, TEXT, row)) for row in scored]
    assert one.score(soft, scored) == pytest.approx(plain, rel=1e-4, abs=1e-4)
    assert [one.score(soft, [row])[0] for row in scored] == pytest.approx(plain, rel=1e-4, abs=1e-4)
