"""A contender in a process of its own, with the C library's ordinary settings, as its users run it (foreword's own process keeps freed
memory); it refuses to go on where that process failed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import _run
import torch

Work = Callable[..., Any]


class Apart:
    """Calls what make(*arguments) returns, in the other process: one call there for each call here, with its arguments and its answer, in a
    `with` block, which waits until it is ready. The process starts at once, and makes its work as soon as it is told of what, here or by
    `begin`."""

    def __init__(self, make: Callable[..., Work], *arguments: Any) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, other = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(other, make, torch.get_num_threads()), daemon=True)
        self.process.start()
        other.close()
        if arguments:
            self.begin(*arguments)

    def begin(self, *arguments: Any) -> Apart:
        """Say what to make it of."""
        self.pipe.send(arguments)
        return self

    def __enter__(self) -> Apart:
        self._receive()
        return self

    def __call__(self, *arguments: Any) -> Any:
        self.pipe.send(arguments)
        return self._receive()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pipe.close()
        self.process.join(10)
        self.process.kill()

    def _receive(self) -> Any:
        try:
            failure, answer = self.pipe.recv()
        except EOFError:
            failure = "it ended"
        if failure:
            raise RuntimeError(f"the contender's own process: {failure}")
        return answer


def _serve(pipe: Connection, make: Callable[..., Work], threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        work = make(*pipe.recv())
        pipe.send(("", None))
        while True:
            arguments = pipe.recv()
            with _run.undisturbed():
                answer = work(*arguments)
            pipe.send(("", answer))
    except EOFError:
        return
    except Exception as error:
        pipe.send((f"{type(error).__name__}: {error}", None))
