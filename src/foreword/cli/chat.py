"""`foreword chat`: talk to a model, or to a prompt on it, in a terminal or line by line from a pipe; it refuses lines that do not
fit and goes on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.serve import loaded
from foreword.cli.talk import shown

if TYPE_CHECKING:
    from foreword.serve.talking import Talk

MODEL = ("model", *o.LOADED)


@o.takes(MODEL, ("max_new_tokens",))
def chat(
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="A prompt's folder, or NAME\\[@VERSION] of a store.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", "-s", envvar="FOREWORD_STORE", help="The store of NAME\\[@VERSION].")
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", help="The system message, of a model with a chat template.")
    ] = None,
    max_new_tokens: int | None = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0: the likeliest answer.")] = 0.0,
    top_p: Annotated[
        float, typer.Option("--top-p", help="The likeliest tokens that together have this probability.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Of sampled answers.")] = 0,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", help="A text at which an answer ends; several may be given.")
    ] = None,
    **flags: Any,
) -> None:
    """Answer line by line, as `foreword serve` does; with a chat template the earlier turns are remembered.

    `/new` begins anew, `/quit` or the end of the input ends it; a blank line asks nothing, also in a pipe (`foreword generate -`
    answers line for line).

    Examples:

      foreword chat --model smollm2

      echo "bana 1 lo" | foreword chat --model reference --prompt prompts/dart
    """
    backbone = loaded(o.settings({name: flags[name] for name in MODEL}))
    from foreword.serve.talking import Talk

    sampled: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "seed": seed}
    if stop:
        sampled["stop"] = [each.replace("\\n", "\n").replace("\\t", "\t") for each in stop]
    talk = Talk(backbone, _stored(prompt, store), system=system or "", longest=max_new_tokens, **sampled)
    try:
        _lines(talk)
    finally:
        talk.close()


def _stored(prompt: str | None, store: Path | None) -> Any:
    from foreword.registry import Registry, load_stored_prompt

    if prompt is None:
        return None
    if store is None or Path(prompt).is_dir():
        return load_stored_prompt(Path(prompt))
    registry = Registry(store)
    index, version = registry.resolve(prompt)
    return registry.load(index.name, version)


def _lines(talk: Talk) -> None:
    from foreword.util.errors import ForewordError

    alone = sys.stdin.isatty()
    mark = "\ufeff"  # which may stand before the first line
    while True:
        if alone:
            print("> ", end="", file=sys.stderr, flush=True)
        line, mark = sys.stdin.readline().removeprefix(mark), ""
        if not line or line.strip() == "/quit":
            return
        text = line.removesuffix("\n")
        if text.strip() == "/new":
            talk.forget()
        elif text.strip():
            try:
                asyncio.run(_answer(talk, text))
            except ForewordError as error:
                if not alone:
                    raise
                print(f"foreword: {error}", file=sys.stderr)


async def _answer(talk: Talk, text: str) -> None:
    async for piece in talk.say(text):
        sys.stdout.write(shown(piece))
        sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()
