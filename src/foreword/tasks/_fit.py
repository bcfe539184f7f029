"""Defaults that fit a user's data: metrics by length and script, and notes on what a reader would not expect; a primary metric that
gives perfect answers nothing is refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import regex

from foreword.data.examples import Example
from foreword.metrics import metric
from foreword.tasks._leaks import leaks
from foreword.util.errors import ForewordError
from foreword.util.folding import latin, pieces, unspaced

SEARCHED = 30_000  # examples among which near twins are looked for: some ten seconds
SHORT = 0.9  # share of short targets from which an answer is right or wrong, and not more or less like its reference
_SCRIPTS = {name: regex.compile(rf"\p{{Script={name}}}") for name in ("Han", "Hiragana", "Katakana", "Hangul")}


def default_metrics(examples: Sequence[Example], scored: Sequence[Example] = ()) -> tuple[str, ...]:
    """accuracy where there are choices; exact match where nine targets of ten are short; else BLEU and its company, by the script of the
    targets. A metric by which the scored references do not reach the best value against themselves is left out."""
    if all(example.choices for example in examples):
        return ("accuracy",)
    targets = [target for example in examples for target in example.targets]
    text = " ".join(targets)
    f1 = "token_f1" if latin(text) else "token_f1_unicode"
    if sum(map(_short, targets)) >= SHORT * len(targets):
        names: tuple[str, ...] = ("exact_match", f1)
    else:
        names = (_bleu(text), "chrf", "rouge_l" if latin(text) else "rouge_l_unicode", "exact_match", f1)
    return tuple(name for name in names if perfect(name, scored) is None) or ("exact_match",)


def _short(target: str) -> bool:
    """At most two words, or four characters of a script without blanks."""
    return len(pieces(target)) <= 4 if unspaced(target) else len(target.split()) <= 2


def _bleu(text: str) -> str:
    """The BLEU whose tokens fit a text."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    if not unspaced(text):
        korean = counts["Hangul"] and not latin(text) and not metric("bleu_ko").absence()
        return "bleu_ko" if korean else "bleu" if latin(text) else "bleu_intl"
    if counts["Hiragana"] + counts["Katakana"] > 0.1 * sum(counts.values()) > 0:
        return "bleu_char" if metric("bleu_ja").absence() else "bleu_ja"
    if 2 * counts["Han"] > len(text):
        return "bleu_zh"
    return "bleu_char" if metric("bleu_flores200").absence() else "bleu_flores200"


def perfect(name: str, scored: Sequence[Example]) -> float | None:
    """What perfect answers score, where that is less than the metric's best; None where they reach it or nothing can be said."""
    measure = metric(name)
    known = [example for example in scored if example.targets]
    if (
        not known
        or measure.needs
        or measure.of_set
        or measure.labels
        or measure.best == float("inf")
        or measure.absence()
    ):
        return None
    score = measure.score([example.targets[0] for example in known], [example.targets for example in known])
    return None if score >= measure.best - 1e-6 else score


def unreached(names: Sequence[str], scored: Sequence[Example]) -> list[str]:
    """A note for each of the named metrics by which perfect answers do not reach the best. Raises ForewordError where the first, which
    decides, gives them nothing."""
    notes = []
    for place, name in enumerate(names):
        score = perfect(name, scored)
        if score is None:
            continue
        sentence = f"the {len(scored):,} test references against themselves score {score:.1f} by '{name}', not {metric(name).best:g}"
        fitting = default_metrics(scored, scored)
        if place == 0 and score == 0:
            raise ForewordError(
                f"The metric '{name}' cannot decide here: {sentence}; give another first, such as --metrics {fitting[0]}."
            )
        notes.append(
            f"{sentence[0].upper()}{sentence[1:]}, so that no answers can; {', '.join(fitting)} fit these data."
        )
    return notes


def repeated_inputs(split: str, rows: Sequence[Example], scored: Sequence[Example]) -> list[str]:
    """A note where rows of one input became one example, or where rows of one input have different labels and each is scored."""
    if len(scored) < len(rows):
        several = Counter(example.exact for example in rows)
        return [
            f"{len(rows):,} {split} rows ask {len(scored):,} questions: the {sum(n for n in several.values() if n > 1):,} rows that share "
            f"an input are {sum(n > 1 for n in several.values()):,} examples, and any of their answers is right."
        ]
    labels: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for example in rows:
        labels[example.question].add(example.targets)
    contradicted = {question for question, targets in labels.items() if len(targets) > 1}
    if not any(example.choices for example in rows) or not contradicted:
        return []
    count = sum(example.question in contradicted for example in rows)
    return [
        f"{count:,} of {len(rows):,} {split} rows have an input that other rows give another label ({len(contradicted):,} inputs); each is "
        "scored, so that no method can reach 100."
    ]


def near_twins(train: Sequence[Example], scored: Mapping[str, Sequence[Example]]) -> list[str]:
    """A note for each scored split some of whose questions stand in train in nearly the same words."""
    total = len(train) + sum(map(len, scored.values()))
    if total > SEARCHED:
        return [f"Near twins of scored examples were not looked for in train, for {total:,} examples would take long."]
    known = {example.question for example in train}
    notes = []
    for split, examples_ in scored.items():
        near = leaks(train, [example for example in examples_ if example.question not in known])
        if near:
            notes.append(
                f"{len(near):,} of {len(examples_):,} {split} examples have a near twin in train (nine words of ten the same), such as "
                f"{near[0].scored} and {near[0].train}; it may be shown as their demonstration."
            )
    return notes
