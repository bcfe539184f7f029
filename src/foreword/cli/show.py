"""`foreword show`: exactly what the model gets for an example, token by token; it refuses to show what is not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, say
from foreword.util.errors import ForewordError, visible

if TYPE_CHECKING:
    from foreword.study.show import RenderedExample

STYLES = {
    "soft prompt": "magenta",
    "start": "dim",
    "words": "cyan",
    "demonstration": "green",
    "question": "bold",
    "end": "dim",
    "answer": "dim",
}


@o.takes(
    o.SOURCE,
    ("dev", "test", "train_limit", "prompt_length", "soft_place"),
    o.DEMONSTRATIONS,
    o.MACHINE,
    o.WORDING,
    ("allow_other_base",),
)
def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[TASK]", help="A built-in task: without a model, its wording and three examples."),
    ] = None,
    prompt: o.PromptFolder = None,
    method: o.MethodName = None,
    example: Annotated[
        str | None,
        typer.Option("--example", help="The id of a test example.", rich_help_panel=o.HOW),
    ] = None,
    engine: Annotated[
        bool,
        typer.Option(
            "--engine", help="Which short cuts are exact for the model, and why not the others.", rich_help_panel=o.HOW
        ),
    ] = False,
    config: o.Config = None,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Print exactly what the model gets for one example: soft positions as boxes, token counts, what was dropped.

    Without a model: how the task is worded, and three examples.

    Examples:

      foreword show --model reference --task mini-dart --method ipt

      foreword show e2e --data-dir data

      foreword show --engine --model reference
    """
    if name and flags["task"] and name != flags["task"]:
        raise ForewordError(f"Two tasks are named, {name} and --task {flags['task']}; keep the one you mean.")
    flags["task"] = flags["task"] or name
    if engine:
        _engine(flags, config, as_json)
        return
    from foreword.cli.run import run_of, run_with
    from foreword.study.resolve import checked, described, scored_task

    if flags["model"] is None and config is None and prompt is None:
        run = checked(run_of(flags | {"model": "none"}))
        description = described(scored_task(run))
        print_json(description) if as_json else _print_wording(description)
        return
    run = checked(run_with(prompt or (), flags, config=config))
    bars = Bars()
    with bars.shown(), bars.waiting("loading model"):
        from foreword.study.show import show_input

        shown = show_input(run, next(iter(prompt or ()), ""), method, example or "", progress=bars)
    print_json(shown.as_dict()) if as_json else _print(shown)


def _engine(flags: dict[str, Any], config: str | None, as_json: bool) -> None:
    from foreword.cli.run import run_of

    if flags["model"] is None and config is None:
        raise ForewordError("--engine is about a model, and none is named; add --model.")
    bars = Bars()
    with bars.shown(), bars.waiting("loading model"):
        from foreword.study.show import show_engine

        report = show_engine(run_of(flags, config=config))
    if as_json:
        print_json(report)
        return
    say(f"{report['model']}: {report['model_type']}, {report['kind']}, {report['dtype']}", style="bold")
    for row in report["short_cuts"]:
        why = f": {row['why_not']}" if row["why_not"] else ""
        say(
            f"{'yes' if row['taken'] else 'no':>4}  {row['name']:<20} {row['what']}{why}",
            style="" if row["taken"] else "dim",
        )
    if report["factor_of_input_vectors"] != 1.0:
        say(
            f"input vectors are multiplied by {report['factor_of_input_vectors']:.6g} between the table and the first layer"
        )
    if report["alone_beyond"] is not None:
        say(
            f"rows of more than {report['alone_beyond']:,} tokens are computed one at a time: their frequencies are others"
        )
    for note in report["notes"]:
        say(note, style="dim")


def _print_wording(description: dict[str, Any]) -> None:
    sizes = ", ".join(f"{split} {count:,}" for split, count in description["splits"].items())
    say(f"{description['task']}: {sizes}; metrics {', '.join(description['metrics'])}", style="bold")
    for line in (description["source"], *description["notes"]):
        say(line, style="dim")
    say()
    for name, value in description["template"].items():
        say(f"{name}: {value!r}")
    for example in description["examples"]:
        say()
        say(f"--- {example['id']}", style="dim")
        say(example["text"])
        for other in example["targets"][1:4]:
            say(f"    also accepted: {other}", style="dim")


def _print(shown: RenderedExample) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    body = Text()
    for piece in shown.pieces:
        body.append(visible(piece.text), style=STYLES[piece.kind])
        body.append("\n" if piece.role and not piece.text.endswith("\n") else "")
    body.highlight_words(list(map(visible, shown.specials)), style="reverse dim")
    title = Text(visible(f"{shown.method}: example {shown.example}"))
    Console(highlight=False).print(Panel(body, title=title, subtitle="the answer follows here"))
    for piece in shown.pieces:
        near = "" if piece.similarity is None else f", similarity {piece.similarity:.3f}"
        source = f" ({piece.source}{near})" if piece.source else ""
        if piece.controls:
            source += f", control tokens {' '.join(piece.controls)}"
        turn = f"{piece.role} turn: " if piece.role else ""
        say(
            f"{piece.tokens:>6,} {'token ' if piece.tokens == 1 else 'tokens'} {turn}{piece.kind}{source}",
            style=STYLES[piece.kind],
        )
    room = "no limit" if shown.window is None else f"a window of {shown.window:,}"
    say(f"{shown.tokens:>6,} tokens in all, of {room}; {shown.reserve:,} kept for the answer")
    if shown.dropped:
        say(f"{shown.dropped:>6,} demonstrations dropped: they did not fit")
    say(f"accepted: {' | '.join(shown.targets)}")
    for note in shown.notes:
        say(f"Note: {note}", style="dim")
