"""The model's own plain pass over token ids, and how far numbers are from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from foreword.util.errors import ForewordError

# Root mean square of the error over the vocabulary, as a part of the logits' spread. (Even models in float64 keep norms in float32.)
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}
LONGEST = 600  # tokens of a pass at load, at most
# Multiplications and additions of a pass at load over a long sequence, at most, for each kind of device.
WORK = {"cpu": 1e10}
WORK_ELSEWHERE = 1e12
REACHES = (
    "sliding_window",
    "window_size",
    "attention_chunk_size",
    "local_attention",
    "original_max_position_embeddings",
)


@torch.no_grad()
def plain_logits(model: Any, ids: Sequence[int], decoder_ids: Sequence[int] = ()) -> Tensor:
    """Logits [T, V] of `model(input_ids=...)` and nothing else; of the decoder's ids where there is one."""
    device = model.get_input_embeddings().weight.device
    inputs = {"input_ids": torch.tensor([list(ids)], device=device)}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.tensor([list(decoder_ids)], device=device)
    return model(**inputs).logits[0]  # type: ignore[no-any-return]


def apart(logits: Tensor, truth: Tensor) -> float:
    """Root mean square of the error of logits [.., V] over the vocabulary, as a part of that position's own spread: the largest of all
    positions. Words that the model never says (their logit is the lowest number there is) are left out where both leave them out."""
    logits, truth = logits.detach().cpu(), truth.detach().cpu()  # some accelerators have no float64
    lowest = torch.finfo(truth.dtype).min / 2
    never = (truth <= lowest) & (logits <= lowest)
    error = (logits.double() - truth.double()).masked_fill(never, 0.0).square().mean(dim=-1).sqrt()
    sayable = truth.double().masked_fill(never, float("nan"))
    center = sayable.nanmean(dim=-1, keepdim=True)
    spread = (sayable - center).square().nanmean(dim=-1).sqrt().clamp(min=1e-6)
    largest = (error / spread).max()
    return float(largest) if bool(torch.isfinite(largest)) else float("inf")


def difference(attempt: Callable[[], Tensor], truth: Tensor, limit: float) -> str:
    """Why what is attempted is not the truth [.., V] up to rounding (`limit`, as a part of the logits' spread): the exception that it
    raises, or how far its numbers are; empty where it is."""
    try:
        logits = attempt()
    except Exception as error:  # a short cut that this model cannot run at all is not taken; the reason is kept
        return sentence(error)
    if logits.shape != truth.shape:
        return f"logits of shape {tuple(logits.shape)} in place of {tuple(truth.shape)}"
    if not_finite(logits):
        return "numbers that are not finite"
    size = apart(logits, truth)
    return (
        "" if size <= limit else f"logits differ by {size:.2g} of their spread, more than the {limit:.2g} of rounding"
    )


def sentence(error: Exception) -> str:
    """An exception as part of a line: its kind and the beginning of what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def not_finite(logits: Tensor) -> bool:
    """Whether any of these logits is not a number, or infinitely likely; -inf is how some models rule a word out."""
    return bool((logits.isnan() | (logits == float("inf"))).any())


def not_a_number(dtype: torch.dtype) -> ForewordError:
    """What to say where a model's numbers are no longer finite while it answers."""
    kind = str(dtype).removeprefix("torch.")
    advice = (
        "use --dtype float32 or bfloat16" if dtype == torch.float16 else "check the soft prompt and the model's files"
    )
    return ForewordError(f"The model's logits are not finite in {kind} while it answers; {advice}.")


def reaches(config: Any) -> list[int]:
    """Lengths at which a model of this config begins to compute in another way: windows of local attention, switches of rotary
    frequencies."""
    text = config.get_text_config(decoder=True)
    rope = getattr(text, "rope_parameters", None) or {}
    nested = [rope, *(value for value in rope.values() if isinstance(value, dict))] if isinstance(rope, dict) else []
    sizes = [getattr(text, name, None) for name in REACHES]
    sizes += [part.get("original_max_position_embeddings") for part in nested]
    return sorted({size for size in sizes if isinstance(size, int) and size > 0})


def long_length(model: Any) -> int:
    """Tokens of a sequence that goes past the first of the model's reaches; 0 where there is none, or the pass costs too much at load."""
    config = model.config.get_text_config(decoder=True)
    first = next(iter(reaches(model.config)), 0)
    length = first + 12
    device = model.get_input_embeddings().weight.device.type
    room = WORK.get(device, WORK_ELSEWHERE) / (2 * max(1, sum(value.numel() for value in model.parameters())))
    window = getattr(config, "max_position_embeddings", None) or LONGEST
    return length if first and length <= min(LONGEST, room, window) else 0
