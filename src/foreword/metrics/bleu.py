"""BLEU as sacrebleu computes it, with several references; the signature names the tokenizer.

A set without an answer of four tokens scores 0, as in sacrebleu; for one-word answers use exact_match or chrf.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from sacrebleu.metrics import BLEU

from foreword.metrics.base import Metric, Numbers, divide, pairs

ORDER = 4


def _statistics(tool: BLEU, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    rows = []
    for output, accepted in pairs(outputs, references):
        score = tool.sentence_score(output, list(accepted))
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return np.array(rows, dtype=np.float64).reshape(-1, 2 + 2 * ORDER)


def _score(sums: Numbers, *, effective: bool) -> Numbers:
    """[..., 10] -> [...]: BLEU, exponential smoothing; effective: over the orders that the output reaches."""
    ours, theirs = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER :]
    logs, orders, halvings = np.zeros((3, *ours.shape))
    for n in range(ORDER):
        missed, usable = correct[..., n] == 0, total[..., n] > 0
        halvings = halvings + missed
        share = divide(np.where(missed, 0.5**halvings, correct[..., n]), total[..., n])
        logs = logs + np.log(np.where(usable, share, 1.0))
        orders = orders + usable
    brevity = np.minimum(0.0, 1.0 - divide(theirs, ours))
    score = 100.0 * np.exp(brevity + divide(logs, orders))
    defined = (correct[..., 0] > 0) & ((orders == ORDER) | effective)
    return np.where(defined, score, 0.0)


def _signature(tool: BLEU) -> str:
    tool.num_refs = -1  # sacrebleu's own mark of references that vary in number
    return str(tool.get_signature())


@functools.cache
def _tool(lowercase: bool, tokenize: str, effective: bool) -> BLEU:
    return BLEU(lowercase=lowercase, tokenize=tokenize, effective_order=effective)


def _here() -> str:
    return ""


def bleu(name: str, *, lowercase: bool = False, tokenize: str = "13a", absence: Callable[[], str] = _here) -> Metric:
    """BLEU of sacrebleu's tokens of that name. Statistics [N, 10]: output and closest reference length, n-gram hits, totals."""

    # Only statistics are asked of this tool; they do not depend on the effective order, which silences a warning.
    def statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
        return _statistics(_tool(lowercase, tokenize, True), outputs, references)

    return Metric(
        name=name,
        best=100.0,
        source="Papineni et al. 2002, as sacrebleu's corpus_bleu (Post 2018); per example: its sentence_bleu.",
        statistics=statistics,
        from_sums=functools.partial(_score, effective=False),
        signature=lambda: _signature(_tool(lowercase, tokenize, False)),
        alone=functools.partial(_score, effective=True),
        absence=absence,
    )


METRICS = (bleu("bleu"), bleu("bleu_lower", lowercase=True))
