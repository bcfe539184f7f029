"""A soft prompt tuned on a few rows, as tests want it; it refuses to need a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreword.config.tuning import Tuning
from foreword.engine import Backbone, Row
from foreword.prompts.inits import InitSource
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.train.loop import Tuned, dev_loss, train
from foreword.train.trainables import TRAINABLES, Setup


def tuned(backbone: Backbone, rows: Sequence[Row], folder: Path, *, length: int, steps: int) -> Tuned:
    """From the vectors of frequent tokens, on the rows and scored on them."""
    start = SoftPrompt(backbone.embed(backbone.tokenizer.frequent(200)[:length]), Provenance(backbone=backbone.name))
    tuning = Tuning(prompt_length=length, max_steps=steps, batch_size=len(rows), eval_every=steps)
    setup = Setup(backbone, tuning, 0, InitSource(prompt=start))
    scored = dev_loss(backbone, rows, len(rows))
    return train(TRAINABLES["prompt"], setup, rows, lambda backbone: scored, folder=folder)[1]
