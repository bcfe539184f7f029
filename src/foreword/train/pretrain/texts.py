"""An endless stream of texts that can be entered anywhere, from a user's file or generated; a damaged or empty file is refused."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from foreword.synthetic import documents
from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed

BLOCK = 2**16
"""Characters of a plain file that are read as one text, up to the end of a paragraph."""
LONGEST = 2**24
"""Bytes of one line."""
ENDINGS = (".jsonl", ".txt")


@dataclass(frozen=True)
class Mark:
    """Where a stream stands: how many bytes (generated documents) and lines have been read."""

    offset: int = 0
    line: int = 0


class Texts(Protocol):
    """name: for people. digest: what the texts are. read: the texts from a mark on, each with the mark after it."""

    name: str
    digest: str

    def read(self, mark: Mark) -> Iterator[tuple[str, Mark]]: ...


class Generated:
    """The documents that `foreword.synthetic` draws from a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.name = "text that foreword generates"
        self.digest = f"world/{seed}"

    def read(self, mark: Mark) -> Iterator[tuple[str, Mark]]:
        """Each document, the mark's offset being its number."""
        for number, document in enumerate(documents(self.seed, start=mark.offset), mark.offset + 1):
            yield document.text, Mark(number)


class Written:
    """A user's UTF-8 file, read again from its head when it ends: .jsonl with one object with a `text` a line, or .txt, whose
    paragraphs come in blocks. Only one text is in memory at a time. Raises ForewordError naming the line that cannot be read."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in ENDINGS:
            raise ForewordError(
                f'Text is read from .txt files and from .jsonl files with {{"text": "..."}} a line, and {path} is neither; convert it.'
            )
        self.path, self.name = path, path.name
        with self._open() as stream:
            self.digest = hashlib.file_digest(stream, "sha256").hexdigest()
        next(self.read(Mark()))

    def _open(self) -> BufferedReader:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise ForewordError(
                f"Cannot read {self.path}: {error.strerror or error}; check the path and its permissions."
            ) from error

    def read(self, mark: Mark) -> Iterator[tuple[str, Mark]]:
        """Each text that is more than blanks; the file's end is followed by its head."""
        parse = self._objects if self.path.suffix.lower() == ".jsonl" else self._blocks
        at_mark = bool(mark.offset)
        while True:
            with self._open() as stream:
                stream.seek(mark.offset)
                for text, after in parse(stream, mark):
                    if text.strip():
                        at_mark = True
                        yield text, after
            if not at_mark:
                raise ForewordError(f"{self.path} holds no text; write some.")
            at_mark, mark = False, Mark()

    def _lines(self, stream: BufferedReader, mark: Mark) -> Iterator[tuple[str, Mark]]:
        """Each line without its end, with the mark behind it."""
        for raw in iter(lambda: stream.readline(LONGEST + 1), b""):
            if len(raw) > LONGEST:
                raise ForewordError(
                    f"Line {mark.line + 1} of {self.path} has more than {LONGEST:,} bytes; break it into lines of one text each."
                )
            mark = Mark(mark.offset + len(raw), mark.line + 1)
            try:
                line = (raw.removeprefix(codecs.BOM_UTF8) if mark.line == 1 else raw).decode()
            except UnicodeDecodeError as error:
                raise ForewordError(
                    f"Line {mark.line} of {self.path} is not UTF-8 text; save the file in the encoding UTF-8."
                ) from error
            yield line.rstrip("\r\n"), mark

    def _objects(self, stream: BufferedReader, mark: Mark) -> Iterator[tuple[str, Mark]]:
        for line, after in self._lines(stream, mark):
            if not line.strip():
                continue
            try:
                text = parsed(line)["text"]
                text.encode()
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ForewordError(
                    f'Line {after.line} of {self.path} is no JSON object with a text under "text"; write one a line, '
                    'such as {"text": "..."}.'
                ) from error
            yield text, after

    def _blocks(self, stream: BufferedReader, mark: Mark) -> Iterator[tuple[str, Mark]]:
        held: list[str] = []
        size = 0
        for line, after in self._lines(stream, mark):
            held.append(line)
            size += len(line) + 1
            if size >= BLOCK and (not line.strip() or size >= 2 * BLOCK):
                yield "\n".join(held).strip("\n"), after
                held, size = [], 0
            mark = after
        yield "\n".join(held).strip("\n"), mark


def texts(data: Path | None, seed: int) -> Texts:
    """The texts of a file, or of the generated world where none is named."""
    return Generated(seed) if data is None else Written(data)
