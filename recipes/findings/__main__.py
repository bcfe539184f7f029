"""The command `python -m recipes.findings`: run what is missing, write the page; it refuses to end well where a model is missing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from foreword.study.cost import summed
from foreword.util.errors import ForewordError
from foreword.util.phrases import duration
from recipes.findings import page
from recipes.findings.lab import TFLOPS, Lab
from recipes.findings.studies import STUDIES

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 where something that was asked for is missing or refused."""
    args = _parser().parse_args(argv)
    seeds = tuple(args.seeds)
    lab = Lab(args.out, args.model, seeds, args.steps, args.limit, args.jobs, args.device)
    names = args.only or list(STUDIES)
    try:
        _price(lab, names) if args.dry_run else _carry_out(lab, names, args.page or _place(lab))
    except ForewordError as error:
        print(f"findings: {error}", file=sys.stderr)
        return 2
    missing = [model for name in names for model in STUDIES[name].models if not lab.there(model)]
    for model in dict.fromkeys(missing):
        print(f"findings: The model {model} is missing: it is not among those that foreword ships.", file=sys.stderr)
    return 2 if missing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipes.findings", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/findings"), help="folder of records and results")
    parser.add_argument("--page", type=Path, help="where the page is written (docs/findings.md; a smoke run's: OUT)")
    parser.add_argument("--only", type=_names, help=f"comma list of {', '.join(STUDIES)}")
    parser.add_argument("--seeds", type=_numbers, default=[], help="comma list (0,1,2; variance: 0,1,2,3,4)")
    parser.add_argument("--steps", type=int, default=Lab.steps, help=f"training steps of every trial ({Lab.steps})")
    parser.add_argument("--limit", type=int, help="at most so many examples of each split: a smoke run")
    parser.add_argument("--model", default="", help="one model in the place of every reference model: a smoke run")
    jobs = 1 if torch.cuda.is_available() else min(2, os.cpu_count() or 1)
    parser.add_argument("--jobs", type=int, default=jobs, help=f"trials run at once ({jobs} here)")
    parser.add_argument("--device", default="auto", help="as in foreword")
    parser.add_argument("--dry-run", action="store_true", help="count trials and tokens; run nothing")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in STUDIES]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no study '{unknown[0]}'; known: {', '.join(STUDIES)}")
    return names


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _place(lab: Lab) -> Path:
    return lab.out / "findings.md" if lab.limit or lab.model else PAGE


def _price(lab: Lab, names: Sequence[str]) -> None:
    all_estimates = []
    for name in names:
        study = STUDIES[name]
        first = study.first(lab)
        estimates = lab.price([*first, *study.then(lab, lab.finished(first))])
        all_estimates += estimates
        print(f"{name}: {summed(estimates)}")
    seconds = sum(estimate.tflop for estimate in all_estimates if not estimate.finished) / TFLOPS / lab.jobs
    print(f"all: {summed(all_estimates)}")
    print(f"About {duration(seconds)} on a CPU at {TFLOPS} TFLOP a second for each of {lab.jobs} jobs.")


def _carry_out(lab: Lab, names: Sequence[str], place: Path) -> None:
    for name in names:
        study = STUDIES[name]
        first = lab.records(name, study.first(lab))
        records = [*first, *lab.records(name, study.then(lab, first))]
        findings = study.findings(lab, records)
        page.keep(lab, name, findings, records)
        page.write(lab, place)
        for verdict in findings.verdicts:
            print(f"{name}: {str(verdict).replace('**', '')}")
    print(f"page: {place}")


if __name__ == "__main__":
    sys.exit(main())
