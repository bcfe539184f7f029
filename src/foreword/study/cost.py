"""What a trial will cost, counted from its tokens before anything runs; it refuses to promise seconds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from foreword.trial import Trial

SAMPLE = 64  # examples whose tokens are counted; the rest is taken to be like them


@dataclass(frozen=True)
class Estimate:
    """Tokens are positions that go through the backbone, shared prefixes counted once a step. tflop: 4N a training token
    (forward and backward without weight gradients), 2N an answer token, N the backbone's parameters."""

    trial: str
    key: str
    trainable_parameters: int
    max_steps: int
    training_tokens: int
    answers: int
    answer_tokens: int
    tflop: float
    finished: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def cells(self) -> list[str]:
        """A row of the table for people."""
        numbers = [self.trainable_parameters, self.max_steps, self.training_tokens, self.answers, self.answer_tokens]
        return [
            self.trial,
            *(f"{number:,}" for number in numbers),
            f"{self.tflop:,.2f}",
            "yes" if self.finished else "no",
        ]


def estimate(trial: Trial) -> Estimate:
    """Count a sample of the trial's rows. Retrieved demonstrations are taken to be as long as the first training examples."""
    spec, task, backbone = trial.spec, trial.task, trial.backbone
    sampled = replace(task.limited({"train": SAMPLE, "dev": SAMPLE, "test": SAMPLE}))
    layout = replace(trial, task=sampled).layout()
    train = [layout.training_row(example) for example in sampled.train] if spec.method.soft else []
    tuning = spec.tuning
    shared = layout.soft + len(backbone.words.start)
    each = sum(row.length for row in train) / max(1, len(train))
    training = round(tuning.max_steps * (shared + each * min(tuning.batch_size, len(task.train)))) if train else 0
    test = task.split(spec.split)
    laid = [layout.lay(example) for example in sampled.split(spec.split)]
    asked = sum(len(one.fitted.own) for one in laid) / len(laid) + spec.max_new_tokens
    answering = round(len(test) * asked + shared)
    flops = backbone.parameters * (4 * training + 2 * answering)
    return Estimate(
        trial=trial.name,
        key=trial.key,
        trainable_parameters=layout.soft * backbone.hidden,
        max_steps=tuning.max_steps if spec.method.soft else 0,
        training_tokens=training,
        answers=len(test),
        answer_tokens=answering,
        tflop=flops / 1e12,
        finished=trial.path.is_file(),
    )
