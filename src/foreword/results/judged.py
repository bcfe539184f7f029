"""Whether a measured number agrees with the paper's, by one stated rule; it refuses to call what stood in for something the same thing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import t as student

from foreword import tasks
from foreword.results.cells import Entry, Scored
from foreword.results.papers import Number
from foreword.util import phrases

MARGIN = 2.0  # points
RULE = (
    "A cell agrees where the whole 95% interval of ours less the paper's lies within ±{margin:g} points, and differs where that interval "
    "leaves out zero and the two are more than {margin:g} points apart; everything else cannot be said. The interval joins ours (over "
    "seeds and examples) with the paper's: its spread over runs, where it gives one, and how exactly it was printed or read off. Nothing "
    "is said of a cell where another model, task or metric stood in for the paper's, where ours had other settings (prompt length, init, "
    "reparameterisation, place, optimizer, learning rate, batch size, steps, what the checkpoint is chosen by, training examples, "
    "retriever, number of demonstrations; as far as the paper's are known), "
    "where ours is scored on another split than the paper's or on a part of the official split, where seeds or "
    "examples are missing, or of one seed of a tuned method (a published prompt, scored as it is, has no seed). Not compared: the wording, "
    "the decoding, the precision, the retriever's encoder, the unit of the learning rate, its schedule, the weight decay, the clipping of "
    "gradients, on how many dev examples and how often a checkpoint is judged, the model's revision, and whether the files of the training "
    "split are whole."
)


@dataclass(frozen=True)
class Verdict:
    """word: agrees, differs or cannot say. reason: why, as half a sentence. gap: ours less the paper's with its 95% interval, where both
    are there on one scale."""

    word: Literal["agrees", "differs", "cannot say"]
    reason: str
    gap: float | None = None
    ci95: tuple[float, float] | None = None


def rule(margin: float = MARGIN) -> str:
    """The rule in words."""
    return RULE.format(margin=margin)


def stand_ins(entry: Entry, number: Number | None) -> list[str]:
    """What of this number is not the paper's own, each as `reference for bloom-1b1`."""
    coordinates = (number.held if number else {}) | dict(entry.paper)
    model = coordinates.get("model", "")
    if same_name(entry.model, model) and not entry.unit:
        model = _checkpoint(model, coordinates, {} if number is None else number.recipe)
    task = coordinates.get("task", "")
    same = {"model": same_name(entry.model, model), "task": same_task(entry.task, task)}
    names = {"model": (entry.model, model), "task": (entry.task, task)}
    return [f"{ours} for {theirs}" for axis, (ours, theirs) in names.items() if theirs and not same[axis]]


def _checkpoint(model: str, at: Mapping[str, str], recipe: Mapping[str, object]) -> str:
    """Which of the two kinds of T5 1.1 the paper has at this place: as pre-trained by span corruption, where its recipe starts so, or
    after LM adaptation. Of another model, its name."""
    if model not in ALIASES or not model.startswith("t5-"):
        return model
    plain = recipe.get("starts from") == "span corruption" or at.get("objective") in ("span", "sentinel")
    steps = at.get("adaptation", "100000")
    if steps not in ("0", "100000"):
        return f"{model} after {steps} steps of LM adaptation"
    if plain or steps == "0":
        return f"t5-v1_1-{model.removeprefix('t5-')}"
    return f"{model}-lm-adapt"


def trained_otherwise(entry: Entry, number: Number | None) -> list[str]:
    """What of how this number came about is not as in the paper, each as `40 steps for 30,000`; nothing of what is not known of either,
    and of a count, which no training changes."""
    if number is None or entry.unit == "numbers":
        return []
    apart: dict[str, tuple[list[str], list[str]]] = {}
    for task, ours in entry.recipes.items():
        trained_on = number.recipe_of(entry.paper.get("source") or task)  # which need not be the task that is scored
        theirs = number.recipe_of(task) | {EXAMPLES: trained_on.get(EXAMPLES, "")}
        for name in theirs:
            if ours.get(name) and theirs[name] and _differ(name, ours[name], theirs[name]):
                pair = apart.setdefault(name, ([], []))
                pair[0].append(ours[name])
                pair[1].append(theirs[name])
    return [RECIPE.get(name, f"{name} {{}} for {{}}").format(*map(_listed, pair)) for name, pair in apart.items()]


def _differ(name: str, ours: str, theirs: str) -> bool:
    """Whether a setting is another than the paper's. Training examples are where fewer were taken."""
    if name == EXAMPLES and ours.isdecimal():
        return int(ours) < int(theirs)
    return ours != theirs


def _listed(values: Sequence[str]) -> str:
    """The different values of a setting over tasks, counts with their thousands marked."""
    return " or ".join(dict.fromkeys(f"{int(value):,}" if value.isdecimal() else value for value in values))


def judge(entry: Entry, number: Number | None, *, margin: float = MARGIN, tuned: bool = True) -> Verdict:
    """The verdict on one number by `RULE`. tuned: whether another seed would give another score."""
    if entry.score is None:
        return Verdict("cannot say", entry.cause or "not run")
    if number is None:
        return Verdict("cannot say", "the paper's number is not known")
    if entry.unit:
        return _judge_cost(entry, number)
    if entry.ci95 is None:
        return Verdict("cannot say", "ours has no interval")
    gap, (low, high) = difference(entry, number)
    why = _not_comparable(entry, number, tuned)
    if why:
        return Verdict("cannot say", why, gap, (low, high))
    apart = f"{phrases.points(gap)} ({phrases.between(low, high)})"
    if -margin <= low and high <= margin:
        return Verdict("agrees", f"{apart} lies within ±{margin:g}", gap, (low, high))
    if abs(gap) > margin and not low <= 0.0 <= high:
        return Verdict("differs", f"{apart} leaves out zero", gap, (low, high))
    return Verdict("cannot say", f"{apart} is too wide, or too near the margin of {margin:g}", gap, (low, high))


def _judge_cost(entry: Entry, number: Number) -> Verdict:
    """Of a count, which is the paper's or is not; and of a time, which another machine took."""
    other = stand_ins(entry, number)
    if other:
        return Verdict("cannot say", f"stood in: {', '.join(other)}")
    if entry.unit != "numbers":
        return Verdict("cannot say", "times are those of two machines")
    word: Literal["agrees", "differs"] = "agrees" if entry.score == number.value else "differs"
    return Verdict(word, "a count")


def difference(entry: Entry, number: Number) -> tuple[float, tuple[float, float]]:
    """Ours less the paper's and its 95% interval, joined from the two intervals (Zou and Donner 2008)."""
    assert entry.score is not None and entry.ci95 is not None
    low, high = entry.ci95
    half = _half(number)
    gap = entry.score - number.value
    return gap, (gap - math.hypot(entry.score - low, half), gap + math.hypot(high - entry.score, half))


def _half(number: Number) -> float:
    """Half of the 95% interval of the paper's number: of its runs, and of how exactly it is known."""
    error = number.error * (2.0 if number.rough else 1.0)
    if number.std is None:
        return error
    return float(student.ppf(0.975, number.runs - 1)) * number.std / math.sqrt(number.runs) + error


def _not_comparable(entry: Entry, number: Number, tuned: bool) -> str:
    """Why the two cannot be held against each other; empty where they can."""
    other = stand_ins(entry, number)
    if other:
        return f"stood in: {', '.join(other)}"
    otherwise = trained_otherwise(entry, number)
    if otherwise:
        return f"other settings: {', '.join(otherwise)}"
    if _metric(entry.metric) != _metric(number.metric):
        return f"ours is {phrases.title(entry.metric)}, the paper's {number.metric}"
    examples = _other_examples(entry, number)
    if examples:
        return examples
    if entry.seeds < entry.seeds_planned:
        return f"{entry.seeds} of {entry.seeds_planned} seeds are done"
    if entry.examples_planned is not None and entry.examples < entry.examples_planned:
        return f"{entry.examples:,} of {entry.examples_planned:,} examples are done"
    if tuned and entry.seeds < 2 and not _as_published(entry, number):
        return "one seed speaks of its prompt alone"
    return ""


def _as_published(entry: Entry, number: Number) -> bool:
    """Whether both are of a published prompt, which was not trained further."""
    return number.published and bool(entry.recipes) and not any("steps" in own for own in entry.recipes.values())


def _other_examples(entry: Entry, number: Number) -> str:
    """Why ours is scored on other examples than the paper's; empty where it is not, or nothing is known of that."""
    parts = entry.scored or tuple(filter(None, (_official(name) for name in entry.task.split("+"))))
    for scored in parts:
        of = f"{scored.task}: " if len(parts) > 1 else ""
        if number.split and scored.split != number.split:
            return f"{of}ours is scored on {scored.split}, the paper's on {number.split}"
        if scored.part < scored.whole:
            return f"{of}ours is scored on {scored.part:,} of {scored.whole:,} {scored.unit} of the official {scored.split} split"
    return ""


def _official(task: str) -> Scored | None:
    """The whole split that a built-in task is scored on, for a number that does not say its examples."""
    split = tasks.scored(task) if task in tasks.names() else None
    return None if split is None else Scored(task, split.name, split.official, split.official, split.unit)


def same_name(ours: str, theirs: str) -> bool:
    """Whether a name of ours is the paper's: as a hub id's last part, with its size, or a built-in task with its suite before it."""
    name = ours.lower().rstrip("/").split("/")[-1]
    if theirs == "superglue":
        return set(name.split("+")) == SUPERGLUE
    return name == theirs or name in ALIASES.get(theirs, ())


def same_task(ours: str, theirs: str) -> bool:
    """Whether a task of ours is the paper's: a built-in one of its name. A user's own file or folder (a name with a dot or a slash) is
    another's, whatever it is called."""
    return not OWN & set(ours) and same_name(ours, theirs)


OWN = set("./")  # marks the name of a user's own examples
EXAMPLES = "training examples"
# Settings of a recipe with ours and the paper's.
RECIPE = {
    "length": "{} prompt tokens for {}",
    "steps": "{} steps for {}",
    "batch size": "batches of {} for {}",
    EXAMPLES: "{} training examples for {}",
    "demonstrations": "{} demonstrations for {}",
}
SUPERGLUE = {"boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"}
ALIASES = {
    **{f"t5-{size}": (f"t5-{size}-lm-adapt", f"t5-v1_1-{size}") for size in ("small", "base", "large", "xl", "xxl")},
    **{task: (f"mrqa_{task}",) for task in ("textbookqa", "bioasq", "race", "duorc", "drop")},
    "re": ("mrqa_relation_extraction",),
    "mtop": ("mtop-dev",),
    "spider": ("spider-with-cells",),
}
_METRICS = {
    "BLEU": ("bleu", "totto_bleu"),
    "exact set match": ("spider_match",),
    "exact match": ("mtop_em", "squad_em", "exact_match", "multirc_em"),
    "BLEC": ("blec",),
    "F1": ("token_f1", "f1", "mrpc_f1", "qqp_f1", "cb_f1"),
    "F1 over answers": ("multirc_f1",),
    "accuracy": ("accuracy", "wsc"),
    "SuperGLUE score": ("mean over tasks",),
}


def metric_key(name: str) -> str:
    """What a metric of ours is called among a paper's coordinates, where it gives several of one task; of another, its own name."""
    return {"accuracy": "accuracy", "F1": "f1", "F1 over answers": "f1a", "exact match": "em"}.get(_metric(name), name)


def _metric(name: str) -> str:
    """The paper's name of a metric, of ours or of its own."""
    return next((title for title, ours in _METRICS.items() if name in ours), name)
