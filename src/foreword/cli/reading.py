"""The flags that say how a user's table is read and how an answer is taken out of an output; it refuses a list that is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed

PANEL = "Wording and columns"

Extract = Annotated[
    str | None,
    typer.Option(
        "--extract",
        help="A regular expression that takes the answer out of the output: its first group.",
        rich_help_panel=PANEL,
    ),
]
EmptyAnswers = Annotated[
    bool | None,
    typer.Option("--allow-empty", help="An empty target is an answer (`no answer`).", rich_help_panel=PANEL),
]
ChoicesColumn = Annotated[
    str | None,
    typer.Option("--choices-column", help="The column with each row's own choices, a list.", rich_help_panel=PANEL),
]
TargetIndex = Annotated[
    int | None,
    typer.Option(
        "--target-index",
        help="The target is the answer's place among the choices, counted from 0 or 1 (give which).",
        rich_help_panel=PANEL,
    ),
]
Quoting = Annotated[
    str | None,
    typer.Option(
        "--quoting",
        help="Quotation marks in CSV and TSV: standard, none (plain letters), or auto: none where a TSV reads only so.",
        rich_help_panel=PANEL,
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter", help="What parts the cells: one character, comma, semicolon, tab or pipe.", rich_help_panel=PANEL
    ),
]
Encoding = Annotated[str | None, typer.Option("--encoding", help="Of files of text.", rich_help_panel=PANEL)]
Header = Annotated[
    str | None,
    typer.Option(
        "--header", help="Comma list of column names, for a table without a header line.", rich_help_panel=PANEL
    ),
]

READING = {
    "extract": Extract,
    "empty_answers": EmptyAnswers,
    "choices_column": ChoicesColumn,
    "target_index": TargetIndex,
    "quoting": Quoting,
    "delimiter": Delimiter,
    "encoding": Encoding,
    "header": Header,
}


def choices_of(text: str) -> list[str]:
    """The choices of a JSON list, of a file with one a line (or a JSON list), or of a comma list; the word none stays: it makes answers
    free text, whatever the data look like."""
    from foreword.data.readers import read_lines

    if text.strip().lower() == "none":
        return ["none"]
    if os.path.isfile(text):  # noqa: PTH113 - false also for a text that is no path at all
        text = "\n".join(read_lines(Path(text))) + "\n"
        if not text.lstrip().startswith("["):
            return [line.strip() for line in text.split("\n") if line.strip()]
    if text.lstrip().startswith("["):
        return texts_of(text, "--choices")
    return [part.strip() for part in text.split(",") if part.strip()]


def texts_of(text: str, flag: str) -> list[str]:
    """A JSON list of texts; numbers in it as they are written."""
    try:
        texts = parsed(text, parse_float=str, parse_int=str)
    except ValueError as error:
        raise ForewordError(
            f'{flag} {text[:60]!r} is no JSON list ({error}); write e.g. ["yes, it is", "no"].'
        ) from error
    if not isinstance(texts, list) or not texts or not all(isinstance(entry, str) and entry for entry in texts):
        raise ForewordError(f'{flag} {text[:60]!r} is no list of texts; write e.g. ["yes, it is", "no"].')
    return texts
