"""How the command line talks to people: progress on stderr when it is a terminal, tables for 80 columns; it refuses
to print on stdout what a machine did not ask for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
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


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="dim")


class Bars:
    """Progress bars with rates and time left, one a piece of work; silent when stderr is no terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
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

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        """The Progress of this terminal."""
        if not self.live:
            return
        if what not in self._known:
            self._known[what] = self._bars.add_task(what, total=total, note=note)
        bar = self._known[what]
        self._bars.update(bar, completed=done, total=total, note=note)
        if done >= total:
            self._bars.remove_task(bar)
            del self._known[what]

    def say(self, line: str) -> None:
        """A line that stays, for people."""
        self.console.print(line, markup=False, soft_wrap=True)

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
    """One JSON value on one line of stdout; escaped to ASCII where stdout cannot carry more."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(json.dumps(value, ensure_ascii=plain, allow_nan=False) + "\n")


def say(text: str = "", *, style: str = "") -> None:
    """A line for people on stdout, as it is."""
    Console(highlight=False).print(Text(text, style=style), soft_wrap=True)


def print_table(
    head: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str], lines: bool = False
) -> None:
    """A headline and a table of plain cells on stdout. left: the columns of words, which may fold; numbers never do. lines: a rule
    between rows."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_lines=lines)
    for name in columns:
        words = name in left
        table.add_column(name, justify="left" if words else "right", overflow="fold", no_wrap=not words)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if head:
        say(head, style="bold")
    Console(highlight=False).print(table)
