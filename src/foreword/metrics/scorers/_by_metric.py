"""Any metric of the shelf, or of a user's file, over cases that hold an output and its targets; it refuses a case that lacks a fact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreword.metrics import metric, read_named
from foreword.metrics.scorers._cases import TEXT, TEXTS, Case, Kind, cases
from foreword.metrics.scores import rehearsed, scorable
from foreword.util.errors import ForewordError

ANY: Kind = ("what the metric reads", lambda value: True)
FACTS: dict[str, Kind] = {"group": TEXT, "database_path": TEXT}  # facts whose kind no metric checks by itself
TARGETS = ("target (a text) or targets (a list of texts)",)
REHEARSED = 50  # cases on whose targets a user's own metric is tried first


def score(name: str, path: Path) -> dict[str, Any]:
    """The metric of each case alone, and of all cases as one set, on the metric's own scale. name: as `foreword.metrics.read_named` takes
    it, of a file of the user's too, which is run. A path in a case is read from the folder of the cases."""
    read_named([name])
    measure = metric(name)
    if absence := measure.absence():
        raise ForewordError(f"The metric '{name}' cannot run here: {absence}")
    needs = {fact: FACTS.get(fact, ANY) for fact in measure.needs}
    known = cases(path, {"output": TEXT, **needs}, others=TARGETS)
    references = [_targets(case) for case in known]
    facts = [{fact: _placed(fact, case[fact], path.parent) for fact in needs} for case in known]
    scorable([name], references, facts)
    rehearsed([name], references[:REHEARSED], facts[:REHEARSED])
    numbers = measure.numbers([case["output"] for case in known], references, facts)
    own = measure.per_example(numbers)
    return {
        "per_example": [{"id": case.id, "out": {name: float(value)}} for case, value in zip(known, own, strict=True)],
        "corpus": {name: float(measure.from_sums(numbers.sum(axis=0)))},
        "signature": measure.signature(),
    }


def _targets(case: Case) -> list[str]:
    """The accepted answers of a case, the target first where it has both."""
    if "target" not in case and "targets" not in case:
        raise case.refusal(
            "target", "there is no such field", "write the answer there, or several as a list in 'targets'"
        )
    case.checked({field: kind for field, kind in (("target", TEXT), ("targets", TEXTS)) if field in case})
    return list(dict.fromkeys([*([case["target"]] if "target" in case else []), *case.get("targets", ())]))


def _placed(fact: str, value: Any, folder: Path) -> Any:
    return str(folder / value) if fact.endswith("_path") else value
