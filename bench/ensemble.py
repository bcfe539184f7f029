"""An ensemble of five soft prompts that answers in batches which mix them, beside five separate passes of foreword and of PEFT; it
refuses to print a time where the members' answers differ."""

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

COLUMNS = {
    "shape": "shape",
    "members": "members",
    "inputs": "inputs",
    "batch": "batch",
    "seconds": "together (s)",
    "apart_seconds": "apart (s)",
    "ratio": "ratio",
    "peer_seconds": "PEFT (s)",
    "peer_ratio": "PEFT ratio",
    "ratio_kept": "kept",
    "peer_arithmetic": "PEFT arithmetic",
}


@dataclass(frozen=True)
class Ensemble:
    """Members [P, H] that each answer all rows, `batch` inputs at a time. model: PEFT's, with an adapter for each member."""

    backbone: Backbone
    members: Sequence[Tensor]
    rows: Sequence[Row]
    batch: int
    model: Any

    def together(self) -> Answers:
        """Every member's answers, members mixed in a batch; nothing is kept from an earlier round."""
        self.backbone.forget()
        softs = [member for member in self.members for _ in self.rows]
        return _answers.mine(self.backbone, softs, [*self.rows] * len(self.members), self.batch * len(self.members))

    def apart(self) -> Answers:
        """The same, one member after the other."""
        self.backbone.forget()
        passes = [
            _answers.mine(self.backbone, [member] * len(self.rows), self.rows, self.batch) for member in self.members
        ]
        return [answer for answers in passes for answer in answers]

    def theirs(self, rows: Sequence[Row], batch: int) -> Answers:
        """PEFT's: one adapter after the other is set and answers the rows."""
        owners = [member for member in range(len(self.members)) for _ in rows]
        return _answers.switching(self.model, owners, [*rows] * len(self.members), batch)


def checked(ensemble: Ensemble, args: argparse.Namespace, batches: Answers) -> dict[str, int]:
    """Answers of the mixed batches against those of separate passes, and against PEFT's to single rows."""
    answers, size = ensemble.together(), len(ensemble.rows)
    softs = [member for member in ensemble.members for _ in ensemble.rows]
    every = [*ensemble.rows] * len(ensemble.members)
    ties = _answers.check("separate passes", ensemble.backbone, softs, every, answers, ensemble.apart())
    some = list(range(min(size, max(1, args.checked // len(ensemble.members)))))
    places = [member * size + place for member in range(len(ensemble.members)) for place in some]
    alone = ensemble.theirs([ensemble.rows[place] for place in some], 1)
    chosen = [softs[at] for at in places], [every[at] for at in places], [answers[at] for at in places]
    ties += _answers.check("PEFT", ensemble.backbone, *chosen, alone)
    return {"checked": len(every) + len(places), "ties": ties, "peer_differs": _answers.differing(batches, answers)}


def peft_apart(shape: str, args: argparse.Namespace, members: Sequence[Tensor], rows: Sequence[Row]) -> _apart.Work:
    """PEFT's answers of every member in batches, with a model of its own."""
    model = _answers.prompted(_answers.model(shape, args), members)
    owners = [member for member in range(len(members)) for _ in rows]
    return lambda: _answers.switching(model, owners, [*rows] * len(members), args.batch)


def measure(shape: str, ensemble: Ensemble, args: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    contenders: dict[str, Callable[[], Any]] = {"together": ensemble.together, "apart": ensemble.apart}
    if args.kept:
        contenders["kept"] = lambda: ensemble.theirs(ensemble.rows, ensemble.batch)
    with _apart.Apart(peft_apart, shape, args, ensemble.members, ensemble.rows) as peft:
        row: dict[str, Any] = {
            "shape": shape,
            "members": len(ensemble.members),
            "inputs": len(ensemble.rows),
            "batch": ensemble.batch,
            **checked(ensemble, args, peft()),  # the warming up, too
        }
        contenders["PEFT"] = peft
        spent = _run.alternate(contenders, args.repeats, warm=0, say=_run.speaker(args))
    ratios, peer = _run.ratios(spent, "together", "apart"), _run.ratios(spent, "together", "PEFT")
    size = len(ensemble.members[0])
    theirs = _answers.padded(ensemble.backbone, size, _answers.in_order(ensemble.rows, ensemble.batch))
    return row | {
        "seconds": statistics.median(spent["together"]),
        "apart_seconds": statistics.median(spent["apart"]),
        "peer_seconds": statistics.median(spent["PEFT"]),
        "ratio": statistics.median(ratios),
        "peer_ratio": statistics.median(peer),
        **_run.in_process_ratio(spent, "together", "kept"),
        "peer_arithmetic": theirs / _answers.least(ensemble.backbone, [size], ensemble.rows),
        "spread": {
            name: _run.summary(values) for name, values in {**spent, "ratio": ratios, "peer_ratio": peer}.items()
        },
    }


def main(argv: Sequence[str] | None = None) -> None:
    """The whole table, or what the flags ask for."""
    parser = _run.parser(__doc__ or "")
    _answers.flags(parser, shapes=["small", "gpt2", "llama"], inputs=64, batch=8)
    parser.add_argument("--members", type=int, default=5, help="soft prompts of the ensemble (5)")
    args = _run.parsed(parser, argv)
    rows = []
    for shape in args.shape:
        backbone = _answers.ready(shape, args)
        members = [_shapes.soft(backbone, args.prompt_length, seed=seed) for seed in range(args.members)]
        input_rows = _shapes.rows(args.inputs, args.lengths, backbone.vocab, seed=args.seed)
        ensemble = Ensemble(backbone, members, input_rows, args.batch, _answers.prompted(backbone.model, members))
        rows.append(measure(shape, ensemble, args))
    notes = {
        "batch": "inputs at a time, each with all members where they answer together",
        "ratio": "foreword's separate passes over its mixed batches: the arithmetic of both is the same",
        "peer_ratio": _answers.APART,
        "peer_arithmetic": "PEFT's FLOPs over the least, attention not counted",
    }
    _run.finish(args, "ensemble", rows, COLUMNS, notes=notes)


if __name__ == "__main__":
    main()
