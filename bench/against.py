"""The engine of this checkout against that of another one (an older commit's worktree), each in a process of its own, in alternation: a
tuning step, and greedy answers to many inputs. Times are of the processor, so that another program's work counts less."""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import _run
import _shapes

TURN = 2.0  # seconds that a contender works when it is its turn
# Runs in a process of its own, on the foreword and the shapes of the checkout that it is told.
WORKER = """
import json, sys, time
checkout, threads = sys.argv[1], int(sys.argv[2])
sys.path[:0] = [checkout + "/src", checkout + "/bench"]
import torch
torch.set_num_threads(threads)
import _answers, _shapes, foreword
assert foreword.__file__.startswith(checkout), foreword.__file__
known, work = {}, None
for line in sys.stdin:
    request = json.loads(line)
    if "case" in request:
        kind, shape, prompt, batch, lengths, count, dtype, stretch = request["case"]
        if (shape, dtype) not in known:
            known = {(shape, dtype): _shapes.held(shape, _shapes.model(shape).to(getattr(torch, dtype)))}
        backbone = known[shape, dtype]
        soft = _shapes.soft(backbone, prompt) if prompt else None
        rows = _shapes.rows(count if kind == "answers" else batch, lengths, backbone.vocab)
        rows = [type(row)(row.prefix, row.own * stretch, row.answer) for row in rows]
        def step():
            parameter = soft.clone().requires_grad_(True)
            loss, _ = backbone.loss(parameter, rows)
            return float(loss), float(torch.autograd.grad(loss, parameter)[0].norm())
        def answer():
            return sum(map(sum, _answers.mine(backbone, [soft] * len(rows), rows, batch)))
        work = step if kind == "step" else answer
        print(json.dumps(work()), flush=True)
    else:
        begun, used, times = time.perf_counter(), time.process_time(), 0
        while times == 0 or time.perf_counter() - begun < request["turn"]:
            work()
            times += 1
        print(json.dumps((time.process_time() - used) / times), flush=True)
"""


class Case(NamedTuple):
    """A row of the table. kind: step or answers. inputs: rows to answer. stretch: how many times as long as those of the lengths the
    inputs are."""

    kind: str
    shape: str
    prompt_length: int
    batch: int
    lengths: str
    inputs: int
    dtype: str = "float32"
    stretch: int = 1


STEPS = [
    Case("step", shape, P, 8, "mtop", 8) for shape in ("small", "gpt2", "opt", "llama", "bloom") for P in (25, 100)
]
STEPS += [
    Case("step", "small", 100, 32, "mtop", 32),
    Case("step", "llama", 200, 4, "metamathqa", 4),
    Case("step", "t5", 100, 8, "mtop", 8),
]
ANSWERS = [Case("answers", shape, P, 64, "mtop", 200) for shape, P in (("small", 100), ("small", 0), ("gpt2", 100))]
LONG = [
    Case(kind, "small", 25, batch, "mtop", batch, dtype, stretch=16)
    for kind, batch in (("step", 4), ("answers", 16))
    for dtype in ("float32", "bfloat16")
]
HALF = [Case("step", "small", 25, 8, "mtop", 8, dtype) for dtype in ("float32", "bfloat16")]
PARTS = {"step": STEPS, "answers": ANSWERS, "long": LONG, "half": HALF}
NEAR = {"float32": 1e-4, "bfloat16": 1e-2}  # how far two engines' numbers may lie apart, as a part of them
COLUMNS = {
    "kind": "work",
    "shape": "shape",
    "prompt_length": "P",
    "batch": "B",
    "lengths": "lengths",
    "dtype": "dtype",
    "stretch": "times as long",
    "seconds_here": "here (CPU s)",
    "seconds_there": "there (CPU s)",
    "ratio": "here / there",
}


class Contender:
    """A process that works when it is told to."""

    def __init__(self, checkout: Path, threads: int) -> None:
        command = [sys.executable, "-c", WORKER, str(checkout), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, **request: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a contender's process ended; its error is above")
        return json.loads(line)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = _run.parser(__doc__ or "")
    parser.add_argument("--old", required=True, help="a checkout of the other commit")
    parser.add_argument("--only", choices=list(PARTS), help="one part of the table (default: all)")
    parser.add_argument("--shape", nargs="+", choices=list(_shapes.SHAPES), help="default: all")
    return _run.parsed(parser, argv)


def main() -> None:
    """Print the table, or the JSON document."""
    args = arguments()
    here, there = (Contender(path.resolve(), args.threads or 1) for path in (Path(__file__).parents[1], Path(args.old)))
    rows = []
    for case in itertools.chain(*([PARTS[args.only]] if args.only else PARTS.values())):
        if args.shape and case.shape not in args.shape:
            continue
        results = [contender(case=case) for contender in (here, there)]
        numbers = [value if isinstance(value, list) else [value] for value in results]
        if any(abs(a - b) > NEAR[case.dtype] * abs(b) for a, b in zip(*numbers, strict=True)):
            raise SystemExit(f"The two engines do not agree on {case}: {results}.")
        times: list[tuple[float, float]] = []
        for turn in range(args.repeats):
            pair = {contender: contender(turn=TURN) for contender in ((here, there) if turn % 2 else (there, here))}
            times.append((pair[here], pair[there]))
        ratio = statistics.median(a / b for a, b in times)
        seconds = [statistics.median(part) for part in zip(*times, strict=True)]
        measured = {"seconds_here": seconds[0], "seconds_there": seconds[1], "ratio": ratio}
        rows.append(case._asdict() | measured)
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    _run.finish(args, "against", rows, COLUMNS)


if __name__ == "__main__":
    main()
