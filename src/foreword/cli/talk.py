"""How the command line talks to people: progress on stderr when it is a terminal, tables for 80 columns; it refuses
to print on stdout what a machine did not ask for."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from foreword.util.errors import visible
from foreword.util.phrases import duration


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="dim")


UNSAFE = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")  # of those that JSON leaves as they are
EVERY = 60.0  # seconds between two lines of one piece of work, where stderr is no terminal
LEAST = 12  # characters of a column of words, however narrow the terminal is


class Clock:
    """How long the rest of several trials will take, from those of the same kind that have run."""

    def __init__(self, labels: Sequence[str], now: Callable[[], float] = time.monotonic) -> None:
        self._left, self._now = list(labels), now
        self._took: dict[str, list[float]] = {}
        self._current: tuple[str, float] | None = None

    def begins(self, label: str) -> str:
        """A trial begins: what the last took and about how long all that are left will take; nothing at the first."""
        now, message = self._now(), ""
        if self._current is not None:
            last, start = self._current
            self._took.setdefault(last, []).append(now - start)
            every = [seconds for some in self._took.values() for seconds in some]
            usual = sum(every) / len(every)
            left = sum(sum(some) / len(some) if (some := self._took.get(each)) else usual for each in self._left)
            message = f"the last took {duration(now - start)}; about {duration(left)} left"
        if label in self._left:  # else its record went away meanwhile
            self._left.remove(label)
        self._current = (label, now)
        return message


class Aside(Console):
    """Stderr, for people: where nobody reads it any more, the work goes on."""

    def on_broken_pipe(self) -> None:
        """Nothing more is written."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class Bars:
    """Progress bars with rates and time left, one a piece of work; where stderr is no terminal, a line a minute."""

    def __init__(self) -> None:
        self.console = Aside(stderr=True, highlight=False)
        self.live = self.console.is_terminal
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=self.console,
            transient=True,
            redirect_stdout=False,  # what goes to stdout stays on stdout, also while bars are shown
        )
        self._known: dict[str, TaskID] = {}
        self._lines: dict[str, tuple[float, int, float]] = {}  # of a piece of work: start, done then, last line

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        """The Progress of this terminal."""
        what, note = visible(what), visible(note)
        if not self.live:
            self._line(what, done, total, note)
            return
        if what not in self._known:
            self._known[what] = self._bars.add_task(what, total=total, note=note)
        bar = self._known[what]
        self._bars.update(bar, completed=done, total=total, note=note)
        if done >= total:
            self._bars.remove_task(bar)
            del self._known[what]

    def _line(self, what: str, done: int, total: int, note: str) -> None:
        """A line with rate and time left, once a minute at most."""
        now = time.monotonic()
        start, first, last = self._lines.setdefault(what, (now, done, now))
        if done >= total:
            del self._lines[what]
        elif now - last >= EVERY and done > first:
            rate = (done - first) / (now - start)
            self._lines[what] = (start, first, now)
            more = f", {note}" if note else ""
            self.say(
                f"    {what} {done:,}/{total:,}, {_pace(rate)}, about {duration((total - done) / rate)} left{more}"
            )

    def say(self, line: str) -> None:
        """A line that stays, for people."""
        self.console.print(visible(line), markup=False, soft_wrap=True)

    @contextmanager
    def shown(self) -> Iterator[Bars]:
        """Bars appear within the block; results are printed behind it."""
        if not self.live:
            yield self
            return
        with self._bars:
            yield self

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """A bar without steps while something loads."""
        self(what, 0, 1)
        yield
        self(what, 1, 1)


def print_json(value: object) -> None:
    """One JSON value on one line of stdout; escaped to ASCII where stdout cannot carry more, and where a terminal could take a character
    for a command."""
    text = json.dumps(value, ensure_ascii=not utf8(sys.stdout), allow_nan=False)
    sys.stdout.write(UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def shown(text: str) -> str:
    """An answer's text as stdout may get it: on a terminal without characters that it takes for commands, in a pipe as it is."""
    text = visible(text) if sys.stdout.isatty() else text
    return text if utf8(sys.stdout) else text.encode("ascii", "backslashreplace").decode()


def utf8(stream: TextIO) -> bool:
    """Whether a stream carries any character."""
    return (stream.encoding or "").lower().startswith("utf")


def say(text: str = "", *, style: str = "") -> None:
    """A line for people on stdout, as it is."""
    Console(highlight=False).print(Text(visible(text), style=style), soft_wrap=True)


def print_table(
    head: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str], lines: bool = False
) -> None:
    """A headline and a table of plain cells on stdout. left: the columns of words, which may fold; numbers never do, only their heads.
    lines: a rule between rows. Where a terminal is too narrow even so, each row is told in lines."""
    console, cells = Console(highlight=False), [[visible(cell) for cell in row] for row in rows]
    if head:
        say(head, style="bold")
    widths = _widths(columns, cells, [name in left for name in columns], console.width - 3 * len(columns))
    if widths is None:
        for row in cells:
            console.print(*(Text(f"{name}: {cell}") for name, cell in zip(columns, row, strict=True)), "", sep="\n")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_lines=lines)
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name, justify="left" if name in left else "right", overflow="fold", width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def _widths(heads: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[bool], room: int) -> list[int] | None:
    """The widths of columns in so many characters: as wide as they are, else columns of words narrowed first, then heads between their
    words, then within them; None where numbers would have to fold."""
    longest = [max((cell_len(row[place]) for row in rows), default=0) for place in range(len(heads))]
    natural = [max(pair) for pair in zip(map(cell_len, heads), longest, strict=True)]
    longest_word = [max(map(cell_len, head.split()), default=0) for head in heads]
    whole = [min(size, LEAST) if folds else size for size, folds in zip(longest, words, strict=True)]
    by_word = list(map(max, whole, longest_word))
    heads_whole = [least if folds else size for least, size, folds in zip(by_word, natural, words, strict=True)]
    for floor in (heads_whole, by_word, whole):
        widths = [max(1, size) for size in floor]
        if sum(widths) <= room:
            break
    else:
        return None
    while sum(widths) < room and (narrow := [place for place, width in enumerate(widths) if width < natural[place]]):
        widths[min(narrow, key=lambda place: widths[place] / natural[place])] += 1
    return widths


def _pace(rate: float) -> str:
    """A rate for people: so many a second, or how long each takes where that is more than a second."""
    return f"{rate:,.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
