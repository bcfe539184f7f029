"""Evaluation: greedy answers to 500 inputs behind a soft prompt beside PEFT's generate, and behind three fixed demonstrations beside
transformers' generate; it refuses to print a time where the answers differ."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import _answers
import _apart
import _run
import _shapes
from _answers import Answers
from torch import Tensor

from foreword.engine import Backbone, Row

SHOTS = 3
COLUMNS = {
    "shape": "shape",
    "before": "before the input",
    "inputs": "inputs",
    "seconds": "foreword (s)",
    "peer": "peer",
    "peer_seconds": "peer (s)",
    "ratio": "ratio",
    "ratio_kept": "kept",
    "arithmetic": "arithmetic",
    "peer_differs": "peer differs in batches",
}


@dataclass(frozen=True)
class Case:
    """One evaluation. soft: [P, H] or None. model: the peer's. make: makes its model in a process of its own."""

    before: str
    peer: str
    backbone: Backbone
    soft: Tensor | None
    rows: Sequence[Row]
    model: Any
    make: Callable[..., _apart.Work]


def soft_prompt(backbone: Backbone, args: argparse.Namespace) -> Case:
    """Behind a soft prompt; the peer is PEFT."""
    rows = _answers.rows_of(backbone, args, args.inputs, args.seed)
    soft = _shapes.soft(backbone, args.prompt_length, seed=args.seed)
    model = _answers.prompted(backbone.model, [soft])
    return Case(f"soft prompt of {args.prompt_length}", "PEFT", backbone, soft, rows, model, peft_apart)


def demonstrations(backbone: Backbone, args: argparse.Namespace) -> Case:
    """Behind the text of the same demonstrations for every input; the peer is transformers."""
    shown = _answers.rows_of(backbone, args, SHOTS, args.seed + 1)
    prefix = tuple(token for row in shown for token in row.own + row.answer)
    rows = _answers.rows_of(backbone, args, args.inputs, args.seed, prefix)
    before = f"{SHOTS} demonstrations of {len(prefix)}"
    return Case(before, "transformers", backbone, None, rows, backbone.model, transformers_apart)


def peft_apart(shape: str, args: argparse.Namespace, soft: Tensor, rows: Sequence[Row]) -> _apart.Work:
    """PEFT's answers in batches, with a model of its own."""
    model = _answers.prompted(_answers.model(shape, args), [soft])
    return lambda: _answers.theirs(model, rows, args.batch)


def transformers_apart(shape: str, args: argparse.Namespace, soft: None, rows: Sequence[Row]) -> _apart.Work:
    """transformers' answers in batches, with a model of its own."""
    model = _answers.model(shape, args)
    return lambda: _answers.theirs(model, rows, args.batch)


CASES = {"soft": soft_prompt, "demonstrations": demonstrations}


def answered(case: Case, batch: int) -> Answers:
    """foreword's answers; nothing is kept from an earlier round."""
    case.backbone.forget()
    return _answers.mine(case.backbone, [case.soft] * len(case.rows), case.rows, batch)


def checked(case: Case, args: argparse.Namespace, together: Answers) -> dict[str, int]:
    """Answers in batches against the peer's to single rows, where nothing is padded; and how many the peer changes in its batches."""
    answers = answered(case, args.batch)
    step = max(1, len(case.rows) // args.checked)
    places = list(range(0, len(case.rows), step))[: args.checked]
    some = [case.rows[place] for place in places]
    alone = _answers.theirs(case.model, some, 1)
    ties = _answers.check(
        case.before, case.backbone, [case.soft] * len(some), some, [answers[at] for at in places], alone
    )
    return {"checked": len(some), "ties": ties, "peer_differs": _answers.differing(together, answers)}


def measure(shape: str, case: Case, args: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    contenders: dict[str, Callable[[], Any]] = {"foreword": lambda: answered(case, args.batch)}
    if args.kept:
        contenders["kept"] = lambda: _answers.theirs(case.model, case.rows, args.batch)
    with _apart.Apart(case.make, shape, args, case.soft, case.rows) as peer:
        row: dict[str, Any] = {"shape": shape, "before": case.before, "peer": case.peer, "inputs": len(case.rows)}
        row |= checked(case, args, peer())  # the warming up, too
        contenders[case.peer] = peer
        spent = _run.alternate(contenders, args.repeats, warm=0, say=_run.speaker(args))
    ratios = _run.ratios(spent, "foreword", case.peer)
    size = 0 if case.soft is None else len(case.soft)
    least = _answers.least(case.backbone, [size + len(case.rows[0].prefix)], case.rows)
    return row | {
        "seconds": statistics.median(spent["foreword"]),
        "peer_seconds": statistics.median(spent[case.peer]),
        "ratio": statistics.median(ratios),
        **_run.in_process_ratio(spent, "foreword", "kept"),
        "arithmetic": _answers.padded(case.backbone, size, _answers.in_order(case.rows, args.batch)) / least,
        "gflops_a_second": least / statistics.median(spent["foreword"]) / 1e9,
        "spread": {name: _run.summary(values) for name, values in {**spent, "ratio": ratios}.items()},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """The whole table, or what the flags ask for."""
    parser = _run.parser(__doc__ or "")
    _answers.flags(parser, shapes=["small", "gpt2", "llama"], inputs=500, batch=128)
    parser.add_argument("--before", nargs="+", choices=CASES, default=list(CASES), help="what stands before an input")
    args = _run.parsed(parser, argv)
    rows = []
    for shape in [args.model] if args.model else args.shape:
        backbone = _answers.ready(shape, args)
        rows += [measure(shape, CASES[before](backbone, args), args) for before in args.before]
    notes = {
        "ratio": _answers.APART,
        "peer_differs": "answers that the peer gives otherwise in its left-padded batches than foreword; the check compares with the peer "
        "answering row by row",
        "ties": "checked answers that part where two tokens are equally likely up to rounding",
        "arithmetic": "the peer's FLOPs over the least, attention not counted",
    }
    _run.finish(args, "generate", rows, COLUMNS, notes=notes)


if __name__ == "__main__":
    main()
