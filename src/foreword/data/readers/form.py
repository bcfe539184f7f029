"""The form of a delimited table: its separator, quotation marks and encoding."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

from foreword.util.errors import ForewordError

OPTIONS = ("delimiter", "quoting", "header", "encoding")
Quoting = Literal["auto", "standard", "none"]
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "\\t": "\t"}


@dataclass(frozen=True)
class Form:
    """How a CSV or TSV file is written, where its ending does not say.

    quoting: `standard` (a quotation mark at the start of a cell opens a quoted cell, RFC 4180), `none` (every mark is a
    plain character), or `auto`: standard, unless a TSV file can only be read without. delimiter: one character, or
    comma, semicolon, tab, pipe; "": a TAB in TSV, else a comma, or what the header line has instead. encoding: of every
    file of text. header: the names of the columns of a file that has no header line.
    """

    quoting: Quoting = "auto"
    delimiter: str = ""
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """What it says that is not the default, by the names of the flags."""
        default = Form()
        return tuple(option for option in OPTIONS if getattr(self, option) != getattr(default, option))

    def __post_init__(self) -> None:
        try:
            text_codec = codecs.lookup(self.encoding)
        except (LookupError, ValueError) as error:
            raise ForewordError(
                f"There is no encoding '{self.encoding}'; give e.g. --encoding utf-8, latin-1, cp1252 or utf-16."
            ) from error
        if text_codec.name == "utf-8":
            object.__setattr__(self, "encoding", "utf-8")
        if not getattr(text_codec, "_is_text_encoding", True):
            raise ForewordError(f"'{self.encoding}' is no encoding of text; give e.g. --encoding latin-1.")
        object.__setattr__(self, "delimiter", DELIMITERS.get(self.delimiter, self.delimiter))
        if len(self.delimiter) > 1 or self.delimiter in ('"', "\n", "\r"):
            raise ForewordError(
                f"The delimiter {self.delimiter!r} is not one character that can part cells; give e.g. --delimiter ';' or tab."
            )
