"""The training loop, the same for every trainable: the best numbers are kept, and a killed run resumes to the identical result."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from foreword.engine import Backbone, Row
from foreword.engine.batching import step_places, visited
from foreword.engine.memory import Budget
from foreword.train import checkpoint
from foreword.train.optim import optimizer, rate
from foreword.train.trainables import PrefixLike, Setup, Trainable, Training
from foreword.util.allocator import FreedMemory
from foreword.util.errors import ForewordError, TrialFailedError
from foreword.util.files import canonical
from foreword.util.progress import Progress, silent

MICRO_TOKENS = 16_384  # padded tokens that go through the backbone at once; a larger batch goes in parts
PROCESSOR_TOKENS = 4_096  # the same on a processor, where more take no less time a token, but more memory


@dataclass(frozen=True)
class Tuned:
    """best: the numbers at the best evaluation, by name, of a trainable that keeps anything. curve: one entry an evaluation (step, loss
    of training since the last, dev: lower is better). seconds: spent training and evaluating, over all runs that it took. step: where
    the best was found. parameters: how many numbers were trained. start: the dev score before the first step; None where there was none."""

    best: dict[str, Tensor]
    curve: tuple[dict[str, float], ...]
    seconds: float
    step: int
    parameters: int
    start: float | None = None

    def dev_scores(self, metric: str) -> dict[str, float]:
        """The dev score of the best evaluation, under its name: a metric's, or the loss where `metric` is empty; none where nothing was
        trained."""
        best = min((point["dev"] for point in self.curve), default=None)
        if best is None:
            return {}
        return {f"dev_{metric}": -best} if metric else {"dev_loss": best}


@dataclass
class State:
    """Where training stands; all of it goes into a checkpoint."""

    step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int = 0
    best_score: float = float("inf")
    waiting: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    start: float | None = None


def train(
    trainable: Trainable,
    setup: Setup,
    rows: Sequence[Row],
    dev_score: Callable[[Backbone], Callable[[PrefixLike], float]],
    *,
    folder: Path,
    name: str = "tuning",
    progress: Progress = silent,
) -> tuple[Backbone, Tuned]:
    """Train what the trainable trains, on rows (question and answer each): the backbone that answers with it, and how that went.

    dev_score: for the backbone that answers, a function from what stands before its rows to a score, lower is better. folder: for
    checkpoints, one at each evaluation; a run that finds one there goes on from it. Raises ForewordError when there is nothing to
    train on or a number is no longer one.
    """
    if setup.tuning.max_steps and "gradient" in setup.backbone.engine.reasons:
        raise TrialFailedError(
            f"Nothing can be trained on {setup.backbone.name}: {setup.backbone.engine.reasons['gradient']}; use other kernels or another "
            "--dtype, or a method that trains nothing."
        )
    training = trainable.begin(setup)
    parameters = sum(value.numel() for value in training.named.values())
    if setup.tuning.max_steps:
        score = dev_score(training.backbone)

        def evaluate() -> float:
            training.refresh()
            with torch.no_grad():
                prefix = training.prefix()
            return score(prefix)

        path, mark = folder / "checkpoint.safetensors", _mark(trainable, setup, training, rows)
        state = _fit(training, rows, evaluate, setup, trainable.rate.name, (path, mark), name, progress)
        best = state.best
    else:
        state, best = State(), training.initial
    training.finish(best)
    best_tensors = best if trainable.artifact is not None else {}
    return training.backbone, Tuned(
        best_tensors, tuple(state.curve), state.seconds, state.best_step, parameters, state.start
    )


def _fit(
    training: Training,
    rows: Sequence[Row],
    evaluate: Callable[[], float],
    setup: Setup,
    rate_name: str,
    place: tuple[Path, str],
    name: str,
    progress: Progress,
) -> State:
    """The loop of every training, of one step or more. evaluate: its dev score as it stands, lower is better. place: of its checkpoint,
    and what marks that as this training's."""
    if not rows:
        raise ForewordError("There is no training example to tune on; give a training split.")
    tuning = setup.tuning
    steps = optimizer(tuning.optimizer, training.groups(tuning.learning_rate), tuning.weight_decay)
    rates = [group["lr"] for group in steps.param_groups]
    state = _resume(*place, training, steps) or State()
    budget, freed = _budget(training), FreedMemory()
    if state.step == 0:
        begun = time.perf_counter()
        start = evaluate()
        state.start = start if math.isfinite(start) else None  # a score that decides is refused where it is no number
        state.seconds += time.perf_counter() - begun
    while state.step < tuning.max_steps and not (tuning.patience and state.waiting >= tuning.patience):
        begun = time.perf_counter()
        factor = rate(tuning.schedule, state.step, tuning.max_steps, tuning.warmup_steps)
        for group, full in zip(steps.param_groups, rates, strict=True):
            group["lr"] = full * factor
        places = step_places(len(rows), tuning.batch_size, state.step, seed=setup.seed)
        with training.backbone.activation_checkpointing(tuning.gradient_checkpointing):
            loss = _step(training, [rows[place] for place in places], steps, tuning.max_grad_norm, budget)
        freed.settle()
        if loss != loss or loss == float("inf"):
            raise TrialFailedError(
                f"The training loss is no longer a number at step {state.step}; "
                f"lower {rate_name} ({tuning.learning_rate}) or use float32."
            )
        if state.step == 0 and not any(
            value.grad is not None and bool(value.grad.any()) for value in training.named.values()
        ):
            raise TrialFailedError(
                f"No gradient reaches what is to be trained on {training.backbone.name}, so training would change nothing: a part of the "
                "model computes without one; use other kernels or another --dtype."
            )
        state.step += 1
        state.loss_sum += loss
        state.loss_steps += 1
        due = state.step % tuning.eval_every == 0 or state.step == tuning.max_steps
        if due:
            _evaluate(state, training, evaluate, rate_name)
        state.seconds += time.perf_counter() - begun
        if due:
            _save(*place, training, steps, state)
        progress(name, state.step, tuning.max_steps, _figures(loss, state.best_score))
    progress(name, tuning.max_steps, tuning.max_steps, f"best at step {state.best_step}")
    return state


def _mark(trainable: Trainable, setup: Setup, training: Training, rows: Sequence[Row]) -> str:
    """Tells one training from another: a checkpoint serves the training that it is of, and no other."""
    tuning, seed = setup.tuning, setup.seed
    visited_rows = [rows[place] for place in visited(len(rows), tuning.batch_size, tuning.max_steps, seed=seed)]
    texts = [[row.prefix, row.own, row.answer, row.append] for row in visited_rows]
    settings = [trainable.name, tuning.stored(), seed]
    whole = canonical([*settings, setup.backbone.fingerprint, texts, training.start])
    return hashlib.sha256(whole.encode()).hexdigest()


def _budget(training: Training) -> Budget:
    return Budget(PROCESSOR_TOKENS if training.backbone.device.type == "cpu" else MICRO_TOKENS)


def _step(
    training: Training,
    rows: Sequence[Row],
    steps: torch.optim.Optimizer,
    limit: float,
    budget: Budget | None = None,
) -> float:
    """One update; returns the mean loss in nats an answer token. A batch above the token budget goes through in parts whose
    gradients add up to the whole batch's; a part that the memory does not hold goes again in smaller ones."""
    weights = list(training.named.values())
    tokens = sum(len(row.answer) for row in rows)

    def work(places: list[int]) -> tuple[float, tuple[Tensor | None, ...]]:
        loss, _ = training.backbone.loss(training.prefix(), [rows[place] for place in places])
        return float(loss.detach()), torch.autograd.grad(loss / tokens, weights, allow_unused=True)

    total = 0.0
    for weight in weights:
        weight.grad = None
    lengths = [row.length for row in rows]
    for _, (loss, grads) in (budget or _budget(training)).run(lengths, work, batch_size=len(rows)):
        total += loss
        for weight, grad in zip(weights, grads, strict=True):
            if grad is not None:
                weight.grad = grad if weight.grad is None else weight.grad.add_(grad)
    if limit:
        torch.nn.utils.clip_grad_norm_(weights, limit)
    try:
        steps.step()
    except (RuntimeError, OverflowError) as error:
        if "overflow" not in str(error).lower():
            raise
        raise TrialFailedError(
            f"A training step is longer than any number ({error}); lower the learning rate."
        ) from error
    return total / tokens


def _evaluate(state: State, training: Training, evaluate: Callable[[], float], rate_name: str) -> None:
    score = evaluate()
    if not math.isfinite(score):
        raise TrialFailedError(
            f"The dev score is no longer a number at step {state.step}; lower {rate_name} or use --dtype float32."
        )
    state.curve.append({"step": state.step, "loss": state.loss_sum / state.loss_steps, "dev": score})
    state.loss_sum, state.loss_steps = 0.0, 0
    if score < state.best_score:
        state.best, state.best_step, state.best_score, state.waiting = training.snapshot(), state.step, score, 0
    else:
        state.waiting += 1


def dev_loss(backbone: Backbone, rows: Sequence[Row], batch_size: int) -> Callable[[PrefixLike], float]:
    """A function from what stands before every row to the mean loss in nats an answer token over these rows. Rows that the memory does
    not hold together go again in smaller batches."""
    lengths, budget = [row.length for row in rows], Budget(MICRO_TOKENS)

    @torch.no_grad()
    def evaluate(values: PrefixLike) -> float:
        prefix = values.to(backbone.device) if isinstance(values, Tensor) else values

        def work(places: list[int]) -> tuple[float, int]:
            loss, count = backbone.loss(prefix, [rows[place] for place in places])
            return float(loss), count

        batches = budget.run(lengths, work, batch_size=batch_size, free=backbone.forget)
        parts = [part for _, part in batches]
        return sum(loss for loss, _ in parts) / sum(count for _, count in parts)

    return evaluate


def _save(path: Path, mark: str, training: Training, steps: torch.optim.Optimizer, state: State) -> None:
    tensors = {f"trained.{name}": value for name, value in training.named.items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    plain = {key: value for key, value in vars(state).items() if key != "best"}
    checkpoint.write(path, tensors | checkpoint.optimizer_tensors(steps), plain, mark=mark)


def _resume(path: Path, mark: str, training: Training, steps: torch.optim.Optimizer) -> State | None:
    """The state of an earlier run of this very training, its numbers put back; None where there is none, or another training's."""
    saved = checkpoint.read(path, mark=mark) if path.is_file() else None
    if saved is None:
        return None
    tensors, plain = saved
    try:
        best = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
        state = State(best=best, **plain)
        with torch.no_grad():
            for name, parameter in training.named.items():
                parameter.copy_(tensors[f"trained.{name}"])
        checkpoint.put_back(steps, tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # of another shape than this version writes
        raise checkpoint.damaged(path, error) from error
    return state


def _figures(loss: float, best: float) -> str:
    """The figures worth seeing after a step. best: the best dev score so far, endless before the first."""
    return f"loss {loss:.3f}" + (f", best dev {best:.4g}" if math.isfinite(best) else "")
