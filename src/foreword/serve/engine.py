"""The engine thread: jobs come from other threads, their requests are answered together, step by step; it refuses more than its queue
holds, and lets no job's fault reach another's answer."""

from __future__ import annotations

import functools
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from foreword.engine import Backbone, GeneratedToken, Request, Session
from foreword.util.errors import ForewordError

Result = TypeVar("Result")
Event = tuple[int, GeneratedToken] | Exception  # the place of a job's request and its next token, or why the job failed


class BusyError(ForewordError):
    """The queue is full. retry_after: seconds after which to ask again."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(
            f"{waiting} answers wait already, and the queue has no room for these; try again in {retry_after} s."
        )
        self.retry_after = retry_after


@dataclass(eq=False)
class Job:
    """Requests that are answered for one caller. model: the view of the backbone that they go to. tell: called in the engine thread with
    what happened in a step."""

    model: Backbone
    requests: Sequence[Request]
    tell: Callable[[list[Event]], None]
    numbers: dict[int, int] = field(default_factory=dict)  # the session's number of a request to its place
    token_counts: dict[int, int] = field(default_factory=dict)  # tokens told of each place
    skip: dict[int, int] = field(default_factory=dict)  # tokens that were told before the job was begun anew
    left: int = 0
    over: bool = False


class Engine:
    """Answers jobs in a thread of its own. max_rows, max_tokens: of a session. max_waiting: answers that may wait beside those; an empty
    queue takes a request of any size."""

    def __init__(
        self, backbone: Backbone, *, max_rows: int = 32, max_tokens: int | None = None, max_waiting: int = 256
    ) -> None:
        self.backbone, self.max_rows, self.max_waiting = backbone, max_rows, max_waiting
        self._limits: dict[str, Any] = {"max_rows": max_rows, "max_tokens": max_tokens}
        self._sessions: dict[
            int, Session
        ] = {}  # by the engine of the view: one that puts another start before texts has its own batch
        self._jobs: dict[tuple[int, int], Job] = {}  # by session and number
        self._inbox: deque[Callable[[], None]] = deque()
        self._suspects: deque[Job] = deque()  # begun anew one by one after a step has failed
        self._arrived: deque[Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._load = 0
        self._thread = threading.Thread(target=self._run, name="foreword-engine", daemon=True)
        self._thread.start()

    # -- from any thread --------------------------------------------------------------------------------------------

    @property
    def load(self) -> int:
        """Requests that are not finished."""
        return self._load

    @property
    def running(self) -> int:
        """Requests that are being answered."""
        return sum(len(session.running) for session in list(self._sessions.values()))

    def submit(self, job: Job) -> None:
        """Queue a job. Raises BusyError where the queue is full."""
        with self._wake:
            if self._closing:
                raise ForewordError("The server is stopping and takes no new requests; ask another one.")
            self._check(len(job.requests))
            job.left = len(job.requests)
            self._load += job.left
            self._inbox.append(lambda: self._arrived.append(job))
            self._wake.notify()

    def check_room(self) -> None:
        """Raises BusyError where not one request more has room."""
        with self._wake:
            self._check(1)

    def _check(self, count: int) -> None:
        waiting = self._load - self.max_rows
        if self._load and waiting + count > self.max_waiting:
            raise BusyError(max(0, waiting), retry_after=1 + max(0, waiting) // (4 * self.max_rows))

    def cancel(self, job: Job) -> None:
        """Take a job out, finished or not."""
        self._post(lambda: self._drop(job))

    def call(self, work: Callable[[], Result]) -> Future[Result]:
        """Do some work in the engine thread, between two steps; it counts as a request. Raises BusyError where the queue is full."""
        future: Future[Result] = Future()
        with self._wake:
            self._check(1)
            self._load += 1

        def run() -> None:
            self._less(1)
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except Exception as error:  # whatever it is, it goes to who asked
                future.set_exception(error)

        self._post(run)
        return future

    def close(self) -> None:
        """Stop the thread; jobs that are not finished fail."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _post(self, action: Callable[[], None]) -> None:
        with self._wake:
            self._inbox.append(action)
            self._wake.notify()

    # -- in the engine thread ---------------------------------------------------------------------------------------

    def _busy(self) -> bool:
        return bool(self._arrived or self._suspects or any(len(session) for session in self._sessions.values()))

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._inbox or self._closing or self._busy()):
                    self._wake.wait()
                actions, self._inbox = self._inbox, deque()
                closing = self._closing
            for action in actions:
                self._guarded(action)
            if closing:
                self._fail_all(ForewordError("The server was stopped."))
                return
            self._guarded(self._begin)
            for key, session in list(self._sessions.items()):
                if len(session):
                    self._guarded(functools.partial(self._step, key, session))

    def _guarded(self, action: Callable[[], None]) -> None:
        """Work of this thread, which outlives a fault in it: who waits for an answer is told, and what comes next begins with nothing left
        over."""
        try:
            action()
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)  # there may be nobody to be told
            self._sessions.clear()
            self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        self._fail({*self._jobs.values(), *self._suspects, *self._arrived}, error)
        self._jobs.clear()
        self._suspects.clear()
        self._arrived.clear()

    def _begin(self) -> None:
        """Admit what has arrived; after a step that failed, what was in it, one job at a time."""
        if not self._jobs and self._suspects:
            self._admit(self._suspects.popleft())
        while self._arrived and not self._suspects and not any(job.skip for job in self._jobs.values()):
            self._admit(self._arrived.popleft())

    def _admit(self, job: Job) -> None:
        if job.over:
            return
        key = id(job.model.engine)
        session = self._sessions.setdefault(key, job.model.session(**self._limits))
        try:
            numbers = session.admit(job.requests)
        except (
            Exception
        ) as error:  # what does not fit is refused with a sentence; anything else is told to who asked too
            self._fail({job}, error)
            return
        for place, number in enumerate(numbers):
            job.numbers[number] = place
            self._jobs[(key, number)] = job

    def _step(self, key: int, session: Session) -> None:
        try:
            events = session.step()
        except (
            Exception
        ) as error:  # a row's numbers overflowed, or the memory ended: whose it was is found out one by one
            self._failed(key, error)
            return
        news: dict[Job, list[Event]] = {}
        owners = [self._jobs[(key, generated.id)] for generated in events]
        for job, generated in zip(owners, events, strict=True):
            place = job.numbers[generated.id]
            job.token_counts[place] = job.token_counts.get(place, 0) + 1
            if job.token_counts[place] > job.skip.get(place, 0):
                news.setdefault(job, []).append((place, generated))
            if generated.finish_reason is not None:
                del self._jobs[(key, generated.id)]
                del job.numbers[generated.id]
                if job.token_counts[place] > job.skip.get(place, 0):
                    job.left -= 1
                    self._less(1)
        for job, job_events in news.items():
            job.tell(job_events)

    def _failed(self, key: int, error: Exception) -> None:
        """Begin the jobs of a session anew, each alone; one that was alone already has failed."""
        jobs = list(dict.fromkeys(job for (owner, _), job in self._jobs.items() if owner == key))
        del self._sessions[key]
        self._jobs = {place: job for place, job in self._jobs.items() if place[0] != key}
        if len(jobs) == 1:
            self._fail(set(jobs), error)
            return
        for job in jobs:
            finished = set(range(len(job.requests))) - set(job.numbers.values())
            job.skip = {place: job.token_counts.get(place, 0) for place in range(len(job.requests))}
            job.skip |= {place: len(job.requests) * 10**9 for place in finished}
            job.numbers, job.token_counts = {}, {}
        self._suspects += jobs

    def _drop(self, job: Job) -> None:
        if job.over:
            return
        job.over = True
        self._less(job.left)
        job.left = 0
        key = id(job.model.engine)
        for number in job.numbers:
            self._jobs.pop((key, number), None)
            if key in self._sessions:  # it is gone where a step of it has failed
                self._sessions[key].retire(number)
        job.numbers = {}

    def _fail(self, jobs: set[Job], error: Exception) -> None:
        for job in jobs:
            if not job.over and job.left:
                self._drop(job)
                job.tell([error])

    def _less(self, count: int) -> None:
        with self._wake:
            self._load -= count
