"""A session whose rows make room for the next as they end, against whole batches that start together (rows leave as they end, or stay until
all have ended, as is common), on answers with lengths like E2E's: the same answers, processor time and passes, in alternation."""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import _run
import _shapes

from foreword.engine import Backbone, Prefix, Request, Row

# Words of an E2E reference: mean 20, standard deviation 8 (Novikova et al. 2017, table 2, over the training set); some 1.3 tokens a word.
MEAN, SPREAD, LEAST, MOST = 26, 10, 4, 70
COLUMNS = {
    "shape": "shape",
    "batch": "rows at once",
    "requests": "requests",
    "passes_admitting": "passes",
    "passes_whole": "whole: passes",
    "seconds_admitting": "CPU s",
    "seconds_whole": "whole: CPU s",
    "seconds_staying": "rows stay: CPU s",
    "ratio": "ratio",
    "ratio_staying": "rows stay: ratio",
}


def requests(backbone: Backbone, count: int, prompt: int, seed: int) -> list[Request]:
    """Rows of E2E's input lengths, each ended after as many tokens as were drawn for it."""
    rng = random.Random(f"admission/{seed}")
    soft = Prefix.of(_shapes.soft(backbone, prompt)) if prompt else None
    requests = []
    for index in range(count):
        size = min(MOST, max(LEAST, round(rng.gauss(MEAN, SPREAD))))
        own = _shapes.ids(rng.randint(20, 50), backbone.vocab, f"{seed}/own/{index}")
        requests.append(Request(Row((), own), soft, size, ended=lambda _: False))
    return requests


def admitting(backbone: Backbone, requests: Sequence[Request], batch: int) -> tuple[list[list[int]], int]:
    """Answers, and passes of the model."""
    session = backbone.session(max_rows=batch)
    numbers = session.admit(requests)
    answers: dict[int, list[int]] = {number: [] for number in numbers}
    passes = 0
    while len(session):
        for generated in session.step():
            answers[generated.id].append(generated.token)
        passes += 1
    return [answers[number] for number in numbers], passes


def whole(backbone: Backbone, requests: Sequence[Request], batch: int) -> tuple[list[list[int]], int]:
    """The same in batches that start together; rows that end leave, and the next batch waits for the last one's end."""
    answers: list[list[int]] = []
    passes = 0
    for first in range(0, len(requests), batch):
        part, count = admitting(backbone, requests[first : first + batch], batch)
        answers += part
        passes += count
    return answers, passes


def staying(backbone: Backbone, requests: Sequence[Request], batch: int) -> tuple[list[list[int]], int]:
    """The same with every row computed until its batch's longest answer ends."""
    answers: list[list[int]] = []
    passes = 0
    for first in range(0, len(requests), batch):
        part = requests[first : first + batch]
        longest = max(request.max_new_tokens for request in part)
        full_answers, count = admitting(backbone, [replace(request, max_new_tokens=longest) for request in part], batch)
        answers += [ids[: request.max_new_tokens] for ids, request in zip(full_answers, part, strict=True)]
        passes += count
    return answers, passes


def measure(shape: str, backbone: Backbone, batch: int, args: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    drawn_requests = requests(backbone, args.requests, args.prompt_length, args.seed)
    answers, passes = admitting(backbone, drawn_requests, batch)
    others, others_passes = whole(backbone, drawn_requests, batch)
    if answers != others or answers != staying(backbone, drawn_requests, batch)[0]:
        raise SystemExit("The answers of the two differ; nothing is printed.")
    spent: dict[str, list[float]] = {"admitting": [], "whole": [], "staying": []}
    for _ in range(args.repeats):
        for name, work in (("admitting", admitting), ("whole", whole), ("staying", staying)):
            begun = time.process_time()
            work(backbone, drawn_requests, batch)
            spent[name].append(time.process_time() - begun)
    return {
        "shape": shape,
        "batch": batch,
        "requests": len(drawn_requests),
        "passes_admitting": passes,
        "passes_whole": others_passes,
        "seconds_admitting": statistics.median(spent["admitting"]),
        "seconds_whole": statistics.median(spent["whole"]),
        "seconds_staying": statistics.median(spent["staying"]),
        "ratio": _ratio(spent, "whole"),
        "ratio_staying": _ratio(spent, "staying"),
    }


def _ratio(spent: dict[str, list[float]], peer: str) -> float:
    return statistics.median(theirs / ours for ours, theirs in zip(spent["admitting"], spent[peer], strict=True))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, or the JSON document."""
    parser = _run.parser(__doc__ or "", repeats=3)
    parser.add_argument("--shape", nargs="+", choices=list(_shapes.SHAPES), default=["small", "gpt2"])
    parser.add_argument("--batch", nargs="+", type=int, default=[4, 8, 16, 32], help="rows at once")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--prompt-length", type=int, default=100, help="P, 0 for none")
    args = _run.parsed(parser, argv)
    rows = []
    for shape in args.shape:
        backbone = _shapes.backbone(shape, seed=args.seed)
        for batch in args.batch:
            rows.append(measure(shape, backbone, batch, args))
            print(rows[-1], file=sys.stderr, flush=True)
    _run.finish(args, "admission", rows, COLUMNS)


if __name__ == "__main__":
    main()
