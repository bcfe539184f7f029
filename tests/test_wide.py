"""Models that are spread over devices, compiled, in other precisions or with weights in eight bits: the same invariants hold, or they are
refused; a library that is not installed is a reason to skip, never to pass."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
import training
from foreword.engine import Backbone, Row, load_backbone, wrap
from foreword.util.errors import ForewordError


def gradient(backbone: Backbone, soft: torch.Tensor, rows: list[Row]) -> torch.Tensor:
    leaf = soft.clone().requires_grad_(True)
    backbone.loss(leaf, rows)[0].backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return leaf.grad


def same(backbone: Backbone, other: Backbone) -> None:
    """Loss, gradient, scores and answers of both are equal, alone and in a batch."""
    rows, soft = tiny.rows(5, seed="wide", prefix=tiny.ids(3, "wide")), tiny.soft(other, 3)
    assert soft is not None
    expected = other.generate(soft, rows, 5)
    assert backbone.generate(soft, rows, 5) == [backbone.generate(soft, [row], 5)[0] for row in rows] == expected
    assert backbone.score(soft, rows) == pytest.approx(other.score(soft, rows), rel=1e-5)
    apart = gradient(backbone, soft, rows) - gradient(other, soft, rows)
    assert float(apart.norm() / gradient(other, soft, rows).norm()) < 1e-4


# -- spread over devices --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
def test_a_model_that_accelerate_spreads_gives_the_same_numbers(family: str) -> None:
    """Both places are the processor, but each part moves its inputs there by a hook of accelerate's own."""
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    model = copy.deepcopy(tiny.model(family))
    parts = {name: torch.device("cpu") for name, part in model.named_modules() if not list(part.children())}
    spread = accelerate.dispatch_model(model, parts, main_device="cpu", force_hooks=True)
    assert all(hasattr(part, "_hf_hook") for name, part in spread.named_modules() if name in parts)
    backbone = wrap("spread", spread, tiny.tokenizer())
    assert vars(backbone.engine.capabilities) == vars(tiny.backbone(family).engine.capabilities), (
        backbone.engine.reasons
    )
    same(backbone, tiny.backbone(family))


def test_a_folder_is_spread_over_the_devices_that_there_are(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    copy.deepcopy(tiny.model("llama")).save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    backbone = load_backbone(str(tmp_path), device="spread", dtype="float32")
    same(backbone, tiny.backbone("llama"))


# -- compiled -------------------------------------------------------------------------------------------------------------


def test_a_compiled_model_is_run_as_it_was() -> None:
    backbone = wrap("compiled", torch.compile(copy.deepcopy(tiny.model("llama"))), tiny.tokenizer())
    assert vars(backbone.engine.capabilities) == vars(tiny.backbone("llama").engine.capabilities)
    same(backbone, tiny.backbone("llama"))


# -- eight bits -----------------------------------------------------------------------------------------------------------


def int8(config: str) -> Any:
    quantisation = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    model = copy.deepcopy(tiny.model("llama"))
    quantisation.quantize_(model, getattr(quantisation, config)())
    return model


def tuned(backbone: Backbone, folder: Path) -> None:
    rows = tiny.rows(4, seed="int8")
    before = float(backbone.loss(backbone.embed(backbone.tokenizer.frequent(200)[:3]), rows)[0].detach())
    result = training.tuned(backbone, rows, folder, length=3, steps=20)
    assert result.curve[-1]["dev"] < before / sum(len(row.answer) for row in rows)


@torch.no_grad()
def test_weights_in_eight_bits_keep_the_invariants() -> None:
    backbone = wrap("int8", int8("Int8WeightOnlyConfig"), tiny.tokenizer())
    capabilities, reasons = backbone.engine.capabilities, backbone.engine.reasons
    assert (
        capabilities.prefix_cache
        and capabilities.packed_sequence
        and capabilities.shared_prefix
        and "gradient" not in reasons
    )
    assert not capabilities.fused_lm_head_loss and "addmm_" in reasons["fused_lm_head_loss"], (
        "its kernel has no product into a sum, and says so"
    )
    rows, soft = tiny.rows(5, seed="int8"), tiny.soft(backbone, 3)
    alone = [backbone.generate(soft, [row], 5)[0] for row in rows]
    assert backbone.generate(soft, rows, 5) == alone
    assert backbone.score(soft, rows) == pytest.approx([backbone.score(soft, [row])[0] for row in rows], rel=1e-5)


def test_a_prompt_is_tuned_on_weights_in_eight_bits(tmp_path: Path) -> None:
    backbone = wrap("int8", int8("Int8WeightOnlyConfig"), tiny.tokenizer())
    backbone.fingerprint = "int8"  # type: ignore[misc]
    tuned(backbone, tmp_path)


def test_activations_in_eight_bits_are_computed_row_by_row_and_not_tuned(tmp_path: Path) -> None:
    """What is rounded on the way turns the last bits of a sum into whole steps, so rows do not share a pass."""
    backbone = wrap("int8", int8("Int8DynamicActivationInt8WeightConfig"), tiny.tokenizer())
    assert "rows may not share a pass: logits differ by" in backbone.engine.reasons["prefix_cache"]
    rows, soft = tiny.rows(5, seed="int8"), tiny.soft(backbone, 3)
    assert backbone.score(soft, rows) == [backbone.score(soft, [row])[0] for row in rows]
    assert backbone.generate(soft, rows, 5) == [backbone.generate(soft, [row], 5)[0] for row in rows]
    with torch.no_grad():
        assert float(backbone.loss(soft, rows)[0]) == pytest.approx(-sum(backbone.score(soft, rows)), rel=1e-5)
    with pytest.raises(ForewordError, match="Nothing can be trained on int8: no gradient reaches the soft prompt"):
        tuned(backbone, tmp_path)


def test_four_bits_of_bitsandbytes_answer_and_are_tuned_only_where_a_gradient_comes_through(tmp_path: Path) -> None:
    """On processors with bfloat16 products its kernel repacks the weights in a form without a backward, once it ran without gradients."""
    bits = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    config = copy.deepcopy(tiny.model("llama").config)
    config.update({"hidden_size": 64, "intermediate_size": 128, "num_key_value_heads": 4, "head_dim": 16})
    torch.manual_seed(0)
    model = type(tiny.model("llama"))(config).eval()
    for part in [part for part in model.modules() if not isinstance(part, type(model))]:
        for name, child in list(part.named_children()):
            if isinstance(child, torch.nn.Linear) and name != "lm_head":
                packed = bits.nn.Linear4bit(
                    child.in_features, child.out_features, bias=False, compute_dtype=torch.float32
                )
                packed.weight = bits.nn.Params4bit(child.weight.detach().clone(), requires_grad=False)
                setattr(part, name, packed.to("cpu"))
    backbone = wrap("bits", model, tiny.tokenizer())
    backbone.fingerprint = "bits"  # type: ignore[misc]
    rows = tiny.rows(4, seed="bits")
    assert backbone.score(None, rows) == pytest.approx([backbone.score(None, [row])[0] for row in rows], rel=1e-5)
    if "gradient" not in backbone.engine.reasons:
        tuned(backbone, tmp_path)
        return
    with pytest.raises(ForewordError, match="Nothing can be trained on bits: no gradient reaches the soft prompt"):
        tuned(backbone, tmp_path)


# -- half precision -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "bloom", "t5"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_right_within_its_rounding(family: str, dtype: torch.dtype) -> None:
    half, whole = wrap("half", copy.deepcopy(tiny.model(family)).to(dtype), tiny.tokenizer()), tiny.backbone(family)
    assert "gradient" not in half.engine.reasons
    rows, soft = tiny.rows(4, seed="half"), tiny.soft(whole, 3)
    assert soft is not None
    assert half.score(soft, rows) == pytest.approx(whole.score(soft, rows), rel=0.15, abs=0.5)
    expected = gradient(whole, soft, rows)
    near = torch.nn.functional.cosine_similarity(gradient(half, soft, rows).flatten(), expected.flatten(), dim=0)
    assert float(near) > 0.9
