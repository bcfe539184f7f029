"""`foreword tune`: fit one soft prompt and keep it as a PEFT folder; it refuses to overwrite a prompt of other making."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, say

DEFAULT = "prompt"  # the folder where none is named


@o.takes(
    o.SOURCE,
    ("dev", "metrics", "out", "train_limit"),
    o.DEMONSTRATIONS,
    o.TUNED,
    o.MACHINE,
    o.ANSWERING,
    o.WORDING,
    ("allow_other_base",),
)
def tune(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings as in the TOML file, such as tuning.schedule=cosine."),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="pt, ipt, ipt-fixed; also ipt:random, ipt:bm25:2.", rich_help_panel=o.HOW)
    ] = "pt",
    config: o.Config = None,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Fit one soft prompt in front of a frozen model; the folder opens in foreword and in PEFT.

    Examples:

      foreword tune --model gpt2 --data train.jsonl --out prompts/mine

      foreword tune --model reference --task mini-dart --method ipt --out dart-ipt
    """
    flags["method"] = method
    from foreword.cli.run import run_of
    from foreword.study.resolve import checked, refuse_folds

    run = checked(run_of(flags, config=config, overrides=overrides or [], seeds=[0], out=DEFAULT))
    refuse_folds(run.folds)
    bars = Bars()
    if flags["out"] is None and run.out == DEFAULT:
        bars.say(f"No --out is given: the prompt will stand in {Path(run.out).absolute()}.")
    with bars.shown():
        from foreword.study.single import tune_one

        tuned = tune_one(run, progress=bars)
    if as_json:
        print_json(tuned.as_dict())
        return
    say(tuned.sentence())
    for note in tuned.notes:
        say(f"Note: {note}", style="dim")
