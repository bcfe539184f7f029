"""The command `python -m recipes.smollm2`: run what is missing of the table, the bins and the transfer grid, and write the page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from foreword.results.record import Record
from foreword.util.errors import ForewordError
from recipes.smollm2 import page
from recipes.smollm2.bench import Bench
from recipes.smollm2.cells import Lay

PAGE = Path(__file__).parents[2] / "docs" / "smollm2.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 where something that was asked for is refused."""
    args = _parser().parse_args(argv)
    lay = Lay(args.model, args.out, args.data_dir, args.dtype)
    unknown = sorted(set(args.tasks.split(",")) - set(Lay.tasks))
    if unknown:
        print(
            f"smollm2: the table has no task {', '.join(unknown)}; give some of {', '.join(Lay.tasks)}.",
            file=sys.stderr,
        )
        return 2
    lay = replace(lay, tasks=tuple(args.tasks.split(",")))
    lay = replace(lay, test=args.limit or lay.test, steps=args.steps or lay.steps)
    if args.threads:
        torch.set_num_threads(args.threads)
    bench = Bench()
    try:
        if not args.only_page:
            _run(lay, bench, args.transfer)
        page.write(lay, bench, args.page)
    except ForewordError as error:
        print(f"smollm2: {error}", file=sys.stderr)
        return 2
    return 0


def _run(lay: Lay, bench: Bench, transfer: bool) -> None:
    """Every trial that is missing, one by one: a run that is broken off goes on where it was. The transfer grid comes before a second
    seed: it rests on the first seed's prompts."""
    first, *others = lay.seeds
    for _, run in lay.untuned():
        bench.run(run)
    records: list[Record] = []
    for _, run in lay.tuned(first):
        records += bench.run(run)
    if transfer:
        for _, run in lay.transfer(records):
            bench.run(run)
    for seed in others:
        for _, run in lay.tuned(seed):
            bench.run(run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipes.smollm2", description=__doc__)
    parser.add_argument("--model", default=Lay.model, help=f"the model ({Lay.model})")
    parser.add_argument("--data-dir", default="", help="where the task files lie (else FOREWORD_DATA, else the hub)")
    parser.add_argument("--out", type=Path, default=Lay.out, help=f"folder of records and prompts ({Lay.out})")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page is written (docs/smollm2.md)")
    parser.add_argument("--only-page", action="store_true", help="write the page of what is there; run nothing")
    parser.add_argument("--transfer", action="store_true", help="the transfer grid too")
    parser.add_argument("--dtype", default=Lay.dtype, help=f"float32 or bfloat16 ({Lay.dtype})")
    parser.add_argument("--limit", type=int, help=f"test examples of each task ({Lay.test})")
    parser.add_argument("--steps", type=int, help=f"training steps of each prompt ({Lay.steps})")
    parser.add_argument("--tasks", default=",".join(Lay.tasks), help="comma list: run these alone (all)")
    parser.add_argument("--threads", type=int, help="threads of the arithmetic (the library's choice)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
