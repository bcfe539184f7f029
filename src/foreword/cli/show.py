"""`foreword show`: exactly what the model gets for an example, token by token; it refuses to show what is not sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json

if TYPE_CHECKING:
    from foreword.study.show import Shown


def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[TASK]", help="A built-in task: without a model, its wording and three examples."),
    ] = None,
    model: o.Model = None,
    task: o.TaskName = None,
    data: o.Data = None,
    data_dir: o.DataDir = None,
    prompt: o.PromptFolder = None,
    method: o.MethodName = None,
    example: Annotated[
        str | None,
        typer.Option("--example", help="The id of a test example (the first, if not given).", rich_help_panel=o.HOW),
    ] = None,
    shots: o.Shots = None,
    retriever: o.Retriever = None,
    encoder: o.Encoder = None,
    seed: o.Seed = None,
    prompt_length: o.PromptLength = None,
    limit: o.Limit = None,
    max_new_tokens: o.MaxNewTokens = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    revision: o.Revision = None,
    trust_remote_code: o.Trust = None,
    target_tokenizer: o.TargetTokenizer = None,
    input_column: o.InputColumn = None,
    target_column: o.TargetColumn = None,
    references_column: o.ReferencesColumn = None,
    id_column: o.IdColumn = None,
    choices: o.Choices = None,
    instruction: o.Instruction = None,
    question: o.Question = None,
    answer: o.AnswerWords = None,
    separator: o.Separator = None,
    stop: o.Stop = None,
    config: o.Config = None,
    as_json: o.Json = False,
) -> None:
    """Print exactly what the model gets for one example: soft positions as boxes, token counts, what was dropped.

    Examples:

      foreword show --model reference --task mini-dart --method ipt --prompt-length 20

      foreword show e2e --data-dir data
    """
    mine = ("mine", "name", "prompt", "method", "example", "config", "as_json")
    flags = {key: value for key, value in locals().items() if key not in mine}
    flags["task"] = task or name
    from foreword.cli.run import run_of
    from foreword.study.show import show_input, wording

    if model is None and config is None:
        print_json(wording(run_of(flags | {"model": "none"})))
        return
    bars = Bars()
    with bars.shown():
        shown = show_input(run_of(flags, config=config, seeds=[0]), prompt or "", method, example or "", progress=bars)
    if as_json:
        print_json(json.dumps(shown.as_dict(), ensure_ascii=False))
        return
    _print(shown)


def _print(shown: Shown) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    console = Console(highlight=False)
    body = Text()
    styles = {
        "soft prompt": "magenta",
        "start": "dim",
        "words": "cyan",
        "demonstration": "green",
        "question": "bold",
        "end": "dim",
        "answer": "yellow",
    }
    for piece in shown.pieces:
        body.append(piece.text, style=styles[piece.kind])
    console.print(Panel(body, title=f"{shown.method}: example {shown.example}", subtitle="the answer follows here"))
    for piece in shown.pieces:
        near = "" if piece.similarity is None else f", similarity {piece.similarity:.3f}"
        source = f" ({piece.source}{near})" if piece.source else ""
        console.print(f"{piece.tokens:>6} tokens  {piece.kind}{source}", style=styles[piece.kind])
    room = "unbounded" if shown.window is None else f"{shown.window:,}"
    console.print(
        f"{shown.tokens:>6} tokens in all; window {room}; {shown.reserve} kept for the answer; {shown.dropped} demonstrations dropped"
    )
    console.print(Text(f"accepted answers: {' | '.join(shown.targets)}"))
