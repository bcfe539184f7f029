"""A Spec says what a Trial is made of, and digests it to the trial's key; it refuses to leave out what can change a number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from foreword.config.tuning import Tuning
from foreword.data.task import Task
from foreword.engine import Backbone
from foreword.metrics import metric
from foreword.prompts.inits import INITS, InitSource
from foreword.prompts.methods import Method
from foreword.prompts.retrieve import signature
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.results.record import ENGINE, key_of
from foreword.train.trainables import TRAINABLES


@dataclass(frozen=True)
class Spec:
    """What a trial is made of, beside backbone and task. start_prompt: a prompt to start from or to use. encoder: identifies what
    turns text into vectors, for dense retrieval: a fingerprint of its contents, or `backbone:mean`. split: the one that is scored.
    choice_score: how choices are compared, see `choosing.choose`. fold: its number, from 1, where the task is one of several folds,
    which its contents tell apart; 0 where it is whole. source: the key of the trial that trains what this one is scored with; empty
    where it trains its own."""

    label: str
    method: Method
    seed: int
    tuning: Tuning
    max_new_tokens: int
    encoder: str = ""
    start_prompt: SoftPrompt | None = field(default=None, compare=False)
    split: str = "test"
    choice_score: str = "sum"
    fold: int = 0
    source: str = ""

    def contents(self, backbone: Backbone, task: Task) -> dict[str, Any]:
        """Everything that decides the result, as plain values: the key is their digest."""
        row = self.method
        chat = {} if backbone.chat is None else {"chat": [backbone.chat.digest, list(backbone.eos)]}
        scored = {} if self.choice_score == "sum" else {"choice_score": self.choice_score}
        unit = {"rate_unit": TRAINABLES[row.trainable].rate.key} if row.soft else {}
        trained = {"trained_by": self.source} if self.source else {}
        return (
            chat
            | scored
            | unit
            | trained
            | {
                "engine": ENGINE,
                "backbone": backbone.fingerprint,
                "dtype": str(backbone.dtype).removeprefix("torch."),
                "task": task.fingerprint,
                "split": self.split,
                "method": row.as_dict(),
                "seed": self.seed if row.random() else None,
                "tuning": self._tuning() if row.trains else None,
                "given": self.start_prompt.digest if self.start_prompt is not None and row.soft else None,
                "max_new_tokens": self.max_new_tokens,
                "encoder": self.encoder if row.retriever == "dense" else None,
                "retriever": signature(row.retriever) if row.demonstrations == "retrieved" else None,
                "metrics": {name: _signature(name) for name in task.metrics},
            }
            | self._plugins()
        )

    def starts_from(self, task: Task) -> InitSource:
        """What a soft prompt's init strategy may start from."""
        labels = list(dict.fromkeys(choice for example in task.train for choice in example.choices))
        return InitSource(self.tuning.init_text or task.template.instruction, labels, self.start_prompt)

    def _tuning(self) -> dict[str, Any]:
        """The settings of the tuning. A start prompt is known by its digest: where its folder lies is no part of what it is."""
        return self.tuning.stored() | ({} if self.start_prompt is None else {"init_prompt": ""})

    def _plugins(self) -> dict[str, Any]:
        """What of another package's code trains or begins a training: its contents. A metric's and a retriever's are in their
        signatures; a method's row and a task's examples are contents themselves."""
        row = self.method
        identities = {
            "trainable": TRAINABLES.identity(row.trainable) if row.trains else "",
            "init": INITS.identity(self.tuning.init) if row.trains and self.start_prompt is None else "",
        }
        brought = {kind: identity for kind, identity in identities.items() if identity}
        return {"plugins": brought} if brought else {}

    def key(self, backbone: Backbone, task: Task) -> str:
        """The trial's name in the run folder."""
        return key_of(self.contents(backbone, task))


def _signature(name: str) -> str | None:
    """A metric's version and options; None where it cannot run here, and so scores nothing."""
    return None if metric(name).absence() else metric(name).signature()
