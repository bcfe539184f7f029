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
    size: Annotated[str | None, typer.Option("--size", help="micro, small, medium, large or t5.")] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, help="How many tokens of generated text it reads, in all.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=10**12, help="Of the text and the first weights.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", help="A model that pretrain made, to be trained further on new text.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads.")] = None,
) -> None:
    """Train a small language model on the generated world, from nothing or from a --start; a killed run goes on from its last checkpoint.

    Examples:

      foreword pretrain --size medium --out runs/reference

      foreword pretrain --start runs/reference/model --tokens 30000000 --out runs/longer

      foreword compare --model runs/reference/model --task mini-dart
    """
    from foreword.train.pretrain import TrainingStatus
    from foreword.train.pretrain import pretrain as train

    bars = Bars()

    def report(status: TrainingStatus) -> None:
        note = f"loss {status.loss:.3f}, {status.speed:,.0f} tokens/s"
        bars("pre-training", status.done, status.goal, note)

    with bars.shown():
        begun = None if start is None else Path(start).expanduser()
        folder = train(Path(out), size=size, tokens=tokens, seed=seed, start=begun, threads=threads, report=report)
    say(f"The model is in {folder}: foreword compare --model {folder} --task mini-dart")
