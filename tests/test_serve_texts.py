"""An answer's text while it grows: what is shown of it piece by piece is the whole that a template reads, whatever the tokens are."""

from __future__ import annotations

import functools

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

import chats
import tiny
from foreword.data.template import Template
from foreword.engine import Backbone, wrap
from foreword.serve.echo import Token
from foreword.serve.texts import Answer

TEMPLATES = (
    None,
    Template(),
    Template(answer=" {target};", stop=("\n\n", "##")),
    Template(answer="=> {target}", stop="ba lo"),
    Template(answer="{target}", stop="", extract="[a-z]+"),
    Template(answer="So: {target}", stop=("\n", "a b", " ")),
    Template(answer="{target}", stop="\n###\n", empty_answers=True),
)


@functools.cache
def model(kind: str) -> Backbone:
    if kind == "bytes":
        return tiny.backbone("llama")
    tokenizer = chats.tokenizer("gemma2")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    return wrap("pieces", transformers.LlamaForCausalLM(config), tokenizer)


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_pieces_are_the_whole(kind: str, data: st.DataObject) -> None:
    backbone = model(kind)
    likely = [
        i
        for text in ("=> ba lo\n\nSo: a;", "##\n###\n ba; lo")
        for i in backbone.target_tokenizer.ids(text, first=False)
    ]
    token = st.one_of(st.sampled_from(likely), st.integers(3, len(backbone.tokenizer.hf) - 1))
    ids = [i for i in data.draw(st.lists(token, min_size=1, max_size=14)) if i not in backbone.eos]
    ends = data.draw(st.booleans())
    ids = [*ids, backbone.eos[0]] if ends or not ids else ids
    template = data.draw(st.sampled_from(TEMPLATES))
    stops = data.draw(st.sampled_from([(), ("lo",), ("a", "\n\n"), ("ba lo", ";")]))
    answer = Answer(backbone, template, stops)
    pieces = [answer.take(i, place == len(ids) - 1) for place, i in enumerate(ids)]
    text = backbone.answer_text(ids)
    whole = text if template is None else template.read(text)
    cuts = [place for place in (whole.find(stop) for stop in stops) if place >= 0]
    assert "".join(pieces) == whole[: min(cuts, default=len(whole))]


def test_blanks_before_what_may_become_a_stop_text_are_held_back() -> None:
    """ "= ba lo" up to the stop text "ba lo" is "="; its second piece gave out the blank."""
    answer = Answer(backbone := model("bytes"), Template(answer="=> {target}", stop="ba lo"), ())
    ids = backbone.target_tokenizer.ids("= ba lo", first=False)
    pieces = [answer.take(i, place == len(ids) - 1) for place, i in enumerate(ids)]
    assert len(ids) == 3 and "".join(pieces) == answer.whole() == "="


def test_a_control_token_ends_no_run_of_bytes() -> None:
    """Of the byte "=", a control token and half a letter the "=" was given out; the three are read as two halves."""
    backbone = model("pieces")
    ids = backbone.tokenizer.hf.convert_tokens_to_ids(["<0x3D>", "<bos>", "<0x80>"])
    answer = Answer(backbone, None, ())
    pieces = [answer.take(i, place == len(ids) - 1) for place, i in enumerate(ids)]
    assert "".join(pieces) == answer.whole() == "\ufffd\ufffd"


def test_a_token_that_is_ruled_out_has_a_number_that_json_can_hold() -> None:
    token = Token.of(5, float("-inf"), [(5, float("-inf")), (6, -0.5)])
    assert (token.logprob, token.top) == (-9999.0, ((5, -9999.0), (6, -0.5)))
