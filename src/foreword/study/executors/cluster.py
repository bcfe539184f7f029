"""Runs a study on a Ray cluster: actors that keep a backbone loaded take units of it, one after the other; the study's folder has to lie
where every node sees it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from foreword.study.executors.base import Job, Watch, attempt, ready
from foreword.study.grid import CellSpec
from foreword.study.stored import units_left
from foreword.study.unit import Bench
from foreword.util.errors import MissingExtraError

WAIT = 0.5  # seconds for which an actor's answer is waited for until the folder is looked at again


class Worker:
    """What an actor is: a bench that stays, and units of it by name."""

    def __init__(self, job: Job) -> None:
        self.job, self.bench = job, Bench(job.out, job.device)
        self.units, self.claims = job.units(), job.claims()

    def ready(self) -> bool:
        """That it has begun: one that waits for room on the cluster has not."""
        return True

    def run(self, name: str) -> bool:
        """Run one unit; False where another has it."""
        had = attempt(self.job, self.claims, self.bench, self.units[name], lambda: None) is not None
        if not had:
            time.sleep(WAIT)
        return had


@dataclass
class _Pool:
    """Actors, what each is at, and the model that each has."""

    ray: Any
    job: Job
    units: Mapping[str, Sequence[CellSpec]]
    busy: dict[Any, tuple[Any, str]] = field(
        default_factory=dict
    )  # of each answer that is awaited: actor, unit ("": its beginning)
    idle: list[Any] = field(default_factory=list)
    models: dict[int, str] = field(default_factory=dict)

    def start(self) -> None:
        """One more actor, which gets its first unit once it has begun."""
        resources = {"num_gpus": self.job.gpus} if self.job.gpus else {"num_cpus": self.job.threads or 1}
        remote = self.ray.remote(**resources, max_restarts=0)(Worker)
        actor = remote.remote(self.job)
        self.busy[actor.ready.remote()] = (actor, "")

    def give(self, names: Sequence[str]) -> None:
        """A unit to each idle actor, one of the model that it has where there is any."""
        at = {name for _, name in self.busy.values()}
        left = [name for name in names if name not in at]
        while self.idle and left:
            actor = self.idle.pop()
            own = self.models.get(id(actor))
            name = next((name for name in left if self.units[name][0].at.model == own), left[0])
            left.remove(name)
            self.models[id(actor)] = self.units[name][0].at.model
            self.busy[actor.run.remote(name)] = (actor, name)

    def collect(self) -> None:
        """Take back the actors that have answered; one that died is replaced."""
        if not self.busy:
            time.sleep(WAIT)
            return
        answered, _ = self.ray.wait(list(self.busy), timeout=WAIT)
        for answer in answered:
            actor, _ = self.busy.pop(answer)
            try:
                self.ray.get(answer)
                self.idle.append(actor)
            except (
                self.ray.exceptions.RayActorError
            ):  # its node or its process is gone: the unit's claim says so in time
                self.start()


def on_cluster(job: Job, watch: Watch) -> None:
    """Run what is left on the cluster at job.address (`auto`: the one that this machine belongs to; empty: this machine alone). Raises
    MissingExtraError without Ray."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("Running a study on a Ray cluster", "ray") from error
    started = not ray.is_initialized()
    if started:
        ray.init(address=job.address or None, log_to_driver=False, include_dashboard=False)
    folder, units = job.folder(), job.units()
    try:
        cores = ray.cluster_resources()
        count = job.workers or max(1, int(cores.get("GPU", 0) / job.gpus if job.gpus else cores.get("CPU", 1)))
        pool = _Pool(ray, job, units)
        for _ in range(count):
            pool.start()
        while units_left(folder, units):
            pool.give(ready(folder, units))
            pool.collect()
            watch()
    finally:
        if started:
            ray.shutdown()
    watch()
