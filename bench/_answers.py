"""Greedy answers of foreword, PEFT and transformers to the same rows, every row ended at the same token; it refuses to call answers equal
that differ in more than a tie."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from typing import Any

import _peft
import _run
import _shapes
import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from foreword.engine import Backbone, Request, Row, each
from foreword.infer.predict import budget_of

# The shape `tiny`, to see that a bench runs; its weights are large enough for every token to matter.
TINY = {"n_embd": 64, "n_layer": 2, "n_head": 2, "vocab_size": 1000, "initializer_range": 0.2}
SHAPES = ("tiny", *(name for name in _shapes.SHAPES if name != "t5"))
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TIE = {
    torch.float32: 1e-4,
    torch.bfloat16: 5e-2,
}  # two logits this near, as a part of the logits' spread, may change places

APART = (
    "the peer's time, in a process of its own as its users run it, over foreword's; kept: with the peer in foreword's process, which lets "
    "freed memory be used again"
)

Answers = list[list[int]]


def flags(parser: argparse.ArgumentParser, *, shapes: Sequence[str], inputs: int, batch: int) -> None:
    """What the benches of answering have in common."""
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=shapes)
    parser.add_argument(
        "--model", help="a real model's folder instead of a shape, with real rows of E2E (FOREWORD_DATA)"
    )
    parser.add_argument("--inputs", type=int, default=inputs, help=f"rows to answer ({inputs})")
    parser.add_argument("--batch", type=int, default=batch, help=f"rows answered together ({batch})")
    parser.add_argument("--prompt-length", type=int, default=100, help="positions of a soft prompt (100)")
    parser.add_argument(
        "--lengths", choices=_shapes.LENGTHS, default="mtop", help="tokens of inputs and answers (mtop)"
    )
    parser.add_argument("--checked", type=int, default=16, help="rows answered by each contender alone beforehand (16)")
    _run.kept_flag(parser)
    parser.add_argument("--device", default="cpu", help="cpu, cuda (cpu)")
    parser.add_argument("--dtype", choices=TYPES, default="float32", help="the model's numbers (float32)")


def model(shape: str, args: argparse.Namespace) -> Any:
    """The model, the same each time, with no token that ends an answer: a random one says it anywhere or nowhere, so that the lengths of
    answers are drawn instead."""
    model = _shapes.model("small", seed=args.seed, **TINY) if shape == "tiny" else _shapes.model(shape, seed=args.seed)
    model = model.to(TYPES[args.dtype]).to(args.device)
    model.generation_config.eos_token_id = None
    return model


def ready(shape: str, args: argparse.Namespace) -> Backbone:
    """The same as foreword holds it."""
    return _shapes.held(shape, model(shape, args))


def rows_of(
    backbone: Backbone, args: argparse.Namespace, count: int, seed: int, prefix: tuple[int, ...] = ()
) -> list[Row]:
    """Rows to answer: drawn with a task's lengths, or E2E's own for a real model."""
    if args.model:
        return _shapes.real_rows(backbone, count, seed=seed, prefix=prefix)
    return _shapes.rows(count, args.lengths, backbone.vocab, seed=seed, prefix=prefix)


def mine(backbone: Backbone, softs: Sequence[Tensor | None], rows: Sequence[Row], batch: int) -> Answers:
    """foreword's answers, in the batches of `predict`; softs: one a row."""
    requests = [
        Request(Row(row.prefix, row.own), prefix, len(row.answer), ended=lambda _: False)
        for row, prefix in zip(rows, each(softs, len(rows)), strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda place: -(len(rows[place].prefix) + len(rows[place].own)))
    answers = backbone.answer(
        [requests[place] for place in order], max_rows=batch, max_tokens=budget_of(backbone).tokens
    )
    return [ids for _, ids in sorted(zip(order, answers, strict=True))]


class Ends(StoppingCriteria):  # type: ignore[misc]
    """Ends each row of a batch after so many new tokens."""

    def __init__(self, start: int, sizes: Sequence[int], device: Any) -> None:
        self.ends = start + torch.tensor(sizes, device=device)

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return input_ids.shape[1] >= self.ends


@torch.no_grad()
def theirs(model: Any, rows: Sequence[Row], batch: int) -> Answers:
    """The answers of `generate`, PEFT's or transformers' own: batches in the rows' order, padded on the left."""
    answers: Answers = []
    for first in range(0, len(rows), batch):
        group = rows[first : first + batch]
        inputs = [row.prefix + row.own for row in group]
        sizes = [len(row.answer) for row in group]
        width = max(map(len, inputs))
        ids = torch.tensor([[0] * (width - len(tokens)) + list(tokens) for tokens in inputs], device=model.device)
        mask = torch.tensor([[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in inputs], device=model.device)
        generated = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max(sizes),
            do_sample=False,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([Ends(width, sizes, model.device)]),
        )
        continuations = generated[:, width:].tolist()
        answers += [tokens[:size] for tokens, size in zip(continuations, sizes, strict=True)]
    return answers


def prompted(model: Any, prompts: Sequence[Tensor]) -> Any:
    """PEFT's model with an adapter for each of these soft prompts [P, H], named 0, 1, ... in their order."""
    peft_model = _peft.prompted(model, prompts[0])
    config = peft_model.peft_config["default"]
    for name, values in enumerate(prompts):
        peft_model.add_adapter(str(name), config)
        with torch.no_grad():
            peft_model.prompt_encoder[str(name)].embedding.weight.copy_(values)
    peft_model.set_adapter("0")
    return peft_model.to(model.device).eval()


def switching(model: Any, owners: Sequence[int], rows: Sequence[Row], batch: int) -> Answers:
    """PEFT's answers where each row belongs to an adapter: one adapter after the other is set, and answers its rows."""
    answers: Answers = [[] for _ in rows]
    for owner in sorted(set(owners)):
        places = [place for place, row_owner in enumerate(owners) if row_owner == owner]
        model.set_adapter(str(owner))
        for place, ids in zip(places, theirs(model, [rows[place] for place in places], batch), strict=True):
            answers[place] = ids
    return answers


def check(
    what: str,
    backbone: Backbone,
    softs: Sequence[Tensor | None],
    rows: Sequence[Row],
    answers: Answers,
    expected: Answers,
) -> int:
    """How many answers differ by a tie alone: where they part, both tokens are equally likely up to rounding. Ends the bench where
    they part otherwise."""
    ties = 0
    for place, (row, first, second) in enumerate(zip(rows, answers, expected, strict=True)):
        if first == second:
            continue
        at = next((at for at, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
        if at is None or _gap(backbone, softs[place], row, first[: at + 1], second[at]) > TIE[backbone.dtype]:
            sys.exit(f"{what}: the contenders answer row {place} differently; no time is printed.")
        ties += 1
    return ties


@torch.no_grad()
def _gap(backbone: Backbone, soft: Tensor | None, row: Row, answer: list[int], other: int) -> float:
    """By how much the last token said is likelier than another, as a part of the logits' spread; by the plain computation."""
    logits = backbone.engine.joined_logits(soft, [Row(row.prefix, row.own, tuple(answer))])[0][-1].float()  # [V]
    return float((logits[answer[-1]] - logits[other]).abs() / logits.std())


def differing(answers: Answers, expected: Answers) -> int:
    """How many answers are not the same."""
    return sum(first != second for first, second in zip(answers, expected, strict=True))


# -- arithmetic -------------------------------------------------------------------------------------------------------


def flops(backbone: Backbone, tokens: int, heads: int) -> float:
    """Of forward passes over so many positions, with logits at so many of them: 2 for each weight; attention not counted."""
    head = 2 * backbone.hidden * backbone.vocab
    return 2.0 * _body(backbone) * tokens + head * heads


@functools.cache
def _body(backbone: Backbone) -> int:
    """Weights that every position passes through."""
    tables = {
        backbone.model.get_input_embeddings().weight.data_ptr(),
        backbone.model.get_output_embeddings().weight.data_ptr(),
    }
    named = backbone.model.named_parameters()
    return sum(value.numel() for name, value in named if value.data_ptr() not in tables and not _is_positions(name))


def _is_positions(name: str) -> bool:
    return name.rsplit(".", 2)[-2] in ("wpe", "embed_positions")


def least(backbone: Backbone, prefixes: Sequence[int], rows: Sequence[Row]) -> float:
    """The least that answering takes: every prefix once, every token of a row once, logits where a token is chosen."""
    tokens = sum(prefixes) + sum(len(row.own) + len(row.answer) - 1 for row in rows)
    return flops(backbone, tokens, sum(len(row.answer) for row in rows))


def padded(backbone: Backbone, before: int, groups: Sequence[Sequence[Row]]) -> float:
    """What `generate` takes on padded batches: `before` soft positions and the whole text for every row, and as many steps as the
    batch's longest answer."""
    tokens = heads = 0
    for group in groups:
        width = max(len(row.prefix) + len(row.own) for row in group)
        steps = max(len(row.answer) for row in group)
        tokens += len(group) * (before + width + steps - 1)
        heads += len(group) * steps
    return flops(backbone, tokens, heads)


def in_order(rows: Sequence[Row], batch: int) -> list[Sequence[Row]]:
    """Batches in the rows' order."""
    return [rows[first : first + batch] for first in range(0, len(rows), batch)]
