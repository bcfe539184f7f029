"""A Metric: statistics per example that add up, and a score from their sums. It knows nothing of models or tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreword.util.errors import ForewordError

Numbers = NDArray[np.float64]


def _runs() -> str:
    return ""


@dataclass(frozen=True)
class Metric:
    """One metric, higher is better, on a scale of 0 to 100 unless it is `of_set`.

    name: as the user writes it. best: what perfect answers score; infinite where that depends on the references. worst: the
    lower end of the scale. source: the paper or official tool it equals.
    statistics: outputs [N], references [N][r] -> [N, d], one row per example; rows add up over examples.
    References may differ in number from example to example; at least one each, else ForewordError.
    from_sums: [..., d] sums of rows -> [...] scores, of one sum or a whole bootstrap. No examples score 0.
    signature: version and options, to be kept with every score.
    alone: [N, d] -> [N], one example's own score, where it differs from `from_sums` of its row.
    labels: the only references it takes; empty where it takes any text.
    samples: some references of the form that it takes, where it takes neither any text nor a few labels.
    needs: facts of an example that it reads beside the references; its `statistics` takes them as a third argument.
    of_set: it weighs words by how rare they are among all the references it is given, so a row is right only for the set
    it was counted in, and the scale is the official tool's own.
    absence: the sentence that says why it cannot run here; empty where it can.
    """

    name: str
    best: float
    source: str
    statistics: Callable[..., Numbers]
    from_sums: Callable[[Numbers], Numbers]
    signature: Callable[[], str]
    alone: Callable[[Numbers], Numbers] | None = None
    labels: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    of_set: bool = False
    absence: Callable[[], str] = _runs
    worst: float = 0.0

    @property
    def width(self) -> float:
        """The largest difference that two scores can have."""
        return self.best - self.worst

    def numbers(
        self, outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]] = ()
    ) -> Numbers:
        """The statistics of any metric: outputs [N], references [N][r], facts [N] -> [N, d].

        Raises ForewordError when an example lacks a fact that the metric needs.
        """
        if not self.needs:
            return self.statistics(outputs, references)
        for position in range(len(outputs)):
            lacks = [fact for fact in self.needs if position >= len(facts) or fact not in facts[position]]
            if lacks:
                raise ForewordError(
                    f"The metric '{self.name}' reads the fact '{lacks[0]}' of every example, and example {position} "
                    "(counted from 0) has none; score this task with another metric."
                )
        return self.statistics(outputs, references, facts)

    def per_example(self, statistics: Numbers) -> Numbers:
        """Each example's own score: [N, d] -> [N]. Their mean is the whole's score only if the metric is a mean."""
        return (self.alone or self.from_sums)(statistics)

    def score(
        self, outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]] = ()
    ) -> float:
        """The score of a whole set: outputs [N], references [N][r], facts [N] -> 0..100."""
        return float(self.from_sums(self.numbers(outputs, references, facts).sum(axis=0)))


def pairs(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Iterator[tuple[str, Sequence[str]]]:
    """Each output with its references. Raises ForewordError when numbers differ or an example has none."""
    if len(outputs) != len(references):
        raise ForewordError(
            f"Scoring was asked for {len(outputs)} outputs and the references of {len(references)} examples; "
            "give each output its own."
        )
    for position, (output, accepted) in enumerate(zip(outputs, references, strict=True)):
        if isinstance(accepted, str) or not accepted:
            raise ForewordError(
                f"Output {position} (counted from 0) has {accepted!r} as its references; "
                "give a sequence of at least one text."
            )
        yield output, accepted


def divide(upper: Any, lower: Any) -> Numbers:
    """upper / lower, elementwise, and 0 where lower is 0."""
    upper, lower = np.asarray(upper, dtype=np.float64), np.asarray(lower, dtype=np.float64)
    defined = lower != 0
    return np.asarray(np.where(defined, upper / np.where(defined, lower, 1.0), 0.0))


def mean_metric(
    name: str,
    *,
    of: Callable[[str, str], float],
    source: str,
    signature: Callable[[], str],
    samples: tuple[str, ...] = (),
) -> Metric:
    """The mean over examples of the best `of(output, reference)`, which is in 0..1; d = 2: that number, and 1."""

    def statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
        return _counted(
            [max(of(output, reference) for reference in accepted) for output, accepted in pairs(outputs, references)]
        )

    return Metric(name, 100.0, source, statistics, _mean, signature, samples=samples)


def fact_metric(
    name: str,
    *,
    needs: tuple[str, ...],
    of: Callable[[str, str, Mapping[str, Any]], float],
    source: str,
    signature: Callable[[], str],
) -> Metric:
    """The mean over examples of the best `of(output, reference, facts)`, which is in 0..1; d = 2: that number, and 1."""

    def values(
        outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]]
    ) -> list[float]:
        rows = zip(pairs(outputs, references), facts, strict=True)
        return [max(of(output, reference, known) for reference in accepted) for (output, accepted), known in rows]

    return values_metric(name, needs=needs, values=values, source=source, signature=signature)


def values_metric(
    name: str,
    *,
    needs: tuple[str, ...],
    values: Callable[[Sequence[str], Sequence[Sequence[str]], Sequence[Mapping[str, Any]]], list[float]],
    source: str,
    signature: Callable[[], str],
) -> Metric:
    """The mean over examples of `values(outputs, references, facts)`, each in 0..1; d = 2: that number, and 1."""

    def statistics(
        outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]] = ()
    ) -> Numbers:
        return _counted(values(outputs, references, facts))

    return Metric(name, 100.0, source, statistics, _mean, signature, needs=needs)


def _counted(values: Sequence[float]) -> Numbers:
    return np.stack([np.array(values, dtype=np.float64), np.ones(len(values))], axis=1)


def _mean(sums: Numbers) -> Numbers:
    return 100.0 * divide(sums[..., 0], sums[..., 1])
