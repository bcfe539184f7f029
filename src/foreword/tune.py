"""The Trainer fits one soft prompt, or whatever else it is handed, by one loop; it refuses to touch anything beside that, and a killed
run resumes to the identical result."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from foreword.backbone import Backbone, Row
from foreword.errors import ForewordError
from foreword.files import canonical, whole_file
from foreword.memory import Budget
from foreword.optim import optimizer, rate
from foreword.pack import batches, step_places, visited
from foreword.progress import Progress, silent
from foreword.tuning import Tuning

MICRO_TOKENS = 16_384  # padded tokens that go through the backbone at once; a larger batch goes in parts
PROMPT = "prompt"  # the name of a soft prompt among what is kept
MLP_RATE = 0.01  # the reparameterisation's weights learn at this part of the prompt's rate


@dataclass(frozen=True)
class Tuned:
    """best: what was kept at the best evaluation, by name: a soft prompt [P, H], or a model's weights. curve: one entry an evaluation
    (step, loss of training since the last, dev: lower is better). seconds: spent training and evaluating, over all runs that it took.
    step: where the best was found. parameters: how many numbers were trained."""

    best: dict[str, Tensor]
    curve: tuple[dict[str, float], ...]
    seconds: float
    step: int
    parameters: int

    @property
    def values(self) -> Tensor:
        """The best soft prompt found [P, H]."""
        return self.best[PROMPT]


class Trained(Protocol):
    """What a training changes. named: its numbers, which gradients reach. rate_name: the setting that holds its learning rate.
    start: tells one beginning from another."""

    named: dict[str, Tensor]
    rate_name: str
    start: str

    def values(self) -> Tensor | None:
        """The soft prompt [P, H] that stands before every row; None where there is none."""

    def kept(self) -> dict[str, Tensor]:
        """A copy, on the CPU, of what is to be used later."""

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameter groups with their rates, in the order of `named`."""


class Prompt:
    """The trained numbers, held in units of the embedding rows' root mean square, so that one learning rate serves every model.
    With the two-layer reparameterisation, the prompt is x + W2 tanh(W1 x); W2 starts at zero, so it starts where x does."""

    rate_name = "--learning-rate"

    def __init__(self, start: Tensor, scale: float, tuning: Tuning, seed: int, device: torch.device) -> None:
        self.scale, self.start = scale, hash_of(start)
        self.named: dict[str, Tensor] = {"prompt": start.float().to(device) / scale}
        if tuning.reparameterisation == "mlp":
            width = tuning.mlp_width or start.shape[1]
            generator = torch.Generator().manual_seed(int(hashlib.sha256(f"{seed}/mlp".encode()).hexdigest()[:8], 16))
            first = torch.randn((start.shape[1], width), generator=generator) / start.shape[1] ** 0.5
            self.named["mlp_in"] = first.to(device)
            self.named["mlp_out"] = torch.zeros((width, start.shape[1]), device=device)
        for value in self.named.values():
            value.requires_grad_(True)

    def values(self) -> Tensor:
        """The soft prompt [P, H] as the backbone gets it."""
        x = self.named["prompt"]
        if "mlp_in" in self.named:
            x = x + torch.tanh(x @ self.named["mlp_in"]) @ self.named["mlp_out"]
        return x * self.scale

    def kept(self) -> dict[str, Tensor]:
        """The soft prompt [P, H], the reparameterisation folded away."""
        return {PROMPT: self.values().detach().cpu()}

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameter groups with their rates."""
        return [
            {"params": [value], "lr": learning_rate * (1.0 if name == "prompt" else MLP_RATE)}
            for name, value in self.named.items()
        ]


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


def tune(
    backbone: Backbone,
    rows: Sequence[Row],
    start: Tensor,
    evaluate: Callable[[Tensor], float],
    tuning: Tuning,
    *,
    seed: int,
    folder: Path,
    name: str = "tuning",
    progress: Progress = silent,
) -> Tuned:
    """Fit a soft prompt to rows (question and answer each).

    start: [P, H], the initial values. evaluate: a soft prompt's dev score, lower is better. folder: for checkpoints, one at each
    evaluation; a run that finds one there goes on from it. Raises ForewordError when there is nothing to train on or the loss is
    no longer a number.
    """
    if tuning.max_steps == 0:
        return Tuned({PROMPT: start.float().cpu()}, (), 0.0, 0, start.numel())
    prompt = Prompt(start, backbone.scale, tuning, seed, backbone.device)

    def scored() -> float:
        return evaluate(prompt.values().detach().clone())

    return fit(backbone, prompt, rows, scored, tuning, seed=seed, folder=folder, name=name, progress=progress)


def fit(
    backbone: Backbone,
    trained: Trained,
    rows: Sequence[Row],
    evaluate: Callable[[], float],
    tuning: Tuning,
    *,
    seed: int,
    folder: Path,
    name: str,
    progress: Progress,
) -> Tuned:
    """The loop of every training, of one step or more: as `tune`, for whatever is trained. evaluate: its dev score as it stands,
    lower is better."""
    if not rows:
        raise ForewordError("There is no training example to tune on; give a training split.")
    steps = optimizer(tuning.optimizer, trained.groups(tuning.learning_rate), tuning.weight_decay)
    rates = [group["lr"] for group in steps.param_groups]
    path, mark = folder / "checkpoint.safetensors", _mark(backbone, trained, rows, tuning, seed)
    state = _resume(path, mark, trained, steps) or State()
    budget = Budget(MICRO_TOKENS)
    while state.step < tuning.max_steps and not (tuning.patience and state.waiting >= tuning.patience):
        begun = time.perf_counter()
        factor = rate(tuning.schedule, state.step, tuning.max_steps, tuning.warmup_steps)
        for group, full in zip(steps.param_groups, rates, strict=True):
            group["lr"] = full * factor
        places = step_places(len(rows), tuning.batch_size, state.step, seed=seed)
        with backbone.recomputing(tuning.gradient_checkpointing):
            loss = _step(backbone, trained, [rows[place] for place in places], steps, tuning.max_grad_norm, budget)
        if loss != loss or loss == float("inf"):
            raise ForewordError(
                f"The training loss is no longer a number at step {state.step}; "
                f"lower {trained.rate_name} ({tuning.learning_rate}) or use float32."
            )
        state.step += 1
        state.loss_sum += loss
        state.loss_steps += 1
        due = state.step % tuning.eval_every == 0 or state.step == tuning.max_steps
        if due:
            _evaluate(state, trained, evaluate)
        state.seconds += time.perf_counter() - begun
        if due:
            _save(path, mark, trained, steps, state)
        progress(name, state.step, tuning.max_steps, f"loss {loss:.3f}, dev {state.best_score:.4g}")
    progress(name, tuning.max_steps, tuning.max_steps, f"best at step {state.best_step}")
    parameters = sum(value.numel() for value in trained.named.values())
    return Tuned(state.best, tuple(state.curve), state.seconds, state.best_step, parameters)


def _mark(backbone: Backbone, trained: Trained, rows: Sequence[Row], tuning: Tuning, seed: int) -> str:
    """Tells one training from another: a checkpoint serves the training that it is of, and no other."""
    seen = [rows[place] for place in visited(len(rows), tuning.batch_size, tuning.max_steps, seed=seed)]
    told = [[row.prefix, row.own, row.answer, row.behind] for row in seen]
    whole = canonical([tuning.model_dump(), seed, backbone.fingerprint, told, trained.start])
    return hashlib.sha256(whole.encode()).hexdigest()


def hash_of(values: Tensor) -> str:
    """A digest of a tensor's numbers."""
    return hashlib.sha256(values.detach().float().cpu().numpy().tobytes()).hexdigest()


def _step(
    backbone: Backbone,
    trained: Trained,
    rows: Sequence[Row],
    steps: torch.optim.Optimizer,
    limit: float,
    budget: Budget | None = None,
) -> float:
    """One update; returns the mean loss in nats an answer token. A batch above the token budget goes through in parts whose
    gradients add up to the whole batch's; a part that the memory does not hold goes again in smaller ones."""
    weights = list(trained.named.values())
    tokens = sum(len(row.answer) for row in rows)

    def work(places: list[int]) -> tuple[float, tuple[Tensor | None, ...]]:
        loss, _ = backbone.loss(trained.values(), [rows[place] for place in places])
        return float(loss.detach()), torch.autograd.grad(loss / tokens, weights, allow_unused=True)

    total = 0.0
    for weight in weights:
        weight.grad = None
    lengths = [row.length for row in rows]
    for _, (loss, grads) in (budget or Budget(MICRO_TOKENS)).run(lengths, work, batch_size=len(rows)):
        total += loss
        for weight, grad in zip(weights, grads, strict=True):
            if grad is not None:
                weight.grad = grad if weight.grad is None else weight.grad.add_(grad)
    if limit:
        torch.nn.utils.clip_grad_norm_(weights, limit)
    steps.step()
    return total / tokens


def _evaluate(state: State, trained: Trained, evaluate: Callable[[], float]) -> None:
    score = evaluate()
    if score != score or score in (float("inf"), float("-inf")):
        raise ForewordError(
            f"The dev score is no longer a number at step {state.step}; lower {trained.rate_name} or use --dtype float32."
        )
    state.curve.append({"step": state.step, "loss": state.loss_sum / state.loss_steps, "dev": score})
    state.loss_sum, state.loss_steps = 0.0, 0
    if score < state.best_score:
        state.best, state.best_step, state.best_score, state.waiting = trained.kept(), state.step, score, 0
    else:
        state.waiting += 1


def dev_loss(backbone: Backbone, rows: Sequence[Row], batch_size: int) -> Callable[[Tensor | None], float]:
    """A function from a soft prompt, or from none, to the mean loss in nats an answer token over these rows."""
    groups = batches([row.length for row in rows], batch_size=batch_size, token_budget=MICRO_TOKENS)

    @torch.no_grad()
    def evaluate(values: Tensor | None) -> float:
        soft = None if values is None else values.to(backbone.device)
        parts = [backbone.loss(soft, [rows[place] for place in group]) for group in groups]
        return sum(float(loss) for loss, _ in parts) / sum(count for _, count in parts)

    return evaluate


def _save(path: Path, mark: str, trained: Trained, steps: torch.optim.Optimizer, state: State) -> None:
    tensors = {f"trained.{name}": value.detach() for name, value in trained.named.items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    for index, held in steps.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in held.items()}
    plain = {key: value for key, value in vars(state).items() if key != "best"}
    tensors = {name: value.contiguous().cpu() for name, value in tensors.items()}
    with whole_file(path) as part:
        part.write_bytes(serialised(tensors, metadata={"mark": mark, "state": json.dumps(plain)}))


def _resume(path: Path, mark: str, trained: Trained, steps: torch.optim.Optimizer) -> State | None:
    """The state of an earlier run of this very training, its numbers put back; None where there is none, or another training's."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            if metadata.get("mark") != mark:
                return None
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
            plain = json.loads(metadata["state"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ForewordError(
            f"The checkpoint {path} is damaged ({error}); delete it to train from the start."
        ) from error
    held: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            held.setdefault(int(index), {})[key] = value
    with torch.no_grad():
        for name, parameter in trained.named.items():
            parameter.copy_(tensors[f"trained.{name}"])
    steps.load_state_dict({"state": held, "param_groups": steps.state_dict()["param_groups"]})
    best = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
    return State(best=best, **plain)
