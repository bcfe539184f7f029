"""What a trial will cost, counted from its tokens before anything runs; it refuses to promise seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from foreword.prompts.layout import Layout
from foreword.study.positions import FORWARD, answering, parted
from foreword.study.trial import Trial
from foreword.train.trainables import TRAINABLES

SAMPLE = 64  # examples whose tokens are counted; the rest is taken to be like them
HEADS = ("method", "seed", "numbers\ntrained", "steps", "train\ntokens", "answer\ntokens", "TFLOP", "done")


@dataclass(frozen=True)
class Estimate:
    """Tokens are positions that go through the backbone, at most: training to its last step, answers of the full length. A prefix
    that is shared is counted once a step, and once for all answers. tflop: what the trainable says a training token takes
    (forward and backward), and 2N an answer token, N the backbone's parameters; choosing checkpoints is not counted. seed: None
    where it changes nothing."""

    trial: str
    method: str
    seed: int | None
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
        """A row of the table for people, under HEADS."""
        numbers = [self.trainable_parameters, self.max_steps, self.training_tokens, self.answer_tokens]
        return [
            self.method,
            "" if self.seed is None else str(self.seed),
            *map(_whole, numbers),
            _short(self.tflop),
            "yes" if self.finished else "no",
        ]


def estimate(trial: Trial) -> Estimate:
    """Count a sample of the trial's rows, their demonstrations retrieved within the sample; nothing runs but a dense retriever's
    encoder."""
    spec, task, backbone = trial.spec, trial.task, trial.backbone
    sampled = task.limited({"train": SAMPLE, "dev": 1, "test": 1} | {spec.split: SAMPLE})
    long = spec.tuning.model_copy(update={"max_steps": SAMPLE}) if spec.tuning.max_steps else spec.tuning
    layout = replace(
        trial, task=sampled, spec=replace(spec, tuning=long)
    ).layout()  # long enough to see the whole sample
    training = round(_training(layout, trial, sampled.train)) if spec.method.trains and spec.tuning.max_steps else 0
    count = len(task.split(spec.split))
    laid = [layout.lay(example) for example in sampled.split(spec.split)]
    each, shared = answering(backbone, task.template, layout.soft, laid, spec.max_new_tokens)
    answer_tokens = round(count * sum(each) / len(laid) + shared)
    trainable = TRAINABLES.get(spec.method.trainable)
    flops = FORWARD * backbone.parameters * answer_tokens + (
        0 if trainable is None else trainable.flops(backbone) * training
    )
    return Estimate(
        trial=trial.name,
        method=spec.label,
        seed=spec.seed if spec.method.random() else None,
        key=trial.key,
        trainable_parameters=0 if trainable is None else trainable.parameters(backbone, spec.tuning, layout.soft),
        max_steps=spec.tuning.max_steps if spec.method.trains else 0,
        training_tokens=training,
        answers=count,
        answer_tokens=answer_tokens,
        tflop=flops / 1e12,
        finished=trial.finished() is not None,
    )


def summed(estimates: Sequence[Estimate]) -> str:
    """What the missing trials cost together, in one line."""
    missing = [estimate for estimate in estimates if not estimate.finished]
    training, answering = (
        sum(estimate.training_tokens for estimate in missing),
        sum(estimate.answer_tokens for estimate in missing),
    )
    return (
        f"{len(missing)} of {len(estimates)} trials to run: at most {training:,} training tokens, {answering:,} answer tokens, "
        f"{_short(sum(estimate.tflop for estimate in missing))} TFLOP."
    )


def _training(layout: Layout, trial: Trial, examples: Sequence[Any]) -> float:
    """Positions of a whole training: each step a batch, its shared prefix once."""
    rows = [layout.training_row(example) for example in examples]
    each, shared = parted(trial.backbone, layout.soft, rows)
    size = min(trial.spec.tuning.batch_size, len(trial.task.train))
    return trial.spec.tuning.max_steps * (shared + size * sum(each) / len(each))


def _whole(number: int) -> str:
    return f"{number:,}" if number < 10_000_000 else f"{number / 1e6:,.0f} M"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 or number == 0 else f"{number:.2g}"
