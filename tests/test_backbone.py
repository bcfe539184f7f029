"""The backbone's verbs against plain computations, its wording, its fingerprint, and the check that finds broken models."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import tiny
from foreword.engine import Backbone, Request, Row, load_backbone, wrap
from foreword.engine.batch import answer_positions, left_padded, positions, right_padded
from foreword.engine.tokenizer_adapter import TokenizerAdapter
from foreword.util.errors import ForewordError

FAMILIES = ("gpt2", "opt", "bloom", "llama", "gemma3", "gemma3n", "gpt_neo", "mamba", "t5", "bart")


def plain_scores(backbone: Backbone, soft: torch.Tensor | None, row: Row) -> float:
    """The log-probability of a row's answer, token by token, out of the joined forward pass of the row alone."""
    if backbone.kind == "causal":
        logits, tokens = backbone.engine.joined_logits(soft, [row])  # type: ignore[attr-defined]
    else:
        logits, tokens = backbone.engine.answer_logits(soft, [row])  # type: ignore[attr-defined]
    logprobs = functional.log_softmax(logits.double(), dim=-1)
    return sum(float(logprobs[place, token]) for place, token in enumerate(tokens))


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_the_log_probabilities(family: str) -> None:
    backbone = tiny.backbone(family)
    for length in (0, 3):
        soft = tiny.soft(backbone, length)
        rows = tiny.rows(5, seed="score", prefix=tiny.ids(3, "score")) + tiny.rows(2, seed="score bare")
        assert backbone.score(soft, rows) == pytest.approx(
            [plain_scores(backbone, soft, row) for row in rows], rel=1e-4
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_minus_the_scores(family: str) -> None:
    backbone = tiny.backbone(family)
    rows, soft = tiny.rows(5, seed="loss"), tiny.soft(backbone, 2)
    with torch.no_grad():
        loss, count = backbone.loss(soft, rows)
    assert count == sum(len(row.answer) for row in rows)
    assert float(loss) == pytest.approx(-sum(backbone.score(soft, rows)), rel=1e-5)


def test_a_row_has_something_to_read() -> None:
    with pytest.raises(ForewordError, match="without a single token cannot be answered"):
        Row((1, 2), ())
    assert Row((1, 2), (3,), (4, 5)).length == 5


# -- generating -----------------------------------------------------------------------------------------------------------


def test_an_answer_ends_at_the_end_token_or_the_stop_text_or_the_limit() -> None:
    backbone = tiny.backbone("gpt2")
    rows = tiny.rows(40, seed="ends", answer=0)
    free = backbone.generate(None, rows, 12)
    assert all(len(ids) <= 12 for ids in free)
    assert all(token not in backbone.eos for ids in free for token in ids[:-1])
    assert {len(ids) for ids in backbone.generate(None, rows, 3)} <= {1, 2, 3}
    letter = next(ch for ch in backbone.target_tokenizer.text(free[0][1:-1]) if ch.isalpha())
    stopped = backbone.generate(None, rows, 12, stop=letter)
    ended = 0
    for before, after in zip(free, stopped, strict=True):
        assert after == before[: len(after)]
        texts = [backbone.target_tokenizer.text(before[: size + 1]).lstrip("\n") for size in range(len(before))]
        first = next((size for size, text in enumerate(texts) if letter in text), len(before) - 1)
        assert len(after) == first + 1
        ended += len(after) < len(before)
    assert ended > 3


def test_a_row_that_ends_leaves_the_others_as_they_were() -> None:
    """Rows of one batch end at different steps; each answer is still the one it gives alone."""
    for family in ("llama", "mamba", "t5", "bart"):
        backbone = tiny.backbone(family)
        rows = [Row((), tiny.ids(5, f"leave {i}")) for i in range(8)]
        alone = [backbone.generate(None, [row], 10)[0] for row in rows]
        ends = [lambda ids, place=place: len(ids) > place for place in range(8)]
        requests = [Request(row, None, 10, ended=ended) for row, ended in zip(rows, ends, strict=True)]
        batched = backbone.answer(requests)
        for place, (ids, whole) in enumerate(zip(batched, alone, strict=True)):
            size = min(len(ids), len(whole))
            assert ids[:size] == whole[:size] and len(ids) == place + 1


def test_the_prefix_of_a_soft_prompt_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = wrap("fresh", copy.deepcopy(tiny.model("llama")), tiny.tokenizer())
    engine: Any = backbone.engine
    calls: list[int] = []
    whole = engine.prefix_state

    def counted(prefix: Any) -> Any:
        calls.append(1)
        return whole(prefix)

    monkeypatch.setattr(engine, "prefix_state", counted)
    soft, rows = tiny.soft(backbone, 4), tiny.rows(6, answer=0)
    assert soft is not None
    for row in rows:
        backbone.generate(soft, [row], 3)
    assert len(calls) == 1
    other = soft.clone()
    other[2, 3] += 1e-3
    backbone.generate(other, rows, 3)
    assert len(calls) == 2, "another soft prompt is another prefix"
    engine.prefix_states.room = engine.prefix_states.held
    for number in range(60):
        backbone.generate(None, [Row((number + 3,), (5,))], 1)
    assert engine.prefix_states.held <= engine.prefix_states.room and 1 < len(engine.prefix_states) < 60
    backbone.forget()
    assert (engine.prefix_states.held, len(engine.prefix_states)) == (0, 0)
    backbone.generate(soft, rows, 3)
    assert len(engine.prefix_states) == 1


# -- padding --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=7), min_size=1, max_size=6), st.integers(0, 5))
def test_padding_moves_no_position(rows: list[list[int]], before: int) -> None:
    device = torch.device("cpu")
    for pad in (right_padded, left_padded):
        ids, mask = pad(rows, 0, device)
        assert ids.shape == mask.shape == (len(rows), max(map(len, rows)))
        for row, padded_ids, row_mask, position_ids in zip(rows, ids, mask, positions(mask, before), strict=True):
            assert padded_ids[row_mask.bool()].tolist() == row
            assert position_ids[row_mask.bool()].tolist() == list(range(before, before + len(row)))


@given(st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 9), max_size=3)), min_size=1, max_size=5))
def test_picks_point_at_the_columns_before_the_answers(rows: list[tuple[int, list[int]]]) -> None:
    starts, answers = [start for start, _ in rows], [answer for _, answer in rows]
    logit_positions, targets = answer_positions(starts, answers, 10, torch.device("cpu"))
    assert targets.tolist() == [token for answer in answers for token in answer]
    expected = [10 * i + start + k for i, (start, answer) in enumerate(rows) for k in range(len(answer))]
    assert logit_positions.tolist() == expected


# -- states ---------------------------------------------------------------------------------------------------------------

TEXTS = ("ba lo ri", "tem", "na sho ku der fin ost ba ba ba lo", "der der", "ost fin lo ri tem na", "")


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_states_are_the_final_hidden_states(family: str, pooling: str) -> None:
    backbone = tiny.backbone(family, 0, True)
    states = backbone.states(TEXTS, pooling=pooling, batch_size=4)
    assert states.dtype == np.float32 and states.shape == (len(TEXTS), states.shape[1]) and np.isfinite(states).all()
    for place, text in enumerate(TEXTS):
        ids = torch.tensor([backbone.tokenizer.start + backbone.tokenizer.ids(text, first=True)])
        if backbone.kind == "seq2seq":
            hidden = backbone.model.get_encoder()(input_ids=ids).last_hidden_state[0]
        else:
            hidden = backbone.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[-1][0]
        if family == "gemma3n":  # its states come in several parallel streams; the head reads their mean
            hidden = backbone._hidden([ids[0].tolist()])[0][0]
        elif hidden.shape[-1] != states.shape[1]:  # an OPT whose layers are wider than its embedding rows
            hidden = backbone.model.model.decoder.project_out(hidden)
        expected = hidden[-1] if pooling == "last" else hidden.mean(dim=0)
        assert np.abs(states[place] - expected.numpy()).max() < 1e-4 * max(1.0, float(expected.abs().max()))
        assert (
            np.abs(backbone.states([text], pooling=pooling)[0] - states[place]).max()
            < 1e-4 * np.abs(states[place]).max()
        )


def test_states_of_long_texts_are_cut_at_the_window() -> None:
    backbone = tiny.backbone("gpt2")
    text = "ba lo ri tem " * 200
    assert len(backbone.tokenizer.ids(text, first=True)) > (backbone.window or 0)
    assert np.isfinite(backbone.states([text])).all()


# -- wording --------------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=30))
def test_ids_become_the_text_again(text: str) -> None:
    words = tiny.backbone("llama").tokenizer
    for first in (True, False):
        assert words.text(words.ids(text, first=first)) == text.encode("utf-8", "replace").decode()


def test_the_specials_around_a_text_are_found() -> None:
    assert tiny.backbone("llama").tokenizer.start == () == tiny.backbone("llama").tokenizer.end
    assert tiny.backbone("llama", 0, True).tokenizer.start == (1,)
    assert tiny.backbone("llama", 0, True).specials == 1


def test_answers_end_with_the_end_token() -> None:
    backbone = tiny.backbone("llama")
    assert backbone.answer_ids(" ba lo") == (*backbone.tokenizer.ids(" ba lo", first=False), 2)
    assert backbone.target_tokenizer.text(backbone.answer_ids(" ba lo")) == " ba lo"


def test_nothing_is_nothing() -> None:
    assert (
        tiny.backbone("llama").tokenizer.ids("", first=True)
        == ()
        == tiny.backbone("llama").tokenizer.ids("", first=False)
    )


@pytest.mark.parametrize("name", ["tinystories-656k", "stories260k"])
def test_a_piece_of_a_llamas_text_is_tokenised_as_within_it(name: str, shared: Path) -> None:
    """No dummy blank before a piece: the pieces of a text, one after another, read as the text."""
    words = TokenizerAdapter(transformers.AutoTokenizer.from_pretrained(str(shared / "models" / name)))
    pieces = ["Once upon a time.\n", "Tim had a ball.\n", " He ran", "home", "\n\n", "The end"]
    ids = [words.ids(piece, first=place == 0) for place, piece in enumerate(pieces)]
    assert words.text([token for piece in ids for token in piece]) == "".join(pieces)
    alone = words.ids("home", first=False)
    assert words.text((*words.ids("at", first=True), *alone)).lstrip() == "athome"


def test_the_spellers_output_alphabet_is_its_own(shared: Path) -> None:
    backbone = load_backbone(str(shared / "models" / "g2p-bart-us"), device="cpu")
    assert backbone.kind == "seq2seq" and backbone.target_tokenizer is not backbone.tokenizer and backbone.notes
    assert backbone.answer_ids("") == (1, 2)
    ids = backbone.generate(None, [Row((), backbone.tokenizer.ids("table", first=True))], 20)[0]
    assert backbone.target_tokenizer.text(ids).strip()
    assert backbone.target_tokenizer.text(
        backbone.answer_ids(backbone.target_tokenizer.text(ids))
    ) == backbone.target_tokenizer.text(ids)


def test_an_unknown_token_is_counted() -> None:
    words = tiny.backbone("llama").tokenizer
    assert words.unknown(words.ids("é – 字", first=True)) == 0
    assert len(words.pieces((5, 6, 7))) == 3


def test_frequent_tokens_are_text() -> None:
    words = tiny.backbone("llama").tokenizer
    assert words.frequent(10) == list(range(3, 13))
    assert max(TokenizerAdapter(tiny.tokenizer(), 300).frequent(5000)) == 299, (
        "a tokenizer may know more than the model"
    )
    assert not set(words.frequent(5000)) & words.special_ids()


# -- identity -------------------------------------------------------------------------------------------------------------


def test_the_fingerprint_sees_one_weight_and_the_tokenizer() -> None:
    base = tiny.backbone("llama")
    same = wrap("another name", copy.deepcopy(tiny.model("llama")), tiny.tokenizer())
    assert same.fingerprint == base.fingerprint
    for index, (name, _) in enumerate(sorted(base.model.named_parameters())):
        if index % 5 == 0:
            changed = copy.deepcopy(tiny.model("llama"))
            with torch.no_grad():
                dict(changed.named_parameters())[name].view(-1)[-1] += 0.1
            assert wrap("x", changed, tiny.tokenizer()).fingerprint != base.fingerprint, name
    other = copy.deepcopy(tiny.tokenizer())
    other.add_tokens(["frogs"])
    assert wrap("x", copy.deepcopy(tiny.model("llama")), other).fingerprint != base.fingerprint
    assert wrap("x", copy.deepcopy(tiny.model("llama")), tiny.tokenizer(True)).fingerprint != base.fingerprint


def test_the_fingerprint_does_not_see_the_numbers_it_is_loaded_in(tmp_path: Path) -> None:
    model = copy.deepcopy(tiny.model("llama")).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    loaded = [load_backbone(str(tmp_path), dtype=dtype, device="cpu") for dtype in ("float32", "bfloat16")]
    assert loaded[0].dtype == torch.float32 and loaded[1].dtype == torch.bfloat16
    assert loaded[0].fingerprint == loaded[1].fingerprint
    assert loaded[0].weights_digest() != loaded[1].weights_digest()


def test_a_backbone_is_frozen_and_without_dropout() -> None:
    model = copy.deepcopy(tiny.model("gpt2")).train()
    backbone = wrap("x", model, tiny.tokenizer())
    assert not backbone.model.training
    assert not any(value.requires_grad for value in backbone.model.parameters())
    assert backbone.parameters == sum(value.numel() for value in backbone.model.parameters())


def test_the_scale_is_the_root_mean_square_of_the_rows_as_the_first_layer_gets_them() -> None:
    backbone = tiny.backbone("gemma3")
    rows = backbone.model.get_input_embeddings()(torch.tensor(backbone.tokenizer.frequent(5000)))
    assert backbone.scale == pytest.approx(float(rows.square().mean().sqrt()), rel=1e-5)
    assert backbone.scale > 3 * float(backbone.model.get_input_embeddings().weight.square().mean().sqrt())
