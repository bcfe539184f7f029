"""The scores of one record with their intervals, as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

from foreword.metrics import metric
from foreword.results.clusters import described
from foreword.results.collected import subsets
from foreword.results.record import Record
from foreword.results.remarks import cut
from foreword.results.stats import interval, samples


def scored(record: Record) -> dict[str, Any]:
    """A record's scores as plain values: each metric's score, and for the deciding one its 95% interval over examples, or clusters of them,
    which speaks of the prompt at hand where another seed would give another."""
    measure = metric(record.primary)
    numbers = np.array([[answer.statistics[record.primary] for answer in record.answers]], dtype=float)  # [1, N, d]
    clusters = [answer.cluster for answer in record.answers]
    together = described(clusters)
    (sample,) = samples([numbers], measure.from_sums, [record.deterministic], clusters)
    low, high = interval(sample, lowest=measure.worst, highest=measure.best)
    intervals = {record.primary: [low, high]}
    parts = {
        name: {"examples": len(places), "score": float(measure.from_sums(numbers[0, places].sum(axis=0)))}
        for name, places in subsets(record).items()
    }
    limit = record.spec.get("max_new_tokens")
    first = sorted(
        record.scores, key=lambda name: name != record.primary
    )  # the deciding metric, then the others as they come
    return {
        "method": record.label,
        "task": record.task,
        "backbone": record.backbone,
        "examples": len(record.answers),
        "clusters": None if together is None else {"count": together.count, "by": together.kind},
        "metrics": {name: {"score": record.scores[name], "ci95": intervals.get(name)} for name in first},
        "subsets": parts,
        "interval_of": "method" if record.deterministic else "prompt",
        "seconds_per_answer": record.costs.seconds_per_answer,
        "prefix_tokens": record.costs.prefix_tokens,
        "dropped_demonstrations": record.dropped_demonstrations,
        "cut_answers": record.cut_answers,
        "notes": [
            *([] if together is None else [together.sentence()]),
            *record.notes,
            *([cut(record.cut_answers, len(record.answers), limit)] if record.cut_answers else []),
        ],
    }
