"""Trainable is an entry of the shelf, and Training is one that has begun, as the training loop drives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from foreword.config.tuning import Tuning
from foreword.engine import Backbone, Prefix
from foreword.prompts.inits import InitSource
from foreword.prompts.soft_prompt import Provenance, SoftPrompt

PrefixLike = Prefix | Tensor | None  # what `Backbone.loss` takes to stand before every row


@dataclass(frozen=True)
class Setup:
    """What a training begins from. start_from: what an init strategy may start from."""

    backbone: Backbone
    tuning: Tuning
    seed: int
    start_from: InitSource


class Training(Protocol):
    """A training that has begun.

    backbone: the model that is trained through, and that answers: the one of the setup, untouched, or a changed copy of it.
    named: the trained numbers, which gradients reach. initial: what is kept where not one step is taken. start: tells one
    beginning from another.
    """

    backbone: Backbone
    named: dict[str, Tensor]
    initial: dict[str, Tensor]
    start: str

    def prefix(self) -> PrefixLike:
        """What stands before every row, as it is now; gradients reach `named` through it. None where nothing does."""

    def snapshot(self) -> dict[str, Tensor]:
        """A copy, on the CPU, of what is to be used later."""

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameter groups with their rates, in the order of `named`."""

    def refresh(self) -> None:
        """Called before every evaluation: forget what was computed with earlier numbers."""

    def finish(self, best: dict[str, Tensor]) -> None:
        """Called once, at the end: the backbone is to answer with the best numbers, and takes no gradients any more."""


@dataclass(frozen=True)
class Rate:
    """A learning rate. unit: of what. setting: the key of a run that holds it. flag: how the command line calls that setting, where
    it has a name for it. key: stands for the unit in the keys of trials, where an earlier version had another one."""

    unit: str
    setting: str
    flag: str = ""
    key: str = ""

    @property
    def name(self) -> str:
        """For a sentence that says to change it."""
        return self.flag or self.setting


@dataclass(frozen=True)
class Trainable:
    """A kind of training.

    name: as the rows of METHODS call it. trains: what, in words. rate: its learning rate. settings: those of Tuning that it alone
    reads. prefix: whether what it trains stands before the input. changes_model: whether a changed copy of the backbone answers, and
    not the backbone itself. begin: starts a training. parameters: how many numbers are
    trained, before anything runs, given a prompt's length P. flops: floating-point operations of a training step for each token,
    forward and backward, attention's own products not counted. keeps: what is left to be used later, in words; empty where
    nothing is. artifact: makes that of the best numbers and their birth certificate; None where nothing is kept.
    """

    name: str
    trains: str
    rate: Rate
    prefix: bool
    changes_model: bool
    begin: Callable[[Setup], Training]
    parameters: Callable[[Backbone, Tuning, int], int]
    flops: Callable[[Backbone], int]
    settings: frozenset[str] = frozenset()
    keeps: str = ""
    artifact: Callable[[dict[str, Tensor], Provenance], SoftPrompt] | None = None
