"""How a tuning step's time and memory grow with prompt length, batch, text length, vocabulary and model size, with fitted exponents; it
refuses to fit a line through fewer than three points."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

import _flops
import _run
import _shapes
import numpy as np
from train import ours

from foreword.engine import Backbone, Row

# What grows, and the values it takes; all else stays as in BASE. The text length is that of input and answer together.
SWEEPS: dict[str, tuple[int, ...]] = {
    "prompt_length": (25, 50, 100, 200, 400),
    "batch": (4, 8, 16, 32, 64),
    "text_length": (32, 64, 128, 256, 512),
    "vocabulary": (16_000, 32_000, 64_000, 128_000, 256_000),
    "layers": (2, 4, 8, 16),
    "width": (128, 256, 512, 1024),
}
BASE = {"prompt_length": 100, "batch": 8, "text_length": 64, "vocabulary": 32_000, "layers": 4, "width": 512}
SMOKE = {"prompt_length": (2, 4, 8), "batch": (2, 4, 8), "text_length": (8, 16, 32), "vocabulary": (400, 800, 1600)}
SMOKE |= {"layers": (1, 2, 3), "width": (32, 64, 128)}
LEAST = 3

COLUMNS = {
    "swept": "what",
    "value": "value",
    "seconds": "s/step",
    "memory_mb": "MB",
    "gflop": "GFLOP",
    "gflop_per_second": "GFLOP/s",
}
NOTES = {
    "exponents": "slope of log time (memory, operations) over log value by least squares, and over the upper half of the values alone, "
    "where what does not grow weighs less",
    "memory": "most bytes of tensors held at once during a step beyond those held before it",
    "model": "a Llama shape with random weights; every head 64 wide, inside 8/3 as wide as the model",
}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = _run.parser(__doc__ or "")
    parser.add_argument("--sweep", nargs="+", choices=list(SWEEPS), default=list(SWEEPS), help="default: all")
    parser.add_argument("--smoke", action="store_true", help="small values: whether it runs, not how fast")
    return _run.parsed(parser, argv)


def backbone_of(case: dict[str, int], seed: int) -> Backbone:
    """The model of a case."""
    return _shapes.backbone(
        "llama",
        seed=seed,
        vocab_size=case["vocabulary"],
        num_hidden_layers=case["layers"],
        hidden_size=case["width"],
        intermediate_size=case["width"] * 8 // 3 // 16 * 16,
        num_attention_heads=max(1, case["width"] // 64),
        num_key_value_heads=max(1, case["width"] // 64),
    )


def rows_of(case: dict[str, int], words: int, seed: int) -> list[Row]:
    """Rows of one length: two thirds input, one third answer."""
    answer_length = max(1, case["text_length"] // 3)
    own = case["text_length"] - answer_length
    return [
        Row(
            (),
            _shapes.ids(own, words, f"{seed}/own/{index}"),
            _shapes.ids(answer_length, words, f"{seed}/answer/{index}"),
        )
        for index in range(case["batch"])
    ]


def exponent(values: Sequence[float], measurements: Sequence[float]) -> float:
    """Slope of log measurements over log values by least squares."""
    return float(np.polyfit(np.log(values), np.log(measurements), 1)[0])


def exponents(swept: str, points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How time, memory and operations grow with what was swept."""
    values = [point["value"] for point in points]
    if len(values) < LEAST:
        raise ValueError(f"{len(values)} points are no line")
    upper = slice(-max(2, (len(values) + 1) // 2), None)
    slopes: dict[str, Any] = {"swept": swept}
    for key in ("seconds", "memory_mb", "gflop"):
        measurements = [point[key] for point in points]
        slopes[key] = exponent(values, measurements)
        slopes[f"{key}_upper"] = exponent(values[upper], measurements[upper])
    return slopes


def measured(swept: str, value: int, case: dict[str, int], args: argparse.Namespace) -> dict[str, Any]:
    """One point of a sweep."""
    backbone = backbone_of(case, args.seed)
    rows = rows_of(case, backbone.vocab, args.seed)
    step, _ = ours(backbone, rows, _shapes.soft(backbone, case["prompt_length"], seed=args.seed))
    times = _run.alternate({"step": step}, args.repeats, warm=2)["step"]
    prompt = case["prompt_length"]
    gflop = (
        _flops.total(_flops.least(_flops.Size.of(backbone.model), rows, prompt, len(backbone.tokenizer.start))) / 1e9
    )
    seconds = statistics.median(times)
    return {
        "swept": swept,
        "value": value,
        "seconds": seconds,
        "spread": _run.summary(times),
        "memory_mb": _run.peak_bytes(step) / 1e6,
        "gflop": gflop,
        "gflop_per_second": gflop / seconds,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Every sweep, then the exponents."""
    args, rows, fitted = arguments(argv), list[dict[str, Any]](), list[dict[str, Any]]()
    say = _run.speaker(args)
    base = {key: values[0] for key, values in SMOKE.items()} if args.smoke else BASE
    for swept in args.sweep:
        points = []
        for value in (SMOKE if args.smoke else SWEEPS)[swept]:
            say(f"{swept} {value}")
            points.append(measured(swept, value, {**base, swept: value}, args))
        rows += points
        fitted.append(exponents(swept, points))
    if not args.json:
        heads = {"swept": "what", "seconds": "time", "seconds_upper": "upper half", "memory_mb": "memory"}
        heads |= {"memory_mb_upper": "upper half", "gflop": "operations", "gflop_upper": "upper half"}
        print(_run.table(fitted, heads) + "\n")
    _run.finish(args, "scaling", rows, COLUMNS, exponents=fitted, notes=NOTES)


if __name__ == "__main__":
    main()
