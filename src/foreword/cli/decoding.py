"""The flags about how an answer is decoded, and the inputs that come as words or lines; they refuse an input that comes twice."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from foreword.config.run import Run
    from foreword.infer.decoding import Decoding

PANEL = "Decoding"


def _flag(kind: Any, name: str, words: str) -> Any:
    return Annotated[kind | None, typer.Option(name, help=words, rich_help_panel=PANEL)]


DECODING = {
    "temperature": _flag(float, "--temperature", "0: the likeliest answer; above, one drawn by --seed."),
    "top_p": _flag(float, "--top-p", "Only the likeliest tokens that together have this probability."),
    "top_k": _flag(int, "--top-k", "Only so many of the likeliest tokens; 0: all."),
    "json_schema": _flag(Path, "--json-schema", "A JSON schema to which every answer holds (extra json)."),
}


def decoding_of(run: Run, flags: dict[str, Any], *, alone: bool) -> Decoding:
    """What these flags ask for. alone: there is one input."""
    from foreword.engine import Sampling
    from foreword.infer.decoding import Decoding

    sampling_flags = {name: flags[name] for name in ("temperature", "top_p", "top_k") if flags[name] is not None}
    schema = None if flags["json_schema"] is None else _schema(flags["json_schema"])
    return Decoding(Sampling(**sampling_flags, seed=run.seeds[0]), schema, alone)


def _schema(path: Path) -> dict[str, Any]:
    from foreword.util.errors import ForewordError

    try:
        schema = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ForewordError(
            f"--json-schema {path} cannot be read as JSON ({error}); give a file with a JSON schema."
        ) from error
    if not isinstance(schema, dict):
        raise ForewordError(
            f'--json-schema {path} holds no JSON object; give a JSON schema such as {{"type": "object"}}.'
        )
    return schema


def texts_of(text: str) -> list[str]:
    """The inputs of an argument: the text itself, or with `-` each line of the standard input. Raises ForewordError where there is none,
    and for a line that is blank: a program that puts inputs and answers side by side would go wrong by a line."""
    from foreword.util.errors import ForewordError

    texts = [text] if text != "-" else sys.stdin.read().removeprefix("\ufeff").removesuffix("\n").split("\n")
    if not "".join(texts).strip():
        raise ForewordError(
            "There is no text to answer; give one as an argument, or lines on the standard input with -."
        )
    for number, line in enumerate(texts, 1):
        where = "The text" if text != "-" else f"Line {number} of the standard input"
        if not line.strip():
            raise ForewordError(f"{where} is blank, and each line is answered by one; leave it out.")
        if not line.isascii() and any("\ud800" <= sign <= "\udfff" for sign in line):
            raise ForewordError(f"{where} is not UTF-8; convert it, with iconv for one.")
    return [line.removesuffix("\r") for line in texts] if text == "-" else texts
