"""LM adaptation: trains an encoder-decoder to continue text, so that it can be prompted (Lester et al. 2021, section 3.2)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from foreword.engine import Row
from foreword.engine.half_products import slow_on_processor
from foreword.engine.trainable import load_trainable, save_trainable
from foreword.train.pretrain.checkpoint import keep, put_back, workplace
from foreword.train.pretrain.loop import TrainingStatus
from foreword.train.pretrain.pairs import TextPlace, pairs
from foreword.train.pretrain.texts import Mark, texts
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import read_object, refuse_input, whole_folder, write_json, write_text

STEPS = 1000
AT_ONCE = 4096
"""Padded tokens that go through the model together; a larger batch goes in parts."""
LOGITS = 2**26
"""Numbers of the table of logits that is held at once: 256 MiB."""
SHOWN = 12
"""Points of the loss curve in a model card."""


@dataclass(frozen=True)
class Recipe:
    """What an adaptation depends on, beside its length. base, data: fingerprints. batch: padded tokens of a batch. length: tokens of
    a piece of text. half: matrix products in bfloat16."""

    base: str
    data: str
    seed: int
    batch: int
    length: int
    learning_rate: float
    half: bool


class Adaptation:
    """One adaptation in memory: model, texts, optimiser and the place in the stream.

    The objective is prefix-LM (see `pairs`); the optimiser Adafactor with a constant rate relative to each weight's own scale, as T5
    is fine-tuned. Nothing is written before `train`. Raises ForewordError when model, data or numbers cannot be used.
    """

    def __init__(
        self,
        model: str,
        *,
        data: Path | None = None,
        steps: int | None = None,
        tokens: int | None = None,
        learning_rate: float = 1e-3,
        batch: int = 8192,
        length: int = 512,
        seed: int = 0,
        dtype: str = "auto",
        device: str = "auto",
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        _checked(steps, tokens, learning_rate, batch, length, dtype)
        self.texts = texts(data, seed)
        self.goal = steps if steps is not None else STEPS if tokens is None else None
        self.token_goal = tokens
        self.backbone, self.stored = load_trainable(
            model, device=device, revision=revision, trust_remote_code=trust_remote_code
        )
        room = None if self.backbone.window is None else self.backbone.window - self.backbone.specials
        if room is not None and length > room:
            raise ForewordError(
                f"Pieces of {length} tokens do not fit {model}, which has room for {room}; use --length {room} or less."
            )
        self.base = self.backbone.fingerprint
        self.recipe = Recipe(
            self.base, self.texts.digest, seed, batch, length, learning_rate, _half(dtype, self.backbone.device)
        )
        self.optimiser = torch.optim.Adafactor(self.backbone.model.parameters(), lr=learning_rate)
        self.tokens, self.steps, self.place = 0, 0, TextPlace()
        self.step_tokens = 0  # tokens of the last step
        self.curve: list[tuple[int, float]] = []
        self.window: list[float] = []

    def plan(self) -> dict[str, Any]:
        """What would be done: model, parameters, texts, goal and recipe."""
        return {
            "model": self.backbone.name,
            "parameters": self.backbone.parameters,
            "text": self.texts.name,
            "steps": self.goal,
            "tokens": self.token_goal,
            **asdict(self.recipe),
        }

    def done(self) -> bool:
        """Whether the steps or tokens asked for are made."""
        done, goal = self._progress()
        return done >= goal

    def _progress(self) -> tuple[int, int]:
        """Steps made and asked for; tokens where no steps were."""
        done, goal = (self.tokens, self.token_goal or 0) if self.goal is None else (self.steps, self.goal)
        return min(done, goal), goal

    def train(
        self,
        out: Path,
        *,
        threads: int | None = None,
        save_every: float = 180.0,
        report: Callable[[TrainingStatus], None] = lambda progress: None,
        report_every: int = 10,
        stop_after: int | None = None,
    ) -> Path:
        """Train to the goal and write the model to `out`/model; returns that folder, which transformers loads.

        A killed run goes on from its last checkpoint (`save_every` seconds apart) to the identical result; a finished one may be
        asked for more steps, not for fewer. stop_after: leave after so many steps of this call (then nothing is written but a checkpoint).
        Raises ForewordError for a checkpoint of another recipe or past the goal, and when the loss is no longer a number.
        """
        if threads:
            torch.set_num_threads(threads)
        refuse_input(out / "model", {"MODEL": self.backbone.name})
        with workplace(out):
            return self._train(out, save_every, report, report_every, stop_after)

    def _train(
        self,
        out: Path,
        save_every: float,
        report: Callable[[TrainingStatus], None],
        report_every: int,
        stop_after: int | None,
    ) -> Path:
        self._resume(out)
        self._refuse_longer(out)
        saved = began = time.monotonic()
        before = self.tokens
        for steps, (rows, place) in enumerate(self._stream()):
            if self.done() or steps == stop_after:
                break
            self.window.append(self._step(rows, place))
            if self.steps % report_every == 0:
                loss = sum(self.window) / len(self.window)
                self.curve.append((self.tokens, round(loss, 4)))
                now = time.monotonic()
                speed = (self.tokens - before) / (now - began)
                rate = self.recipe.learning_rate
                report(TrainingStatus(*self._progress(), self.tokens, self.steps, loss, rate, speed))
                self.window, began, before = [], now, self.tokens
            if time.monotonic() - saved > save_every:
                self._checkpoint(out)
                saved = time.monotonic()
        self._checkpoint(out)
        return self._export(out / "model") if self.done() else out

    def _stream(self) -> Iterator[tuple[list[Row], TextPlace]]:
        recipe = self.recipe
        return pairs(
            self.backbone,
            self.texts,
            seed=recipe.seed,
            length=recipe.length,
            budget=recipe.batch,
            place=self.place,
        )

    def _step(self, rows: list[Row], place: TextPlace) -> float:
        """One update; returns the loss in nats per target token."""
        answer_tokens = sum(len(row.answer) for row in rows)
        total = 0.0
        for part in self._parts(rows):
            with torch.autocast(self.backbone.device.type, torch.bfloat16, enabled=self.recipe.half):
                loss, _ = self.backbone.loss(None, part)
            (loss / answer_tokens).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if not math.isfinite(total):
            raise ForewordError(
                f"The loss is no longer a number at step {self.steps + 1}; use a --learning-rate below {self.recipe.learning_rate}."
            )
        self.optimiser.step()  # type: ignore[no-untyped-call]
        self.optimiser.zero_grad(set_to_none=True)
        self.step_tokens = sum(len(row.own) for row in rows) + answer_tokens
        self.tokens += self.step_tokens
        self.steps += 1
        self.place = place
        return total / answer_tokens

    def _parts(self, rows: list[Row]) -> Iterator[list[Row]]:
        """Rows that go through the model together."""
        read = max(len(row.own) for row in rows) + self.backbone.specials
        say = max(len(row.answer) for row in rows)
        many = max(1, min(AT_ONCE // (read + say), LOGITS // (say * self.backbone.vocab)))
        for start in range(0, len(rows), many):
            yield rows[start : start + many]

    def _resume(self, out: Path) -> None:
        recipe, path = asdict(self.recipe), out / "checkpoint.safetensors"
        if not path.exists():
            write_json(out / "recipe.json", recipe)
            return
        saved = read_object(out / "recipe.json", "recipe of the adaptation")
        other = [name for name in recipe if saved.get(name) != recipe[name]]
        if other:
            raise ForewordError(
                f"{out} holds an adaptation of another recipe (it differs in {', '.join(other)}); choose another folder or that recipe."
            )
        plain = put_back(path, self.backbone.model, self.optimiser)
        self.tokens, self.steps, self.window = plain["tokens"], plain["steps"], plain["window"]
        self.step_tokens = plain.get("step_tokens", recipe["batch"])  # earlier versions did not keep it
        chunk, batch, offset, line = plain["place"]
        self.place = TextPlace(chunk, batch, Mark(offset, line))
        self.curve = [(tokens, loss) for tokens, loss in plain["curve"]]

    def _refuse_longer(self, out: Path) -> None:
        """Raises ForewordError where more was made than is asked for: a step before the last had reached the goal."""
        done, last, unit = (self.tokens, self.step_tokens, "tokens") if self.goal is None else (self.steps, 1, "steps")
        goal = self._progress()[1]
        if self.steps and done - last >= goal:
            raise ForewordError(
                f"{out} holds an adaptation of {done:,} {unit} and {goal:,} are asked for; give --{unit} {done} or more, or another folder."
            )

    def _checkpoint(self, out: Path) -> None:
        place = self.place
        plain = {
            "tokens": self.tokens,
            "steps": self.steps,
            "step_tokens": self.step_tokens,
            "window": self.window,
            "place": [place.chunk, place.batch, place.mark.offset, place.mark.line],
            "curve": self.curve,
        }
        keep(out / "checkpoint.safetensors", self.backbone.model, self.optimiser, plain)

    def _export(self, folder: Path) -> Path:
        """The model folder, whole or not at all: weights, tokenizer, recipe and card."""
        with whole_folder(folder) as part:
            save_trainable(self.backbone, part, self.stored)
            facts = {"tokens": self.tokens, "steps": self.steps, "curve": self.curve}
            write_json(part / "recipe.json", {**asdict(self.recipe), **facts})
            write_text(part / "README.md", self._card())
        return folder

    def _card(self) -> str:
        """The model card in Markdown."""
        every = max(1, math.ceil(len(self.curve) / SHOWN))
        shown = self.curve[::-1][::every][::-1]
        points = "".join(f"| {tokens:,} | {loss:.3f} |\n" for tokens, loss in shown)
        recipe = self.recipe
        return (
            f"# {Path(self.backbone.name).name}, LM-adapted\n\n"
            f"`foreword adapt` went on training `{Path(self.backbone.name).name}` with the prefix-LM objective of Lester et al. 2021: "
            "a text is cut at a random point, the encoder reads what stands before and the decoder says the rest.\n\n"
            f"- base model: fingerprint `{self.base}`\n"
            f"- text: {self.texts.name} (`{recipe.data}`), pieces of {recipe.length} tokens, seed {recipe.seed}\n"
            f"- training: {self.steps:,} steps, {self.tokens:,} tokens, batches of {recipe.batch:,} padded tokens\n"
            f"- optimiser: Adafactor, constant rate {recipe.learning_rate:g} relative to each weight's scale, no dropout\n"
            f"- matrix products in {'bfloat16' if recipe.half else 'float32'}, weights trained in float32\n\n"
            f"| tokens | loss (nats a token) |\n|---|---|\n{points}"
        )


def _half(dtype: str, device: torch.device) -> bool:
    """Whether matrix products are in bfloat16: as asked for, else (auto) wherever they are not slower so."""
    if dtype != "auto":
        return dtype == "bfloat16"
    return device.type != "cpu" or not slow_on_processor(torch.bfloat16)


def _checked(steps: int | None, tokens: int | None, learning_rate: float, batch: int, length: int, dtype: str) -> None:
    """Refuse numbers that mean nothing before anything is loaded."""
    if steps is not None and tokens is not None:
        raise ForewordError(f"Both {steps} steps and {tokens} tokens are asked for; give --steps or --tokens.")
    for name, value, least in (
        ("--steps", steps, 0),
        ("--tokens", tokens, 0),
        ("--batch", batch, 1),
        ("--length", length, 2),
    ):
        if value is not None and value < least:
            raise ForewordError(f"{name} is {value}; it must be at least {least}.")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ForewordError(f"--learning-rate is {learning_rate}; it must be a number above 0.")
    if dtype not in ("auto", "bfloat16", "float32"):
        raise unknown("dtype", dtype, ["auto", "bfloat16", "float32"])
