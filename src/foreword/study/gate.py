"""A gate takes, for each input, PT's or IPT's answer: by how similar the demonstration is, or by which answer the model is surer of; it
refuses to look at a test target."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from foreword.data.examples import Example
from foreword.infer.choosing import choice_ids
from foreword.infer.predict import budget_of, predict
from foreword.metrics import metric
from foreword.metrics.scores import scores_of
from foreword.prompts import store
from foreword.prompts.layout import Laid
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.results.record import ENGINE, Answer, Costs, Record, key_of
from foreword.study.trial import Trial
from foreword.util.errors import TrialFailedError

NEVER = float("inf")  # a threshold that no similarity reaches


@dataclass(frozen=True)
class Side:
    """One of the two methods: its trial, its record of the test split, its soft prompt."""

    trial: Trial
    record: Record
    prompt: SoftPrompt

    def laid(self, examples: Sequence[Example]) -> list[Laid]:
        """Examples as this method words them."""
        layout = self.trial.layout().placed(self.prompt.provenance.place == "behind")
        return [layout.lay(example) for example in examples]

    def outputs(self, laid: Sequence[Laid]) -> tuple[str, ...]:
        """Its answers to examples that are not of the test split."""
        trial = self.trial
        return predict(
            trial.backbone,
            trial.task.template,
            self.prompt.values,
            laid,
            longest=trial.spec.max_new_tokens,
            batch_size=trial.batch_size,
            choice_score=trial.spec.choice_score,
        ).outputs

    def certainty(self, laid: Sequence[Laid], outputs: Sequence[str]) -> list[float]:
        """The log-probability of each of its answers in nats a token, its end counted in where it is generated."""
        backbone, template = self.trial.backbone, self.trial.task.template
        rows = []
        for example, output in zip(laid, outputs, strict=True):
            choices = example.example.choices
            if choices:
                ids = choice_ids(backbone, template, choices)[choices.index(output)]
            else:
                ids = backbone.answer_ids(template.replied(output))
            rows.append(example.row(ids))
        sums = [0.0] * len(rows)

        def score(places: list[int]) -> list[float]:
            return backbone.score(self.prompt.values, [rows[place] for place in places])

        sizes = backbone.sizes([self.prompt.values] * len(rows), rows, 0)
        budget = budget_of(backbone)
        for places, values in budget.run(sizes, score, batch_size=self.trial.batch_size, free=backbone.forget):
            for place, value in zip(places, values, strict=True):
                sums[place] = value
        return [total / len(row.answer) for total, row in zip(sums, rows, strict=True)]


def side(trial: Trial) -> Side:
    """A finished trial as one side. Raises TrialFailedError where it is not finished."""
    record = trial.finished()
    if record is None or not record.prompt:
        raise TrialFailedError(f"The gate needs {trial.name}, which is not finished; run the study again.")
    return Side(trial, record, store.load(trial.out / record.prompt))


def weighed(label: str, trial: Trial) -> Trial:
    """The trial of one of the two methods on the examples that a gate of this label sends through it."""
    if RULES[label].over != "dev":
        return trial
    task = trial.task.limited({"dev": trial.spec.tuning.dev_limit})
    return replace(trial, task=task, spec=replace(trial.spec, split="dev"))


def by_similarity(pt: Side, ipt: Side) -> tuple[list[bool], dict[str, float]]:
    """IPT's answer where the demonstration's similarity reaches the threshold that scores highest on dev; of equally good ones the highest,
    which retrieves the least."""
    task, tuning = ipt.trial.task, ipt.trial.spec.tuning
    dev = task.limited({"dev": tuning.dev_limit}).dev
    laid = pt.laid(dev), ipt.laid(dev)
    outputs = [each.outputs(own) for each, own in zip((pt, ipt), laid, strict=True)]
    similar = [_similarity(example) for example in laid[1]]
    measure = metric(task.metrics[0])

    def scored(threshold: float) -> float:
        chosen = [b if near >= threshold else a for a, b, near in zip(*outputs, similar, strict=True)]
        numbers = measure.numbers(chosen, [example.targets for example in dev], [example.facts for example in dev])
        return float(measure.from_sums(numbers.sum(axis=0)))

    threshold = max(sorted({*similar, NEVER}), key=lambda value: (scored(value), value))
    test = [_shown(answer) for answer in ipt.record.answers]
    return [near >= threshold for near in test], {} if threshold == NEVER else {"threshold": threshold}


def by_certainty(pt: Side, ipt: Side) -> tuple[list[bool], dict[str, float]]:
    """IPT's answer where the model is surer of it than of PT's, by log-probability a token."""
    examples = {example.id: example for example in ipt.trial.task.split(ipt.trial.spec.split)}
    test = [examples[answer.id] for answer in ipt.record.answers]
    sure = [each.certainty(each.laid(test), [answer.output for answer in each.record.answers]) for each in (pt, ipt)]
    return [b > a for a, b in zip(*sure, strict=True)], {}


@dataclass(frozen=True)
class Rule:
    """How a gate chooses. takes_ipt: whether it takes IPT's answer, for each input, and what was fitted for that. over: the examples that
    go through both methods once more for it, `dev`, which they answer, or `scored`, whose answers they weigh."""

    takes_ipt: Callable[[Side, Side], tuple[list[bool], dict[str, float]]]
    over: str


RULES: Mapping[str, Rule] = MappingProxyType(
    {"gate:similarity": Rule(by_similarity, "dev"), "gate:certainty": Rule(by_certainty, "scored")}
)


def key(label: str, pt: Trial, ipt: Trial) -> str:
    """The key of a gate's record: its rule, and the two trials that it chooses between."""
    return key_of({"gate": label, "of": [pt.key, ipt.key], "engine": ENGINE})


def gated(label: str, pt: Side, ipt: Side) -> Record:
    """The record of a gate: each answer is one of the two methods', with all that stands beside it there. Its costs are those of both."""
    takes_ipt, fitted = RULES[label].takes_ipt(pt, ipt)
    own = {answer.id: answer for answer in pt.record.answers}
    answers = tuple(
        answer if taken else own[answer.id] for answer, taken in zip(ipt.record.answers, takes_ipt, strict=True)
    )
    task = ipt.trial.task
    facts = {example.id: example.facts for example in task.split(ipt.trial.spec.split)}
    scores = scores_of(
        task.metrics, [a.output for a in answers], [a.targets for a in answers], [facts[a.id] for a in answers]
    )
    share = 100 * float(np.mean(takes_ipt))
    spec = {"gate": label, "of": [pt.record.key, ipt.record.key], "engine": ENGINE}
    both = (pt.record.costs, ipt.record.costs)
    return replace(
        ipt.record,
        key=key(label, pt.trial, ipt.trial),
        label=label,
        method="gate",
        scores=scores.whole,
        answers=answers,
        spec=spec,
        prompt="",
        curve=(),
        dev_start=None,
        fingerprints={name: value for name, value in ipt.record.fingerprints.items() if name != "soft_prompt"},
        costs=Costs(
            trainable_parameters=sum(cost.trainable_parameters for cost in both),
            train_seconds=sum(cost.train_seconds for cost in both),
            prefix_tokens=sum(cost.prefix_tokens for cost in both),
            seconds_per_answer=sum(cost.seconds_per_answer for cost in both),
            train_flop=sum(cost.train_flop for cost in both),
            answer_flop=sum(cost.answer_flop for cost in both),
        ),
        notes=(*ipt.record.notes, f"IPT's answer was taken for {share:.0f}% of the inputs{_threshold(fitted)}."),
        cut_answers=sum(answer.cut for answer in answers),
    )


def _threshold(fitted: Mapping[str, float]) -> str:
    return f", where the similarity is {fitted['threshold']:.3g} or more (fitted on dev)" if fitted else ""


def _similarity(laid: Laid) -> float:
    """Of the nearest demonstration that is shown; none is as far as can be."""
    values = [shown.similarity for shown in laid.fitted.shown if shown.similarity is not None]
    return values[-1] if values and math.isfinite(values[-1]) else -NEVER


def _shown(answer: Answer) -> float:
    values = [shown.similarity for shown in answer.shown if shown.similarity is not None]
    return values[-1] if values and math.isfinite(values[-1]) else -NEVER
