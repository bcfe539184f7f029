"""What cannot be exact is refused, or made exact: the model's plain pass over ids is the truth, at load and while answering; it refuses
wrong numbers without a word."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers
from torch.nn import functional

import tiny
from foreword.engine import Backbone, Row, wrap
from foreword.util.errors import ForewordError
from small_llamas import LLAMA, llama, refused, spread


@torch.no_grad()
def plain_score(backbone: Backbone, row: Row) -> float:
    ids = torch.tensor([[*backbone.tokenizer.start, *row.prefix, *row.own, *row.answer]])
    logits = backbone.model(input_ids=ids).logits[0, -len(row.answer) - 1 : -1]
    return -float(functional.cross_entropy(logits, torch.tensor(row.answer), reduction="sum"))


# -- ids and vectors ------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("kind", ["Pegasus", "MBart", "M2M100"])
def test_a_scale_that_is_applied_to_ids_alone_is_applied_to_vectors_too(kind: str) -> None:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=tiny.WORDS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=128,
        scale_embedding=True,
        decoder_start_token_id=2,
        pad_token_id=0,
        eos_token_id=2,
    )
    model = spread(getattr(transformers, f"{kind}ForConditionalGeneration")(config))
    backbone = wrap("p", model, tiny.tokenizer())
    ids, answer = tiny.ids(6, "scale"), (40, 41, 42)
    decoder_ids = torch.tensor([[2, *answer[:-1]]])
    logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=decoder_ids).logits[0]
    expected = -float(functional.cross_entropy(logits, torch.tensor(answer), reduction="sum"))
    assert backbone.score(None, [Row((), ids, answer)]) == pytest.approx([expected], rel=1e-5)
    assert backbone.score(backbone.embed(ids[:3]), [Row((), ids[3:], answer)]) == pytest.approx([expected], rel=1e-5)
    rows = backbone.model.get_input_embeddings()(torch.tensor(ids))
    unit = float(backbone.embed(ids).norm() / rows.norm())
    assert unit == pytest.approx(backbone.engine.factor, rel=1e-5), "a soft prompt lives where the first layer reads"


class Shifted(transformers.LlamaForCausalLM):
    """Reads ids through a table that it turns round."""

    def forward(self, input_ids: Any = None, inputs_embeds: Any = None, **kwargs: Any) -> Any:
        if input_ids is not None:
            inputs_embeds = self.model.embed_tokens(input_ids).flip(-1)
        return super().forward(inputs_embeds=inputs_embeds, **kwargs)


class Unread(transformers.LlamaForCausalLM):
    """Takes ids alone."""

    def forward(self, input_ids: Any = None, attention_mask: Any = None) -> Any:
        return super().forward(input_ids=input_ids, attention_mask=attention_mask)


def test_what_cannot_be_explained_is_refused() -> None:
    config = transformers.LlamaConfig(**LLAMA)
    assert "does something else with input vectors than with the token ids" in refused(spread(Shifted(config)))
    assert "takes token ids alone and no input vectors" in refused(spread(Unread(config)))


# -- what depends on batch-mates or on what comes later -------------------------------------------------------------------


def phi3(kind: str) -> Any:
    rope: dict[str, Any] = {"rope_type": kind, "rope_theta": 1e4, "factor": 8.0}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "original_max_position_embeddings": 32}
    config = transformers.Phi3Config(**LLAMA | {"max_position_embeddings": 256, "rope_parameters": rope})
    config.original_max_position_embeddings = 32
    return spread(transformers.Phi3ForCausalLM(config))


def test_frequencies_that_depend_on_the_longest_row_are_each_rows_own() -> None:
    backbone = wrap("phi3", phi3("longrope"), tiny.tokenizer())
    rows = [Row((), tiny.ids(size, f"rope {size}"), (40, 41)) for size in (10, 80, 20, 60)]
    expected = [plain_score(backbone, row) for row in rows]
    assert backbone.score(None, rows) == pytest.approx(expected, rel=1e-5)
    assert [backbone.score(None, [row])[0] for row in rows] == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        assert float(backbone.loss(None, rows)[0]) == pytest.approx(-sum(expected), rel=1e-5)
    text = tiny.ids(4, "rope text")
    behind = [plain_score(backbone, Row(text, row.own, row.answer)) for row in rows]
    assert backbone.score(backbone.embed(text), rows) == pytest.approx(behind, rel=1e-5)


@torch.no_grad()
def test_an_answer_that_grows_across_the_switch_is_the_plain_one() -> None:
    backbone = wrap("phi3", phi3("longrope"), tiny.tokenizer())
    rows = [Row((), tiny.ids(size, f"grow {size}")) for size in (10, 29, 60)]
    answers = backbone.generate(None, rows, 8)
    assert [backbone.generate(None, [row], 8)[0] for row in rows] == answers
    for row, ids in zip(rows, answers, strict=True):
        greedy: list[int] = []
        while len(greedy) < 8 and (not greedy or greedy[-1] not in backbone.eos):
            greedy.append(int(backbone.model(input_ids=torch.tensor([[*row.own, *greedy]])).logits[0, -1].argmax()))
        assert ids == greedy
    short, long = "ba lo", "tem na sho ku der fin ost " * 6
    alone = [backbone.states([text])[0] for text in (short, long)]
    assert abs(backbone.states([short, long]) - alone).max() < 1e-5


def test_frequencies_that_depend_on_what_was_read_before_are_refused_beyond_the_switch() -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 32}
    backbone = wrap("dynamic", llama(max_position_embeddings=32, rope_parameters=rope), tiny.tokenizer())
    rows = [Row((), tiny.ids(size, f"dynamic {size}"), (40, 41)) for size in (8, 25)]
    assert backbone.score(None, rows) == pytest.approx([plain_score(backbone, row) for row in rows], rel=1e-5)
    row = Row((), tiny.ids(40, "dynamic"), (40,))
    with pytest.raises(ForewordError, match="depend on what it read before once an input has more than 32 tokens"):
        backbone.score(None, [row])
    with pytest.raises(ForewordError, match=r"A request needs 44 positions .* and the model dynamic has 32"):
        backbone.generate(None, [row], 4)


@pytest.mark.parametrize("kind", ["BertLMHeadModel", "RobertaForCausalLM"])
def test_a_model_that_looks_ahead_is_refused(kind: str) -> None:
    shape = {name: value for name, value in LLAMA.items() if name != "num_key_value_heads"}
    config = getattr(transformers, kind.replace("LMHeadModel", "Config").replace("ForCausalLM", "Config"))(**shape)
    assert "looks ahead: its logits change by" in refused(spread(getattr(transformers, kind)(config)))


# -- ids beyond the table -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_tokenizer_with_more_tokens_than_the_model_has_vectors(family: str) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer())
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.add_tokens(["<cat>"])
    backbone = wrap("more", copy.deepcopy(tiny.model(family)), tokenizer)
    whole = tiny.backbone(family)
    assert vars(backbone.engine.capabilities) == vars(whole.engine.capabilities), "no short cut is lost"
    rows = tiny.rows(4, seed="beyond")
    assert backbone.score(None, rows) == pytest.approx(whole.score(None, rows), rel=1e-5)
    assert backbone.states(["ba lo", "tem na sho"]).shape == (2, 32)
    for call in (
        lambda: backbone.tokenizer.ids("a <cat>", first=True),
        lambda: backbone.answer_ids(" <cat>"),
        lambda: backbone.states(["<cat>"]),
    ):
        with pytest.raises(
            ForewordError, match=r"holds '<cat>', token 321 of the tokenizer, and the model has vectors"
        ):
            call()
    row = Row((), (5, 321), (6,))
    for verb in (backbone.loss, backbone.score, lambda soft, rows: backbone.generate(soft, rows, 2)):
        with pytest.raises(
            ForewordError, match="A row holds token 321, and the model has vectors for 320 tokens alone"
        ):
            verb(None, [row])


# -- what an encoder-decoder says -----------------------------------------------------------------------------------------


def mbart() -> Any:
    config = transformers.MBartConfig(
        vocab_size=tiny.WORDS,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    return spread(transformers.MBartForConditionalGeneration(config))


def test_an_answer_begins_with_what_generation_is_made_to_begin_with() -> None:
    model = mbart()
    model.generation_config.forced_bos_token_id = 77
    backbone = wrap("m", model, tiny.tokenizer())
    ids = backbone.answer_ids("ba lo")
    assert ids[0] == 77 == backbone.generate(None, [Row((), (50, 60))], 3)[0][0]
    assert backbone.target_tokenizer.text(ids[1:]).strip() == "ba lo"


class Targeted(transformers.PreTrainedTokenizerFast):
    """Writes a target between another mark and an end with that mark behind it, as translation tokenizers do."""

    def __call__(self, text: Any = None, text_target: Any = None, **kwargs: Any) -> Any:
        if text_target is None:
            return super().__call__(text, **kwargs)
        out = super().__call__(text_target, **kwargs)
        if kwargs.get("add_special_tokens", True):
            out["input_ids"] = [88, *out["input_ids"], 2, 88]
        return out


def test_an_answer_is_written_as_the_tokenizer_writes_a_target() -> None:
    plain = tiny.tokenizer()
    tokenizer = Targeted(tokenizer_object=plain.backend_tokenizer, pad_token="<pad>", eos_token="</s>")
    backbone = wrap("m", mbart(), tokenizer)
    assert backbone.tokenizer.start == () and backbone.tokenizer.end == ()
    assert backbone.answer_ids("ba") == (88, *backbone.tokenizer.ids("ba", first=True), 2)


def test_in_16_bits_equal_means_equal_up_to_what_rounding_does_to_this_model() -> None:
    """Deep models are noisier: two equal rows in one batch already differ by more than the tolerance of small ones. The limit is measured
    by moving the input by one unit in the last place, is the plain tolerance in float32, and never wide enough for a wrong computation."""
    from foreword.engine.rounding import MOST, limit_of
    from foreword.engine.truth import TOLERANCE, apart, plain_logits

    torch.manual_seed(0)
    deep = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=48,
            num_attention_heads=4,
            max_position_embeddings=64,
            initializer_range=0.5,
        )
    ).eval()
    ids = list(range(3, 15))
    assert limit_of(deep, ids) == TOLERANCE[torch.float32]
    noisy = deep.to(torch.bfloat16)
    limit = limit_of(noisy, ids)
    assert TOLERANCE[torch.bfloat16] < limit <= MOST
    shuffled = plain_logits(noisy, [ids[1], ids[0], *ids[2:]])
    assert apart(shuffled, plain_logits(noisy, ids)) > 1.5 * limit, "another input is farther off than rounding"
