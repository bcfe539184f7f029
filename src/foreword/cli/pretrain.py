"""`foreword pretrain`: train a reference model on text that foreword generates; it refuses to go on with a run of another recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreword.cli.talk import Bars, say


def pretrain(
    out: Annotated[
        str, typer.Option("--out", "-o", help="Folder for checkpoints; the model lands in its sub-folder 'model'.")
    ],
    size: Annotated[str, typer.Option("--size", help="micro, small, medium, large or t5.")] = "medium",
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, help="How many tokens of generated text it reads.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the text and the start.")] = 0,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads.")] = None,
) -> None:
    """Train a small language model from nothing on the generated world; a killed run goes on from its last checkpoint.

    Examples:

      foreword pretrain --size medium --out runs/reference

      foreword compare --model runs/reference/model --task mini-dart
    """
    from foreword.train.pretrain import TrainingStatus
    from foreword.train.pretrain import pretrain as train

    bars = Bars()

    def report(status: TrainingStatus) -> None:
        note = f"loss {status.loss:.3f}, {status.speed:,.0f} tokens/s"
        bars(f"pre-training {size}", status.done, status.goal, note)

    with bars.shown():
        folder = train(Path(out), size=size, tokens=tokens, seed=seed, threads=threads, report=report)
    say(f"The model is in {folder}: foreword compare --model {folder} --task mini-dart")
