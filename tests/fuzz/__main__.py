"""`python -m fuzz`: so many seeded inputs in processes of their own, with their rate and the time left; it refuses to go on where a
process was killed without naming the input that did it."""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fuzz import bases, cases

STUCK = 60.0  # seconds of the clock after which a process that says nothing is killed
LINE = 10.0  # seconds between two lines


def _work(seed: int, only: tuple[str, ...], numbers: list[int], at: Any, fault_queue: Any, root: str) -> None:
    """A process: every input of these numbers, the one that runs told in `at`, each fault in the queue."""
    os.environ["FOREWORD_CACHE"] = f"{root}/cache"
    runner = cases.Runner(Path(root))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    for place, number in enumerate(numbers):
        at.value = place
        wrong = runner.fault(cases.drawn(seed, number, only))
        if wrong:
            fault_queue.put((number, wrong))
    at.value = len(numbers)


@dataclass
class Hand:
    """A process with its share of the numbers. done: how many of them lie behind."""

    numbers: list[int]
    root: str
    at: Any = None
    process: Any = None
    done: int = 0
    last_progress: tuple[int, float] = field(default_factory=lambda: (-1, time.monotonic()))


def _start(hand: Hand, seed: int, only: tuple[str, ...], fault_queue: Any) -> None:
    kind = multiprocessing.get_context("fork")
    hand.at = kind.Value("q", 0, lock=False)
    hand.process = kind.Process(
        target=_work, args=(seed, only, hand.numbers[hand.done :], hand.at, fault_queue, hand.root), daemon=True
    )
    hand.last_progress = (-1, time.monotonic())
    hand.process.start()


def _watched(hands: list[Hand], seed: int, only: tuple[str, ...], fault_queue: Any) -> Iterator[tuple[int, str]]:
    """(number, fault) as they come, until all is done; a process that died or is stuck is started again behind its input."""
    first = {id(hand): 0 for hand in hands}
    while any(hand.process is not None for hand in hands):
        time.sleep(0.05)
        while not fault_queue.empty():
            yield fault_queue.get()
        for hand in hands:
            if hand.process is None:
                continue
            at = hand.at.value
            hand.done = first[id(hand)] + at
            if at != hand.last_progress[0]:
                hand.last_progress = (at, time.monotonic())
            stuck = time.monotonic() - hand.last_progress[1] > STUCK
            if hand.process.is_alive() and not stuck:
                continue
            if stuck:
                hand.process.kill()
            hand.process.join()
            code = hand.process.exitcode
            hand.done = first[id(hand)] + hand.at.value
            hand.process = None
            if hand.done < len(hand.numbers):
                ended = signal.Signals(-code).name if code < 0 else f"exit {code}"
                yield (
                    hand.numbers[hand.done],
                    f"it was stuck for {STUCK:.0f} s" if stuck else f"the process ended with {ended}",
                )
                first[id(hand)] = hand.done = hand.done + 1
                if hand.done < len(hand.numbers):
                    _start(hand, seed, only, fault_queue)
    while not fault_queue.empty():
        yield fault_queue.get()


def run(
    count: int, seed: int, workers: int, root: str, say: Any = print, only: tuple[str, ...] = ()
) -> list[tuple[cases.Case, str]]:
    """The inputs that failed, each with its fault."""
    bases.bases()
    fault_queue = multiprocessing.get_context("fork").SimpleQueue()
    hands = [Hand(list(range(worker, count, workers)), f"{root}/{worker}") for worker in range(workers)]
    for hand in hands:
        _start(hand, seed, only, fault_queue)
    faults: list[tuple[cases.Case, str]] = []
    kinds: Counter[str] = Counter()
    began = last = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [hand.process.kill() for hand in hands if hand.process is not None])
        for number, wrong in _with_lines(
            _watched(hands, seed, only, fault_queue), hands, count, began, kinds, say, last
        ):
            case = cases.drawn(seed, number, only)
            kind = f"{case.target}: {wrong[:70]}"
            kinds[kind] += 1
            faults.append((case, wrong))
            if kinds[kind] == 1:
                say(f"input {number}, {case.base or case.target} {case.file}: {wrong}")
    seconds = time.monotonic() - began
    for kind, times in kinds.most_common():
        say(f"{times:,} times {kind}")
    say(f"{count:,} inputs in {seconds:,.0f} s ({count / seconds:,.0f} a second): {len(faults)} faults")
    return faults


def _with_lines(
    faults: Iterator[tuple[int, str]],
    hands: list[Hand],
    count: int,
    began: float,
    kinds: Counter[str],
    say: Any,
    last: float,
) -> Iterator[tuple[int, str]]:
    """The faults as they come."""
    import threading

    over = threading.Event()

    def lines() -> None:
        while not over.wait(LINE):
            done = sum(hand.done for hand in hands)
            rate = done / (time.monotonic() - began)
            left = (count - done) / rate if rate else float("inf")
            say(f"{done:,} of {count:,} inputs, {rate:,.0f} a second, {sum(kinds.values())} faults, {left:,.0f} s left")

    thread = threading.Thread(target=lines, daemon=True)
    thread.start()
    try:
        yield from faults
    finally:
        over.set()
        thread.join()


def main() -> int:
    """The command line; 1 where an input failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=16_000, help="inputs (16,000)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (0)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--only", nargs="*", default=[], choices=list(cases.SHARES), help="kinds of input (all)")
    parser.add_argument("--keep", action="store_true", help="add the first fault of each kind to the corpus")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        faults = run(args.count, args.seed, args.workers, root, lambda line: print(line, flush=True), tuple(args.only))
    if args.keep:
        _keep(faults)
    return 1 if faults else 0


def _keep(faults: list[tuple[cases.Case, str]]) -> None:
    """The smallest input of each kind of fault, at the end of the corpus."""
    known: dict[str, tuple[cases.Case, str]] = {}
    for case, wrong in sorted(faults, key=lambda fault: len(fault[0].content or b"")):
        known.setdefault(f"{case.target}: {wrong.partition(': ')[0]} {wrong.split(': ')[1:2]}", (case, wrong))
    with cases.CORPUS.open("a", encoding="utf-8") as stream:
        for case, wrong in known.values():
            stream.write(json.dumps(case.as_dict(re.sub(r"/\S*/", "", wrong)[:120])) + "\n")


if __name__ == "__main__":
    sys.exit(main())
