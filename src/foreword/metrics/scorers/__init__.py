"""The shelf of scorers: a file of cases to the scores of the official tools, one file per metric, or of any metric by its name; a missing
field is refused.

Each file NAME.py here scores the folder NAME of golden cases, with that folder's own keys and scales. It holds
    FIELDS    what each case must hold, `{"prediction": TEXT}` say
    score     (cases, folder) -> {"per_example": [{"id": ..., "out": {...}}, ...], "corpus": {...}}
where folder is the place of the cases, for files that stand beside them. `corpus` is the score of all cases given, as
one data set; a case on which the official tool stops has `{"error": NAME}` as its `out` and is left out of `corpus`.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

from foreword.metrics import METRICS as SHELF  # the shelf itself looks for a METRICS in every module
from foreword.metrics.own import in_file
from foreword.metrics.scorers import _by_metric
from foreword.metrics.scorers._cases import cases
from foreword.util.errors import unknown

__all__ = ["module", "names", "score"]


def names() -> list[str]:
    """The names on the shelf, from the file names alone; nothing is imported."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def module(name: str) -> ModuleType:
    """The scorer of that name; `-` and `_` are the same. Raises ForewordError with the nearest known name."""
    if _tidy(name) not in names():
        raise unknown("scorer", name, names())
    return importlib.import_module(f"{__name__}.{_tidy(name)}")


def _tidy(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def score(name: str, path: Path | str) -> dict[str, Any]:
    """The cases of a file, scored: `per_example`, a list of `{id, out}`, and `corpus`. name: of a scorer, else of a metric, which may be a
    function of a user's file, as the user wrote it: the file is run.

    Raises ForewordError: an unknown name; a file, line or field that cannot be read; a side file that is not there.
    """
    path = Path(path)
    if _tidy(name) in names():
        scorer = module(name)
        scores: dict[str, Any] = scorer.score(cases(path, scorer.FIELDS), path.parent)
        return scores
    if name in SHELF or in_file(name):
        return _by_metric.score(name, path)
    raise unknown("metric", name, {*names(), *SHELF})
