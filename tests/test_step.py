"""The tuning step: each of its short cuts (one packed sequence, logits in parts, fused parts, skipped work, activation checkpointing)
against the plain computation it stands for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

import tiny
from foreword.engine import Backbone, Row, wrap
from foreword.engine import head as head_room
from foreword.engine.attention import Kind
from foreword.engine.fused import FUSED, stand_in
from foreword.engine.head import Head
from foreword.engine.packed_attention import Packing
from foreword.engine.passes import running
from foreword.engine.skippable import Skippable

PACKED = tuple(
    family for family in tiny.CAUSAL if family not in ("gpt_neo", "falcon")
)  # these two make attention of their own
EVERY = (*tiny.CAUSAL, "mamba", *tiny.SEQ2SEQ)
CPU = torch.device("cpu")


def step(backbone: Backbone, soft: Tensor, rows: list[Row]) -> tuple[float, Tensor]:
    """Loss and the soft prompt's gradient."""
    leaf = soft.clone().requires_grad_(True)
    loss, count = backbone.loss(leaf, rows)
    loss.backward()
    assert count == sum(len(row.answer) for row in rows) and leaf.grad is not None
    return float(loss.detach()), leaf.grad


def plain(backbone: Backbone, soft: Tensor, rows: list[Row]) -> tuple[float, Tensor]:
    """The same from the whole table of logits of each row alone, prefix and row in one sequence."""
    leaf = soft.clone().requires_grad_(True)
    engine: Any = backbone.engine
    logits = engine.joined_logits if backbone.kind == "causal" else engine.answer_logits
    loss = torch.stack([functional.cross_entropy(*logits(leaf, [row]), reduction="sum") for row in rows]).sum()
    loss.backward()
    assert leaf.grad is not None
    return float(loss.detach()), leaf.grad


def assert_same(actual: tuple[float, Tensor], expected: tuple[float, Tensor], limit: float = 1e-5) -> None:
    assert abs(actual[0] - expected[0]) / expected[0] < limit
    assert float((actual[1] - expected[1]).norm() / expected[1].norm()) < limit


def some(backbone: Backbone, length: int = 5) -> Tensor:
    soft = tiny.soft(backbone, length)
    assert soft is not None
    return soft


# -- one packed sequence ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny.CAUSAL)
def test_which_families_stand_in_one_sequence(family: str) -> None:
    assert tiny.backbone(family).engine.capabilities.packed_sequence == (family in PACKED)


@pytest.mark.parametrize("family", tiny.CAUSAL)
@pytest.mark.parametrize("path", ["packed", "shared", "joined"])
def test_every_path_gives_the_plain_loss_and_gradient(family: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one to forty tokens behind a prefix: beyond the sliding window (20) of those families that have one."""
    backbone = tiny.backbone(family, 0, True)
    if path == "packed" and family not in PACKED:
        pytest.skip("this family is not packed")
    capabilities = replace(
        backbone.engine.capabilities, packed_sequence=path == "packed", prefix_cache=path != "joined"
    )
    monkeypatch.setattr(backbone.engine, "capabilities", capabilities)
    rows = tiny.rows(6, seed=path, prefix=tiny.ids(4, path), longest=40)
    rows.append(Row(rows[0].prefix, tiny.ids(1, "one"), tiny.ids(1, "one answer")))
    assert_same(step(backbone, some(backbone), rows), plain(backbone, some(backbone), rows))


@pytest.mark.parametrize("family", PACKED)
@pytest.mark.parametrize("bos", [False, True])
def test_a_packed_batch_may_have_no_soft_prompt_or_one_row(family: str, bos: bool) -> None:
    backbone = tiny.backbone(family, 0, bos)
    for prefix in ((), tiny.ids(3, "prefix")):
        rows = tiny.rows(3, seed="none", prefix=prefix)
        with torch.no_grad():
            assert float(backbone.loss(None, rows)[0]) == pytest.approx(-sum(backbone.score(None, rows)), rel=1e-5)
        assert_same(step(backbone, some(backbone, 1), rows[:1]), plain(backbone, some(backbone, 1), rows[:1]))


def test_a_model_whose_layers_hide_that_their_attention_is_local_is_not_packed() -> None:
    model = copy.deepcopy(tiny.model("llama"))
    model.config.sliding_window = 8
    assert not wrap("hidden", model, tiny.tokenizer()).engine.capabilities.packed_sequence


def test_the_models_own_attention_is_back_after_a_packed_pass() -> None:
    for family in ("gemma2", "llama", "bloom"):
        backbone = tiny.backbone(family)
        before = (
            backbone.model.config._attn_implementation,
            [part for part in backbone.model.modules() if "forward" in vars(part)],
        )
        step(backbone, some(backbone), tiny.rows(2))
        after = (
            backbone.model.config._attn_implementation,
            [part for part in backbone.model.modules() if "forward" in vars(part)],
        )
        assert before == after and before[0] == ("sdpa" if family == "llama" else "eager")


def dense(query: Tensor, key: Tensor, value: Tensor, packing: Packing, kind: Kind) -> Tensor:
    """Attention over the whole packed sequence with a mask [S + R, S + R] that keeps rows apart."""
    owner = torch.cat([torch.full((size,), row) for row, size in enumerate((packing.prefix, *packing.sizes))])
    position_ids = packing.position_ids[0]
    mask = ((owner == 0) | (owner == owner.unsqueeze(1))) & (position_ids <= position_ids.unsqueeze(1))
    if kind.window is not None:
        mask &= position_ids > position_ids.unsqueeze(1) - kind.window
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(-1, -2) * kind.scaling
    if kind.softcap is not None:
        scores = kind.softcap * torch.tanh(scores / kind.softcap)
    if kind.added is not None:
        scores = scores + kind.added[:, position_ids].unsqueeze(1)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    return (weights @ value).transpose(1, 2)


@settings(max_examples=60)
@given(
    st.integers(0, 6),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
    st.sampled_from([(1, 1), (2, 2), (4, 2), (6, 1)]),
    st.sampled_from([None, 3, 5]),
    st.sampled_from([None, 2.0]),
    st.booleans(),
)
def test_packed_attention_is_attention_that_keeps_rows_apart(
    prefix: int, sizes: list[int], heads: tuple[int, int], window: int | None, softcap: float | None, adds: bool
) -> None:
    generator = torch.Generator().manual_seed(prefix + 10 * len(sizes))
    packing = Packing(prefix, tuple(sizes), CPU)
    total, last = prefix + sum(sizes), prefix + max(sizes)

    def drawn(count: int, width: int) -> Tensor:
        return torch.randn((1, count, total, width), generator=generator, dtype=torch.float64).requires_grad_(True)

    query, key, value = drawn(heads[0], 4), drawn(heads[1], 4), drawn(heads[1], 3)
    added = (
        torch.randn((heads[0], last), generator=generator, dtype=torch.float64)
        if adds and heads[0] == heads[1]
        else None
    )
    kind = Kind(0.7, softcap, window, added)
    grad_output = torch.randn((1, total, heads[0], 3), generator=generator, dtype=torch.float64)
    actual = packing.attend(None, query, key, value, kind)
    expected = dense(query, key, value, packing, kind)
    torch.testing.assert_close(actual, expected)
    gradients, expected_gradients = (
        torch.autograd.grad(output, (query, key, value), grad_output) for output in (actual, expected)
    )
    torch.testing.assert_close(gradients, expected_gradients)


# -- logits in parts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [None, 3.0])
@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_loss_in_parts_is_the_cross_entropy(
    cap: float | None, scale: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(tiny.model("llama")).to(dtype)
    head = Head(model)
    head.cap, head.scale = cap, scale
    size = tiny.WORDS // 3 + 1
    for name, value in {"ROWS": 5, "ENTRIES": size, "LOGITS": 1}.items():
        monkeypatch.setattr(head_room, name, value)
    sizes: list[tuple[int, ...]] = []

    def logits(hidden: Tensor, words: slice) -> Tensor:
        part = Head.logits(head, hidden, words)
        sizes.append(tuple(part.shape))
        return part

    monkeypatch.setattr(head, "logits", logits)
    generator = torch.Generator().manual_seed(1)
    hidden = (3 * torch.randn((8, 32), generator=generator)).to(dtype).requires_grad_(True)
    labels = torch.randint(0, tiny.WORDS, (8,), generator=generator)
    loss = head.loss(hidden, labels)
    assert sizes == [(rows, words) for rows in (5, 3) for words in (size, size, tiny.WORDS - 2 * size)], (
        "never the whole table"
    )
    (grad,) = torch.autograd.grad(2 * loss, hidden)
    logits = scale * (hidden @ model.get_output_embeddings().weight.T)
    logits = (logits if cap is None else cap * torch.tanh(logits / cap)).to(torch.promote_types(dtype, torch.float32))
    expected = functional.cross_entropy(logits, labels, reduction="sum")
    (slope,) = torch.autograd.grad(2 * expected, hidden)
    limit = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    assert abs(loss.item() - expected.item()) / expected.item() < limit
    assert float((grad - slope).norm() / slope.norm()) < limit
    with torch.no_grad():
        assert float((head.loss(hidden, labels) - expected).abs() / expected) < limit


def test_no_product_meets_a_number_too_small_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that are next to impossible have chances below 1e-38, with which a processor takes 20 times as long (T5's first weights)."""
    head = Head(copy.deepcopy(tiny.model("llama")))
    generator = torch.Generator().manual_seed(1)
    hidden = (60 * torch.randn((8, 32), generator=generator)).requires_grad_(True)
    labels = torch.randint(0, tiny.WORDS, (8,), generator=generator)
    logits = head.logits(hidden)
    chances = torch.softmax(logits, dim=-1)
    assert ((chances > 0) & (chances < 1e-38)).any()
    factors: list[Tensor] = []
    add = head_room._add_product
    monkeypatch.setattr(
        head_room, "_add_product", lambda to, factor, other: (factors.append(factor.clone()), add(to, factor, other))
    )
    (grad,) = torch.autograd.grad(head.loss(hidden, labels), hidden)
    assert factors and all(float(factor[factor > 0].min()) > 1e-30 for factor in factors)
    (expected,) = torch.autograd.grad(functional.cross_entropy(logits, labels, reduction="sum"), hidden)
    assert float((grad - expected).norm() / expected.norm()) < 1e-6


def test_hopeless_answers_have_a_finite_loss() -> None:
    head = Head(copy.deepcopy(tiny.model("llama")))
    hidden = (300 * torch.randn((4, 32), generator=torch.Generator().manual_seed(0))).requires_grad_(True)
    loss = head.loss(hidden, torch.arange(4))
    expected = functional.cross_entropy(head.logits(hidden.detach()), torch.arange(4), reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-6) and float(expected) > 400
    assert bool(torch.isfinite(torch.autograd.grad(loss, hidden)[0]).all())


@pytest.mark.parametrize("family", EVERY)
def test_every_familys_logits_are_a_product(family: str) -> None:
    assert tiny.backbone(family).engine.capabilities.fused_lm_head_loss


def test_an_output_layer_that_does_more_is_not_taken_for_a_product() -> None:
    model = copy.deepcopy(tiny.model("bart"))
    model.final_logits_bias += torch.randn(model.final_logits_bias.shape)
    backbone = wrap("biased", model, tiny.tokenizer())
    assert not backbone.engine.capabilities.fused_lm_head_loss
    rows = tiny.rows(3, seed="biased")
    assert_same(step(backbone, some(backbone), rows), plain(backbone, some(backbone), rows))


# -- fused parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gpt2", "bloom", "llama", "gemma3", "t5"])
def test_fused_parts_have_the_values_and_gradients_of_the_parts(family: str) -> None:
    installation = tiny.backbone(family).engine.installation
    parts = [patch.module for patch in installation.patched if patch.label == FUSED]
    assert parts
    for part in parts:
        width = len(part.weight) if hasattr(part, "weight") else 7
        hidden = torch.randn((2, 5, width), generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        grad_output = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
        with running(installation.new_pass()):
            actual = part(hidden)
        expected = type(part).forward(part, hidden)
        assert part(hidden).equal(expected), "outside a pass a part computes what it always did"
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
        grads = [torch.autograd.grad(output, hidden, grad_output)[0] for output in (actual, expected)]
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


def test_a_fused_norm_gives_its_weights_their_gradient() -> None:
    part = copy.deepcopy(tiny.model("llama")).model.norm.requires_grad_(True)
    hidden, grad_output = torch.randn(2, 3, 32), torch.randn(2, 3, 32)
    faster = stand_in(part)
    assert faster is not None
    actual, expected = (torch.autograd.grad(run(hidden), part.weight, grad_output)[0] for run in (faster, part))
    torch.testing.assert_close(actual, expected)


def test_nothing_stands_in_for_a_part_with_other_values() -> None:
    part = torch.nn.Sequential(
        torch.nn.SiLU(), torch.nn.ReLU(), torch.nn.GELU(), torch.nn.LayerNorm(8), torch.nn.Dropout()
    )
    assert [stand_in(module) for module in part.eval().modules()] == [None] * 6


# -- skipped work ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", PACKED)
def test_the_first_and_the_last_layer_spare_something(family: str) -> None:
    backbone = tiny.backbone(family)
    step(backbone, some(backbone), tiny.rows(2))
    skippable = backbone.engine._skippable  # type: ignore[attr-defined]
    names = {id(part): name for name, part in backbone.model.named_modules()}
    assert skippable.early and all(".0." in names[id(part)] for part in skippable.early)
    assert skippable.late and not {id(part) for part in skippable.early} & {id(part) for part in skippable.late}
    keys = {"k_proj", "v_proj", "c_attn", "query_key_value"}  # what every later position reads is never left out
    assert not any(names[id(part)].rsplit(".", 1)[-1] in keys for part in skippable.late)


def test_sparing_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in PACKED:
        backbone, rows = tiny.backbone(family), tiny.rows(5, seed="spared")
        skipped = step(backbone, some(backbone), rows)
        monkeypatch.setattr(backbone.engine, "_skippable", Skippable())
        assert_same(skipped, step(backbone, some(backbone), rows))


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "t5"])
def test_where_weights_take_gradients_nothing_is_skipped(family: str) -> None:
    backbone = wrap("thawed", copy.deepcopy(tiny.model(family)), tiny.tokenizer())
    rows = tiny.rows(4, seed="thawed")
    step(backbone, some(backbone), rows)
    for value in backbone.model.parameters():
        value.requires_grad_(True)
    backbone.loss(None, rows)[0].backward()
    gradients = {name: value.grad for name, value in backbone.model.named_parameters()}
    backbone.model.zero_grad(set_to_none=True)
    engine: Any = backbone.engine
    logits = engine.joined_logits if backbone.kind == "causal" else engine.answer_logits
    functional.cross_entropy(*logits(None, rows), reduction="sum").backward()
    assert len(gradients) >= 30
    for name, value in backbone.model.named_parameters():
        gradient, plain = gradients[name], value.grad
        assert gradient is not None and plain is not None, f"{name} takes no gradient"
        assert float((gradient - plain).norm()) <= 1e-4 * float(plain.norm()) + 1e-5, name
    assert sum(float(gradient.norm()) for gradient in gradients.values() if gradient is not None) > 1.0


# -- activation checkpointing -----------------------------------------------------------------------------------------


def kept_bytes(work: Callable[[], Any]) -> int:
    """Bytes that autograd keeps for the gradient while `work` runs forward."""
    held: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        held[value.data_ptr()] = value.nbytes
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        work()
    return sum(held.values())


@pytest.mark.parametrize("family", EVERY)
def test_checkpointing_keeps_less_and_changes_nothing(family: str) -> None:
    backbone, rows = tiny.backbone(family, 0, True), tiny.rows(5, seed="again", prefix=tiny.ids(3, "again"))
    expected = step(backbone, some(backbone), rows)
    soft = some(backbone).requires_grad_(True)
    before = kept_bytes(lambda: backbone.loss(soft, rows))
    with backbone.activation_checkpointing(True):
        assert backbone.checkpointing
        assert_same(step(backbone, some(backbone), rows), expected)
        assert kept_bytes(lambda: backbone.loss(soft, rows)) < 0.6 * before
    assert not backbone.checkpointing


# -- half precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "bloom", "opt", "t5"])
def test_a_bfloat16_backbone_tunes_a_float32_prompt(family: str) -> None:
    exact = tiny.backbone(family)
    half = wrap("half", copy.deepcopy(tiny.model(family)).to(torch.bfloat16), tiny.tokenizer())
    rows = tiny.rows(4, seed="half")
    actual, expected = step(half, some(exact), rows), step(exact, some(exact), rows)
    rough = plain(half, some(exact), rows)  # what bfloat16 itself costs, without a short cut
    assert actual[1].dtype == torch.float32
    assert abs(actual[0] - expected[0]) / expected[0] < 0.03
    lost, allowed = (float((result[1] - expected[1]).norm() / expected[1].norm()) for result in (actual, rough))
    assert lost < 1.5 * allowed + 0.01
