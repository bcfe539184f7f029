"""WebNLG 2017's evaluation: prepared texts, multi-bleu -lc over the first three references, METEOR.

Both sides are written in ASCII (Unidecode), lower-cased and split at every character that is no letter, digit or
underscore. Of up to eight references the first three count; a missing one is an empty line. TER is not given: no
library here equals tercom.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.metrics import METRICS
from foreword.metrics.multibleu import COLUMNS, padded
from foreword.metrics.multibleu import webnlg_text as prepared
from foreword.metrics.scorers._cases import TEXT, TEXTS, Case
from foreword.metrics.scorers.dart import printed, with_meteor

FIELDS = {"references": TEXTS, "prediction": TEXT}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """multi_bleu_lc of every case as a corpus of one line, and over all; METEOR of both where it can run."""
    outputs = [prepared(case["prediction"]) for case in cases]
    references = [padded([prepared(text) for text in case["references"][:COLUMNS]]) for case in cases]
    rows = METRICS["multi_bleu_lc"].statistics(outputs, references)
    outs: list[dict[str, Any]] = [{"multi_bleu_lc": printed("multi_bleu_lc", sums)} for sums in rows]
    whole: dict[str, Any] = {"multi_bleu_lc": printed("multi_bleu_lc", rows.sum(axis=0))}
    return with_meteor(cases, outputs, references, outs, whole)
