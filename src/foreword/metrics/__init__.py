"""The shelf of metrics: every file here that holds METRICS, those of other packages, and the user's own files; no scoring library is
loaded unasked."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from foreword.util.plugins import Plugin, Shelf, own_items

if TYPE_CHECKING:
    from foreword.metrics.base import Metric

__all__ = ["METRICS", "Metric", "foreign", "metric", "read_named"]


@functools.cache
def _files() -> Mapping[str, Metric]:
    entries = own_items(__name__, __path__, "metric", lambda module: getattr(module, "METRICS", ()))
    return MappingProxyType(dict(sorted(entries.items())))


def _accept(brought: Any, plugin: Plugin) -> Metric:
    own = importlib.import_module(f"{__name__}.own")
    entry: Metric | None = own.as_metric(brought, plugin.point.name, plugin.identity)
    if entry is None:
        raise plugin.fault("is neither a foreword.metrics.Metric nor a function of an output and its references")
    return entry


METRICS: Shelf[Metric] = Shelf("metric", lambda: _files(), lambda name: _files()[name], _accept)


def __getattr__(name: str) -> Any:
    """`Metric`, read when it is first asked for, so that naming metrics loads no numpy."""
    if name == "Metric":
        return importlib.import_module(f"{__name__}.base").Metric
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def metric(name: str) -> Metric:
    """The metric of that name; of a user's file, once `read_named` has read it. Raises ForewordError with the nearest known name."""
    if ".py" in name:
        own = importlib.import_module(f"{__name__}.own")
        if own.in_file(name):
            entry: Metric = own.read_before(name)
            return entry
    return METRICS.named(name)


def foreign(name: str) -> bool:
    """Whether a metric is a function of a user's file, or another package's."""
    in_file: bool = ".py" in name and importlib.import_module(f"{__name__}.own").in_file(name)
    return in_file or METRICS.plugin(name) is not None


def read_named(names: Iterable[str]) -> None:
    """Read the metrics that the user names, each of which may be a function of a Python file of theirs, `my_metric.py:score`: the file is
    run. No other names than those that the user wrote may be given. Raises ForewordError for an unknown name, and for a file that cannot
    be run or holds no such function."""
    own = importlib.import_module(f"{__name__}.own")
    for name in names:
        if own.in_file(name):
            own.read(name)
        else:
            METRICS.named(name)
