"""A batch that mixes 1, 4, 16 and 64 soft prompts beside the same rows behind one prompt, and beside PEFT switching adapters; it refuses
to print a time where a row's answer is not the one that its prompt gives it alone."""

from __future__ import annotations

import argparse
import contextlib
import functools
import statistics
import sys
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

COLUMNS = {
    "shape": "shape",
    "prompts": "prompts",
    "inputs": "rows",
    "seconds": "foreword (s)",
    "one_seconds": "one prompt (s)",
    "against_one": "against one",
    "peer_seconds": "PEFT (s)",
    "ratio": "ratio",
    "ratio_kept": "kept",
    "arithmetic": "arithmetic",
    "peer_differs": "PEFT differs",
}


@dataclass(frozen=True)
class Mixed:
    """Rows and whose they are: row i is asked behind prompt i mod N. model: PEFT's, with an adapter for each prompt."""

    backbone: Backbone
    prompts: Sequence[Tensor]
    rows: Sequence[Row]
    model: Any
    shape: str

    def owners(self, count: int) -> list[int]:
        """The prompt of each row."""
        return owners(count, self.rows)

    def softs(self, count: int) -> list[Tensor | None]:
        """The prompt's numbers [P, H] for each row."""
        return [self.prompts[owner] for owner in self.owners(count)]

    def mine(self, count: int) -> Answers:
        """foreword's answers, all rows in one batch; prompts run before are kept, as in any service."""
        return _answers.mine(self.backbone, self.softs(count), self.rows, len(self.rows))

    def theirs(self, count: int) -> Answers:
        """PEFT's: one adapter after the other is set and answers its rows."""
        return _answers.switching(self.model, self.owners(count), self.rows, len(self.rows))


def owners(count: int, rows: Sequence[Row]) -> list[int]:
    """Row i is asked behind prompt i mod N."""
    return [place % count for place in range(len(rows))]


def apart(shape: str, args: argparse.Namespace, prompts: Sequence[Tensor], rows: Sequence[Row]) -> _apart.Work:
    """PEFT's answers behind so many prompts, with a model of its own: one adapter after the other is set and answers its rows."""
    model = _answers.prompted(_answers.model(shape, args), prompts)
    return lambda count: _answers.switching(model, owners(count, rows), rows, len(rows))


def checked(mixed: Mixed, count: int, args: argparse.Namespace) -> dict[str, int]:
    """Answers of the mixed batch against those of PEFT to single rows, each with its own adapter set."""
    answers = mixed.mine(count)
    if count > 1 and answers == mixed.mine(1):
        sys.exit(f"{count} prompts: no answer depends on its prompt, so that nothing was checked; no time is printed.")
    places = list(range(0, len(mixed.rows), max(1, len(mixed.rows) // args.checked)))[: args.checked]
    owners, rows = [mixed.owners(count)[at] for at in places], [mixed.rows[at] for at in places]
    alone = _answers.switching(mixed.model, owners, rows, 1)
    softs = [mixed.softs(count)[at] for at in places]
    ties = _answers.check(f"{count} prompts", mixed.backbone, softs, rows, [answers[at] for at in places], alone)
    return {"checked": len(places), "ties": ties}


def measure(mixed: Mixed, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the table for one model."""
    rows: list[dict[str, Any]] = []
    for count in args.prompts:  # the check is foreword's warming up
        rows.append({"shape": mixed.shape, "prompts": count, "inputs": len(mixed.rows), **checked(mixed, count, args)})
    contenders: dict[str, Callable[[], Any]] = {"one": lambda: mixed.mine(1)}
    contenders |= {f"foreword {count}": functools.partial(mixed.mine, count) for count in args.prompts}
    if args.kept:
        contenders |= {f"kept {count}": functools.partial(mixed.theirs, count) for count in args.prompts}
    with contextlib.ExitStack() as stack:
        if not args.alone:
            peer = stack.enter_context(_apart.Apart(apart, mixed.shape, args, mixed.prompts, mixed.rows))
            for row in rows:
                peer_answers = peer(row["prompts"])  # PEFT's warming up
                row["peer_differs"] = _answers.differing(peer_answers, mixed.mine(row["prompts"]))
            contenders |= {f"PEFT {count}": functools.partial(peer, count) for count in args.prompts}
        spent = _run.alternate(contenders, args.repeats, warm=0, say=_run.speaker(args))
    return [row | _against_one(row["prompts"], spent) | _against_peer(mixed, row["prompts"], spent) for row in rows]


def _against_one(count: int, spent: _run.Times) -> dict[str, Any]:
    ours = f"foreword {count}"
    against = _run.ratios(spent, "one", ours)
    spread = {"foreword": spent[ours], "one": spent["one"], "against_one": against}
    return {
        "seconds": statistics.median(spent[ours]),
        "one_seconds": statistics.median(spent["one"]),
        "against_one": statistics.median(against),
        "spread": {name: _run.summary(values) for name, values in spread.items()},
    }


def _against_peer(mixed: Mixed, count: int, spent: _run.Times) -> dict[str, Any]:
    peer = f"PEFT {count}"
    if peer not in spent:
        return {}
    ratios = _run.ratios(spent, f"foreword {count}", peer)
    groups = [
        [row for row, own in zip(mixed.rows, mixed.owners(count), strict=True) if own == at] for at in range(count)
    ]
    groups = [group for group in groups if group]
    size = len(mixed.prompts[0])
    theirs = _answers.padded(mixed.backbone, size, groups)
    return {
        "peer_seconds": statistics.median(spent[peer]),
        "ratio": statistics.median(ratios),
        **_run.in_process_ratio(spent, f"foreword {count}", f"kept {count}"),
        "arithmetic": theirs / _answers.least(mixed.backbone, [], mixed.rows),
        "spread_of_peer": {"PEFT": _run.summary(spent[peer]), "ratio": _run.summary(ratios)},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """The whole table, or what the flags ask for."""
    parser = _run.parser(__doc__ or "")
    _answers.flags(parser, shapes=["small", "gpt2", "llama"], inputs=64, batch=64)
    parser.add_argument(
        "--prompts", type=int, nargs="+", default=[1, 4, 16, 64], help="prompts in one batch (1 4 16 64)"
    )
    parser.add_argument("--alone", action="store_true", help="leave PEFT's switching out of the rounds: it takes long")
    args = _run.parsed(parser, argv)
    if max(args.prompts) > args.inputs:
        parser.error(
            f"--prompts {max(args.prompts)} needs as many rows and --inputs is {args.inputs}; lower the one or raise the other"
        )
    rows: list[dict[str, Any]] = []
    for shape in args.shape:
        backbone = _answers.ready(shape, args)
        prompts = [_shapes.soft(backbone, args.prompt_length, seed=seed) for seed in range(max(args.prompts))]
        input_rows = _shapes.rows(args.inputs, args.lengths, backbone.vocab, seed=args.seed)
        mixed = Mixed(backbone, prompts, input_rows, _answers.prompted(backbone.model, prompts), shape)
        rows += measure(mixed, args)
    notes = {
        "ratio": _answers.APART,
        "against_one": "the mixed batch's time over that of the same rows behind one prompt; prompts were run before and are kept",
        "peer_differs": "answers that PEFT gives otherwise in its left-padded batches; the check compares with PEFT row by row",
        "arithmetic": "PEFT's FLOPs over the least with kept prompts, attention not counted",
    }
    _run.finish(args, "mixed", rows, COLUMNS, notes=notes)


if __name__ == "__main__":
    main()
