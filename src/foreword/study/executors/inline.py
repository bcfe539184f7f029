"""Runs a study in this process, one unit after the other; beside it other processes may run the same."""

from __future__ import annotations

from foreword.study.executors.base import Job, Watch, work
from foreword.util.progress import Progress, silent


def inline(job: Job, watch: Watch, progress: Progress = silent) -> None:
    """Run what is left."""
    work(job, watch=watch, progress=progress)
