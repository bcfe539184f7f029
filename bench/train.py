"""A tuning step of foreword against PEFT's prompt tuning with its ordinary loop, on the same weights, prompt and rows; it refuses to print
times of contenders whose loss and gradient differ."""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import _apart
import _flops
import _peft
import _run
import _shapes
import torch

from foreword.config.tuning import Tuning
from foreword.engine import Backbone, Row
from foreword.engine.batching import padding_share
from foreword.train.loop import _step
from foreword.train.optim import optimizer
from foreword.train.trainables.prompt import Prompt

# How far apart the two prompt gradients may be, norm of the difference over norm. Where an activation has a kink (OPT's ReLU), one of
# millions of inputs that rounding moves across it changes the gradient by some 1e-3 in float32: there they are held together in float64.
LIMITS = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 0.2}
KINKED = ("opt",)
TURN = 2.0  # seconds that a contender runs when it is its turn
ROOM = 0.7  # of the free memory: a peer that is expected to need more is not run

COLUMNS = {
    "shape": "shape",
    "prompt_length": "P",
    "batch": "B",
    "lengths": "lengths",
    "shots": "shots",
    "seconds_ours": "s/step",
    "seconds_peer": "PEFT",
    "rows_per_second": "rows/s",
    "ratio": "ratio",
    "ratio_kept": "kept",
    "arithmetic": "arithm.",
    "quotient": "quotient",
    "memory_ours_mb": "MB",
    "memory_peer_mb": "PEFT MB",
    "memory_ratio": "memory",
}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = _run.parser(__doc__ or "")
    parser.add_argument("--shape", nargs="+", choices=list(_shapes.SHAPES), help="default: all")
    parser.add_argument(
        "--model", help="a real model's folder instead of a shape, with real rows of E2E (FOREWORD_DATA)"
    )
    parser.add_argument("--prompt-length", nargs="+", type=int, help="P (default 25 100 200)")
    parser.add_argument("--batch", nargs="+", type=int, help="B (default 4 8 32)")
    parser.add_argument("--lengths", nargs="+", choices=list(_shapes.LENGTHS), help="default: all")
    parser.add_argument(
        "--shots", nargs="+", type=int, help="demonstrations a row (default 0, and 1 in some rows of the whole table)"
    )
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    _run.kept_flag(parser)
    _run.rows_flag(parser)
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the shape has (0: all)")
    parser.add_argument("--words", type=int, default=0, help="another vocabulary than the shape's (0: its own)")
    args = _run.parsed(parser, argv)
    if args.model:
        args.shape, args.lengths = [args.model], [_shapes.REAL]
    return args


def cases(args: argparse.Namespace) -> list[tuple[str, int, int, str, int]]:
    """(shape, P, B, lengths, shots): what was asked, or the whole table with instruction prompt tuning (a demonstration a row) and T5."""
    chosen = (args.shape, args.prompt_length, args.batch, args.lengths, args.shots)
    default = (["small", "gpt2", "opt", "bloom", "llama"], [25, 100, 200], [4, 8, 32], list(_shapes.LENGTHS), [0])
    combinations = list(
        itertools.product(
            *(chosen_values or default_values for chosen_values, default_values in zip(chosen, default, strict=True))
        )
    )
    if not any(chosen):
        combinations += [(shape, prompt, 8, "mtop", 1) for shape in ("gpt2", "bloom", "llama") for prompt in (25, 100)]
        combinations += [("t5", prompt, batch, "mtop", 0) for prompt in (25, 100) for batch in (8, 32)]
    return combinations


CHOSEN = ("shape", "prompt_length", "batch", "lengths", "shots")  # settings that choose rows


class Pair:
    """One shape's model twice, for foreword and for PEFT: the same weights, and neither can change the other's."""

    def __init__(self, shape: str, args: argparse.Namespace) -> None:
        self.shape, self.dtype = shape, getattr(torch, args.dtype)
        self.waiting: _apart.Apart | None = _apart.Apart(theirs)  # gets its libraries while the models are made
        over = self.over = {"num_layers" if shape == "t5" else "num_hidden_layers": args.layers} if args.layers else {}
        if args.words:
            over |= {"vocab_size": args.words}
        self.other = _shapes.model(shape, seed=args.seed, **over).to(self.dtype)
        self.backbone = _shapes.held(shape, copy.deepcopy(self.other))
        self.size = _flops.Size.of(self.other)

    @functools.cached_property
    def compared(self) -> tuple[Backbone, Any]:
        """The two whose loss and gradient are held together."""
        if self.shape not in KINKED:
            return self.backbone, self.other
        exact = copy.deepcopy(self.other).double()
        return _shapes.held(self.shape, copy.deepcopy(exact)), exact

    @property
    def seq2seq(self) -> bool:
        """Whether it is an encoder-decoder."""
        return self.backbone.kind == "seq2seq"


def ours(backbone: Backbone, rows: Sequence[Row], values: torch.Tensor) -> tuple[Callable[[], float], Prompt]:
    """foreword's own step, and the prompt that it trains."""
    tuning = Tuning(prompt_length=len(values), learning_rate=1e-3)
    prompt = Prompt(backbone, values, tuning, 0)
    steps = optimizer("adamw", prompt.groups(tuning.learning_rate), 0.0)
    return lambda: _step(prompt, rows, steps, 0.0), prompt


def theirs(
    shape: str, dtype: torch.dtype, values: torch.Tensor, batch: dict[str, torch.Tensor], over: dict[str, Any]
) -> _apart.Work:
    """PEFT's step on a model of its own."""
    loop = _peft.Loop(_peft.prompted(_shapes.model(shape, **over).to(dtype), values))
    return lambda: loop.step(batch)


def agreement(
    pair: Pair, rows: Sequence[Row], values: torch.Tensor, batch: dict[str, torch.Tensor]
) -> dict[str, float]:
    """How far apart loss and prompt gradient are; ends the bench if that is too far."""
    backbone, other = pair.compared
    soft = values.to(torch.promote_types(backbone.dtype, torch.float32), copy=True).requires_grad_(True)
    loss, count = backbone.loss(soft, rows)
    (loss / count).backward()
    peer_loss, peer_gradient = _peft.loss_and_gradient(_peft.prompted(other, values), batch)
    limit = LIMITS[backbone.dtype]
    assert soft.grad is not None
    mine = float(loss.detach()) / count
    return {
        "loss_apart": _run.agree(f"{pair.shape} loss", abs(mine - peer_loss) / abs(peer_loss), 0.1 * limit),
        "gradient_apart": _run.agree(f"{pair.shape} gradient", _run.apart(soft.grad, peer_gradient), limit),
    }


def expected_bytes(pair: Pair, rows: Sequence[Row], prompt: int) -> float:
    """A rough guess of what the peer's step needs: three tables of logits, and 34 numbers a width, layer and position."""
    config = pair.other.config.get_text_config(decoder=True)
    positions = len(rows) * (prompt + max(row.length for row in rows))
    numbers = 3 * pair.backbone.vocab + 34 * config.hidden_size * config.num_hidden_layers
    return float(max(4, pair.compared[0].dtype.itemsize) * positions * numbers)


def free_bytes() -> float:
    """Memory that is free; a large number where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="utf-8") as stream:  # noqa: PTH123
            meminfo = dict(line.split(":", 1) for line in stream)
        return float(meminfo["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 1e18


def measured(
    pair: Pair,
    case: tuple[str, int, int, str, int],
    args: argparse.Namespace,
    say: Callable[[str], None],
    *,
    more: bool,
) -> dict[str, Any]:
    """One row of the table. more: whether another one follows."""
    shape, prompt, batch, lengths, shots = case
    real = lengths == _shapes.REAL
    rows = (
        _shapes.real_rows(pair.backbone, batch, seed=args.seed, shots=shots)
        if real
        else _shapes.rows(batch, lengths, pair.backbone.vocab, seed=args.seed, shots=shots)
    )
    values = _shapes.soft(pair.backbone, prompt, seed=args.seed)
    peer_batch = _peft.batch(rows, seq2seq=pair.seq2seq, end=pair.backbone.tokenizer.end)
    row: dict[str, Any] = {"shape": shape, "prompt_length": prompt, "batch": batch, "lengths": lengths, "shots": shots}
    step, trained = ours(pair.backbone, rows, values)
    contenders: dict[str, Callable[[], Any]] = {"ours": step}
    _run.give_back()
    fits = expected_bytes(pair, rows, prompt) < ROOM * free_bytes()
    with contextlib.ExitStack() as stack:
        if fits:
            peer, pair.waiting = pair.waiting or _apart.Apart(theirs), None
            peer.begin(shape, pair.dtype, values, peer_batch, pair.over | {"seed": args.seed})
            row["agreement"] = agreement(pair, rows, values, peer_batch)
            _run.give_back()
            theirs_here = functools.partial(_peft.Loop(_peft.prompted(pair.other, values)).step, peer_batch)
            contenders |= {"kept": theirs_here} if args.kept else {}
            contenders["peer"] = stack.enter_context(peer)
        times = _run.alternate(contenders, args.repeats, turn=TURN, say=say)
    if more and not pair.waiting:
        pair.waiting = _apart.Apart(theirs)  # of the next row
    row |= {f"{name}": _run.summary(spent) for name, spent in times.items()}
    row["seconds_ours"] = row["ours"]["median"]
    row["rows_per_second"] = batch / row["seconds_ours"]
    counted = {
        "least": _flops.least(
            pair.size, rows, prompt, len(pair.backbone.tokenizer.start), len(pair.backbone.tokenizer.end)
        )
    }
    counted["peer"] = _flops.peer(pair.size, rows, prompt, len(pair.backbone.tokenizer.end))
    row["flops"] = counted
    row["arithmetic"] = _flops.total(counted["peer"]) / _flops.total(counted["least"])
    row["arithmetic_without_attention"] = counted["peer"]["matrices"] / counted["least"]["matrices"]
    row["padding_share_of_peer"] = padding_share([prompt + tuning_row.length for tuning_row in rows], [range(batch)])
    row["memory_ours_mb"] = _run.peak_bytes(step) / 1e6
    assert all(bool(torch.isfinite(value).all()) for value in trained.named.values())
    if fits:
        rounds = _run.ratios(times, "ours", "peer")
        row |= {"seconds_peer": row["peer"]["median"], "ratio": _run.summary(rounds)["median"], "ratios": rounds}
        row |= _run.in_process_ratio(times, "ours", "kept")
        row["quotient"] = row["ratio"] / row["arithmetic"]
        row["memory_peer_mb"] = _run.peak_bytes(theirs_here) / 1e6
        row["memory_ratio"] = row["memory_ours_mb"] / row["memory_peer_mb"]
    else:
        say(f"{case}: PEFT would need more memory than is free; foreword alone is timed")
    return row


NOTES = {
    "ratio": "PEFT's time, in a process of its own as its users run it, over foreword's; median over rounds of the ratio within a round",
    "ratio_kept": "the same with PEFT in foreword's process, which lets freed memory be used again: what is left is not the allocator's",
    "arithmetic": "PEFT's operations over the least: 4 a weight and position, prefix once, no padding, logits at answers; with attention",
    "quotient": "ratio / arithmetic; above 1 where PEFT spends time beside its matrix products, or foreword spares work that the least "
    "counts (last layer's positions that no answer reads, first layer's gradients of text)",
    "memory": "most bytes of tensors held at once during a step beyond those held before it: activations, logits, gradients; not weights",
    "seconds": "forward, backward and AdamW on the prompt; batch laid out before; eval mode (no dropout) for both; median of a turn of "
    "two seconds, or of one step",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the cases, shape by shape."""
    args, rows = arguments(argv), []
    say, row_store = _run.speaker(args), _run.Rows(args, CHOSEN)
    for shape, group in itertools.groupby(
        sorted(cases(args), key=lambda case: [*_shapes.SHAPES, args.model].index(case[0])), lambda case: case[0]
    ):
        shape_cases = list(group)
        missing = [case for case in shape_cases if not row_store.get(case)]
        pair = Pair(shape, args) if missing else None
        for case in missing:
            say(f"{case}")
            assert pair is not None
            row_store.add(case, measured(pair, case, args, say, more=case != missing[-1]))
        rows += [row for case in shape_cases if (row := row_store.get(case))]
    if not rows:
        sys.exit("Nothing was asked for.")
    _run.finish(args, "train", rows, COLUMNS, notes=NOTES)


if __name__ == "__main__":
    main()
