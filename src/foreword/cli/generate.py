"""`foreword generate`: answer a text, lines or a file of inputs with a soft prompt, demonstrations or words only; it refuses to need
their answers."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.decoding import DECODING, decoding_of, texts_of
from foreword.cli.talk import Bars, print_json, print_table, say, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foreword.config.run import Run
    from foreword.study.single import Answered


@o.takes(o.SOURCE, o.DEMONSTRATIONS, o.MACHINE, o.ANSWERING, o.WORDING, ("allow_other_base",), DECODING)
def generate(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="One input, as it is; - for the lines of the standard input.")
    ] = None,
    prompt: o.PromptFolders = None,
    method: o.MethodName = None,
    demonstrations: Annotated[
        str | None,
        typer.Option(
            "--demonstrations", help="A file of worked examples to show, for few, icl and ipt.", rich_help_panel=o.HOW
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="A file for the answers, one JSON object a line.", rich_help_panel=o.RUN),
    ] = None,
    config: o.Config = None,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Answer a text, the lines of the standard input (-), or every input of a file (its answers need not be there): by the likeliest
    tokens, or sampled by a seed; the same answer alone and in any batch.

    Of lines (-), each answer is one line: a line end in it is written \\n or \\r, all else as it is; --json tells the exact text.

    Examples:

      foreword generate $'Facts: ...\\nText:' -p prompts/mine --temperature 0.8

      cut -f2 notes.tsv | foreword generate - -p prompts/mine

      foreword generate --model gpt2 --prompt prompts/mine --data in.jsonl --json

      foreword generate -m gpt2 --method icl --demonstrations train.csv -d in.csv

      foreword generate -p mine/a -p mine/b -p mine/c --data in.jsonl
    """
    from foreword.cli.run import run_with
    from foreword.study.places import may_write_answers
    from foreword.study.resolve import checked

    decoded = {name: flags.pop(name) for name in DECODING}
    run = checked(run_with(prompt or (), flags, config=config), beside=[demonstrations] if demonstrations else [])
    if out:
        may_write_answers(out, run, config, prompt or (), demonstrations or "")
    texts = [] if text is None else _texts(text, run)
    decoding = decoding_of(run, decoded, alone=len(texts) == 1)
    bars = Bars()
    with bars.shown(), tempfile.TemporaryDirectory(prefix="foreword-") as folder:
        with bars.waiting("loading model"):
            from foreword.study import single

            run = _with_texts(run, texts, prompt or (), method, Path(folder)) if texts else run
            inputs = single.inputs(run, prompt or (), method, demonstrations or "")
        answered = single.answer(inputs, decoding=decoding, progress=bars)
    for note in answered.remarks:
        bars.say(f"Note: {note}")
    _print(answered, out, as_json, text)


def _texts(text: str, run: Run) -> list[str]:
    from foreword.util.errors import ForewordError

    if run.data or run.task:
        other = f"--data {run.data}" if run.data else f"--task {run.task}"
        raise ForewordError(f"A text to answer is given, and {other} too; leave one of them out.")
    return texts_of(text)


def _with_texts(run: Run, texts: list[str], prompts: Sequence[str], method: str | None, folder: Path) -> Run:
    """The run over these inputs, as `Predictor.generate` has it."""
    from foreword.api.data import path_of, texts_as_rows
    from foreword.study import single

    as_prompted = single.with_prompt(run, next(iter(prompts), ""), method)[0]
    rows = texts_as_rows(texts, as_prompted, "--data FILE")
    return run.model_copy(update={"data": path_of(rows, folder, "text")})


def _print(answered: Answered, out: str | None, as_json: bool, text: str | None) -> None:
    from foreword.data.examples import counted
    from foreword.util.files import is_output, write_text

    pairs = list(zip(answered.examples, answered.outputs, strict=True))
    plain: list[dict[str, Any]] = [{"id": example.id, "output": output} for example, output in pairs]
    if len(answered.votes) > 1:
        plain = [
            line | {"votes": list(votes)} for line, votes in zip(plain, zip(*answered.votes, strict=True), strict=True)
        ]
    if any(answered.probabilities):
        plain = [
            line | ({"probabilities": probabilities} if probabilities else {})
            for line, probabilities in zip(plain, answered.probabilities, strict=True)
        ]
    if out:
        write_text(Path(out), "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in plain))
        if is_output(Path(out)):
            return  # the answers stand there, and nothing else is to
    if as_json:
        for line in plain:
            print_json(line)
    elif out:
        say(f"{counted(len(plain), 'answer')} in {out}")
    elif text is not None:
        for line in plain:  # of lines one each, so that the next program gets as many
            answer = line["output"] if text != "-" else line["output"].replace("\n", "\\n").replace("\r", "\\r")
            sys.stdout.write(shown(answer) + "\n")
    else:
        rows = [[example.id, example.text, output] for example, output in pairs]
        print_table("", ("id", "input", "answer"), rows, left=["id", "input", "answer"], lines=True)
