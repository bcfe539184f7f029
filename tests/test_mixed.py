"""Many prompts in one batch, on tiny models of every family: an answer is the one that its prompt gives alone; no family is refused."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import tiny
from foreword.engine import Backbone, Prefix, Request, Row, attention, blocks, shared_prefix_decoder, wrap
from foreword.engine.cache import PreallocatedLayer, PrefixState, RowPrefixes, moved, still_there
from foreword.engine.decoding import Entry
from foreword.engine.prefix import each
from foreword.util.errors import ForewordError

EVERY = (*tiny.CAUSAL, "mamba", *tiny.SEQ2SEQ)


def prompts(backbone: Backbone, count: int, longest: int = 7) -> list[Tensor | None]:
    """Soft prompts of 1 to `longest` positions, no two alike; one of them is none at all."""
    softs = [tiny.soft(backbone, 1 + (3 * seed) % longest, seed) for seed in range(count)]
    return [None, *softs[1:]] if count > 1 else softs


def alone(backbone: Backbone, softs: Sequence[Tensor | None], rows: Sequence[Row], longest: int) -> list[list[int]]:
    return [backbone.generate(soft, [row], longest)[0] for soft, row in zip(softs, rows, strict=True)]


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("bos", [False, True])
def test_each_row_is_answered_as_its_prompt_answers_it_alone(family: str, bos: bool) -> None:
    backbone = tiny.backbone(family, 0, bos)
    rows = tiny.rows(12, seed="mixed", longest=9, answer=0)
    softs = [prompts(backbone, 5)[place * 3 % 5] for place in range(12)]
    expected = alone(backbone, softs, rows, 5)
    assert backbone.generate(softs, rows, 5) == expected
    assert backbone.generate(softs[::-1], rows[::-1], 5) == expected[::-1]
    assert backbone.generate(softs[0], rows, 5) != expected, "the prompts must matter"


@pytest.mark.parametrize("count", [1, 4, 16, 64])
@pytest.mark.parametrize("family", ["gpt2", "opt", "bloom", "llama", "t5"])
def test_so_it_is_with_few_and_many_prompts(family: str, count: int) -> None:
    backbone = tiny.backbone(family)
    rows = tiny.rows(64, seed=f"count {count}", longest=9, answer=0)
    distinct = prompts(backbone, count)
    softs = [distinct[place % count] for place in range(64)]
    assert backbone.generate(softs, rows, 4) == alone(backbone, softs, rows, 4)


@pytest.mark.parametrize("family", EVERY)
def test_so_it_is_with_other_words_behind_each_prompt(family: str) -> None:
    backbone = tiny.backbone(family)
    prefixes = [(), tiny.ids(3, "mixed a"), tiny.ids(8, "mixed b")]
    rows = [row for place in range(3) for row in tiny.rows(3, seed=place, prefix=prefixes[place], longest=6)]
    softs = [prompts(backbone, 4)[place % 4] for place in range(9)]
    assert backbone.generate(softs, rows, 4) == alone(backbone, softs, rows, 4)


@pytest.mark.parametrize("family", ["gemma2", "gemma3", "gemma3n", "mistral", "gpt_neo"])
def test_so_it_is_beyond_a_sliding_window(family: str) -> None:
    backbone = tiny.backbone(family)
    rows = [Row((), tiny.ids(size, f"far {place}")) for place, size in enumerate([2, 2, 9, 9, 13, 13])]
    softs = [tiny.soft(backbone, (3, 11)[place % 2], place) for place in range(6)]
    assert backbone.generate(softs, rows, 8) == alone(backbone, softs, rows, 8)


@pytest.mark.parametrize("family", tiny.SEQ2SEQ)
def test_so_it_is_with_prompts_on_either_side_of_the_encoders_input(family: str) -> None:
    backbone = tiny.backbone(family, 0, True)
    rows = [Row((), row.own, (), append=bool(place % 2)) for place, row in enumerate(tiny.rows(8, seed="sides"))]
    softs = [prompts(backbone, 3)[place % 3] for place in range(8)]
    assert backbone.generate(softs, rows, 4) == alone(backbone, softs, rows, 4)


@pytest.mark.parametrize("family", EVERY)
def test_scores_are_those_of_each_prompt_alone(family: str) -> None:
    backbone = tiny.backbone(family)
    rows = tiny.rows(5, seed="mixed scores") + tiny.rows(4, seed="more", prefix=tiny.ids(4, "more"))
    softs = [prompts(backbone, 4)[place % 4] for place in range(9)]
    expected = [backbone.score(soft, [row])[0] for soft, row in zip(softs, rows, strict=True)]
    assert backbone.score(softs, rows) == pytest.approx(expected, rel=1e-5)
    assert backbone.score(softs[0], rows) != pytest.approx(expected, rel=1e-3)
    assert backbone.score([], []) == [] == backbone.generate([], [], 3)


# How rows are read beside their prefixes: tokens at once, scores at once, bytes for which a prefix is held once (tiny models' prompts would
# all be copied). None: in the library's cache.
READ = {
    "one": (1, 1, 0),
    "few": (15, 300, 1500),
    "copied": (1024, 2**24, 2**21),
    "whole": (1024, 2**24, 0),
    "cache": None,
}


@pytest.mark.parametrize("family", tiny.CAUSAL)
@pytest.mark.parametrize("how", READ)
@torch.no_grad()
def test_logits_of_a_mixed_batch_are_the_plain_ones(family: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the likeliest token: all logits, token after token, equal those of each row alone in one sequence, however many
    tokens are read at once; beyond a sliding window, too, but in the library's cache, where such rows are not mixed."""
    backbone = wrap(family, tiny.model(family), tiny.tokenizer())  # nothing is kept yet
    engine: Any = backbone.engine
    assert engine.capabilities.shared_prefix == engine.capabilities.packed_sequence
    if READ[how] is None:
        monkeypatch.setattr(engine, "capabilities", replace(engine.capabilities, shared_prefix=False))
    elif not engine.capabilities.shared_prefix:
        pytest.skip("this family's attention is its own")
    else:
        for name, value in zip(("SLICE", "SCORES_OF_PROCESSOR"), READ[how] or (), strict=False):
            monkeypatch.setattr(shared_prefix_decoder if name == "SLICE" else blocks, name, value)
        monkeypatch.setattr(engine, "worth", (READ[how] or (0,))[-1])
    drawn_rows = tiny.rows(11, seed=1, longest=7 if how == "cache" else 40)
    rows = [Row(row.prefix, row.own, tiny.ids(4, place)) for place, row in enumerate(drawn_rows)]
    softs = [prompts(backbone, 3)[place % 3 if place < 9 else 1] for place in range(11)]
    logits = engine.forced_logits(softs, rows, 4)
    expected = torch.stack([engine.joined_logits(soft, [row])[0] for soft, row in zip(softs, rows, strict=True)])
    assert float((logits - expected).abs().max() / expected.abs().max()) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("count", [1, 3, blocks.FEW, blocks.FEW + 1])
def test_few_and_many_queries_meet_the_keys_alike(dtype: torch.dtype, count: int) -> None:
    """Whatever stands first in the product, scores are those of the exact product, summed in float32 and rounded once."""
    chance = torch.Generator().manual_seed(count)
    queries = torch.randn(6, count, 48, generator=chance).to(dtype)
    keys = torch.randn(6, 90, 48, generator=chance).to(dtype)[:, :70]  # the columns that a block's rows fill
    scores = blocks._products(queries, keys)
    exact = torch.einsum("bnd,bcd->bnc", queries.double(), keys.double())
    assert scores.shape == (6, count, 70) and scores.is_contiguous()
    rounding = 48 * torch.finfo(torch.float32).eps + torch.finfo(dtype).eps
    assert (scores - exact).abs().max() <= rounding * exact.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_a_softmax_in_pieces_has_the_same_bits(dtype: torch.dtype, turned: bool) -> None:
    chance = torch.Generator().manual_seed(0)
    scores = (5 * torch.randn(3, 401, 330, generator=chance)).to(dtype)  # some pieces, the last of them smaller
    scores[:, 7, 100:] = float("-inf")
    scores = scores.transpose(0, 1) if turned else scores
    wide = torch.promote_types(dtype, torch.float32)
    assert scores.numel() > attention.CACHED
    assert torch.equal(attention.softmax(scores), torch.softmax(scores.to(wide), dim=-1).to(dtype))


@pytest.mark.parametrize("family", ["gpt2", "bloom", "llama", "gemma2", "falcon"])
@pytest.mark.parametrize("worth", [0, 2**40])
def test_rows_that_end_leave_and_the_others_do_not_notice(
    family: str, worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row ends after as many tokens as were drawn for it, in a batch of several prompts, held once or copied."""
    backbone = tiny.backbone(family)
    engine: Any = backbone.engine
    monkeypatch.setattr(engine, "worth", worth)
    rows = tiny.rows(17, seed="leave", longest=30, answer=0)
    softs = [prompts(backbone, 4)[place * 3 % 4] for place in range(17)]
    ends = [1 + (7 * place) % 9 for place in range(17)]
    answers = backbone.answer(
        [
            Request(row, prefix, 9, ended=lambda ids, end=end: len(ids) >= end)  # type: ignore[misc]
            for prefix, row, end in zip(each(softs, 17), rows, ends, strict=True)
        ]
    )
    assert [len(ids) for ids in answers] == ends
    for soft, row, end, ids in zip(softs, rows, ends, answers, strict=True):
        assert ids == backbone.answer([Request(row, Prefix.of(soft), end, ended=lambda _: False)])[0]


@pytest.mark.parametrize("family", ["gpt2", "bloom", "gemma2"])
def test_a_prefix_is_held_once_for_the_rows_that_share_it(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny.backbone(family)
    engine: Any = backbone.engine
    layer = engine.token_bytes() // 3
    assert engine.once(9, -(-(2**21) // (8 * layer))) and not engine.once(9, 2**21 // (8 * layer) - 1)
    monkeypatch.setattr(engine, "worth", 6 * 6 * layer)
    rows = tiny.rows(9, answer=0)
    common, other = tiny.soft(backbone, 6), tiny.soft(backbone, 2, 1)
    prefixes = each([common, other, None, *[common] * 6], 9)
    entries = [Entry(prefix, row, 3) for prefix, row in zip(prefixes, rows, strict=True)]
    batch = engine.running_batch()
    batch.admit(entries)
    assert [(slots.block.past, len(slots.entries)) for slots in batch.slots] == [(6, 7), (0, 2)]
    batch.step()
    first, rest = (slots.block for slots in batch.slots)
    columns = max(len(row.own) for place, row in enumerate(rows) if place not in (1, 2)) + 3
    assert all(buffer.shape[2] == columns for layer in first.layers for buffer in layer)
    held = [len(entry.row.own) + (2 if entry is entries[1] else 0) for entry in batch.slots[1].entries]
    assert rest.held == held and len(held) == 2
    sizes = backbone.sizes([common, other, None, *[common] * 6], rows, 3)
    assert sizes == [len(row.own) + 3 + (2 if place == 1 else 0) for place, row in enumerate(rows)]


def test_a_prompt_that_many_rows_have_is_run_once_and_kept() -> None:
    backbone = wrap("fresh", copy.deepcopy(tiny.model("llama")), tiny.tokenizer())
    engine: Any = backbone.engine
    softs = [tiny.soft(backbone, 4, seed) for seed in range(3)]
    rows = tiny.rows(9, answer=0)
    ran: list[int] = []
    whole = engine.prefix_state
    engine.prefix_state = lambda prefix: ran.append(len(prefix)) or whole(prefix)
    backbone.generate([softs[place % 3] for place in range(9)], rows, 3)
    assert len(ran) == 3
    backbone.generate([softs[place % 3].clone() for place in range(9)], rows, 3)  # type: ignore[union-attr]
    backbone.score(softs[1], tiny.rows(4))
    assert len(ran) == 3, "the same numbers are the same prompt"


def test_as_many_prompts_as_rows_are_wanted() -> None:
    backbone = tiny.backbone("llama")
    with pytest.raises(ForewordError, match="2 soft prompts were given for 3 rows; give one for all, or one for each"):
        backbone.generate([None, None], tiny.rows(3), 3)


# -- the arithmetic ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_rows_that_go_on_close_up_and_few_move(gone: list[bool]) -> None:
    order = still_there(gone)
    assert sorted(order) == [place for place in range(len(gone)) if not gone[place]]
    assert sum(place != source for place, source in enumerate(order)) <= sum(gone)
    values = torch.arange(len(gone) * 2).reshape(-1, 2)
    assert moved(values.clone(), order).tolist() == values[order].tolist()


def state(length: int, seed: int) -> PrefixState:
    generator = torch.Generator().manual_seed(seed)
    pairs = [(torch.randn((1, 2, length, 3), generator=generator), torch.randn((1, 2, length, 3), generator=generator))]
    return PrefixState(tuple(pairs), length)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_a_rows_prefix_stands_at_the_end_of_the_longest(parts: list[tuple[int, int]], gone: list[bool]) -> None:
    row_prefixes = RowPrefixes(
        tuple((state(size, at) if size else None, rows) for at, (size, rows) in enumerate(parts))
    )
    sizes = [size for size, rows in parts for _ in range(rows)]
    longest = max(sizes)
    assert (row_prefixes.rows, row_prefixes.length) == (len(sizes), longest)
    mask = row_prefixes.mask(torch.device("cpu"))
    assert mask.tolist() == [[0] * (longest - size) + [1] * size for size in sizes]
    layer = PreallocatedLayer(row_prefixes.layer(0) if longest else (), row_prefixes.rows, longest + 2)
    new = torch.randn(row_prefixes.rows, 2, 1, 3)
    keys, values = layer.update(new, -new)
    assert keys.shape == (len(sizes), 2, longest + 1, 3) and bool(torch.isfinite(keys).all())
    owners = [at for at, (_, rows) in enumerate(parts) for _ in range(rows)]
    for row, (size, owner) in enumerate(zip(sizes, owners, strict=True)):
        assert keys[row, :, -1:].equal(new[row]) and values[row, :, -1:].equal(-new[row])
        if size:
            assert keys[row, :, longest - size : longest].equal(row_prefixes.parts[owner][0].layers[0][0][0])  # type: ignore[union-attr]
        assert not keys[row, :, : longest - size].any() and not values[row, :, : longest - size].any()
    order = still_there(gone[: len(sizes)])
    before = keys.clone()
    layer.compact(order)
    if order:
        assert layer.keys.equal(before[order])
        assert layer.update(new[order], new[order])[0].shape == (len(order), 2, longest + 2, 3)


@pytest.mark.parametrize("family", tiny.SEQ2SEQ)
def test_an_input_with_several_answers_is_read_once(family: str) -> None:
    backbone = tiny.backbone(family)
    batch_sizes: list[int] = []
    encoder = backbone.model.get_encoder()
    handle = encoder.register_forward_pre_hook(
        lambda _, args, kwargs: batch_sizes.append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )
    soft = tiny.soft(backbone, 3)
    rows = [Row((), row.own, tiny.ids(2, f"{place} {at}")) for at in range(3) for place, row in enumerate(tiny.rows(4))]
    try:
        scores = backbone.score(soft, rows)
    finally:
        handle.remove()
    assert batch_sizes == [4]
    assert scores == pytest.approx([backbone.score(soft, [row])[0] for row in rows], rel=1e-5)
