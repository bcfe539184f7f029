"""`foreword generate`: answer inputs with a soft prompt, demonstrations or words only; it refuses to need their answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json

if TYPE_CHECKING:
    from foreword.config import Run
    from foreword.data import Example


def generate(
    model: o.Model = None,
    data: o.Data = None,
    task: o.TaskName = None,
    data_dir: o.DataDir = None,
    prompt: o.PromptFolder = None,
    method: o.MethodName = None,
    demonstrations: Annotated[
        str | None,
        typer.Option(
            "--demonstrations", help="A file of worked examples to show, for few, icl and ipt.", rich_help_panel=o.HOW
        ),
    ] = None,
    shots: o.Shots = None,
    retriever: o.Retriever = None,
    encoder: o.Encoder = None,
    seed: o.Seed = None,
    limit: o.Limit = None,
    batch_size: o.BatchSize = None,
    max_new_tokens: o.MaxNewTokens = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    revision: o.Revision = None,
    trust_remote_code: o.Trust = None,
    target_tokenizer: o.TargetTokenizer = None,
    input_column: o.InputColumn = None,
    target_column: o.TargetColumn = None,
    id_column: o.IdColumn = None,
    choices: o.Choices = None,
    instruction: o.Instruction = None,
    question: o.Question = None,
    answer: o.AnswerWords = None,
    separator: o.Separator = None,
    stop: o.Stop = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="A file for the answers, one JSON object a line.", rich_help_panel=o.RUN),
    ] = None,
    config: o.Config = None,
    as_json: o.Json = False,
) -> None:
    """Answer every input of a file (its answers need not be there), greedily: the same answer alone and in any batch.

    Examples:

      foreword generate --model gpt2 --prompt prompts/mine --data inputs.jsonl --json

      foreword generate --model gpt2 --method icl --demonstrations train.jsonl --data inputs.csv --out answers.jsonl
    """
    mine = ("mine", "prompt", "demonstrations", "out", "config", "as_json", "method")
    flags = {name: value for name, value in locals().items() if name not in mine}
    from foreword.cli.run import run_of
    from foreword.files import write_text

    bars = Bars()
    with bars.shown():
        run = run_of(flags, config=config, seeds=[0])
        found = _answers(run, prompt or "", method, demonstrations, bars)
    lines = [json.dumps({"id": name, "output": output}, ensure_ascii=False) for name, _, output in found]
    if out:
        write_text(Path(out), "\n".join(lines) + "\n")
    if as_json:
        print_json("\n".join(lines))
    elif not out:
        _show(found)
    else:
        typer.echo(f"{len(lines)} answers in {out}")


def _answers(
    run: Run, prompt: str, method: str | None, demonstrations: str | None, bars: Bars
) -> list[tuple[str, str, str]]:
    from foreword.study.compare import backbone_of
    from foreword.study.single import answer_inputs, inputs_of, pool_of, with_prompt

    run, soft = with_prompt(run, prompt, method)
    inputs = inputs_of(run)
    pool: tuple[Example, ...] = pool_of(run, demonstrations or "")
    bars("loading model", 0, 1)
    backbone = backbone_of(run)
    bars("loading model", 1, 1)
    outputs = answer_inputs(run, backbone, inputs, pool, soft, progress=bars)
    return [(one.id, one.text, output) for one, output in zip(inputs, outputs, strict=True)]


def _show(found: list[tuple[str, str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=True)
    for head in ("id", "input", "answer"):
        table.add_column(head, overflow="fold")
    for name, text, output in found:
        table.add_row(Text(name), Text(text), Text(output))
    Console().print(table)
