"""METEOR 1.5 by its own Java program, which the extra `coco` installs; without Java the metric is refused, not approximated.

The program aligns an output with each of its references and gives counts of the best; counts add up over examples, and the
score of their sum is the program's own score of the whole set, which is no mean.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from foreword.metrics.base import Metric, Numbers, divide, pairs
from foreword.metrics.multibleu import COLUMNS, dart_text, webnlg_absence, webnlg_text
from foreword.metrics.ptb import tokenised
from foreword.util.errors import ForewordError, MissingExtraError

COUNTS = 23  # numbers that the program gives of one output
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75  # the program's parameters for English
STAGES = (1.0, 0.6, 0.8, 0.6)  # weights of exact words, stems, synonyms, paraphrases
_MARK = "|||"
_SPACE = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


def here() -> bool:
    """Whether METEOR can run: its program is installed and Java is on the path."""
    return not absence()


def absence() -> str:
    """The sentence to show where METEOR cannot run; empty where it can."""
    if _jar() is None:
        return str(MissingExtraError("METEOR", "coco"))
    if shutil.which("java") is None:
        return "METEOR needs Java, and there is no `java` on the path; install a Java runtime, version 8 or later."
    return ""


def note() -> dict[str, list[str]]:
    """`{"absent": [sentence]}` for a report that would hold METEOR, where it cannot run; else nothing."""
    return {} if here() else {"absent": [absence()]}


def counts(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    """[N, 23]: what the program counts of each output against the reference that it scores best, of equals the first.

    Lengths and function words of both; for each stage the matched content and function words of both; chunks; all matched
    words of both. An output that matches as one chunk from end to end counts as none, as when the program adds counts up. It
    tokenises and lower-cases (`-l en -norm`). Raises ForewordError where it cannot run or fails.
    """
    rows = list(pairs(outputs, references))
    if not here():
        raise ForewordError(absence())
    if not rows:
        return np.zeros((0, COUNTS))
    lines = [f" {_MARK} ".join(["SCORE", *map(_plain, accepted), _plain(output)]) for output, accepted in rows]
    jar, java = _jar(), shutil.which("java")
    done = subprocess.run(
        [str(java), "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    rows_counted = [line.split() for line in done.stdout.splitlines()]
    if done.returncode or len(rows_counted) != len(rows) or any(len(row) != COUNTS for row in rows_counted):
        message = (done.stderr or done.stdout).strip().splitlines()
        raise ForewordError(
            f"METEOR's program stopped after {len(rows_counted)} of {len(rows)} outputs, saying "
            f"'{message[-1] if message else 'nothing'}'; run `java -jar {jar}` to see why."
        )
    counted = np.array(rows_counted, dtype=np.float64)
    counted[(counted[:, 0] == counted[:, 21]) & (counted[:, 1] == counted[:, 22]) & (counted[:, 20] == 1), 20] = 0.0
    return counted


def score(sums: Numbers) -> Numbers:
    """[..., 23] -> [...]: METEOR of such counts or of their sums, 0..1."""
    sums = np.asarray(sums, dtype=np.float64)
    chunks, matched = sums[..., 20], sums[..., 21] + sums[..., 22]
    precision, recall = (_share(sums, side) for side in (0, 1))
    mean = divide(precision * recall, ALPHA * precision + (1 - ALPHA) * recall)
    return np.asarray(mean * (1.0 - GAMMA * divide(chunks, matched / 2) ** BETA))


def _share(sums: Numbers, side: int) -> Numbers:
    """Matched words of the outputs (side 0) or the references (side 1), weighed, over all of that side."""
    length, function = sums[..., side], sums[..., 2 + side]
    matched = np.zeros(sums.shape[:-1])
    for stage, weight in enumerate(STAGES):
        content, other = (sums[..., 4 + 4 * stage + 2 * kind + side] for kind in (0, 1))
        matched = matched + weight * (DELTA * content + (1 - DELTA) * other)
    return divide(matched, DELTA * (length - function) + (1 - DELTA) * function)


def _jar() -> Path | None:
    spec = importlib.util.find_spec("pycocoevalcap")
    for place in (spec.submodule_search_locations or []) if spec else []:
        jar = Path(place, "meteor", "meteor-1.5.jar")
        if jar.is_file():
            return jar
    return None


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).replace(_MARK, " | | | ")


def _metric(
    name: str,
    prepare: Callable[[str], str],
    how: str,
    source: str = "",
    *,
    most: int | None = None,
    also: Callable[[], str] = str,
) -> Metric:
    """prepare: what is done to every text first. most: references that are read. also: why that cannot be done here."""

    def statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
        rows = [
            (prepare(output), [prepare(text) for text in accepted[:most]])
            for output, accepted in pairs(outputs, references)
        ]
        return counts([output for output, _ in rows], [accepted for _, accepted in rows])

    return Metric(
        name=name,
        best=100.0,
        source=f"Denkowski and Lavie 2014, METEOR 1.5 by its own program{source}.",
        statistics=statistics,
        from_sums=lambda sums: 100.0 * score(sums),
        signature=lambda: f"{name}|meteor:1.5|l:en|norm|{how}",
        absence=lambda: absence() or also(),
    )


def _coco(text: str) -> str:
    return tokenised([text])[0]


METRICS = (
    _metric("meteor", str, "refs:best"),
    _metric("meteor_coco", _coco, "tok:ptb-3.4.1,lower,no-punctuation|refs:best", ", as the COCO caption code runs it"),
    _metric("dart_meteor", dart_text, "tok:non-word|refs:first-3", ", on texts as in DART's files", most=COLUMNS),
    _metric(
        "webnlg_meteor",
        webnlg_text,
        "tok:unidecode,non-word|refs:first-3",
        ", as WebNLG 2017's script runs it",
        most=COLUMNS,
        also=webnlg_absence,
    ),
)
