"""An ensemble: the majority over the answers of finished trials on the same examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from foreword.util.errors import ForewordError


def majority(outputs: Sequence[str]) -> str:
    """The answer that most trials gave, texts compared as they stand; among tied ones, the earliest trial's."""
    if not outputs:
        raise ForewordError("A majority of no answers was asked for; give the answers of at least one trial.")
    votes = Counter(outputs)
    most = max(votes.values())
    return next(output for output in outputs if votes[output] == most)


def vote(trials: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The majority for each example, as Lester et al. 2021 voted over five prompts of one task.

    trials: example id to output, one mapping a trial, in the order that settles ties. Raises ForewordError when
    they did not answer the same examples.
    """
    if not trials:
        raise ForewordError("An ensemble of no trials was asked for; give at least one.")
    for position, trial in enumerate(trials[1:], start=1):
        odd = sorted(trial.keys() ^ trials[0].keys())
        if odd:
            raise ForewordError(
                f"Trial {position} of the ensemble (counted from 0) and trial 0 differ in {len(odd)} examples, "
                f"'{odd[0]}' for one; vote over trials of the same split and limit."
            )
    return {name: majority([trial[name] for trial in trials]) for name in trials[0]}
