"""Every family of which a tiny model can be made loads, and its loss, gradient and answers are those of its plain pass over ids; they
refuse a family that is not exact, and a table that is not what is measured."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional

import tiny
from foreword.engine import Backbone, Row
from foreword.engine.known import known

sys.path.insert(0, str(Path(__file__).parents[1]))  # recipes stand beside the package, not in it

from recipes.families import __main__ as command
from recipes.families import shapes

EVERY = tuple(shapes.FAMILIES)
load_family = functools.cache(command.load)


def plain_logits(backbone: Backbone, head: tuple[int, ...], answer: tuple[int, ...]) -> Tensor:
    """Logits [A, V] for an answer's tokens behind these ids: ids alone (a cache would be filled in place, which RWKV has no
    gradient for)."""
    if backbone.kind == "seq2seq":
        decoder_ids = torch.tensor([[backbone.engine.first, *answer[:-1]]])  # type: ignore[attr-defined]
        return backbone.model(input_ids=torch.tensor([head]), decoder_input_ids=decoder_ids).logits[0]
    inputs = {"input_ids": torch.tensor([[*head, *answer[:-1]]])}
    return backbone.model(**inputs, use_cache=False).logits[0, -len(answer) :]


def plain_loss(backbone: Backbone, text: tuple[int, ...], row: Row) -> Tensor:
    logits = plain_logits(backbone, text + row.prefix + row.own, row.answer)
    return functional.cross_entropy(logits, torch.tensor(row.answer), reduction="sum")


def plain_greedy(backbone: Backbone, head: tuple[int, ...], longest: int) -> list[int]:
    generated: list[int] = []
    while len(generated) < longest and (not generated or generated[-1] not in backbone.eos):
        generated.append(int(plain_logits(backbone, head, (*generated, 0))[-1].argmax()))
    return generated


class Vectors:
    """What a model's table of vectors gives for the first ids of a call stands in place of it: gradients reach it."""

    def __init__(self, backbone: Backbone, text: tuple[int, ...]) -> None:
        self.text = list(text)
        self.soft = backbone.embed(text).requires_grad_(True)
        self.factor = backbone.engine.factor
        reader = backbone.model.get_encoder() if backbone.kind == "seq2seq" else backbone.model
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
    backbone = load_family(family)
    rows = tiny.rows(3, seed="loss", prefix=tiny.ids(3, "loss"), longest=12)
    soft = backbone.embed(TEXT).requires_grad_(True)
    loss, count = backbone.loss(soft, rows)
    loss.backward()  # type: ignore[no-untyped-call]
    assert count == sum(len(row.answer) for row in rows)
    expected = 0.0
    vectors = Vectors(backbone, TEXT)
    try:
        for row in rows:
            plain = plain_loss(backbone, TEXT, row)
            plain.backward()  # type: ignore[no-untyped-call]
            expected += float(plain.detach())
    finally:
        vectors.handle.remove()
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    grad = vectors.soft.grad
    assert grad is not None and soft.grad is not None
    assert float((soft.grad - grad).norm() / grad.norm()) < 1e-4
    assert "gradient" not in backbone.engine.reasons


@torch.no_grad()
@pytest.mark.parametrize("family", EVERY)
def test_answers_are_those_of_the_plain_pass_alone_and_in_a_batch(family: str) -> None:
    """The rows are of different lengths, past the windows of local attention too."""
    backbone = load_family(family)
    soft = backbone.embed(TEXT)
    rows = [Row(tiny.ids(3, "greedy"), tiny.ids(size, f"greedy {size}")) for size in (2, 9, 30)]
    together = backbone.generate(soft, rows, 4)
    assert [backbone.generate(soft, [row], 4)[0] for row in rows] == together
    assert together == [plain_greedy(backbone, TEXT + row.prefix + row.own, 4) for row in rows]
    scored = [Row(row.prefix, row.own, tuple(ids)) for row, ids in zip(rows, together, strict=True)]
    plain = [-float(plain_loss(backbone, TEXT, row)) for row in scored]
    assert backbone.score(soft, scored) == pytest.approx(plain, rel=1e-4, abs=1e-4)
    assert [backbone.score(soft, [row])[0] for row in scored] == pytest.approx(plain, rel=1e-4, abs=1e-4)


@torch.no_grad()
def test_a_wrapper_for_text_and_pictures_is_used_for_its_text() -> None:
    """Gemma 3 with a vision part; and Gemma 4 whose layers look ids up in tables of their own."""
    picture = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Gemma3Config(
        text_config=shapes.config("gemma3_text").to_dict(),
        vision_config=picture | {"image_size": 16, "patch_size": 8},
        mm_tokens_per_image=4,
    )
    torch.manual_seed(0)
    both = command.wrap("both", transformers.AutoModelForCausalLM.from_config(config).eval(), shapes.tokenizer())
    config = shapes.config("gemma4_text")
    config.update({"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": shapes.WORDS})
    tables = command.wrap("tables", transformers.AutoModelForCausalLM.from_config(config).eval(), shapes.tokenizer())
    assert tables.engine.reads_ids and not both.engine.reads_ids  # type: ignore[attr-defined]
    for backbone in (both, tables):
        assert backbone.engine.reasons == {}
        rows = [Row(tiny.ids(3, "both"), tiny.ids(size, f"both {size}")) for size in (2, 9, 30)]
        answers = backbone.generate(None, rows, 4)
        assert answers == [plain_greedy(backbone, row.prefix + row.own, 4) for row in rows]
        soft = tiny.soft(backbone, 3)
        assert backbone.generate(soft, rows, 4) == [backbone.generate(soft, [row], 4)[0] for row in rows]


def test_a_window_is_that_of_the_encoder_where_the_halves_differ() -> None:
    assert load_family("led").window == 160


# -- the table ------------------------------------------------------------------------------------------------------------


def test_the_families_are_many() -> None:
    families = "mamba2 granitemoehybrid nemotron_h zamba2 openai-gpt rwkv recurrent_gemma gemma4_text qwen3_moe gpt_oss llama4_text"
    assert {*families.split(), "cohere2", "lfm2", "jamba", "falcon_h1", "bamba"} <= set(EVERY)
    assert len(shapes.CAUSAL) >= 80 and len(shapes.SEQ2SEQ) >= 15
    assert set(known()) == set(EVERY)


@pytest.mark.parametrize("family", EVERY)
def test_the_table_is_what_loading_finds(family: str) -> None:
    """The page and the table are written by `python -m recipes.families`."""
    backbone = load_family(family)
    capabilities = vars(backbone.engine.capabilities)
    assert known()[family] == [name for name, value in capabilities.items() if value]
    names = (
        command.NAMES if backbone.kind == "causal" else ("logits_to_keep", "incremental_decoding", "fused_lm_head_loss")
    )
    marks = " | ".join("yes" if capabilities[name] else "no" for name in names)
    assert f"| {family} | {marks} |\n" in command.PAGE.read_text(encoding="utf-8")
    reasons = backbone.engine.reasons
    assert {name for name, value in capabilities.items() if not value} <= set(reasons), "each that is off says why"
    assert all(reasons.values()) and not any(capabilities[name] for name in reasons)


def test_a_model_that_lost_what_its_family_has_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = shapes.model("llama")
    assert not command.wrap("whole", model, shapes.tokenizer()).notes
    whole = type(model).forward

    def deaf(self: object, input_ids: object = None, position_ids: object = None, **kwargs: object) -> object:
        return whole(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(type(model), "forward", deaf)
    notes = command.wrap("deaf", shapes.model("llama"), shapes.tokenizer()).notes
    assert notes[0].startswith(
        "Slower, with the same numbers: these short cuts are not exact for this model: left_padding (logits"
    )
    assert notes[1].startswith(
        "Models of the family llama used to take left_padding, packed_sequence, shared_prefix, and this one does not"
    )


def test_the_command_writes_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "FAMILIES", {"pegasus": shapes.SEQ2SEQ["pegasus"], "mamba": shapes.CAUSAL["mamba"]})
    assert command.main(["--page", str(tmp_path / "page.md"), "--table", str(tmp_path / "table.json")]) == 0
    page = (tmp_path / "page.md").read_text()
    assert (
        "| mamba | no | no | yes | yes | no | no | yes |" in page
        and "* pegasus: input vectors are multiplied by 5.657." in page
    )
    assert (
        '"pegasus": ["left_padding", "logits_to_keep", "incremental_decoding", "fused_lm_head_loss"]'
        in (tmp_path / "table.json").read_text()
    )
