"""A summary as one JSON document of plain values; a number that is not finite becomes null."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from foreword.results.rows import Summary


def as_json(summary: Summary, report_path: str) -> dict[str, Any]:
    """The one document of `compare --json`: plain JSON values only; a number that is not finite becomes null. A method that chance
    does not touch ran once; that one score stands for every seed, and its `seeds` say so."""
    every = sorted({seed for row in summary.rows for seed in row.seeds})
    whole = {
        "task": summary.task,
        "backbone": summary.backbone,
        "metric": summary.metric,
        "examples": summary.examples,
        "clusters": None
        if summary.clusters is None
        else {"count": summary.clusters.count, "by": summary.clusters.kind},
        "subsets": summary.subsets,
        "rows": [asdict(row) | {"seeds": every if row.deterministic else row.seeds} for row in summary.rows],
        "recommended": summary.recommendation.method or None,
        "reason": summary.recommendation.reason,
        "tied": list(summary.recommendation.tied),
        "probability_best": summary.recommendation.probability,
        "margin": summary.recommendation.margin,
        "baselines": [asdict(baseline) for baseline in summary.baselines],
        "sizes": summary.sizes,
        "folds": summary.folds,
        "labels": list(summary.labels),
        "answers": summary.recommendation.amortize_over,
        "failed": [asdict(failure) for failure in summary.failures],
        "comparisons": [asdict(comparison) for comparison in summary.comparisons],
        "report": str(report_path),
        "command": "" if summary.invocation is None else summary.invocation.command,
        "next_command": "" if summary.invocation is None else summary.invocation.next_command,
        "trials": {} if summary.invocation is None else summary.invocation.trials,
        "prompts": {} if summary.invocation is None else summary.invocation.prompts,
        "versions": summary.versions,
        "hardware": summary.hardware,
        "fingerprints": summary.fingerprints,
        "metric_signatures": summary.signatures,
        "notes": list(summary.notes),
    }
    plain: dict[str, Any] = _plain(whole)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
