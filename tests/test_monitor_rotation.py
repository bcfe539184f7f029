"""A log that the server puts aside while the monitor reads it: every finished line is read once, whatever falls between two steps."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import watched
from foreword.monitor import observations
from foreword.monitor.observations import read_log
from foreword.serve.log import RequestLog


class PausingLog(RequestLog):
    """A log that is put aside in two moves: `rename` ends when the file has its other name, `reopen` when the line is in the next one."""

    def __init__(self, path: Path) -> None:
        self.renamed, self.may_open = threading.Event(), threading.Event()
        self.may_open.set()
        super().__init__(path, 1)  # every line has a file of its own

    def _opened(self) -> int:
        self.renamed.set()
        assert self.may_open.wait(30)
        return super()._opened()

    def rename(self, values: dict[str, Any]) -> None:
        self.renamed.clear()
        self.may_open.clear()
        self.writer = threading.Thread(target=self.write, args=(values,))
        self.writer.start()
        assert self.renamed.wait(30)

    def reopen(self) -> None:
        self.may_open.set()
        self.writer.join(30)
        assert not self.writer.is_alive()


def read_with(path: Path, moves: dict[int, Callable[[], None]]) -> tuple[list[str], int]:
    """The ids that are read where a move comes before that line of the reading code; how many of its lines ran."""
    step = itertools.count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != observations.__file__:
            return None
        if event == "line":
            moves.get(next(step), bool)()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return [observation.id for observation in read_log(path)], next(step)
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("pause", [0, 1, 2, 5])
def test_a_log_that_is_put_aside_while_it_is_read_loses_and_doubles_no_line(tmp_path: Path, pause: int) -> None:
    """Before each step of the reading in turn the server renames its file, and so many steps later it has opened the next one, which is
    put aside at once, too."""
    for place in itertools.count():
        path = tmp_path / str(place) / "requests.jsonl"
        log = PausingLog(path)
        for number in range(3):
            log.write(watched.line(number))
        moves = {place: partial(log.rename, watched.line(3)), place + pause: log.reopen}
        if pause == 0:
            moves = {place: lambda log=log: (log.rename(watched.line(3)), log.reopen(), log.write(watched.line(4)))}
        ids, steps = read_with(path, moves)
        if hasattr(log, "writer"):
            log.reopen()
        log.close()
        assert 3 <= len(ids) <= 5 and ids == [f"cmpl-{number}" for number in range(len(ids))], place
        if place > steps:
            break
    assert steps > 20, "the reading was followed"
