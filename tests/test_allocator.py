"""Freed memory stays with the process, seen from outside: a second training step asks the system for few new pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

STEPS = """
import resource, sys, torch
from foreword.backbone.allocator import keep_freed
if sys.argv[1] == "kept":
    keep_freed()
    keep_freed()
def work():
    held = [torch.ones(2**20) for _ in range(30)]  # 4 MiB each
    return sum(float(one[0]) for one in held)
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again() -> None:
    pages = {
        how: int(subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, check=True, text=True).stdout)
        for how in ("kept", "given back")
    }
    assert pages["kept"] < 0.1 * pages["given back"], pages
