"""The training loop of a reference model: resumable, one loss over what can be predicted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

import torch
from tokenizers import Tokenizer

from foreword.engine.half_products import slow_on_processor
from foreword.train.pretrain.batches import Batch, DocumentPlace, batches
from foreword.train.pretrain.checkpoint import keep, put_back, workplace
from foreword.train.pretrain.init_model import init_llama, init_t5, save, save_tokenizer
from foreword.train.pretrain.objective import causal, spans_of
from foreword.train.pretrain.spans import SENTINELS
from foreword.train.pretrain.start import Start, start_of
from foreword.train.pretrain.tokenizer import EOS, EOS_ID, PAD, PAD_ID, SENTINEL_IDS, train_tokenizer
from foreword.util import phrases
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import read_json, read_object, whole_file, whole_folder, write_json


@dataclass(frozen=True)
class Shape:
    """A size of the family: the vocabulary's entries, and a Llama shape or (`both`: an encoder and a decoder) a T5's. peak: the highest
    rate that it takes; one size does not take another's. tokens: that it reads."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    inner: int
    both: bool = False
    peak: float = 0.003
    tokens: int = 24_000_000

    def fresh(self, seed: int) -> Any:
        """A model of this shape in training mode."""
        sizes = self.vocab, self.hidden, self.layers, self.heads, self.inner
        if not self.both:
            return init_llama(*sizes, eos=EOS_ID, pad=PAD_ID, seed=seed).train()
        return init_t5(*sizes, eos=EOS_ID, pad=PAD_ID, sentinels=SENTINEL_IDS, seed=seed).train()


SIZES = {
    "micro": Shape(400, 48, 3, 4, 64),
    "small": Shape(2048, 96, 6, 4, 192, tokens=8_000_000),
    "medium": Shape(2048, 192, 6, 4, 384),
    "large": Shape(2048, 288, 7, 6, 640, peak=0.0012),
    "t5": Shape(2048, 192, 3, 4, 256, both=True, peak=0.001, tokens=30_000_000),
    "t5-micro": Shape(400, 32, 2, 4, 48, both=True),
}
"""`micro` and `t5-micro` are for tests; the others have 0.8, 2.6, 6.7 and 3.0 million parameters."""


@dataclass(frozen=True)
class Recipe:
    """What a run depends on. peak: AdamW's rate, a shape's own unless another is given. budget: padded tokens of a batch. share:
    see `batches`. warm, decay: parts of the tokens in which the rate rises from and falls to nothing, in straight lines.
    drilled: documents in which copy drills stand first. half: bfloat16 where PyTorch deems it safe, on a processor that multiplies it fast.
    compiled: by torch.compile, where a C++ compiler is at hand. texts: documents that the tokenizer learns from. start: digest of the
    weights that it went on from, earlier: the tokens that these had read; None for a model from nothing."""

    size: str
    seed: int
    budget: int = 4096
    peak: float = 0.003
    share: float = 0.02
    warm: int = 40_000
    decay: float = 0.3
    drilled: int = 9_000
    half: bool = field(default_factory=lambda: not slow_on_processor(torch.bfloat16))
    compiled: bool = field(default_factory=lambda: which("g++") is not None)
    texts: int = 15_000
    start: str | None = None
    earlier: int | None = None


@dataclass(frozen=True)
class TrainingStatus:
    """Where a run stands. done, goal: how far it is and how far it goes, in tokens, or in steps where steps were asked for. loss: mean
    over the last steps, in nats a counted token. speed: tokens a second."""

    done: int
    goal: int
    tokens: int
    step: int
    loss: float
    rate: float
    speed: float


def pretrain(
    out: Path,
    *,
    size: str | None = None,
    tokens: int | None = None,
    seed: int | None = None,
    start: Path | None = None,
    threads: int | None = None,
    save_every: float = 180.0,
    report: Callable[[TrainingStatus], None] = lambda progress: None,
    report_every: int = 50,
    stop_after: int | None = None,
    **recipe: Any,
) -> Path:
    """Train a model of a size (None: medium) on `tokens` tokens of the world (its shape's own number where None) and export it to
    `out`/model; returns that folder.

    start: a folder that this exported, whose model is trained further instead of a new one, on the text after what it has read and as
    its recipe says; `tokens` counts what it has read. Its rate rises and falls once more (as in WSD-S, Wen et al. 2024, arXiv
    2410.05192). A killed run goes on from its last checkpoint (`save_every` seconds apart) to the identical result; `tokens` may be changed
    between two calls as long as the decay has not begun. stop_after: leave after so many steps of this call (then nothing is
    exported). Raises ForewordError for an unknown size, tokens below 1 or not above what the start has read, a start of another kind or of
    other text than is asked for, a checkpoint of another recipe, or one whose decay has begun for other tokens.
    """
    recipe |= {"size": size, "seed": seed}
    begun = None if start is None else start_of(start)
    if begun:
        recipe = begun.same_text(recipe) | {"start": begun.digest, "earlier": begun.tokens}
    else:
        recipe |= {"size": size or "medium", "seed": seed or 0}
    size = str(recipe["size"])
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    if threads:
        torch.set_num_threads(threads)
    tokens = SIZES[size].tokens if tokens is None else tokens
    if tokens < 1:
        raise ForewordError(f"A training on {tokens:,} tokens is asked for; give --tokens 1 or more.")
    if begun and tokens <= begun.tokens:
        raise ForewordError(
            f"A training on {tokens:,} tokens in all is asked for, and {start} has read {begun.tokens:,}; give a larger --tokens."
        )
    with workplace(out):
        run = _Run(out, Recipe(**{"peak": SIZES[size].peak, **recipe}), tokens, begun)
        _go_on(run, tokens, save_every, report, report_every, stop_after)
        return run.export(out / "model") if run.tokens >= tokens else out


def _go_on(
    run: _Run,
    tokens: int,
    save_every: float,
    report: Callable[[TrainingStatus], None],
    report_every: int,
    stop_after: int | None,
) -> None:
    """Train to the goal, or for so many steps, and keep where it stands."""
    saved = time.monotonic()
    window: list[float] = []
    began, before = time.monotonic(), run.tokens
    for steps, (batch, place) in enumerate(run.stream()):
        if run.tokens >= tokens or steps == stop_after:
            break
        window.append(run.step(batch, place))
        if run.steps % report_every == 0:
            now = time.monotonic()
            loss = sum(window) / len(window)
            run.curve.append((run.tokens, round(loss, 4)))
            speed = (run.tokens - before) / (now - began)
            report(TrainingStatus(min(run.tokens, tokens), tokens, run.tokens, run.steps, loss, run.rate(), speed))
            window, began, before = [], now, run.tokens
        if time.monotonic() - saved > save_every:
            run.checkpoint()
            saved = time.monotonic()
    run.checkpoint()


class _Run:
    """A run in memory: model, optimiser, place in the stream."""

    def __init__(self, folder: Path, recipe: Recipe, goal: int, start: Start | None = None) -> None:
        self.folder, self.recipe, self.goal, self.earlier = folder, recipe, goal, recipe.earlier or 0
        self.tokens, self.steps, self.place = 0, 0, DocumentPlace()
        self.curve: list[tuple[int, float]] = []
        shape = SIZES[recipe.size]
        self._begin()
        self.tokenizer = self._words(shape)
        self.model = shape.fresh(recipe.seed)
        objective = spans_of if shape.both else causal
        self.loss = objective(self.model, half=recipe.half, compiled=recipe.compiled)
        matrices = [p for name, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in self.model.named_parameters() if p.ndim != 2 or "embed" in name]
        self.optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.98),
            fused=True,
        )
        if self._checkpoint.exists():
            self._resume()
        elif start:
            start.put_into(self.model)
            self.tokens, self.steps, self.curve = start.tokens, start.steps, start.curve
            self.place = start.place(self.tokenizer)

    def _words(self, shape: Shape) -> Tokenizer:
        path = self.folder / "tokenizer.json"
        if not path.exists():
            tokenizer = train_tokenizer(shape.vocab, seed=self.recipe.seed, texts=self.recipe.texts)
            with whole_file(path) as part:
                tokenizer.save(str(part))
        return Tokenizer.from_file(str(path))

    def _begin(self) -> None:
        """Say what the run is before anything is made by it. A tokenizer that a run of another recipe left goes; a checkpoint of another
        recipe is refused."""
        path, recipe = self.folder / "recipe.json", asdict(self.recipe)
        if not self._checkpoint.exists():
            with contextlib.suppress(ForewordError):  # none, or a damaged one
                if read_json(path, "recipe of the run") == recipe:
                    return
            (self.folder / "tokenizer.json").unlink(missing_ok=True)
            write_json(path, recipe)
            return
        saved = read_object(path, "recipe of the run")
        names = sorted(name for name in saved.keys() | recipe if saved.get(name) != recipe.get(name))
        if names:
            other = phrases.listed([f"{name} {saved.get(name)} and not {recipe.get(name)}" for name in names])
            raise ForewordError(
                f"{self.folder} holds a run of another recipe, with {other}; choose another folder, or delete this one to train anew."
            )

    def _resume(self) -> None:
        """Go on from the checkpoint. Raises ForewordError where it was on its way to another number of tokens and the rate
        has begun to fall for that, or would have for this one."""
        plain = put_back(self._checkpoint, self.model, self.optimiser)
        self.tokens, self.steps = plain["tokens"], plain["steps"]
        self.place = DocumentPlace(*plain["place"])
        self.curve = [tuple(point) for point in plain["curve"]]
        before = plain.get("goal")  # an earlier version did not keep it
        falls = self.earlier + (min(self.goal, before or self.goal) - self.earlier) * (1.0 - self.recipe.decay)
        unknown_goal = before is None and self.tokens >= self.goal and not (self.folder / "model").is_dir()
        if unknown_goal or (before not in (None, self.goal) and self.tokens > falls):
            goal = "another number" if before is None else f"{before:,}"
            raise ForewordError(
                f"{self.folder} holds a run that has read {self.tokens:,} tokens on its way to {goal}, and {self.goal:,} are asked for, "
                "whose rate falls elsewhere; give --tokens as it was begun, or another folder."
            )

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def checkpoint(self) -> None:
        """Keep all that the run needs to go on, whole or not at all."""
        plain = {
            "tokens": self.tokens,
            "steps": self.steps,
            "place": [self.place.chunk, self.place.batch],
            "curve": [list(point) for point in self.curve],
            "goal": self.goal,
        }
        keep(self._checkpoint, self.model, self.optimiser, plain)

    def stream(self) -> Any:
        """The batches that are still to come."""
        recipe = self.recipe
        return batches(
            self.tokenizer,
            seed=recipe.seed,
            budget=recipe.budget,
            share=recipe.share,
            drilled=recipe.drilled,
            place=self.place,
        )

    def rate(self) -> float:
        """The part of the peak rate at which the run stands: up, flat, down to nothing."""
        falling = (self.goal - self.earlier) * self.recipe.decay
        read = self.tokens - self.earlier
        return max(0.0, min(1.0, (read + 1000) / self.recipe.warm, (self.goal - self.tokens) / max(falling, 1.0)))

    def step(self, batch: Batch, place: DocumentPlace) -> float:
        """One update; returns the loss."""
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.peak * self.rate()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.tokens += batch.tokens
        self.steps += 1
        self.place = place
        return float(loss.detach())

    def export(self, folder: Path) -> Path:
        """Write the model folder that transformers loads, whole or not at all, with the run's facts beside it."""
        sentinels = SENTINELS if SIZES[self.recipe.size].both else ()
        with whole_folder(folder) as part:
            save(self.model, part)
            save_tokenizer(self.tokenizer, part, eos=EOS, pad=PAD, sentinels=sentinels)
            facts = {"tokens": self.tokens, "steps": self.steps, "curve": self.curve}
            write_json(part / "recipe.json", {**asdict(self.recipe), **facts})
        return folder
