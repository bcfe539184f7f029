"""How this process reuses freed memory: settings of glibc's allocator, and nothing where the C library is another."""

from __future__ import annotations

import contextlib
import ctypes
import functools

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
