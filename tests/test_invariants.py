"""The invariants of the engine on tiny random models of every family; they refuse any family that is not exact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import tiny
from foreword.engine import Backbone, Row, load_backbone

STATE_SPACE = ("mamba",)
CAUSAL = tiny.CAUSAL + STATE_SPACE
EVERY = CAUSAL + tiny.SEQ2SEQ
READS_IDS = ("gemma3n",)  # its layers look the token ids up in tables of their own, beside the input vectors
SLIDING = ("gemma2", "gemma3", "gemma3n", "mistral", "gpt_neo")
NAMED = ("gpt2", "opt", "bloom", "llama", "gemma", "mistral", "gpt_neox", "t5")  # tried with more inputs than the rest
REAL = ("tinystories-656k", "stories260k", "g2p-bart-us")


# -- the plain computation: nothing but the model's own forward pass, one row at a time -----------------------------------


def plain_inputs(backbone: Backbone, soft: Tensor | None, ids: Sequence[int]) -> dict[str, Tensor]:
    """Soft prompt and ids as the model takes them, [1, P + T, H]."""
    row = torch.tensor([list(ids)])
    vectors = backbone.model.get_input_embeddings()(row)
    if soft is not None:
        vectors = torch.cat([soft.unsqueeze(0), vectors], dim=1)
    inputs = {"inputs_embeds": vectors}
    if backbone.model.config.model_type == "gemma3n_text":
        behind = row.new_zeros((1, 0 if soft is None else len(soft)))
        inputs["per_layer_inputs"] = backbone.model.model.get_per_layer_inputs(torch.cat([behind, row], dim=1))
    return inputs


def plain_logits(backbone: Backbone, soft: Tensor | None, row: Row) -> Tensor:
    """Logits [A, V] for a row's answer tokens, out of the full logits of the row alone."""
    head = backbone.tokenizer.start + row.prefix + row.own
    if backbone.kind == "seq2seq":
        inputs = plain_inputs(backbone, None if row.append else soft, head + backbone.tokenizer.end)
        if row.append and soft is not None:
            inputs["inputs_embeds"] = torch.cat([inputs["inputs_embeds"], soft.unsqueeze(0)], dim=1)
        mask = torch.ones(inputs["inputs_embeds"].shape[:2], dtype=torch.long)
        first = backbone.model.config.decoder_start_token_id
        decoded = torch.tensor([[first, *row.answer[:-1]]])
        return backbone.model(attention_mask=mask, decoder_input_ids=decoded, **inputs).logits[0]
    inputs = plain_inputs(backbone, soft, head + row.answer[:-1])
    mask = torch.ones(inputs["inputs_embeds"].shape[:2], dtype=torch.long)
    logits = backbone.model(attention_mask=mask, use_cache=False, **inputs).logits[0]
    return logits[-len(row.answer) :]


def plain_loss(backbone: Backbone, soft: Tensor | None, rows: Sequence[Row]) -> Tensor:
    parts = [
        functional.cross_entropy(plain_logits(backbone, soft, row), torch.tensor(row.answer), reduction="sum")
        for row in rows
    ]
    return torch.stack(parts).sum()


def plain_greedy(backbone: Backbone, soft: Tensor | None, row: Row, longest: int) -> list[int]:
    generated: list[int] = []
    while len(generated) < longest and (not generated or generated[-1] not in backbone.eos):
        generated.append(
            int(plain_logits(backbone, soft, Row(row.prefix, row.own, (*generated, 0), row.append))[-1].argmax())
        )
    return generated


def apart(actual: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((actual - expected).abs().max() / expected.abs().max())


# -- 2: vectors of a text are the text ------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("family", [name for name in EVERY if name not in READS_IDS])
def test_a_soft_prompt_of_a_texts_embeddings_is_the_text(family: str) -> None:
    backbone = tiny.backbone(family)
    text = backbone.tokenizer.ids("the text: bari temna", first=True)
    soft = backbone.embed(text)
    for row in tiny.rows(3, seed="text", prefix=tiny.ids(3, "text")):
        logits, _ = backbone.engine.answer_logits(soft, [row])
        ids = torch.tensor([text + row.prefix + row.own + (() if backbone.kind == "seq2seq" else row.answer[:-1])])
        if backbone.kind == "seq2seq":
            decoded = torch.tensor([[backbone.model.config.decoder_start_token_id, *row.answer[:-1]]])
            expected = backbone.model(input_ids=ids, decoder_input_ids=decoded).logits[0]
        else:
            expected = backbone.model(input_ids=ids, use_cache=False).logits[0, -len(row.answer) :]
        assert apart(logits, expected) < 1e-5
        assert apart(backbone.engine.answer_logits(None, [row])[0], expected) > 1e-3, "the text must matter"


@torch.no_grad()
def test_a_model_that_reads_ids_beside_vectors_is_the_same_on_every_path() -> None:
    """Gemma 3n adds to each layer a vector looked up by token id. A soft position has no id and gets id 0, as the model
    itself does for images; so the vectors of a text are not that text, and only the paths can be held against each other."""
    backbone = tiny.backbone("gemma3n")
    text = backbone.tokenizer.ids("the text: bari temna", first=True)
    soft = backbone.embed(text)
    rows = tiny.rows(4, seed="ids")
    shared, _ = backbone.engine.answer_logits(soft, rows)
    expected = torch.cat([plain_logits(backbone, soft, row) for row in rows])
    assert apart(shared, expected) < 1e-5
    assert apart(backbone.engine.joined_logits(soft, rows)[0], expected) < 1e-5
    as_text = torch.cat([plain_logits(backbone, None, Row((), text + row.own, row.answer)) for row in rows])
    assert apart(shared, as_text) > 1e-3
    without = torch.cat([plain_logits(backbone, None, row) for row in rows])
    logits, _ = backbone.engine.answer_logits(None, rows)
    ids = torch.tensor([rows[0].own + rows[0].answer[:-1]])
    assert apart(logits, without) < 1e-5
    assert apart(logits[: len(rows[0].answer)], backbone.model(ids).logits[0, -len(rows[0].answer) :]) < 1e-5


# -- 3: batch-mates and padding do not matter -----------------------------------------------------------------------------


def both_ways(backbone: Backbone, soft: Tensor | None, rows: Sequence[Row], longest: int) -> list[list[int]]:
    """Answers at batch size 16 in the given order, which must be those at batch size 1."""
    alone = [backbone.generate(soft, [row], longest)[0] for row in rows]
    together = [ids for at in range(0, len(rows), 16) for ids in backbone.generate(soft, rows[at : at + 16], longest)]
    assert together == alone
    return alone


@pytest.mark.parametrize("family", EVERY)
def test_an_answer_is_the_same_alone_and_in_any_batch(family: str) -> None:
    backbone = tiny.backbone(family)
    count = 60 if family in NAMED else 20
    answers = both_ways(backbone, tiny.soft(backbone, 5), tiny.rows(count, seed="batch", answer=0), 4)
    assert len({tuple(ids) for ids in answers}) > count // 4, "answers must depend on their inputs"


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("length", [0, 4])
@pytest.mark.parametrize("prefixed", [False, True])
def test_so_it_is_with_and_without_a_shared_prefix(family: str, length: int, prefixed: bool) -> None:
    backbone = tiny.backbone(family, 0, True)
    prefix = tiny.ids(7, "prefix") if prefixed else ()
    rows = tiny.rows(6, seed=f"prefix {length}", prefix=prefix, answer=0)
    both_ways(backbone, tiny.soft(backbone, length), rows, 3)


@pytest.mark.parametrize("family", EVERY)
def test_greedy_answers_are_those_of_the_plain_computation(family: str) -> None:
    backbone = tiny.backbone(family)
    soft = tiny.soft(backbone, 3)
    rows = tiny.rows(4, seed="greedy", prefix=tiny.ids(4, "greedy"), answer=0)
    with torch.no_grad():
        assert backbone.generate(soft, rows, 6) == [plain_greedy(backbone, soft, row, 6) for row in rows]


@pytest.mark.parametrize("family", SLIDING)
@pytest.mark.parametrize("length", [0, 20])
def test_so_it_is_beyond_a_sliding_window(family: str, length: int) -> None:
    """The window of these models is 20: short and long rows stand in one batch, and answers grow across its edge."""
    backbone = tiny.backbone(family)
    assert backbone.engine.capabilities.left_padding, (
        "the check at load is shorter than the window, so it cannot see this"
    )
    soft = tiny.soft(backbone, length)
    sizes = [1, 3, 3, 12, 14, 14, 30]
    rows = [Row(tiny.ids(3, "window"), tiny.ids(size, f"window {place}")) for place, size in enumerate(sizes)]
    answers = both_ways(backbone, soft, rows, 8)
    with torch.no_grad():
        for place in (1, 4):
            assert answers[place] == plain_greedy(backbone, soft, rows[place], 8)


@pytest.mark.parametrize("family", tiny.SEQ2SEQ)
def test_so_it_is_with_the_prompt_behind_the_encoders_input(family: str) -> None:
    backbone = tiny.backbone(family, 0, True)
    start = tiny.soft(backbone, 4)
    front = tiny.rows(12, seed="behind", prefix=tiny.ids(2, "behind"))
    rows = [Row(row.prefix, row.own, row.answer, append=True) for row in front]
    answers = both_ways(backbone, start, rows, 4)
    with torch.no_grad():
        assert answers[:3] == [plain_greedy(backbone, start, row, 4) for row in rows[:3]]
        scores, others = backbone.score(start, rows), backbone.score(start, front)
        assert scores != pytest.approx(others, rel=1e-4)
        assert backbone.score(start, [*rows, *front]) == pytest.approx(scores + others, rel=1e-5), (
            "both may share a call"
        )
    loss, grad = gradient(start, lambda soft: backbone.loss(soft, rows)[0])
    plain, plain_grad = gradient(start, lambda soft: plain_loss(backbone, soft, rows))
    assert abs(loss - plain) / plain < 1e-5
    assert float((grad - plain_grad).norm() / plain_grad.norm()) < 1e-5


def test_rows_of_several_prefixes_may_share_a_call() -> None:
    backbone = tiny.backbone("llama")
    rows = [row for name in "abc" for row in tiny.rows(3, seed=name, prefix=tiny.ids(3, name))]
    rows = rows[::2] + rows[1::2]
    both_ways(backbone, tiny.soft(backbone, 3), rows, 4)
    each = [backbone.score(None, [row])[0] for row in rows]
    assert backbone.score(None, rows) == pytest.approx(each, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", EVERY)
def test_two_hundred_answers_do_not_depend_on_their_batch(family: str) -> None:
    backbone = tiny.backbone(family)
    both_ways(backbone, tiny.soft(backbone, 5), tiny.rows(200, seed="many", longest=40, answer=0), 12)


@pytest.mark.parametrize("name", REAL)
def test_two_hundred_answers_of_a_real_model_do_not_depend_on_their_batch(name: str, shared: Path) -> None:
    backbone = load_backbone(str(shared / "models" / name), dtype="float32", device="cpu")
    rows = real_rows(backbone, 200)
    answers = both_ways(backbone, backbone.embed(backbone.tokenizer.frequent(5000)[10:30]), rows, 8)
    assert len({tuple(ids) for ids in answers}) > 5


def real_rows(backbone: Backbone, count: int) -> list[Row]:
    """Questions of different lengths that the model can read: words for the speller, pieces of stories for the tellers."""
    tale = "once upon a time there was a little girl who had a red ball and she liked to play with it in the big park"
    words = tale.split()
    rows = []
    for index in range(count):
        first = (5 * index) % len(words)
        text = (
            words[first] if backbone.kind == "seq2seq" else " ".join((words * 3)[first : first + 1 + index % 30]) + " "
        )
        if backbone.kind == "seq2seq":
            text = (text + words[index % 7] + words[index % 11])[: 3 + index % 12]
        rows.append(Row((), backbone.tokenizer.ids(text, first=True)))
    return rows


# -- 6: sharing the prefix changes neither loss nor gradient --------------------------------------------------------------


@pytest.mark.parametrize("family", tiny.CAUSAL)
@pytest.mark.parametrize(
    ("length", "prefixed", "bos"), [(1, False, False), (20, False, True), (1, True, True), (20, True, False)]
)
def test_the_shared_prefix_gives_the_plain_loss_and_gradient(
    family: str, length: int, prefixed: bool, bos: bool
) -> None:
    backbone = tiny.backbone(family, 0, bos)
    assert backbone.engine.capabilities.prefix_cache
    rows = tiny.rows(4, seed="loss", prefix=tiny.ids(6, "loss") if prefixed else (), longest=14)
    assert len({len(row.own) for row in rows}) > 1
    start = tiny.soft(backbone, length)
    shared = gradient(start, lambda soft: backbone.loss(soft, rows)[0])
    joined = gradient(
        start, lambda soft: functional.cross_entropy(*backbone.engine.joined_logits(soft, rows), reduction="sum")
    )
    plain = gradient(start, lambda soft: plain_loss(backbone, soft, rows))
    for loss, grad in (joined, plain):
        assert abs(shared[0] - loss) / loss < 1e-5
        assert float((shared[1] - grad).norm() / grad.norm()) < 1e-5
        assert bool(grad.norm(dim=1).gt(0).all()), "every position must be reached"


@pytest.mark.parametrize("family", STATE_SPACE + tiny.SEQ2SEQ)
@pytest.mark.parametrize("bos", [False, True])
def test_models_that_cannot_share_give_the_plain_loss_and_gradient(family: str, bos: bool) -> None:
    backbone = tiny.backbone(family, 0, bos)
    assert not backbone.engine.capabilities.prefix_cache
    rows = tiny.rows(3, seed="loss", prefix=tiny.ids(6, "loss"), longest=9)
    start = tiny.soft(backbone, 7)
    actual = gradient(start, lambda soft: backbone.loss(soft, rows)[0])
    loss, grad = gradient(start, lambda soft: plain_loss(backbone, soft, rows))
    assert abs(actual[0] - loss) / loss < 1e-5
    assert float((actual[1] - grad).norm() / grad.norm()) < 1e-5


def gradient(start: Tensor | None, loss_of) -> tuple[float, Tensor]:  # type: ignore[no-untyped-def]
    assert start is not None
    soft = start.clone().requires_grad_(True)
    loss = loss_of(soft)
    loss.backward()
    assert soft.grad is not None
    return float(loss.detach()), soft.grad


@pytest.mark.parametrize("family", EVERY)
def test_no_weight_gets_a_gradient(family: str) -> None:
    backbone = tiny.backbone(family)
    soft = tiny.soft(backbone, 2)
    assert soft is not None
    backbone.loss(soft.requires_grad_(True), tiny.rows(2))[0].backward()
    assert all(p.grad is None and not p.requires_grad for p in backbone.model.parameters())
    assert not backbone.model.training
