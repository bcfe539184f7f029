"""A token budget that shrinks when a batch does not fit into memory: the batch is run again in smaller parts, and what was finished is
kept."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from foreword.engine.batching import batches
from foreword.util.errors import TrialFailedError

Result = TypeVar("Result")

# What torch's allocators say where they raise no kind of error of their own: processors, Apple's GPUs, the matrix libraries.
_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "alloc_failed")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _MESSAGES)


@dataclass
class Budget:
    """tokens: padded tokens that go through the backbone at once; less after each time that the memory did not hold so many, and never
    more again."""

    tokens: int

    def run(
        self,
        lengths: Sequence[int],
        work: Callable[[list[int]], Result],
        *,
        batch_size: int,
        free: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[list[int], Result]]:
        """Places 0..N-1 in batches as `pack.batches` groups them, each with what work(places) returned for it. Where work runs out of
        memory, the budget becomes half of what that batch took, free() is called, and all places not yet done are grouped again;
        work must leave nothing behind when it fails. Raises ForewordError where one row alone is too much."""
        waiting = list(range(len(lengths)))
        while waiting:
            left = [lengths[place] for place in waiting]
            done: set[int] = set()
            for group in batches(left, batch_size=batch_size, token_budget=self.tokens):
                places = [waiting[at] for at in group]
                failure = ""
                try:
                    result = work(places)
                except Exception as error:
                    if not out_of_memory(error):
                        raise
                    failure = " ".join(str(error).split())[:200] or type(error).__name__
                if failure:  # only here, behind the except block, are the tensors free that the error's traceback held
                    self._shrink(len(places), lengths[places[0]], failure)
                    free()
                    _clear()
                    break
                done.update(places)
                yield places, result
            waiting = [place for place in waiting if place not in done]

    def stream(
        self,
        lengths: Sequence[int],
        work: Callable[[list[int], int], Iterator[tuple[int, Result]]],
        *,
        free: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Result]]:
        """Each place 0..N-1 with its result, as work(places, tokens) yields them, the longest asked for first. Where work runs out of
        memory, the budget becomes half of what it was, or of what all places take, free() is called, and work goes on with the places
        not yet done. Raises ForewordError where one row alone is too much."""
        waiting = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
        while waiting:
            done: set[int] = set()
            failure = ""
            try:
                for place, result in work(waiting, self.tokens):
                    done.add(place)
                    yield place, result
            except Exception as error:
                if not out_of_memory(error):
                    raise
                failure = " ".join(str(error).split())[:200] or type(error).__name__
            waiting = [place for place in waiting if place not in done]
            if failure:
                held = min(self.tokens, sum(lengths[place] for place in waiting))
                self._shrink(1 if held <= lengths[waiting[0]] else 2, -(-held // 2), failure, lengths[waiting[0]])
                free()
                _clear()

    def _shrink(self, rows: int, longest: int, failure: str, alone: int = 0) -> None:
        if rows == 1:
            raise TrialFailedError(
                f"The memory does not hold a single row of {alone or longest} tokens ({failure}); lower --max-new-tokens, show fewer "
                "demonstrations, use --dtype bfloat16, a smaller model, or tuning.gradient_checkpointing=true where it was tuned."
            )
        self.tokens = min(self.tokens, rows * longest) // 2


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held so far: on the accelerator, or of the machine's own memory."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most) * (1 if sys.platform == "darwin" else 1024)


def _clear() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
