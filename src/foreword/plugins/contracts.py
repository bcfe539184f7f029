"""The contract of each kind of item, as a test of another package calls it: what does not keep it is named in an AssertionError."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.engine import load_backbone
from foreword.metrics import metric as metric_of
from foreword.metrics.base import Metric
from foreword.metrics.own import as_metric, rehearse
from foreword.prompts.context import Demonstration
from foreword.prompts.inits import Init, InitSource
from foreword.prompts.methods import DEMONSTRATIONS, Method, context
from foreword.prompts.retrieve import Kind, Pool, RetrievedExample
from foreword.train.trainables import TRAINABLES

TEXTS = ("the cat sat", "a dog ran", "the cat ran", "birds sing", "a bird sat", "dogs bark", "the sun", "rain falls")
MODEL = "reference"  # comes with foreword


def _must(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def metric(
    measure: Metric | Callable[[str, list[str]], float],
    references: Iterable[Sequence[str]] = (),
    facts: Sequence[Mapping[str, Any]] = (),
) -> None:
    """A perfect answer scores the best value; scores lie in range, do not depend on the order of the examples, and are the same the
    second time. references: some of the form that it takes, [N][r]; a few plain texts, where none are given. facts: of the same
    examples, [N], for a metric that reads some."""
    entry = as_metric(measure, getattr(measure, "name", "metric"), "tested")
    _must(entry is not None, "it is neither a Metric nor a function of an output and its references")
    assert entry is not None
    known = [tuple(accepted) for accepted in references]
    known = known or [(text,) for text in entry.samples or entry.labels or TEXTS]
    perfect = [accepted[0] for accepted in known]
    if not entry.of_set:
        best = entry.score(perfect, known, facts)
        _must(abs(best - entry.best) < 1e-9, f"perfect answers score {best:g}, and {entry.best:g} is the best")
    outputs = [perfect[0], *reversed(perfect[1:])]
    rows = entry.numbers(outputs, known, facts)
    _must(
        rows.ndim == 2 and len(rows) == len(known),
        f"its statistics are {list(rows.shape)}, one row an example is [N, d]",
    )
    score = entry.score(outputs, known, facts)
    _must(bool(np.isfinite(score)) and entry.worst <= score <= entry.best, f"{score:g} is out of its range")
    backwards = entry.score(outputs[::-1], known[::-1], facts[::-1])
    _must(abs(score - backwards) < 1e-9, f"the order of the examples changes {score:g} to {backwards:g}")
    _must(bool(entry.signature()), "its signature is empty")
    rehearse(entry, known, facts)


def task(entry: Any, folder: Path | None = None) -> Task:
    """The task is read the same way twice; its splits are there, its answers are words that its wording gives back and are among the
    choices where there are any, and its metrics are known. Gives the task back."""
    whole: Task = entry.load(folder)
    again: Task = entry.load(folder)
    _must(isinstance(whole, Task), "load gives no foreword.Task")
    _must(whole.name == entry.NAME, f"the task is called '{whole.name}' and the entry '{entry.NAME}'")
    _must(whole.fingerprint == again.fingerprint, "read twice, it is not the same task")
    _must(bool(entry.SUMMARY) and "\n" not in entry.SUMMARY, "SUMMARY is not one line")
    for name in whole.metrics:
        metric_of(name)
    for split in SPLITS:
        _must(bool(whole.split(split)), f"the {split} split is empty")
        for example in whole.split(split):
            where = f"the example '{example.id}' of {split}"
            _must(bool(example.targets) and all(map(str.strip, example.targets)), f"{where} has an empty answer")
            _must(
                not example.choices or set(example.targets) <= set(example.choices), f"{where} is no choice of its own"
            )
            whole.template.ask(example)
            for target in example.targets:
                if not any(stop in target for stop in whole.template.stops):
                    read = whole.template.read(whole.template.reply(target))
                    _must(read == target.strip(), f"{where}: {target!r} is read back as {read!r}")
    return whole


def retriever(kind: Kind) -> None:
    """Exactly k demonstrations where the pool has them, never the example itself nor its question, none twice; the same ones alone, in
    a batch, and whatever the order of the pool where the seed draws them."""
    pool = [Example(f"e{place}", {"input": text}, ("yes",)) for place, text in enumerate(TEXTS)]
    questions = [pool[0], Example("new", {"input": "the cat sings"}, ("yes",))]
    _must(bool(kind.name and kind.signature()), "its name or its signature is empty")
    finder = kind.make(Pool(pool, 0, _bag_of_letters))
    _must(finder.name == kind.name, f"it calls itself '{finder.name}' and its entry '{kind.name}'")
    together = finder.find_all(questions, 3)
    for example, shown in zip(questions, together, strict=True):
        ids = [demonstration.example.id for demonstration in shown]
        _must(len(ids) == 3 and len(set(ids)) == 3, f"3 demonstrations were asked for and {ids} came")
        _must(
            all(demonstration.example.question != example.question for demonstration in shown),
            "it shows the question itself",
        )
        _must(shown == finder.find(example, 3), "alone, an example gets other demonstrations than in a batch")
    _must(together == kind.make(Pool(pool, 0, _bag_of_letters)).find_all(questions, 3), "made again, it shows others")
    if kind.seeded:
        backwards = kind.make(Pool(pool[::-1], 0, _bag_of_letters)).find_all(questions, 3)
        _must(together == backwards, "the order of the pool changes what the seed draws")
    else:
        other = kind.make(Pool(pool, 1, _bag_of_letters)).find_all(questions, 3)
        _must(together == other, "another seed shows others: say seeded=True, or a record of one seed stands for all")


def _bag_of_letters(texts: Sequence[str]) -> Any:
    return np.array([[text.count(letter) for letter in "abcdefghijklmnop"] for text in texts], np.float32)


def method(row: Method) -> None:
    """The row's choices are known ones, and no context shows the example itself or its question."""
    _must(isinstance(row, Method), "it is no foreword.Method")
    _must(
        row.demonstrations in DEMONSTRATIONS, f"demonstrations is '{row.demonstrations}', not one of {DEMONSTRATIONS}"
    )
    _must(not row.trainable or row.trainable in TRAINABLES, f"there is no trainable '{row.trainable}'")
    _must(row.trains or not row.soft, "a soft prompt is trained, and no trainable is named")
    pool = [Example(f"e{place}", {"input": text}, ("yes",)) for place, text in enumerate(TEXTS)]

    def find(example: Example, k: int) -> list[RetrievedExample]:
        return [RetrievedExample(other, None) for other in pool if other.id != example.id][:k]

    for example in pool:
        segments = context(row, Template(instruction="Say."), example, soft=4, fixed=pool, find=find).segments
        shown = [segment.id for segment in segments if isinstance(segment, Demonstration)]
        _must(example.id not in shown, f"the example '{example.id}' is shown before itself")
        _must(
            bool(shown) == (row.demonstrations != "none" and row.k > 0),
            f"demonstrations are '{row.demonstrations}', shown {shown}",
        )


def init(strategy: Init, source: InitSource | None = None) -> None:
    """Rows [P, H] of finite numbers at the scale of the model's embedding rows, the same for the same seed; on a small model that comes
    with foreword."""
    backbone = load_backbone(MODEL)
    start = InitSource("Say it in other words.", ("yes", "no")) if source is None else source
    for length in (2, 9):
        rows = strategy(backbone, length, Random("0/init"), start).float()
        _must(
            list(rows.shape) == [length, backbone.hidden],
            f"it gives {list(rows.shape)}, not {[length, backbone.hidden]}",
        )
        _must(bool(rows.isfinite().all()) and not rows.requires_grad, "its numbers are not finite, or carry a gradient")
        scale = float(rows.square().mean().sqrt()) / backbone.scale
        _must(0.5 <= scale <= 2, f"its rows are {scale:.2g} times as long as the model's embedding rows")
        again = strategy(backbone, length, Random("0/init"), start).float()
        _must(rows.equal(again), "the same seed gives other numbers the second time")
