"""The default learning rate against a sweep: the best dev loss that each rate reaches, by model, task and prompt length.

`python -m bench.rates --steps 300` prints a line a training and, in the end, by how much the default's dev loss is above the best
rate's. Nothing here is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.engine import Backbone, load_backbone
from foreword.study.single import tune_one

CASES = (
    ("reference", "mini-dart"),
    ("reference", "mini-mtop"),
    ("reference-small", "mini-dart"),
    ("reference-t5-adapted", "mini-dart"),
)
RATES = (0.1, 0.3, 1.0, 3.0)
LENGTHS = (5, 25, 100)


def main() -> int:
    """Run the sweep; exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.rates", description=__doc__)
    parser.add_argument("--case", action="append", help="MODEL=TASK or MODEL=FILE of examples; several times")
    parser.add_argument("--rates", default=",".join(map(str, RATES)), help="comma list of rates")
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)), help="comma list of prompt lengths")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument(
        "--set", action="append", default=[], help="KEY=VALUE of the tuning settings, as JSON; several times"
    )
    parser.add_argument("--rows", type=Path, help="a file that keeps each line as it is measured")
    args = parser.parse_args()
    cases = [tuple(case.split("=", 1)) for case in args.case] if args.case else list(CASES)
    others = {key: json.loads(value) for key, value in (part.split("=", 1) for part in args.set)}
    rates, lengths = (
        [float(part) for part in args.rates.split(",")],
        [int(part) for part in args.lengths.split(",")],
    )
    for model, task in cases:
        backbone = load_backbone(model, dtype=args.dtype)
        for length in lengths:
            losses = {rate: _trained(backbone, task, length, rate, args.steps, others) for rate in rates}
            _report(model, task, length, losses, args.rows)
        backbone.close()
    return 0


def _trained(backbone: Backbone, task: str, length: int, rate: float, steps: int, others: dict[str, Any]) -> float:
    """The best dev loss, in nats a token of the answer; endless where the run ended in numbers that are none."""
    settings = {
        "prompt_length": length,
        "learning_rate": rate,
        "max_steps": steps,
        "eval_every": max(1, steps // 6),
        "patience": 0,
    }
    source = {"data": task} if Path(task).exists() else {"task": task}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(
            model=backbone.name,
            methods=["pt"],
            seeds=[0],
            out=f"{folder}/prompt",
            **source,
            tuning=Tuning(**settings | others),
        )
        result = tune_one(run, backbone=backbone)
    return float("inf") if result.dev is None else result.dev


def _report(model: str, task: str, length: int, losses: dict[float, float], rows: Path | None) -> None:
    """One line: the losses, the best rate, and how far the default is from it."""
    best = min(losses, key=lambda rate: losses[rate])
    default = Tuning().learning_rate
    gap = losses[default] / losses[best] - 1 if default in losses else float("nan")
    line = {"model": model, "task": task, "length": length, "losses": losses, "best": best, "default_above_best": gap}
    shown = "  ".join(f"{rate:g}: {loss:.4f}" for rate, loss in losses.items())
    print(f"{model} {task} P={length}  {shown}  best {best:g}, default above it by {gap:.1%}", flush=True)
    if rows is not None:
        with rows.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
