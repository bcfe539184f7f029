"""A tuning step against its floor: the arithmetic that cannot be spared (4 operations a weight and token, prefix once, no padding) at the
rate at which this machine multiplies matrices in the same run; it refuses to take a rate from a data sheet."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import _flops
import _run
import _shapes
import torch
from train import TURN, ours
from transformers.pytorch_utils import Conv1D

from foreword.engine import Backbone, Row

SQUARE = 1536  # side of the large product
COLUMNS = {
    "shape": "shape",
    "prompt_length": "P",
    "batch": "B",
    "lengths": "lengths",
    "seconds": "s/step",
    "gflop": "GFLOP",
    "rate_own": "GFLOP/s own",
    "rate_square": "GFLOP/s square",
    "floor": "floor s",
    "share": "share",
    "share_own": "share own",
}
NOTES = {
    "floor": "GFLOP over the rate of the large square product: matrices and attention, no norm, activation, softmax, optimiser",
    "share": "floor over the step's median time, round by round: 1 would be nothing but products at the large product's rate",
    "share_own": "the same with the rate at which products of the model's own shapes run, each alone, at this step's positions",
    "gflop": "4 operations a weight and position, prefix once, no padding, logits at answers; 12 a width and visible pair in attention",
}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = _run.parser(__doc__ or "")
    parser.add_argument(
        "--shape", nargs="+", choices=[shape for shape in _shapes.SHAPES if shape != "t5"], default=["gpt2", "llama"]
    )
    parser.add_argument("--prompt-length", nargs="+", type=int, default=[100], help="P (default 100)")
    parser.add_argument("--batch", nargs="+", type=int, default=[8], help="B (default 8)")
    parser.add_argument("--lengths", nargs="+", choices=list(_shapes.LENGTHS), default=["mtop"])
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the shape has (0: all)")
    return _run.parsed(parser, argv)


def own_products(backbone: Backbone, rows: Sequence[Row], prompt: int) -> tuple[Callable[[], None], float]:
    """The step's products with weight matrices, forward and for the input's gradient, each alone on random numbers; and their GFLOP."""
    model = backbone.model
    shared = prompt + len(backbone.tokenizer.start) + len(rows[0].prefix)
    positions = shared + sum(len(row.own) + len(row.answer) - 1 for row in rows)
    answers = sum(len(row.answer) for row in rows)
    head = model.get_output_embeddings()
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
    flop = 0.0
    for part in model.modules():
        if isinstance(part, (torch.nn.Linear, Conv1D)):
            weight = part.weight if isinstance(part, Conv1D) else part.weight.t()  # [inputs, outputs]
            count = answers if part is head else positions
            pairs += [(torch.randn(count, weight.shape[0]).to(weight), weight)]
            pairs += [(torch.randn(count, weight.shape[1]).to(weight), weight.t())]
            flop += 4.0 * count * weight.numel()

    @torch.no_grad()
    def products() -> None:
        for inputs, weight in pairs:
            torch.mm(inputs, weight)

    return products, flop / 1e9


def square(backbone: Backbone) -> tuple[Callable[[], Any], float]:
    """One large product, and its GFLOP."""
    weight = next(backbone.model.parameters())
    left, right = (torch.randn(SQUARE, SQUARE).to(weight.device, weight.dtype) for _ in range(2))
    return lambda: torch.mm(left, right), 2.0 * SQUARE**3 / 1e9


def measured(
    backbone: Backbone, size: _flops.Size, case: tuple[int, int, str], args: argparse.Namespace
) -> dict[str, Any]:
    """One row of the table."""
    prompt, batch, lengths = case
    rows = _shapes.rows(batch, lengths, backbone.vocab, seed=args.seed)
    step, _ = ours(backbone, rows, _shapes.soft(backbone, prompt, seed=args.seed))
    own, own_gflop = own_products(backbone, rows, prompt)
    large, large_gflop = square(backbone)
    contenders: dict[str, Callable[[], Any]] = {"step": step, "own": own, "square": large}
    times = _run.alternate(contenders, args.repeats, turn=TURN, say=_run.speaker(args))
    gflop = (
        _flops.total(_flops.least(size, rows, prompt, len(backbone.tokenizer.start), len(backbone.tokenizer.end))) / 1e9
    )
    shares = [
        [gflop / (work / spent) / whole for whole, spent in zip(times["step"], times[name], strict=True)]
        for name, work in (("square", large_gflop), ("own", own_gflop))
    ]
    return {
        "prompt_length": prompt,
        "batch": batch,
        "lengths": lengths,
        "seconds": statistics.median(times["step"]),
        "spread": _run.summary(times["step"]),
        "gflop": gflop,
        "rate_own": own_gflop / statistics.median(times["own"]),
        "rate_square": large_gflop / statistics.median(times["square"]),
        "floor": gflop * statistics.median(times["square"]) / large_gflop,
        "share": statistics.median(shares[0]),
        "share_own": statistics.median(shares[1]),
        "shares": shares[0],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Every shape at every setting."""
    args, rows = arguments(argv), []
    for shape in args.shape:
        over = {"num_hidden_layers": args.layers} if args.layers else {}
        backbone = _shapes.backbone(shape, seed=args.seed, dtype=getattr(torch, args.dtype), **over)
        size = _flops.Size.of(backbone.model)
        for prompt in args.prompt_length:
            for batch in args.batch:
                for lengths in args.lengths:
                    rows.append({"shape": shape, **measured(backbone, size, (prompt, batch, lengths), args)})
    _run.finish(args, "limit", rows, COLUMNS, notes=NOTES)


if __name__ == "__main__":
    main()
