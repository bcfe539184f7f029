"""How the command line talks to people: progress on stderr when it is a terminal, one sentence for an error; it refuses
to print on stdout what a machine did not ask for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


def error_console() -> Console:
    """Where people are spoken to beside the results."""
    return Console(stderr=True, highlight=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="dim")


class Bars:
    """Progress bars with rates and time left, one a piece of work; silent when stderr is no terminal."""

    def __init__(self) -> None:
        self.console = error_console()
        self.live = self.console.is_terminal
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self.console,
            transient=True,
        )
        self._known: dict[str, int] = {}

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
        self.console.print(line)

    @contextmanager
    def shown(self) -> Iterator[Bars]:
        """Bars appear within the block."""
        if not self.live:
            yield self
            return
        with self._bars:
            yield self


def print_json(text: str) -> None:
    """One document or one line on stdout, as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
