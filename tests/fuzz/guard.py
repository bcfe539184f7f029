"""Runs one input under a limit of time and of memory and says what is wrong with how it ended; it refuses any end but an answer or one
sentence."""

from __future__ import annotations

import contextlib
import resource
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

from foreword.util.errors import ForewordError

SECONDS = 2.0  # of the processor
MEMORY = 2**30  # bytes more than before
LONGEST = 2_000  # letters of a sentence
_DATA = resource.RLIMIT_DATA


class OverTime(BaseException):
    """The input takes longer than any may; no reader may catch this."""


@contextlib.contextmanager
def limited(seconds: float = 2 * SECONDS) -> Iterator[None]:
    """Within, an allocation that goes MEMORY beyond what there is fails, and OverTime is raised after so many seconds of the processor."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise OverTime

    soft, hard = resource.getrlimit(_DATA)
    before = signal.signal(signal.SIGPROF, over)
    resource.setrlimit(_DATA, (_bytes("VmData") + MEMORY, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(_DATA, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def _bytes(name: str) -> int:
    with open("/proc/self/status", encoding="ascii") as stream:  # noqa: PTH123 - once for every input
        line = next(line for line in stream if line.startswith(name))
    return int(line.split()[1]) * 1024


def fault(run: Callable[[], object]) -> str:
    """What is wrong with how a run ends: the error that is no refusal, the time or the memory; empty where it answers or refuses."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as stream:  # noqa: PTH123
        stream.write("5")  # the peak is counted from here
    resident, began = _bytes("VmRSS"), time.process_time()
    wrong = _ended(run)
    seconds, grown = time.process_time() - began, _bytes("VmHWM") - resident
    if not wrong and seconds > SECONDS:
        return f"it took {seconds:.1f} s"
    if not wrong and grown > MEMORY:
        return f"it took {grown / 2**20:,.0f} MB"
    return wrong


def _ended(run: Callable[[], object]) -> str:
    try:
        with limited():
            run()
    except ForewordError as error:
        if not str(error).strip() or len(str(error)) > LONGEST:
            return f"a sentence of {len(str(error)):,} letters: {str(error)[:80]!r}"
    except KeyboardInterrupt:
        raise
    except OverTime:
        return f"it took longer than {2 * SECONDS:.0f} s"
    except BaseException as error:  # every other end is what is looked for, a panic of a library in Rust among them
        return f"{type(error).__name__}: {_place(error)}: {str(error)[:120]!r}"
    return ""


def _place(error: BaseException) -> str:
    """The last line of foreword's own that the error came through."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "/foreword/" in file:
            place = f"{file.rpartition('/foreword/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
