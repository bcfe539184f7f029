"""Time to quality: how long foreword's default prompt tuning takes to the dev loss that PEFT's best of eight settings has after its last
step, on the same model, training rows and batches; it counts no evaluation of either as time."""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import _peft
import _run
import torch
from torch import Tensor

from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.engine import Backbone, Row, load_backbone
from foreword.prompts.inits import InitSource
from foreword.study.plan import plan
from foreword.train.loop import dev_loss, train
from foreword.train.trainables import TRAINABLES, Setup

RATES = (1e-3, 3e-3, 1e-2, 3e-2)
STARTS = ("RANDOM", "SAMPLE_VOCAB")
COLUMNS = {
    "model": "model",
    "prompt_length": "P",
    "seed": "seed",
    "peer_best": "PEFT's best",
    "peer_dev": "its dev loss",
    "peer_seconds": "PEFT (s)",
    "seconds": "foreword (s)",
    "steps_needed": "steps",
    "ratio": "ratio",
    "dev": "dev loss at the end",
}
NOTES = {
    "seconds": "processor seconds of training steps until the dev loss is at or below PEFT's best; none where it never is",
    "peer_seconds": "processor seconds of the training steps of that best setting alone; finding it took the others' too",
    "ratio": "PEFT's seconds over foreword's",
}


class Clock:
    """Processor seconds of this process, without those spent in `outside`."""

    def __init__(self) -> None:
        self.begun, self.spared = time.process_time(), 0.0

    def outside(self, work: Callable[[], float]) -> float:
        """What work gives; its time does not count."""
        begun = time.process_time()
        value = work()
        self.spared += time.process_time() - begun
        return value

    def seconds(self) -> float:
        """So far."""
        return time.process_time() - self.begun - self.spared


def main() -> None:
    """Run the sweep of PEFT and foreword's default for each prompt length."""
    parser = _run.parser(__doc__ or "", repeats=1)
    parser.add_argument("--model", default="reference")
    parser.add_argument("--data", default="mini-dart", help="a task's name or a file of examples")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--prompt-length", nargs="+", type=int, default=[25])
    parser.add_argument("--dev-limit", type=int, default=100)
    parser.add_argument("--every", type=int, default=10, help="steps between foreword's evaluations")
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument(
        "--screen", type=int, default=0, help="all of PEFT's settings run so many steps, and the best two to the end"
    )
    parser.add_argument("--runs", help="a file that keeps each of PEFT's runs, for a run that is broken off")
    options = _run.parsed(parser)
    backbone = load_backbone(options.model, dtype=options.dtype)
    rows, dev = rows_of(backbone, options)
    table = [compared(backbone, rows, dev, length, options) for length in options.prompt_length]
    _run.finish(options, "quality", table, COLUMNS, notes=NOTES)


def rows_of(backbone: Backbone, options: argparse.Namespace) -> tuple[list[Row], list[Row]]:
    """Training rows and dev rows as prompt tuning words them."""
    source = {"data": options.data} if Path(options.data).exists() else {"task": options.data}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(model=options.model, methods=["pt"], seeds=[options.seed], out=folder, **source)
        (trial,) = plan(run, backbone=backbone).trials
    layout = trial.layout()
    dev = trial.task.dev[: options.dev_limit]
    return layout.training_rows(trial.task.train), [layout.training_row(example) for example in dev]


def compared(
    backbone: Backbone, rows: Sequence[Row], dev: Sequence[Row], length: int, options: argparse.Namespace
) -> dict[str, Any]:
    """One row of the table."""
    say, score = _run.speaker(options), dev_loss(backbone, dev, 8)

    def run(setting: tuple[str, float], steps: int) -> tuple[float, float]:
        key = [options.model, options.data, options.dtype, options.seed, options.dev_limit, length, *setting, steps]
        before = recorded_run(options.runs, key)
        loss, spent = before or peer(backbone, rows, score, *setting, length, steps, options)
        if before is None and options.runs is not None:
            with Path(options.runs).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([key, [loss, spent]]) + "\n")
        say(f"P={length} PEFT {setting[0]} {setting[1]:g}, {steps} steps: dev loss {loss:.4f}, {spent:.1f} s")
        return loss, spent

    settings = [(start, rate) for start in STARTS for rate in options.rates]
    if options.screen:
        screened = {setting: run(setting, options.screen)[0] for setting in settings}
        settings = sorted(settings, key=lambda setting: screened[setting])[:2]
    runs = {setting: run(setting, options.steps) for setting in settings}
    best = min(runs, key=lambda setting: runs[setting][0])
    target, seconds = runs[best]
    curve = ours(backbone, rows, score, length, options)
    reached = next(((step, spent) for step, spent, loss in curve if loss <= target), None)
    say(f"P={length} foreword: {' '.join(f'{step}:{loss:.4f}' for step, _, loss in curve)}")
    return {
        "model": options.model,
        "prompt_length": length,
        "seed": options.seed,
        "peer_best": f"{best[0]} {best[1]:g}",
        "peer_dev": target,
        "peer_seconds": seconds,
        "peer_runs": {f"{start} {rate:g}": run for (start, rate), run in runs.items()},
        "seconds": reached and reached[1],
        "steps_needed": reached and reached[0],
        "ratio": seconds / reached[1] if reached else float("nan"),
        "dev": min(loss for _, _, loss in curve),
        "curve": curve,
    }


def recorded_run(path: str | None, key: list[Any]) -> tuple[float, float] | None:
    """A run of PEFT's that a file has: its dev loss and processor seconds."""
    if path is None or not Path(path).is_file():
        return None
    runs = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return next(((loss, spent) for other, (loss, spent) in runs if other == key), None)


def peer(
    backbone: Backbone,
    rows: Sequence[Row],
    score: Callable[[Tensor], float],
    start: str,
    rate: float,
    length: int,
    steps: int,
    options: argparse.Namespace,
) -> tuple[float, float]:
    """PEFT's dev loss after the last step, and the processor seconds of its steps."""
    rng, order = random.Random(options.seed), []
    generator = torch.Generator().manual_seed(options.seed)
    table = backbone.model.get_input_embeddings().weight
    if start == "RANDOM":  # an Embedding's own start
        values = torch.randn((length, backbone.hidden), generator=generator)
    else:
        values = table[torch.randint(0, len(table), (length,), generator=generator)].detach().float()
    model = load_backbone(options.model, dtype=options.dtype)
    model.close()  # the library's own model
    loop = _peft.Loop(_peft.prompted(model.model, values.to(backbone.dtype)), rate)
    seq2seq = backbone.kind == "seq2seq"
    clock = Clock()
    for _ in range(steps):
        if len(order) < 8:
            order += rng.sample(range(len(rows)), len(rows))
        batch, order = order[:8], order[8:]
        loop.step(_peft.batch([rows[place] for place in batch], seq2seq=seq2seq, end=backbone.tokenizer.end))
    seconds = clock.seconds()
    return score(_peft.prompt(loop.model).detach().float()), seconds


def ours(
    backbone: Backbone, rows: Sequence[Row], score: Callable[[Tensor], float], length: int, options: argparse.Namespace
) -> list[tuple[int, float, float]]:
    """(step, processor seconds of steps so far, dev loss) of foreword's default settings at each evaluation."""
    tuning = Tuning(prompt_length=length, max_steps=options.steps, batch_size=8, eval_every=options.every, patience=0)
    points: list[tuple[int, float, float]] = []
    clock = Clock()

    def evaluate(prefix: Tensor) -> float:
        spent = clock.seconds()
        loss = clock.outside(lambda: score(prefix))
        points.append((len(points) * options.every, spent, loss))
        return loss

    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(backbone, tuning, options.seed, InitSource())
        train(TRAINABLES["prompt"], setup, rows, lambda _: evaluate, folder=Path(folder))  # type: ignore[arg-type,return-value]
    return points


if __name__ == "__main__":
    main()
