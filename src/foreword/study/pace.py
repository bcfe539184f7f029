"""How long a comparison will take and how much memory, measured on a few steps and answers of it; it refuses to be exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foreword.engine.memory import peak_memory
from foreword.study.cost import Estimate, estimate
from foreword.study.trial import Trial
from foreword.util import phrases
from foreword.util.files import scratch
from foreword.util.progress import silent

STEPS = (2, 6)  # two trainings, so that what a first step costs beside itself falls out
ANSWERS = 8


@dataclass(frozen=True)
class Pace:
    """seconds: for the missing trials, choosing checkpoints left out. memory: bytes held at the most while it was measured."""

    seconds: float
    memory: int

    def sentence(self) -> str:
        """In words."""
        return (
            f"About {phrases.duration(self.seconds)} on this machine, and {phrases.size(self.memory)} of memory or more; measured on a "
            "few steps and answers."
        )


def pace(trials: Sequence[Trial], estimates: Sequence[Estimate]) -> Pace | None:
    """Time and memory of the trials that are missing; None where none is. Runs a few steps and answers of the dearest two."""
    missing = [(trial, cost) for trial, cost in zip(trials, estimates, strict=True) if not cost.finished]
    if not missing:
        return None
    dearest = max(missing, key=lambda pair: (pair[1].training_tokens, pair[1].answer_tokens))
    longest = max(missing, key=lambda pair: pair[1].answer_tokens)
    a_training_token, an_answer_token = _measured(dearest[0])
    if longest[0] is not dearest[0]:
        an_answer_token = _measured(longest[0])[1]
    seconds = sum(a_training_token * cost.training_tokens + an_answer_token * cost.answer_tokens for _, cost in missing)
    return Pace(seconds, peak_memory(trials[0].backbone.device))


def _measured(trial: Trial) -> tuple[float, float]:
    """Seconds a training token, 0 where nothing is trained, and seconds an answer token."""
    trained = trial.spec.method.trains and trial.spec.tuning.max_steps > 0
    with scratch() as folder:
        runs = [_run(trial, folder, steps) for steps in (STEPS if trained else STEPS[:1])]
    (_, first, _), (cost, seconds, answering) = runs[0], runs[-1]
    by_answer = answering * cost.answers / cost.answer_tokens
    if not trained:
        return 0.0, by_answer
    steps = seconds - first if seconds > first else seconds * (STEPS[1] - STEPS[0]) / STEPS[1]
    return steps / (cost.training_tokens * (STEPS[1] - STEPS[0]) / STEPS[1]), by_answer


def _run(trial: Trial, folder: Path, steps: int) -> tuple[Estimate, float, float]:
    """(its estimate, seconds of training, seconds an answer) of so many steps and a few answers."""
    spec = trial.spec
    tuning = spec.tuning
    if spec.method.trains and tuning.max_steps:
        tuning = tuning.model_copy(update={"max_steps": steps, "eval_every": steps, "warmup_steps": 0})
    batch = max(tuning.batch_size, ANSWERS)
    task = trial.task.limited({"train": batch, "dev": 1, "test": ANSWERS})
    small = replace(trial, task=task, out=folder, spec=replace(spec, tuning=tuning), progress=silent)
    cost = estimate(small)
    record = small.run()
    return cost, record.costs.train_seconds, record.costs.seconds_per_answer
