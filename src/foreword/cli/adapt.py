"""`foreword adapt`: teach an encoder-decoder to continue text, so that it can be prompted; it refuses decoder-only models."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, say

if TYPE_CHECKING:
    from foreword.train.pretrain.loop import TrainingStatus


@o.takes(o.LOADED)
def adapt(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An encoder-decoder: a folder or a hub id.")],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Folder for checkpoints; the model lands in its sub-folder 'model'.")
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help='.txt, or .jsonl with {"text": "..."} a line.'),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Training steps.")] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", help="Tokens to be read, instead of --steps.")] = None,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help="Constant, relative to each weight's scale.")
    ] = 1e-3,
    batch: Annotated[int, typer.Option("--batch", help="Padded tokens a step.")] = 8192,
    length: Annotated[int, typer.Option("--length", help="Tokens of a piece of text.")] = 512,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=10**12, help="Of the cuts, the order and generated text.")
    ] = 0,
    threads: Annotated[int | None, typer.Option("--threads", help="Processor threads.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; train nothing.")] = False,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Train all weights of a T5-like model to continue text (prefix-LM), which helps prompts and soft prompts; a killed run goes on
    from its last checkpoint.

    Examples:

      foreword adapt google/t5-v1_1-small --data books.txt --out runs/adapted

      foreword adapt runs/mine --data pages.jsonl --tokens 20000000 -o runs/adapted
    """
    bars = Bars()
    if not dry_run:
        _may_write(Path(out), {"MODEL": model, "--data": data or ""})
    with bars.shown():
        with bars.waiting("loading model"):
            from foreword.train.pretrain.adapt import Adaptation

            run = Adaptation(
                model,
                data=None if data is None else Path(data).expanduser(),
                steps=steps,
                tokens=tokens,
                learning_rate=learning_rate,
                batch=batch,
                length=length,
                seed=seed,
                **{name: value for name, value in flags.items() if value is not None},
            )
        if not dry_run:
            folder = run.train(Path(out), threads=threads, report=partial(_report, bars))
    if dry_run:
        _say(run.plan(), as_json)
    elif as_json:
        print_json({**run.plan(), "folder": str(folder), "steps": run.steps, "tokens": run.tokens, "curve": run.curve})
    else:
        say(f"The model is in {folder}: foreword compare --model {folder} --task mini-dart")


def _may_write(out: Path, inputs: dict[str, str]) -> None:
    from foreword.util.files import may_write, refuse_input

    for place in (out, out / "model"):
        refuse_input(place, inputs)
    may_write(out)


def _report(bars: Bars, status: TrainingStatus) -> None:
    bars("adapting", status.done, status.goal, f"loss {status.loss:.3f}, {status.speed:,.0f} tokens/s")


def _say(plan: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    for name, value in plan.items():
        if value is not None:
            say(f"{name}: {value}")
