"""Freed memory stays with the process, seen from outside: a second training step asks the system for few new pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Blocks above 32 MiB: smaller ones an untouched glibc gives back or not as the end of its heap happens to be free or not.
STEPS = """
import resource, sys, torch
from foreword.util.allocator import keep_freed
if sys.argv[1] == "kept":
    keep_freed()
    keep_freed()
def work():
    held = [torch.ones(10 * 2**20) for _ in range(4)]  # 40 MiB each
    return sum(float(one[0]) for one in held)
for _ in range(8):  # until the heap has room for all of them side by side
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


LARGE = "import ctypes; print(ctypes.CDLL(None).mallopt(-3, 2**30))"


def ran(*command: str) -> int:
    return int(subprocess.run([sys.executable, "-c", *command], capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again() -> None:
    if not ran(LARGE):
        pytest.skip("this glibc keeps no block above 32 MiB")
    pages = {how: ran(STEPS, how) for how in ("kept", "given back")}
    assert pages["kept"] < 0.1 * pages["given back"], pages


# Every step holds a block larger than every gap before it, with a small block that stays behind it.
GROWING = """
import sys, torch
from foreword.util.allocator import FreedMemory, keep_freed
keep_freed()
freed, stays, given = FreedMemory(), [], 0
for step in range(60):
    block = torch.ones((8 + step) * 2**18)  # from 8 MiB up by 1 MiB a step
    stays.append(torch.ones(2**17))
    del block
    if sys.argv[1] == "bound":
        given += freed.settle()
with open("/proc/self/statm") as file:
    print(int(file.read().split()[1]) * 4096 // 2**20 if sys.argv[1] == "free" or given else -1)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_the_gaps_of_a_long_training_are_given_back() -> None:
    held = {how: ran(GROWING, how) for how in ("free", "bound")}
    assert 0 < held["bound"] < 0.7 * held["free"], held
