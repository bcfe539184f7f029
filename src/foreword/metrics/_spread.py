"""Scores many examples in several processes, one a core; the numbers are those of a single process.

A worker is a new interpreter that is sent JSON and sends JSON back, in which a float keeps its value. So nothing is forked
or pickled, the caller's script is not run again, and it does not matter whether there is one. What a worker cannot do is
done here.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import current_process
from typing import Any

from foreword.util.errors import ForewordError

Work = Callable[[Sequence[Any], Sequence[Any]], list[float]]  # (jobs, what they share) -> the number of each job


def spread(
    work: Work, jobs: Sequence[Any], shared: Sequence[Any] = (), *, least: int, apart: bool = False
) -> list[float]:
    """`work(jobs, shared)`, in as many processes as there are cores and each has at least so many jobs.

    work: a function at the head of a module; jobs, shared: values that JSON holds. apart: no job is done in this process,
    as what it does cannot be trusted; a worker that stops is then a ForewordError.
    """
    count = max(1, min(_cores(), len(jobs) // least))
    size = max(1, -(-len(jobs) // count))
    chunks = [jobs[at : at + size] for at in range(0, len(jobs), size)]
    mine = [] if apart else chunks[:1]
    others = chunks[len(mine) :]
    workers = [_started(work) for _ in others]
    with ThreadPoolExecutor(max(1, len(workers))) as threads:
        try:
            answers = [threads.submit(_answer, *job, shared) for job in zip(workers, others, strict=True)]
            values = [number for chunk in mine for number in work(chunk, shared)]
            for chunk, pending in zip(others, answers, strict=True):
                answer = pending.result()
                if "refused" in answer:
                    raise ForewordError(answer["refused"])
                if apart and "stopped" in answer:
                    raise ForewordError(f"The process that scores apart from this one stopped: {answer['stopped']}.")
                values += answer["values"] if "values" in answer else work(chunk, shared)
        finally:
            for worker in workers:
                if worker is not None:
                    worker.kill()
    return values


def _cores() -> int:
    """The cores that this process may use; one where it is itself one of a pool's."""
    if current_process().daemon:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _started(work: Work) -> subprocess.Popen[str] | None:
    command = [sys.executable, "-P", "-m", __name__, work.__module__, work.__name__]
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
        )
    except OSError:
        return None


def _answer(worker: subprocess.Popen[str] | None, jobs: Sequence[Any], shared: Sequence[Any]) -> dict[str, Any]:
    """What the worker answers: `values`, `refused` or `stopped`."""
    if worker is None:
        return {"stopped": f"{sys.executable or 'Python'} could not be started"}
    errors = ""
    with worker:
        try:
            output, errors = worker.communicate(json.dumps([jobs, shared]))
            answer: dict[str, Any] = json.loads(output)
            return answer
        except (OSError, TypeError, ValueError):
            worker.kill()
    last = "".join([line for line in errors.splitlines() if line.strip()][-1:])
    return {"stopped": f"exit status {worker.returncode}, after '{last}'"}


def _main(module: str, name: str) -> None:
    """A worker: the jobs from standard input, the numbers to standard output."""
    jobs, shared = json.load(sys.stdin)
    try:
        answer: dict[str, Any] = {"values": getattr(importlib.import_module(module), name)(jobs, shared)}
    except ForewordError as error:
        answer = {"refused": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _main(*sys.argv[1:])
