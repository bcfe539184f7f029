"""A log watched as a whole: windows against a reference, truth over time, what to label next; it refuses to leave an alarm unsaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foreword.monitor.against import Against, Encoder, encoded
from foreword.monitor.labelling import ToLabel, label_next
from foreword.monitor.observations import Observation, of_prompt, read_log
from foreword.monitor.shift import FEWEST
from foreword.monitor.truth import Score, Truth, read_truth
from foreword.monitor.windows import ANSWERS, INPUTS, NAMES, Reference, Rule, Window, reference_of, windows_of
from foreword.util.errors import ForewordError
from foreword.util.phrases import listed

UNKNOWN = "the log and the reference know nothing of them in common"


@dataclass(frozen=True)
class MonitorSettings:
    """What is asked of a log. prompt: whose answers, as `of_prompt` has it; where empty, those of `against`, where that is of a store.
    baseline: so many requests at the beginning of the log are the reference of the answers where `against` has none. last: only so many
    of the newest windows may alarm, None for all. truth: a file. metric: by which it is scored, that of the prompt where empty. least: a
    score below which the interval of a whole window alarms. label: how many requests to name for labelling."""

    log: Path
    against: Against
    prompt: str = ""
    rule: Rule = field(default_factory=Rule)
    baseline: int = 200
    last: int | None = None
    truth: Path | None = None
    metric: str = ""
    least: float | None = None
    label: int = 0
    encoder: Encoder | None = None


@dataclass(frozen=True)
class Monitored:
    """What came of it. prompt: name@version. requests: answered inputs. reference: values of each feature. alarms: sentences."""

    log: str
    prompt: str
    against: str
    rule: Rule
    requests: int
    windows: tuple[Window, ...]
    reference: Reference
    observations: tuple[Observation, ...]
    scores: tuple[Score, ...] = ()
    metric: str = ""
    level: float = 0.95
    to_label: tuple[ToLabel, ...] = ()
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values: what `--json` prints."""
        return {
            "log": self.log,
            "prompt": self.prompt,
            "against": self.against,
            "window": self.rule.size,
            "alpha": self.rule.alpha,
            "horizon": self.rule.horizon,
            "requests": self.requests,
            "waiting": self.requests % self.rule.size,
            "alarm": bool(self.alarms),
            "alarms": list(self.alarms),
            "windows": [window.as_dict() for window in self.windows],
            "metric": self.metric or None,
            "level": self.level,
            "scores": [score.as_dict() for score in self.scores],
            "label_next": [observation.as_dict() for observation in self.to_label],
            "notes": list(self.notes),
        }


def monitored(settings: MonitorSettings) -> Monitored:
    """Test each window of the log, join the truth, and choose what to label. Raises ForewordError where there is nothing to compare."""
    against = settings.against
    whose = (settings.prompt, "") if settings.prompt else (against.name, against.digest)
    observations = of_prompt(read_log(settings.log), whose[0], str(settings.log), whose[1])
    if settings.encoder is not None and settings.encoder.texts:
        observations = encoded(observations, settings.encoder, str(settings.log))
    observations, notes = _of_one_kind(observations, against)
    reference, baseline = dict(against.values), 0
    if not against.answers:
        baseline = settings.baseline
        reference |= reference_of(observations[:baseline], (ANSWERS,))
    windows = windows_of(observations, reference, settings.rule, baseline=baseline)
    notes += _notes(settings, observations, windows)
    truth = _truth(settings, observations)
    level = 1.0 - (2.0 * settings.rule.level if settings.least is not None else 0.05)
    scores = [] if truth is None else truth.scores(observations, settings.rule.size, level=level, least=settings.least)
    to_label = label_next(observations, reference, settings.label, () if truth is None else truth.by_id)
    notes += _notes_of_truth(settings, truth, bool(to_label), bool(scores) and scores[-1].window == len(windows))
    return Monitored(
        str(settings.log),
        observations[-1].name,
        against.what,
        settings.rule,
        len(observations),
        tuple(windows),
        reference,
        tuple(observations),
        tuple(scores),
        "" if truth is None else truth.metric,
        level,
        tuple(to_label),
        tuple(_alarms(settings, windows, scores)),
        tuple(notes),
    )


def _of_one_kind(observations: Sequence[Observation], against: Against) -> tuple[list[Observation], list[str]]:
    """The observations, vectors of another kind than the reference's left out, and what a reader should know of it."""
    kinds = {observation.vectors for observation in observations if observation.vector is not None}
    if not kinds:
        return list(observations), []
    comparable = [
        observation if observation.vectors == against.vectors else replace(observation, vector=None)
        for observation in observations
    ]
    if against.vectors and kinds == {against.vectors}:
        return comparable, []
    why = "are of another model" if against.vectors else "are not in the reference; give --model to make them"
    return comparable, [f"The log holds vectors of inputs, which {why}: those were not compared."]


def _truth(settings: MonitorSettings, observations: Sequence[Observation]) -> Truth | None:
    if settings.truth is None:
        if settings.least is not None:
            raise ForewordError("A least score was asked for and there is no truth; give --truth FILE.")
        if settings.metric:
            raise ForewordError(f"The metric {settings.metric} was asked for and there is no truth; give --truth FILE.")
        return None
    stored = settings.against.stored
    default = stored.metrics[0] if stored is not None and stored.metrics else "exact_match"
    digest = settings.against.digest
    another = digest and digest != observations[-1].digest  # its choices may be others
    choices = () if stored is None or another else stored.choices
    return read_truth(settings.truth, observations, metric_name=settings.metric, default=default, choices=choices)


def _notes(settings: MonitorSettings, observations: Sequence[Observation], windows: Sequence[Window]) -> list[str]:
    """What was compared and what was not, by the tests that there are."""
    if not windows:
        return [
            f"The log holds {len(observations)} requests of {observations[-1].name}, and a window takes {settings.rule.size}: nothing was "
            "tested yet."
        ]
    tested = {test.feature for window in windows for test in window.tests}
    inputs = [name for name, feature in NAMES.items() if name in tested and feature.side == INPUTS]
    notes = []
    if not inputs:
        notes.append(f"Inputs were not compared: {UNKNOWN}; give --against an earlier log.")
    elif "input vectors" not in inputs:
        logged = any(observation.vectors for observation in observations)
        advice = "" if logged else "; serve with --log-features to compare vectors too"
        notes.append(f"Inputs were compared by {listed(inputs)} alone{advice}.")
    answers = tested - set(inputs)
    baseline = settings.baseline
    if settings.against.answers:
        sentence = "" if answers else f"Answers were not compared: {UNKNOWN}."
    elif answers:
        sentence = f"Answers were compared with those of the first {baseline:,} of these requests."
    elif baseline < FEWEST:
        sentence = f"Answers were not compared: the baseline is {baseline}, and {FEWEST} or more are needed; give --baseline more."
    elif windows[-1].first < baseline:
        sentence = (
            f"Answers were not compared yet: those of the first {baseline:,} requests are what later ones are compared with, and no whole "
            "window lies behind these."
        )
    else:
        sentence = f"Answers were not compared: {UNKNOWN}."
    return [*notes, sentence] if sentence else notes


def _notes_of_truth(settings: MonitorSettings, truth: Truth | None, labels: bool, unfinished: bool) -> list[str]:
    """labels: whether requests are named for labelling. unfinished: whether the last score is of no whole window."""
    notes = []
    if truth is not None and truth.unknown:
        notes.append(f"{truth.unknown} ids of {settings.truth} are of no request of this prompt and were left out.")
    if settings.least is not None and unfinished:
        notes.append(
            f"The last score is of a window that is not whole yet ({settings.rule.size} requests), and does not alarm."
        )
    if labels:
        notes.append(
            "The requests to label next are chosen for being unlike or uncertain, so a score that counts them is not that of all requests; "
            "for --truth, label requests that are drawn by chance."
        )
    return notes


def _alarms(settings: MonitorSettings, windows: Sequence[Window], scores: Sequence[Score]) -> list[str]:
    """What alarms, in sentences; only whole windows do."""
    first = 0 if settings.last is None else len(windows) - settings.last
    sentences = []
    for window in windows:
        for test in window.tests:
            if test.alarm and window.number >= first:
                place = _place(window.number, settings.rule)
                sentences.append(f"{place}: {meaning(test.feature)} (adjusted p = {test.adjusted:.2g}).")
    for score in scores:
        if score.alarm and score.window >= first:
            place = _place(score.window, settings.rule)
            sentences.append(
                f"{place}: the score is {score.score:.1f} ({score.low:.1f} to {score.high:.1f}), below {settings.least:g}."
            )
    return sentences


def meaning(feature: str) -> str:
    """What an alarm of a feature means, in words."""
    whose = "answers are" if NAMES[feature].side == ANSWERS else "inputs are"
    return f"{whose} unlike the reference by {feature}"


def _place(number: int, rule: Rule) -> str:
    return f"Requests {number * rule.size + 1:,} to {(number + 1) * rule.size:,}"
