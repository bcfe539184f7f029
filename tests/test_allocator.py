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


# Each of the first steps shows what it takes by itself; from then on freed blocks stay with the process until much more is held.
GIVE_BACK_SCRIPT = """
import torch
from foreword.util.allocator import FIRST, FreedMemory, _resident, keep_freed
keep_freed()
freed = FreedMemory()
least = _resident()
def work(blocks, size=2**20):
    held = [torch.ones(size) for _ in range(blocks)]  # 4 MiB each
for step in range(FIRST):
    work(50, 2**20 + 4096 * step)  # none fits into the gap of the one before
    freed.settle()
most = freed.most - least
assert 200 * 2**20 < most < 250 * 2**20, most
assert _resident() < least + 50 * 2**20
work(50)
assert not freed.settle() and _resident() > least + 190 * 2**20, "so much is kept, to be used again"
work(300)
assert _resident() > least + 1000 * 2**20
assert freed.settle() and freed.most == most + least and freed.steps == 0
print((_resident() - least) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_much_more_than_a_step_takes_is_given_back() -> None:
    assert ran(GIVE_BACK_SCRIPT) < 50


# What one training left is not taken for what the next one needs.
AGAIN = """
import torch
from foreword.util.allocator import FreedMemory, _resident, keep_freed
keep_freed()
FreedMemory()
least = _resident()
def work():
    held = [torch.ones(2**20) for _ in range(300)]  # 4 MiB each
work()
assert _resident() > least + 1000 * 2**20
FreedMemory()
print((_resident() - least) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_training_begins_without_what_the_one_before_left() -> None:
    assert ran(AGAIN) < 200
