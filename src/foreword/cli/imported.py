"""`foreword import`: a prompt that another tool left as an array, made a prompt's folder; it refuses to make up what is not known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import print_json, say


def import_prompt(
    array: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="An .npy file, or the folder of a checkpoint, that T5X's prompt tuning wrote.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="The model that it was tuned on, such as google/t5-base-lm-adapt."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder, for the prompt.")],
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="The task that it was tuned for, where that is known.")
    ] = None,
    kind: o.Kind = None,
    as_json: o.Json = False,
) -> None:
    """Make a prompt's folder of an array that T5X's prompt tuning wrote; its certificate says what is not known of it.

    Examples:

      foreword import t5_1_1_lm100k_base-sst2.npy --model google/t5-base-lm-adapt --task sst2 --out prompts/sst2

      foreword import my_model/numpy_checkpoints/checkpoint_1150000 --model google/t5-base-lm-adapt --out prompts/mine
    """
    from foreword.export import array_in, read_array
    from foreword.prompts import store
    from foreword.util.errors import ForewordError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ForewordError(f"{out} is not empty; give --out a new folder.")
    prompt = read_array(array_in(array), model=model, kind=kind, task=task or "")
    store.save(prompt, out)
    unsaid = [str(name) for name in prompt.provenance.settings["not_recorded"]]
    if as_json:
        print_json(
            {
                "out": str(out),
                "model": model,
                "task": task or "",
                "length": prompt.length,
                "hidden": prompt.hidden,
                "digest": prompt.digest,
                "not_recorded": unsaid,
            }
        )
        return
    say(f"{array} is in {out}: {prompt.length} vectors of width {prompt.hidden} for {model}.")
    say(f"Not known of it, and said in its certificate: {', '.join(unsaid)}.", style="dim")
