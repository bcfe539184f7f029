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


def plain_inputs(one: Backbone, soft: Tensor | None, ids: Sequence[int]) -> dict[str, Tensor]:
    """Soft prompt and ids as the model takes them, [1, P + T, H]."""
    row = torch.tensor([list(ids)])
    vectors = one.model.get_input_embeddings()(row)
    if soft is not None:
        vectors = torch.cat([soft.unsqueeze(0), vectors], dim=1)
    given = {"inputs_embeds": vectors}
    if one.model.config.model_type == "gemma3n_text":
        behind = row.new_zeros((1, 0 if soft is None else len(soft)))
        given["per_layer_inputs"] = one.model.model.get_per_layer_inputs(torch.cat([behind, row], dim=1))
    return given


def plain_logits(one: Backbone, soft: Tensor | None, row: Row) -> Tensor:
    """Logits [A, V] for a row's answer tokens, out of the full logits of the row alone."""
    head = one.tokenizer.start + row.prefix + row.own
    if one.kind == "seq2seq":
        given = plain_inputs(one, None if row.append else soft, head + one.tokenizer.end)
        if row.append and soft is not None:
            given["inputs_embeds"] = torch.cat([given["inputs_embeds"], soft.unsqueeze(0)], dim=1)
        mask = torch.ones(given["inputs_embeds"].shape[:2], dtype=torch.long)
        first = one.model.config.decoder_start_token_id
        decoded = torch.tensor([[first, *row.answer[:-1]]])
        return one.model(attention_mask=mask, decoder_input_ids=decoded, **given).logits[0]
    given = plain_inputs(one, soft, head + row.answer[:-1])
    mask = torch.ones(given["inputs_embeds"].shape[:2], dtype=torch.long)
    logits = one.model(attention_mask=mask, use_cache=False, **given).logits[0]
    return logits[-len(row.answer) :]


def plain_loss(one: Backbone, soft: Tensor | None, rows: Sequence[Row]) -> Tensor:
    parts = [
        functional.cross_entropy(plain_logits(one, soft, row), torch.tensor(row.answer), reduction="sum")
        for row in rows
    ]
    return torch.stack(parts).sum()


def plain_greedy(one: Backbone, soft: Tensor | None, row: Row, longest: int) -> list[int]:
    said: list[int] = []
    while len(said) < longest and (not said or said[-1] not in one.eos):
        said.append(int(plain_logits(one, soft, Row(row.prefix, row.own, (*said, 0), row.append))[-1].argmax()))
    return said


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((found - wanted).abs().max() / wanted.abs().max())


# -- 2: vectors of a text are the text ------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("family", [name for name in EVERY if name not in READS_IDS])
def test_a_soft_prompt_of_a_texts_embeddings_is_the_text(family: str) -> None:
    one = tiny.backbone(family)
    text = one.tokenizer.ids("the text: bari temna", first=True)
    soft = one.embed(text)
    for row in tiny.rows(3, seed="text", prefix=tiny.ids(3, "text")):
        found, _ = one.engine.answer_logits(soft, [row])
        ids = torch.tensor([text + row.prefix + row.own + (() if one.kind == "seq2seq" else row.answer[:-1])])
        if one.kind == "seq2seq":
            decoded = torch.tensor([[one.model.config.decoder_start_token_id, *row.answer[:-1]]])
            wanted = one.model(input_ids=ids, decoder_input_ids=decoded).logits[0]
        else:
            wanted = one.model(input_ids=ids, use_cache=False).logits[0, -len(row.answer) :]
        assert apart(found, wanted) < 1e-5
        assert apart(one.engine.answer_logits(None, [row])[0], wanted) > 1e-3, "the text must matter"


@torch.no_grad()
def test_a_model_that_reads_ids_beside_vectors_is_the_same_on_every_path() -> None:
    """Gemma 3n adds to each layer a vector looked up by token id. A soft position has no id and gets id 0, as the model
    itself does for images; so the vectors of a text are not that text, and only the paths can be held against each other."""
    one = tiny.backbone("gemma3n")
    text = one.tokenizer.ids("the text: bari temna", first=True)
    soft = one.embed(text)
    rows = tiny.rows(4, seed="ids")
    shared, _ = one.engine.answer_logits(soft, rows)
    wanted = torch.cat([plain_logits(one, soft, row) for row in rows])
    assert apart(shared, wanted) < 1e-5
    assert apart(one.engine.joined_logits(soft, rows)[0], wanted) < 1e-5
    as_text = torch.cat([plain_logits(one, None, Row((), text + row.own, row.answer)) for row in rows])
    assert apart(shared, as_text) > 1e-3
    without = torch.cat([plain_logits(one, None, row) for row in rows])
    found, _ = one.engine.answer_logits(None, rows)
    ids = torch.tensor([rows[0].own + rows[0].answer[:-1]])
    assert apart(found, without) < 1e-5
    assert apart(found[: len(rows[0].answer)], one.model(ids).logits[0, -len(rows[0].answer) :]) < 1e-5


# -- 3: batch-mates and padding do not matter -----------------------------------------------------------------------------


def both_ways(one: Backbone, soft: Tensor | None, rows: Sequence[Row], longest: int) -> list[list[int]]:
    """Answers at batch size 16 in the given order, which must be those at batch size 1."""
    alone = [one.generate(soft, [row], longest)[0] for row in rows]
    together = [ids for at in range(0, len(rows), 16) for ids in one.generate(soft, rows[at : at + 16], longest)]
    assert together == alone
    return alone


@pytest.mark.parametrize("family", EVERY)
def test_an_answer_is_the_same_alone_and_in_any_batch(family: str) -> None:
    one = tiny.backbone(family)
    count = 60 if family in NAMED else 20
    answers = both_ways(one, tiny.soft(one, 5), tiny.rows(count, seed="batch", answer=0), 4)
    assert len({tuple(ids) for ids in answers}) > count // 4, "answers must depend on their inputs"


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("length", [0, 4])
@pytest.mark.parametrize("prefixed", [False, True])
def test_so_it_is_with_and_without_a_shared_prefix(family: str, length: int, prefixed: bool) -> None:
    one = tiny.backbone(family, 0, True)
    prefix = tiny.ids(7, "prefix") if prefixed else ()
    rows = tiny.rows(6, seed=f"prefix {length}", prefix=prefix, answer=0)
    both_ways(one, tiny.soft(one, length), rows, 3)


@pytest.mark.parametrize("family", EVERY)
def test_greedy_answers_are_those_of_the_plain_computation(family: str) -> None:
    one = tiny.backbone(family)
    soft = tiny.soft(one, 3)
    rows = tiny.rows(4, seed="greedy", prefix=tiny.ids(4, "greedy"), answer=0)
    with torch.no_grad():
        assert one.generate(soft, rows, 6) == [plain_greedy(one, soft, row, 6) for row in rows]


@pytest.mark.parametrize("family", SLIDING)
@pytest.mark.parametrize("length", [0, 20])
def test_so_it_is_beyond_a_sliding_window(family: str, length: int) -> None:
    """The window of these models is 20: short and long rows stand in one batch, and answers grow across its edge."""
    one = tiny.backbone(family)
    assert one.engine.capabilities.left_padding, "the check at load is shorter than the window, so it cannot see this"
    soft = tiny.soft(one, length)
    sizes = [1, 3, 3, 12, 14, 14, 30]
    rows = [Row(tiny.ids(3, "window"), tiny.ids(size, f"window {place}")) for place, size in enumerate(sizes)]
    answers = both_ways(one, soft, rows, 8)
    with torch.no_grad():
        for place in (1, 4):
            assert answers[place] == plain_greedy(one, soft, rows[place], 8)


@pytest.mark.parametrize("family", tiny.SEQ2SEQ)
def test_so_it_is_with_the_prompt_behind_the_encoders_input(family: str) -> None:
    one = tiny.backbone(family, 0, True)
    start = tiny.soft(one, 4)
    front = tiny.rows(12, seed="behind", prefix=tiny.ids(2, "behind"))
    rows = [Row(row.prefix, row.own, row.answer, append=True) for row in front]
    answers = both_ways(one, start, rows, 4)
    with torch.no_grad():
        assert answers[:3] == [plain_greedy(one, start, row, 4) for row in rows[:3]]
        scores, others = one.score(start, rows), one.score(start, front)
        assert scores != pytest.approx(others, rel=1e-4)
        assert one.score(start, [*rows, *front]) == pytest.approx(scores + others, rel=1e-5), "both may share a call"
    loss, grad = gradient(start, lambda soft: one.loss(soft, rows)[0])
    plain, wanted = gradient(start, lambda soft: plain_loss(one, soft, rows))
    assert abs(loss - plain) / plain < 1e-5
    assert float((grad - wanted).norm() / wanted.norm()) < 1e-5


def test_rows_of_several_prefixes_may_share_a_call() -> None:
    one = tiny.backbone("llama")
    rows = [row for name in "abc" for row in tiny.rows(3, seed=name, prefix=tiny.ids(3, name))]
    rows = rows[::2] + rows[1::2]
    both_ways(one, tiny.soft(one, 3), rows, 4)
    each = [one.score(None, [row])[0] for row in rows]
    assert one.score(None, rows) == pytest.approx(each, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", EVERY)
def test_two_hundred_answers_do_not_depend_on_their_batch(family: str) -> None:
    one = tiny.backbone(family)
    both_ways(one, tiny.soft(one, 5), tiny.rows(200, seed="many", longest=40, answer=0), 12)


@pytest.mark.parametrize("name", REAL)
def test_two_hundred_answers_of_a_real_model_do_not_depend_on_their_batch(name: str, shared: Path) -> None:
    one = load_backbone(str(shared / "models" / name), dtype="float32", device="cpu")
    rows = real_rows(one, 200)
    answers = both_ways(one, one.embed(one.tokenizer.frequent(5000)[10:30]), rows, 8)
    assert len({tuple(ids) for ids in answers}) > 5


def real_rows(one: Backbone, count: int) -> list[Row]:
    """Questions of different lengths that the model can read: words for the speller, pieces of stories for the tellers."""
    tale = "once upon a time there was a little girl who had a red ball and she liked to play with it in the big park"
    words = tale.split()
    rows = []
    for index in range(count):
        first = (5 * index) % len(words)
        text = words[first] if one.kind == "seq2seq" else " ".join((words * 3)[first : first + 1 + index % 30]) + " "
        if one.kind == "seq2seq":
            text = (text + words[index % 7] + words[index % 11])[: 3 + index % 12]
        rows.append(Row((), one.tokenizer.ids(text, first=True)))
    return rows


# -- 6: sharing the prefix changes neither loss nor gradient --------------------------------------------------------------


@pytest.mark.parametrize("family", tiny.CAUSAL)
@pytest.mark.parametrize(
    ("length", "prefixed", "bos"), [(1, False, False), (20, False, True), (1, True, True), (20, True, False)]
)
def test_the_shared_prefix_gives_the_plain_loss_and_gradient(
    family: str, length: int, prefixed: bool, bos: bool
) -> None:
    one = tiny.backbone(family, 0, bos)
    assert one.engine.capabilities.prefix_cache
    rows = tiny.rows(4, seed="loss", prefix=tiny.ids(6, "loss") if prefixed else (), longest=14)
    assert len({len(row.own) for row in rows}) > 1
    start = tiny.soft(one, length)
    found = gradient(start, lambda soft: one.loss(soft, rows)[0])
    joined = gradient(
        start, lambda soft: functional.cross_entropy(*one.engine.joined_logits(soft, rows), reduction="sum")
    )
    plain = gradient(start, lambda soft: plain_loss(one, soft, rows))
    for loss, grad in (joined, plain):
        assert abs(found[0] - loss) / loss < 1e-5
        assert float((found[1] - grad).norm() / grad.norm()) < 1e-5
        assert bool(grad.norm(dim=1).gt(0).all()), "every position must be reached"


@pytest.mark.parametrize("family", STATE_SPACE + tiny.SEQ2SEQ)
@pytest.mark.parametrize("bos", [False, True])
def test_models_that_cannot_share_give_the_plain_loss_and_gradient(family: str, bos: bool) -> None:
    one = tiny.backbone(family, 0, bos)
    assert not one.engine.capabilities.prefix_cache
    rows = tiny.rows(3, seed="loss", prefix=tiny.ids(6, "loss"), longest=9)
    start = tiny.soft(one, 7)
    found = gradient(start, lambda soft: one.loss(soft, rows)[0])
    loss, grad = gradient(start, lambda soft: plain_loss(one, soft, rows))
    assert abs(found[0] - loss) / loss < 1e-5
    assert float((found[1] - grad).norm() / grad.norm()) < 1e-5


def gradient(start: Tensor | None, loss_of) -> tuple[float, Tensor]:  # type: ignore[no-untyped-def]
    assert start is not None
    soft = start.clone().requires_grad_(True)
    loss = loss_of(soft)
    loss.backward()
    assert soft.grad is not None
    return float(loss.detach()), soft.grad


@pytest.mark.parametrize("family", EVERY)
def test_no_weight_gets_a_gradient(family: str) -> None:
    one = tiny.backbone(family)
    soft = tiny.soft(one, 2)
    assert soft is not None
    one.loss(soft.requires_grad_(True), tiny.rows(2))[0].backward()
    assert all(p.grad is None and not p.requires_grad for p in one.model.parameters())
    assert not one.model.training
