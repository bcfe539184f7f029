"""The choice of the next token: the likeliest, or one drawn by a seed that depends on the row's seed and the token's position alone, so
that a sampled answer does not depend on its batch-mates either.

A token is drawn by the Gumbel-max trick: each token's logit gets a number of its own, and the greatest sum wins, which is a draw by the
softmax. Rounding changes it only where the two greatest sums are equal to rounding. A number drawn on a cumulative sum lies near one of its
many bounds far more often: of 7,000 answers in mixed batches, half of them sampled, one was another than alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foreword.util.errors import ForewordError


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen. temperature: 0 takes the likeliest; above, logits are divided by it. top_k: only so many of the likeliest (0:
    all). top_p: only the likeliest that together have this probability. min_p: only those with at least this part of the greatest
    probability. repetition_penalty: logits of tokens that are in the row or its answer are divided by it where positive, multiplied where
    negative (Keskar et al. 2019, arXiv 1909.05858). seed: of the row's chance. Filters are applied in this order: penalty, temperature,
    top_k, top_p, min_p, as in the model library. Raises ForewordError for values out of range."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "temperature": (0.0 <= self.temperature < float("inf"), "0 or more"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "top_p": (0.0 < self.top_p <= 1.0, "above 0 and at most 1"),
            "min_p": (0.0 <= self.min_p <= 1.0, "from 0 to 1"),
            "repetition_penalty": (0.0 < self.repetition_penalty < float("inf"), "above 0"),
        }
        for name, (right, expected) in ranges.items():
            if not right:
                raise ForewordError(f"{name} is {getattr(self, name)} and must be {expected}.")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token of the model's own logits is taken."""
        return self.temperature == 0.0 and self.repetition_penalty == 1.0


GREEDY = Sampling()


def choose(logits: Tensor, sampling: Sampling, position: int, previous: Sequence[int]) -> int:
    """The next token by logits [V]. position: how many tokens the answer has already. previous: ids of the row and of its answer so far."""
    if sampling.repetition_penalty != 1.0 and previous:
        logits = _penalised(logits, sampling.repetition_penalty, previous)
    if sampling.temperature == 0.0:
        return int(logits.max(dim=-1).indices)
    logits = _truncated(logits.cpu().double() / sampling.temperature, sampling)  # some accelerators have no float64
    possible = torch.nonzero(torch.isfinite(logits)).flatten()  # [K], K of the V tokens
    noise = _gumbel(f"{sampling.seed}/{position}", len(logits), possible.numpy())
    return int(possible[(logits[possible] + torch.from_numpy(noise)).argmax()])


def _gumbel(key: str, size: int, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers of the standard Gumbel distribution for some of `size` tokens [K]: each depends on the key and the token alone."""
    seed = int.from_bytes(sha256(key.encode()).digest()[:16], "little")
    uniform = np.random.Generator(np.random.PCG64(seed)).random(size)[tokens]
    return -np.log(-np.log(np.clip(uniform, 1e-300, None)))


def ruled_out(logits: Tensor, allowed: Tensor) -> Tensor:
    """Logits [V], -inf where a token is not allowed; ids beyond those that `allowed` speaks of are not."""
    mask = torch.zeros(len(logits), dtype=torch.bool)
    count = min(len(logits), len(allowed))
    mask[:count] = allowed[:count]
    return logits.masked_fill(~mask.to(logits.device), float("-inf"))


def _penalised(logits: Tensor, penalty: float, previous: Sequence[int]) -> Tensor:
    known = torch.tensor(sorted(set(previous)), device=logits.device)
    values = logits[known]
    return logits.index_copy(0, known, torch.where(values > 0, values / penalty, values * penalty))


def _truncated(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits [V], -inf where top_k, top_p and min_p leave a token out; of equal logits at a border all stay."""
    if 0 < sampling.top_k < len(logits):
        border = torch.topk(logits, sampling.top_k).values[-1]
        logits = logits.masked_fill(logits < border, float("-inf"))
    if sampling.top_p < 1.0:
        ordered, order = torch.sort(logits, descending=True, stable=True)
        chances = torch.softmax(ordered, dim=-1)
        before = chances.cumsum(dim=-1) - chances
        dropped = before >= sampling.top_p  # the likeliest always stays
        logits = logits.index_fill(0, order[dropped], float("-inf"))
    if sampling.min_p > 0.0:
        chances = torch.softmax(logits, dim=-1)
        logits = logits.masked_fill(chances < sampling.min_p * chances.max(), float("-inf"))
    return logits
