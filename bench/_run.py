"""What every bench shares: contenders in alternation, medians, peak memory, agreement, hardware, one JSON document; it refuses to
print a time before the contenders' results agree."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from torch import Tensor

from foreword.util.files import whole_file

LIBRARIES = ("foreword", "torch", "transformers", "peft", "tokenizers", "numpy", "bm25s", "faiss-cpu")

Contenders = Mapping[str, Callable[[], Any]]
Times = dict[str, list[float]]


# -- arguments --------------------------------------------------------------------------------------------------------


def parser(description: str, *, repeats: int = 5) -> argparse.ArgumentParser:
    """The flags of every bench: --json, --repeats, --threads, --seed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print the JSON document alone")
    parser.add_argument("--repeats", type=int, default=repeats, help=f"timed rounds of every contender ({repeats})")
    parser.add_argument("--threads", type=int, default=0, help="threads of a matrix product (0: as torch chooses)")
    parser.add_argument("--seed", type=int, default=0, help="of lengths, inputs and weights (0)")
    parser.add_argument("--out", default="", help="also write the JSON document to this file")
    return parser


def kept_flag(parser: argparse.ArgumentParser) -> None:
    """--kept, of the benches whose peer runs in a process of its own."""
    parser.add_argument(
        "--kept", action="store_true", help="time the peer in foreword's process, too, with its memory settings"
    )


def rows_flag(parser: argparse.ArgumentParser) -> None:
    """--rows, of the benches whose table takes hours."""
    parser.add_argument(
        "--rows", default="", help="keep each row in this file as soon as it is measured, and measure none that it has"
    )


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments, threads already set; refuses fewer than one repeat."""
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error(f"--repeats is {args.repeats}; give at least 1")
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


# -- time -------------------------------------------------------------------------------------------------------------


def settle() -> None:
    """Wait until an accelerator has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(work: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    settle()
    begun = time.perf_counter()
    work()
    settle()
    return time.perf_counter() - begun


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection inside."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alternate(
    contenders: Contenders,
    repeats: int,
    *,
    warm: int = 1,
    turn: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> Times:
    """Seconds of each contender in each round. Every round runs all of them, every second round in reverse order, so that a machine
    that slows down slows all of them; `warm` rounds before are not counted. turn: for so many seconds a contender is run again and again
    when it is its turn, at least once, and the turn's median counts: alone, too, each of its runs would follow one of its own, and
    not find the processor's cache and its memory full of another's data."""
    names = list(contenders)
    times: Times = {name: [] for name in names}
    for number in range(warm + repeats):
        for name in names if number % 2 == 0 else names[::-1]:
            with undisturbed():
                spent = [seconds(contenders[name])]
                while sum(spent) < turn:
                    spent.append(seconds(contenders[name]))
            say(f"round {number + 1 - warm} {name}: {' '.join(f'{duration:.4f}' for duration in spent)} s")
            if number >= warm:
                times[name].append(statistics.median(spent))
    return times


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and spread (least, greatest, and quartiles where there are four values or more)."""
    figures = {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
    if len(values) >= 4:
        low, _, high = statistics.quantiles(values, n=4)
        figures |= {"quartile_low": low, "quartile_high": high}
    return figures


def ratios(times: Times, ours: str, peer: str) -> list[float]:
    """Peer's time over ours, round by round: what slows a whole round cancels."""
    return [theirs / mine for mine, theirs in zip(times[ours], times[peer], strict=True)]


def in_process_ratio(times: Times, ours: str, here: str) -> dict[str, float]:
    """`ratio_kept`, where the peer ran in foreword's process, too, under this name."""
    return {"ratio_kept": statistics.median(ratios(times, ours, here))} if here in times else {}


# -- memory -----------------------------------------------------------------------------------------------------------


def give_back() -> None:
    """Give the system what this process has freed (foreword's keeps it), so that another has it; nothing where the C library is not
    glibc."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def peak_bytes(work: Callable[[], Any]) -> int:
    """The most bytes of tensors that one call holds at once beyond those held before it: counted from torch's own record of its
    allocations (torch.profiler on a processor, max_memory_allocated on a GPU), weights and inputs not included, scratch space of
    the matrix library not included."""
    gc.collect()
    if torch.cuda.is_available():
        settle()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        settle()
        return int(torch.cuda.max_memory_allocated() - before)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True, acc_events=True) as profile:
        work()
    held = most = 0
    for event in profile.profiler.kineto_results.events():  # in order of time
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


# -- agreement --------------------------------------------------------------------------------------------------------


def apart(actual: Tensor, expected: Tensor) -> float:
    """Norm of the difference as a part of the norm of what is wanted."""
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


def agree(what: str, distance: float, limit: float) -> float:
    """The distance, if it is within the limit; ends the bench otherwise: contenders that compute different things have no times."""
    if not distance <= limit:
        sys.exit(f"{what}: the contenders differ by {distance:.2e}, more than {limit:.0e}; no time is printed.")
    return distance


# -- what it ran on ---------------------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Of Python and the libraries that are there."""
    library_versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            library_versions[name] = version(name)
    return library_versions


def hardware() -> dict[str, Any]:
    """Processor, cores, threads in use, memory, and the GPU where there is one."""
    model = platform.processor()
    flags: set[str] = set()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    machine: dict[str, Any] = {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": sorted(flags & {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile"}),
        "system": f"{platform.system()} {platform.machine()}",
    }
    with contextlib.suppress(OSError, ValueError, AttributeError):
        machine["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    with contextlib.suppress(OSError, AttributeError):
        machine["load_average"] = round(os.getloadavg()[0], 2)
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    return machine


# -- rows that are kept ------------------------------------------------------------------------------------------------


class Rows:
    """Rows in a file of JSON lines, each with what it was measured under, so that a table of hours can be broken off and gone on with. A
    row counts only under the same settings, hardware and versions, with as many repeats; without a file nothing is kept."""

    APART = ("json", "out", "rows", "repeats")  # settings that a row does not depend on, or may have more of

    def __init__(self, args: argparse.Namespace, chosen: Sequence[str]) -> None:
        """chosen: settings that choose rows."""
        here = hardware()
        self.path, self.repeats = args.rows, args.repeats
        self.under = {key: value for key, value in vars(args).items() if key not in (*self.APART, *chosen)}
        self.under |= {key: here.get(key) for key in ("processor", "cores", "threads", "gpu")} | versions()
        self.records: list[dict[str, Any]] = []
        if self.path and Path(self.path).exists():
            try:
                self.records = [json.loads(line) for line in Path(self.path).read_text(encoding="utf-8").splitlines()]
            except ValueError as error:
                sys.exit(f"{self.path}: not rows that a bench kept ({error}); name another file.")

    def get(self, case: Sequence[Any]) -> dict[str, Any] | None:
        """The row of this case, if it is there."""
        for record in self.records:
            if record["case"] == list(case) and record["under"] == self.under and record["repeats"] >= self.repeats:
                return dict(record["row"])
        return None

    def add(self, case: Sequence[Any], row: dict[str, Any]) -> None:
        """Keep a row."""
        self.records.append({"case": list(case), "under": self.under, "repeats": self.repeats, "row": row})
        if self.path:
            with whole_file(Path(self.path)) as part:
                part.write_text("".join(json.dumps(record) + "\n" for record in self.records), encoding="utf-8")


# -- what it prints ---------------------------------------------------------------------------------------------------


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Rows as aligned text. columns: key of a row to its heading; numbers to three significant places."""
    cells = [list(columns.values())] + [[_cell(row.get(key, "")) for key in columns] for row in rows]
    widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def finish(
    args: argparse.Namespace, bench: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], **more: Any
) -> None:
    """Print the table and the document, or with --json the document alone. The document has the rows, what it ran on, and, where
    there is one row only, that row's `ratio` at its head."""
    document: dict[str, Any] = {"bench": bench}
    if len(rows) == 1 and "ratio" in rows[0]:
        document["ratio"] = rows[0]["ratio"]
    settings = {key: value for key, value in vars(args).items() if key not in ("json", "out", "rows")}
    document |= {"settings": settings, "rows": list(rows), **more, "hardware": hardware(), "versions": versions()}
    text = json.dumps(document, indent=2)
    if args.out:
        Path(args.out).write_text(text + "\n", encoding="utf-8")
    if not args.json:
        print(table(rows, columns))
        print()
    print(text)


def speaker(args: argparse.Namespace) -> Callable[[str], None]:
    """Says how far a bench is, on standard error, so that standard output holds the result alone."""
    return lambda text: print(text, file=sys.stderr, flush=True)
