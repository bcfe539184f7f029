"""Executors run the units of a study: in this process, in several, or on a Ray cluster; they refuse to know what a unit does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from foreword.study.executors.base import Job, Watch
from foreword.study.executors.cluster import on_cluster
from foreword.study.executors.inline import inline
from foreword.study.executors.processes import processes

__all__ = ["EXECUTORS", "Job", "Watch"]

EXECUTORS: Mapping[str, Callable[[Job, Watch], None]] = MappingProxyType(
    {"inline": inline, "processes": processes, "ray": on_cluster}
)
