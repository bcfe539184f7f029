"""Weights that are not all there, overflow, or pass no true gradient: a model that has them is refused, at load or where it is used."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import tiny
import training
from foreword.engine import Backbone, Row, load_backbone, wrap
from foreword.engine.gradient import wrong_gradient
from foreword.util.errors import ForewordError
from small_llamas import LLAMA, llama, refused

# -- weights --------------------------------------------------------------------------------------------------------------


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ForewordError) as error:
        load_backbone(str(folder), device="cpu")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_that_are_in_no_file_are_refused(tmp_path: Path) -> None:
    headless = refusal(saved(transformers.LlamaModel(transformers.LlamaConfig(**LLAMA)), tmp_path / "headless"))
    assert "lack lm_head.weight" in headless and "random numbers would stand in their place" in headless
    folder = saved(llama(), tmp_path / "deeper")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    assert "lack model.layers.2" in refusal(folder)
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    assert "in another shape than its config.json says" in refusal(folder)
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    assert any("hold model.layers.1" in note for note in load_backbone(str(folder), device="cpu").notes)


def test_weights_under_a_foreign_prefix_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved(llama(), tmp_path / "prefixed")
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {f"base_model.{name}": value for name, value in tensors.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    message = refusal(folder)
    assert "lack " in message and "they hold base_model." in message


def test_a_model_of_another_kind_is_refused_as_such(tmp_path: Path) -> None:
    config = transformers.CLIPConfig()
    config.save_pretrained(tmp_path)
    assert "none that the model library has a language model for" in refusal(tmp_path)


def test_a_model_with_parts_on_no_device_is_refused() -> None:
    accelerate = pytest.importorskip("accelerate")
    assert "on no device (offloaded or never loaded)" in refused(accelerate.cpu_offload(llama(), torch.device("cpu")))


# -- numbers that are not finite ------------------------------------------------------------------------------------------


def large(layers: int = 2) -> Any:
    model = llama(num_hidden_layers=layers)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "down_proj" in name or "up_proj" in name:
                value.mul_(300)
    return model


def test_a_model_whose_numbers_overflow_is_refused() -> None:
    assert wrap("float32", large(), tiny.tokenizer()).score(None, [Row((), (5, 6), (7,))])
    message = refused(large().to(torch.float16))
    assert "not finite in float16; use --dtype float32 or bfloat16" in message


def test_numbers_that_overflow_while_answering_are_refused() -> None:
    backbone = wrap("late", llama(), tiny.tokenizer())
    with torch.no_grad():
        backbone.model.get_input_embeddings().weight[77] = float("nan")
    bad, good = Row((), (50, 77), (40,)), Row((), (50, 51), (40,))
    backbone.score(None, [good])
    for call in (lambda: backbone.score(None, [good, bad]), lambda: backbone.generate(None, [good, bad], 3)):
        with pytest.raises(ForewordError, match="logits are not finite in float32 while it answers"):
            call()


# -- gradients ------------------------------------------------------------------------------------------------------------


def deaf_to_prompts() -> Any:
    model = llama()
    for layer in model.model.layers:
        layer.self_attn.o_proj.forward = torch.no_grad()(layer.self_attn.o_proj.forward)
    return model


def tuned(backbone: Backbone, folder: Path) -> Any:
    rows = [
        Row((), backbone.tokenizer.ids(f"Input: {word}\nOutput:", first=True), backbone.answer_ids(" ba"))
        for word in ("lo", "ri")
    ]
    return training.tuned(backbone, rows, folder, length=5, steps=2)


def test_a_model_without_a_gradient_can_answer_and_not_be_tuned(tmp_path: Path) -> None:
    backbone = wrap("deaf", deaf_to_prompts(), tiny.tokenizer())
    assert backbone.engine.reasons["gradient"] == "no gradient reaches the soft prompt"
    assert any(note.startswith("No prompt can be tuned on this model") for note in backbone.notes)
    assert backbone.generate(None, [Row((), (5, 6, 7))], 3)
    with pytest.raises(ForewordError, match="Nothing can be trained on deaf: no gradient reaches the soft prompt"):
        tuned(backbone, tmp_path)
    backbone.engine.reasons.clear()  # a kernel that loses its gradient after the check
    with pytest.raises(ForewordError, match="No gradient reaches what is to be trained on deaf"):
        tuned(backbone, tmp_path)


class Bent(torch.autograd.Function):
    """A product whose backward is that of other weights, as an inference kernel's may be."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(weight)
        return hidden @ weight.T

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (weight,) = ctx.saved_tensors
        return grad @ weight.roll(1, 0), None


def test_a_kernel_with_a_wrong_gradient_is_found(tmp_path: Path) -> None:
    model = llama()
    for layer in model.model.layers:
        part = layer.mlp.down_proj
        part.forward = lambda hidden, part=part: Bent.apply(hidden, part.weight)
    backbone = wrap("bent", model, tiny.tokenizer())
    assert "a step along the gradient changes the loss by" in backbone.engine.reasons["gradient"]
    with pytest.raises(ForewordError, match="Nothing can be trained on bent: a step along the gradient"):
        tuned(backbone, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gradient_that_is_right_is_trusted_in_every_precision(dtype: torch.dtype) -> None:
    backbone = wrap("right", copy.deepcopy(llama()).to(dtype), tiny.tokenizer())
    assert "gradient" not in backbone.engine.reasons
    soft = torch.ones(3, 4)
    assert wrong_gradient(lambda value: value.square().sum(), soft, dtype) == ""
    assert wrong_gradient(lambda value: (value.detach().square() + value * 0.3).sum(), soft, dtype)
