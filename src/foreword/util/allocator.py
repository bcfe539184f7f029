"""How this process reuses freed memory, and how much of it it holds at most; nothing where the C library is not glibc."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import resource
from dataclasses import dataclass
from pathlib import Path

# glibc's malloc.h: blocks above the one are the system's again as soon as they are freed, and so is a free end of the heap above the other.
_TRIM, _MAPPED = -1, -3
_SIZES = (2**30, 2**25)  # older libraries take no more than the second for the size of a block


@functools.cache
def keep_freed() -> None:
    """Let this process use freed memory again rather than give it back after every layer: the system clears each page that it hands out
    (15,000 pages a tuning step of a small model, 7 % of its time). Where the C library is not glibc nothing happens."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        options = ctypes.CDLL(None).mallopt
        if any(options(_MAPPED, size) for size in _SIZES):
            options(_TRIM, 2**31 - 1)


FIRST = 8  # steps that show how much memory one takes
SLACK = 2**28  # bytes


@dataclass
class FreedMemory:
    """Holds the freed memory of a process within bounds. Tensors of many sizes leave gaps that the next ones do not fit into, so that the
    heaps of a long training grew to four times what it held at once (11 GB of 3; SmolLM2 on Logic2Text). What the process holds of
    earlier work is given back at once, for else each training of many would be judged by what the one before had left (3, 5, 7, 11 GB).

    most: bytes that were resident after the largest single step from a heap without gaps. steps: since the heap last outgrew that.
    """

    most: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        _give_back()

    def settle(self) -> bool:
        """After a step, when least is held: gives freed memory back to the system after each of the first steps, so that each shows what
        it alone takes, and then where a quarter more is resident than the largest of them took. Whether it did; never where the system
        does not say, or the C library is not glibc."""
        resident = _resident()
        self.steps += 1
        if self.steps <= FIRST:
            self.most = max(self.most, resident)
        elif resident <= 1.25 * self.most + SLACK:
            return False
        else:
            self.steps = 0
        return _give_back()


def _give_back() -> bool:
    """Give freed memory back to the system; whether there was any. Never where the C library is not glibc."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        return bool(ctypes.CDLL(None).malloc_trim(0))
    return False


def _resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say (others than Linux)."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()
