"""The shelf of metrics: every file here that defines METRICS. Scoring libraries are imported only when a metric needs them."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from foreword.util.errors import unknown

if TYPE_CHECKING:
    from foreword.metrics.base import Metric

__all__ = ["METRICS", "Metric", "metric"]


@functools.cache
def _shelf() -> Mapping[str, Metric]:
    metrics: dict[str, Metric] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        for metric in getattr(importlib.import_module(f"{__name__}.{module}"), "METRICS", ()):
            if metric.name in metrics:
                raise ValueError(f"Two metrics are called '{metric.name}'; the second is in metrics/{module}.py.")
            metrics[metric.name] = metric
    return MappingProxyType(dict(sorted(metrics.items())))


class _Shelf(Mapping[str, "Metric"]):
    """Names to Metrics, in the order of their names; the files are read at the first look."""

    def __getitem__(self, name: str) -> Metric:
        return _shelf()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_shelf())

    def __len__(self) -> int:
        return len(_shelf())


METRICS: Mapping[str, Metric] = _Shelf()


def __getattr__(name: str) -> Any:
    """`Metric`, read when it is first asked for, so that naming metrics loads no numpy."""
    if name == "Metric":
        return importlib.import_module(f"{__name__}.base").Metric
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def metric(name: str) -> Metric:
    """The metric of that name. Raises ForewordError with the nearest known name."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
