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


def step(one: Backbone, soft: Tensor, rows: list[Row]) -> tuple[float, Tensor]:
    """Loss and the soft prompt's gradient."""
    asked = soft.clone().requires_grad_(True)
    loss, count = one.loss(asked, rows)
    loss.backward()
    assert count == sum(len(row.answer) for row in rows) and asked.grad is not None
    return float(loss.detach()), asked.grad


def plain(one: Backbone, soft: Tensor, rows: list[Row]) -> tuple[float, Tensor]:
    """The same from the whole table of logits of each row alone, prefix and row in one sequence."""
    asked = soft.clone().requires_grad_(True)
    engine: Any = one.engine
    logits = engine.joined_logits if one.kind == "causal" else engine.answer_logits
    loss = torch.stack([functional.cross_entropy(*logits(asked, [row]), reduction="sum") for row in rows]).sum()
    loss.backward()
    assert asked.grad is not None
    return float(loss.detach()), asked.grad


def assert_same(found: tuple[float, Tensor], wanted: tuple[float, Tensor], limit: float = 1e-5) -> None:
    assert abs(found[0] - wanted[0]) / wanted[0] < limit
    assert float((found[1] - wanted[1]).norm() / wanted[1].norm()) < limit


def some(one: Backbone, length: int = 5) -> Tensor:
    soft = tiny.soft(one, length)
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
    one = tiny.backbone(family, 0, True)
    if path == "packed" and family not in PACKED:
        pytest.skip("this family is not packed")
    capabilities = replace(one.engine.capabilities, packed_sequence=path == "packed", prefix_cache=path != "joined")
    monkeypatch.setattr(one.engine, "capabilities", capabilities)
    rows = tiny.rows(6, seed=path, prefix=tiny.ids(4, path), longest=40)
    rows.append(Row(rows[0].prefix, tiny.ids(1, "one"), tiny.ids(1, "one answer")))
    assert_same(step(one, some(one), rows), plain(one, some(one), rows))


@pytest.mark.parametrize("family", PACKED)
@pytest.mark.parametrize("bos", [False, True])
def test_a_packed_batch_may_have_no_soft_prompt_or_one_row(family: str, bos: bool) -> None:
    one = tiny.backbone(family, 0, bos)
    for prefix in ((), tiny.ids(3, "prefix")):
        rows = tiny.rows(3, seed="none", prefix=prefix)
        with torch.no_grad():
            assert float(one.loss(None, rows)[0]) == pytest.approx(-sum(one.score(None, rows)), rel=1e-5)
        assert_same(step(one, some(one, 1), rows[:1]), plain(one, some(one, 1), rows[:1]))


def test_a_model_whose_layers_hide_that_their_attention_is_local_is_not_packed() -> None:
    model = copy.deepcopy(tiny.model("llama"))
    model.config.sliding_window = 8
    assert not wrap("hidden", model, tiny.tokenizer()).engine.capabilities.packed_sequence


def test_the_models_own_attention_is_back_after_a_packed_pass() -> None:
    for family in ("gemma2", "llama", "bloom"):
        one = tiny.backbone(family)
        before = (
            one.model.config._attn_implementation,
            [part for part in one.model.modules() if "forward" in vars(part)],
        )
        step(one, some(one), tiny.rows(2))
        after = one.model.config._attn_implementation, [part for part in one.model.modules() if "forward" in vars(part)]
        assert before == after and before[0] == ("sdpa" if family == "llama" else "eager")


def dense(query: Tensor, key: Tensor, value: Tensor, packing: Packing, kind: Kind) -> Tensor:
    """Attention over the whole packed sequence with a mask [S + R, S + R] that keeps rows apart."""
    owner = torch.cat([torch.full((size,), row) for row, size in enumerate((packing.prefix, *packing.sizes))])
    position_ids = packing.position_ids[0]
    seen = ((owner == 0) | (owner == owner.unsqueeze(1))) & (position_ids <= position_ids.unsqueeze(1))
    if kind.window is not None:
        seen &= position_ids > position_ids.unsqueeze(1) - kind.window
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(-1, -2) * kind.scaling
    if kind.softcap is not None:
        scores = kind.softcap * torch.tanh(scores / kind.softcap)
    if kind.added is not None:
        scores = scores + kind.added[:, position_ids].unsqueeze(1)
    weights = scores.masked_fill(~seen, float("-inf")).softmax(dim=-1)
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
    told = torch.randn((1, total, heads[0], 3), generator=generator, dtype=torch.float64)
    found = packing.attend(None, query, key, value, kind)
    wanted = dense(query, key, value, packing, kind)
    torch.testing.assert_close(found, wanted)
    given, asked = (torch.autograd.grad(one, (query, key, value), told) for one in (found, wanted))
    torch.testing.assert_close(given, asked)


# -- logits in parts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [None, 3.0])
@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_loss_in_parts_is_the_cross_entropy(
    cap: float | None, scale: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(tiny.model("llama")).to(dtype)
    found = Head(model)
    found.cap, found.scale = cap, scale
    size = tiny.WORDS // 3 + 1
    for name, value in {"ROWS": 5, "ENTRIES": size, "LOGITS": 1}.items():
        monkeypatch.setattr(head_room, name, value)
    sizes: list[tuple[int, ...]] = []

    def logits(hidden: Tensor, words: slice) -> Tensor:
        made = Head.logits(found, hidden, words)
        sizes.append(tuple(made.shape))
        return made

    monkeypatch.setattr(found, "logits", logits)
    generator = torch.Generator().manual_seed(1)
    hidden = (3 * torch.randn((8, 32), generator=generator)).to(dtype).requires_grad_(True)
    wanted = torch.randint(0, tiny.WORDS, (8,), generator=generator)
    loss = found.loss(hidden, wanted)
    assert sizes == [(rows, words) for rows in (5, 3) for words in (size, size, tiny.WORDS - 2 * size)], (
        "never the whole table"
    )
    (grad,) = torch.autograd.grad(2 * loss, hidden)
    logits = scale * (hidden @ model.get_output_embeddings().weight.T)
    logits = (logits if cap is None else cap * torch.tanh(logits / cap)).to(torch.promote_types(dtype, torch.float32))
    asked = functional.cross_entropy(logits, wanted, reduction="sum")
    (slope,) = torch.autograd.grad(2 * asked, hidden)
    limit = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    assert abs(loss.item() - asked.item()) / asked.item() < limit
    assert float((grad - slope).norm() / slope.norm()) < limit
    with torch.no_grad():
        assert float((found.loss(hidden, wanted) - asked).abs() / asked) < limit


def test_no_product_meets_a_number_too_small_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that are next to impossible have chances below 1e-38, with which a processor takes 20 times as long (T5's first weights)."""
    found = Head(copy.deepcopy(tiny.model("llama")))
    generator = torch.Generator().manual_seed(1)
    hidden = (60 * torch.randn((8, 32), generator=generator)).requires_grad_(True)
    wanted = torch.randint(0, tiny.WORDS, (8,), generator=generator)
    logits = found.logits(hidden)
    chances = torch.softmax(logits, dim=-1)
    assert ((chances > 0) & (chances < 1e-38)).any()
    seen: list[Tensor] = []
    add = head_room._add_product
    monkeypatch.setattr(
        head_room, "_add_product", lambda to, one, other: (seen.append(one.clone()), add(to, one, other))
    )
    (grad,) = torch.autograd.grad(found.loss(hidden, wanted), hidden)
    assert seen and all(float(one[one > 0].min()) > 1e-30 for one in seen)
    (asked,) = torch.autograd.grad(functional.cross_entropy(logits, wanted, reduction="sum"), hidden)
    assert float((grad - asked).norm() / asked.norm()) < 1e-6


def test_hopeless_answers_have_a_finite_loss() -> None:
    found = Head(copy.deepcopy(tiny.model("llama")))
    hidden = (300 * torch.randn((4, 32), generator=torch.Generator().manual_seed(0))).requires_grad_(True)
    loss = found.loss(hidden, torch.arange(4))
    asked = functional.cross_entropy(found.logits(hidden.detach()), torch.arange(4), reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(asked), rel=1e-6) and float(asked) > 400
    assert bool(torch.isfinite(torch.autograd.grad(loss, hidden)[0]).all())


@pytest.mark.parametrize("family", EVERY)
def test_every_familys_logits_are_a_product(family: str) -> None:
    assert tiny.backbone(family).engine.capabilities.fused_lm_head_loss


def test_an_output_layer_that_does_more_is_not_taken_for_a_product() -> None:
    model = copy.deepcopy(tiny.model("bart"))
    model.final_logits_bias += torch.randn(model.final_logits_bias.shape)
    one = wrap("biased", model, tiny.tokenizer())
    assert not one.engine.capabilities.fused_lm_head_loss
    rows = tiny.rows(3, seed="biased")
    assert_same(step(one, some(one), rows), plain(one, some(one), rows))


# -- fused parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gpt2", "bloom", "llama", "gemma3", "t5"])
def test_fused_parts_have_the_values_and_gradients_of_the_parts(family: str) -> None:
    installation = tiny.backbone(family).engine.installation
    parts = [patch.module for patch in installation.patched if patch.label == FUSED]
    assert parts
    for part in parts:
        width = len(part.weight) if hasattr(part, "weight") else 7
        hidden = torch.randn((2, 5, width), generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        told = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
        with running(installation.new_pass()):
            found = part(hidden)
        wanted = type(part).forward(part, hidden)
        assert part(hidden).equal(wanted), "outside a pass a part computes what it always did"
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
        grads = [torch.autograd.grad(one, hidden, told)[0] for one in (found, wanted)]
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


def test_a_fused_norm_gives_its_weights_their_gradient() -> None:
    part = copy.deepcopy(tiny.model("llama")).model.norm.requires_grad_(True)
    hidden, told = torch.randn(2, 3, 32), torch.randn(2, 3, 32)
    faster = stand_in(part)
    assert faster is not None
    found, wanted = (torch.autograd.grad(run(hidden), part.weight, told)[0] for run in (faster, part))
    torch.testing.assert_close(found, wanted)


def test_nothing_stands_in_for_a_part_with_other_values() -> None:
    part = torch.nn.Sequential(
        torch.nn.SiLU(), torch.nn.ReLU(), torch.nn.GELU(), torch.nn.LayerNorm(8), torch.nn.Dropout()
    )
    assert [stand_in(one) for one in part.eval().modules()] == [None] * 6


# -- skipped work ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", PACKED)
def test_the_first_and_the_last_layer_spare_something(family: str) -> None:
    one = tiny.backbone(family)
    step(one, some(one), tiny.rows(2))
    skippable = one.engine._skippable  # type: ignore[attr-defined]
    names = {id(part): name for name, part in one.model.named_modules()}
    assert skippable.early and all(".0." in names[id(part)] for part in skippable.early)
    assert skippable.late and not {id(part) for part in skippable.early} & {id(part) for part in skippable.late}
    keys = {"k_proj", "v_proj", "c_attn", "query_key_value"}  # what every later position reads is never left out
    assert not any(names[id(part)].rsplit(".", 1)[-1] in keys for part in skippable.late)


def test_sparing_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in PACKED:
        one, rows = tiny.backbone(family), tiny.rows(5, seed="spared")
        found = step(one, some(one), rows)
        monkeypatch.setattr(one.engine, "_skippable", Skippable())
        assert_same(found, step(one, some(one), rows))


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "t5"])
def test_where_weights_take_gradients_nothing_is_skipped(family: str) -> None:
    one = wrap("thawed", copy.deepcopy(tiny.model(family)), tiny.tokenizer())
    rows = tiny.rows(4, seed="thawed")
    step(one, some(one), rows)
    for value in one.model.parameters():
        value.requires_grad_(True)
    one.loss(None, rows)[0].backward()
    gradients = {name: value.grad for name, value in one.model.named_parameters()}
    one.model.zero_grad(set_to_none=True)
    engine: Any = one.engine
    logits = engine.joined_logits if one.kind == "causal" else engine.answer_logits
    functional.cross_entropy(*logits(None, rows), reduction="sum").backward()
    assert len(gradients) >= 30
    for name, value in one.model.named_parameters():
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
    one, rows = tiny.backbone(family, 0, True), tiny.rows(5, seed="again", prefix=tiny.ids(3, "again"))
    found = step(one, some(one), rows)
    asked = some(one).requires_grad_(True)
    before = kept_bytes(lambda: one.loss(asked, rows))
    with one.activation_checkpointing(True):
        assert one.checkpointing
        assert_same(step(one, some(one), rows), found)
        assert kept_bytes(lambda: one.loss(asked, rows)) < 0.6 * before
    assert not one.checkpointing


# -- half precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "bloom", "opt", "t5"])
def test_a_bfloat16_backbone_tunes_a_float32_prompt(family: str) -> None:
    exact = tiny.backbone(family)
    half = wrap("half", copy.deepcopy(tiny.model(family)).to(torch.bfloat16), tiny.tokenizer())
    rows = tiny.rows(4, seed="half")
    found, wanted = step(half, some(exact), rows), step(exact, some(exact), rows)
    rough = plain(half, some(exact), rows)  # what bfloat16 itself costs, without a short cut
    assert found[1].dtype == torch.float32
    assert abs(found[0] - wanted[0]) / wanted[0] < 0.03
    lost, allowed = (float((one[1] - wanted[1]).norm() / wanted[1].norm()) for one in (found, rough))
    assert lost < 1.5 * allowed + 0.01
