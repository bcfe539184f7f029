"""Whether one method's scores spread less over seeds than another's, with the power that so few seeds have; it refuses to test the spread
of fewer than two."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreword.results.stats.resampling import Numbers, generator
from foreword.util.errors import ForewordError

RATIO = 3.0  # of standard deviations, at which the power is told
DRAWS = 2000
EXACT = 2**12  # sign patterns that are all gone through; above it as many are drawn


@dataclass(frozen=True)
class SpreadTest:
    """log_ratio: the mean over cells of log(standard deviation of a / of b): below 0 where a spreads less. ratio: its exponential, the
    geometric mean of the ratios. p: one-sided, of a spreading no less. power: how often this test would tell a ratio of 1 to RATIO at
    5 %, of normal scores. least: the smallest p that so few cells can give. cells: how many took part."""

    ratio: float
    log_ratio: float
    p: float
    power: float
    least: float
    cells: int

    @property
    def significant(self) -> bool:
        """Whether a is shown to spread less."""
        return self.p < 0.05


def lower_spread(cells: Sequence[tuple[Sequence[float], Sequence[float]]], *, seed: int = 0) -> SpreadTest:
    """Whether a spreads less than b over cells (tasks, lengths) of one grid, each cell the scores (of a, of b) over seeds.

    Where both spread alike, the log of the ratio of their standard deviations is as likely above as below 0 in each cell: the test goes
    through all signs (exact up to 12 cells, else 4,096 drawn), and needs no shape of the scores. A ratio beyond ten counts as ten, so
    that no cell decides whose few seeds happen to agree; a cell without any spread is no difference.
    """
    if not cells:
        raise ForewordError("A test of spread was asked for no cell; give one at least.")
    for a, b in cells:
        _enough(a, b)
    logs = np.array([_log_ratio(np.asarray(a, float), np.asarray(b, float)) for a, b in cells])
    sizes = [(len(a), len(b)) for a, b in cells]
    return SpreadTest(
        ratio=float(np.exp(logs.mean())),
        log_ratio=float(logs.mean()),
        p=_sign_flip(logs, seed),
        power=power(sizes, seed=seed),
        least=1.0 / min(2 ** len(cells), EXACT),
        cells=len(cells),
    )


def power(sizes: Sequence[tuple[int, int]], *, ratio: float = RATIO, draws: int = DRAWS, seed: int = 0) -> float:
    """How often the test of `lower_spread` tells a spread of 1 from one of `ratio` at 5 %, of normal scores with so many seeds a side."""
    rng = generator(seed, f"power of spread/{ratio}/{list(sizes)}")
    logs = np.empty((draws, len(sizes)))
    for n, (first, second) in enumerate(sizes):
        a = rng.standard_normal((draws, first)).std(axis=1, ddof=1)
        b = ratio * rng.standard_normal((draws, second)).std(axis=1, ddof=1)
        logs[:, n] = np.log(a / b)
    signs = _signs(len(sizes), seed)
    count = 0
    for some in np.array_split(logs, 10):  # [R, cells] @ [cells, draws / 10]
        count += int(((signs @ np.abs(some).T <= some.sum(axis=1) + 1e-12).mean(axis=0) < 0.05).sum())
    return count / draws


def _sign_flip(logs: Numbers, seed: int) -> float:
    """The share of sign patterns whose sum is as low as this one's."""
    sums = _signs(len(logs), seed) @ np.abs(logs)
    return float((sums <= logs.sum() + 1e-12).mean())


def _signs(cells: int, seed: int) -> Numbers:
    """All patterns of signs [R, cells], or as many drawn, the one that is all minus among them."""
    if 2**cells <= EXACT:
        return np.array(list(itertools.product((-1.0, 1.0), repeat=cells)))
    drawn = generator(seed, f"signs/{cells}").integers(0, 2, size=(EXACT, cells)) * 2.0 - 1.0
    drawn[0] = -1.0
    return np.asarray(drawn)


def _log_ratio(a: Numbers, b: Numbers) -> float:
    first, second = float(a.std(ddof=1)), float(b.std(ddof=1))
    larger = max(first, second)
    if larger == 0.0:
        return 0.0
    return float(np.log(max(first, larger / 10) / max(second, larger / 10)))


def _enough(*sides: Sequence[float]) -> None:
    if min(map(len, sides)) < 2:
        raise ForewordError(
            f"A spread over seeds was asked for {' and '.join(str(len(side)) for side in sides)} scores; it takes two a side at least."
        )
