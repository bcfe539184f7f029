"""Runs a study in several processes, one a device or a group of cores; one that dies is replaced, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import torch

from foreword.study.executors.base import PAUSE, Job, Watch, work
from foreword.study.stored import units_left
from foreword.util.errors import ForewordError

CORES = 4  # of one worker, where there are more


def processes(job: Job, watch: Watch) -> None:
    """Run what is left. Raises ForewordError where workers end without work done, again and again."""
    folder, units = job.folder(), job.units()
    devices = _devices(job)
    workers: dict[int, BaseProcess] = {}
    idle = 0
    try:
        while units_left(folder, units):
            for place, device in enumerate(devices):
                worker = workers.get(place)
                if worker is not None and worker.is_alive():
                    continue
                if worker is not None:
                    idle = idle + 1 if worker.exitcode not in (0, -signal.SIGKILL) else 0
                if idle > 2 * len(devices):
                    raise ForewordError(
                        f"The workers of the study end with exit code {worker.exitcode if worker else 0} before anything is done; run it "
                        "with --executor inline to see why."
                    )
                workers[place] = _start(job, device, job.threads or _threads(len(devices)))
            watch()
            time.sleep(PAUSE)
        for worker in workers.values():
            worker.join(timeout=30)
    finally:
        for worker in workers.values():
            if worker.is_alive():
                worker.terminate()
            worker.join()
    watch()


def _devices(job: Job) -> list[str]:
    """The device of each worker."""
    if job.device.partition(":")[0] not in ("", "auto", "cuda") or not torch.cuda.is_available():
        cores = os.cpu_count() or 1
        return [job.device] * (job.workers or max(min(2, cores), cores // CORES))
    if ":" in job.device:  # one of them, which all workers share
        return [job.device] * (job.workers or 1)
    count = torch.cuda.device_count()
    return [f"cuda:{place % count}" for place in range(job.workers or count)]


def _threads(workers: int) -> int:
    return max(1, (os.cpu_count() or 1) // workers)


def _start(job: Job, device: str, threads: int) -> BaseProcess:
    worker = get_context("spawn").Process(target=_work, args=(job, device, threads, os.getpid()), daemon=True)
    worker.start()
    return worker


def _work(job: Job, device: str, threads: int, parent: int) -> None:
    """What a worker does until nothing is left; without its parent it ends at once."""

    def orphaned() -> None:
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent too, which ends its workers
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # what it has claimed is given back on the way out
    torch.set_num_threads(threads)
    work(Job(**{**vars(job), "device": device}), also=orphaned, watch=orphaned)
