"""CB, RTE, COPA, WiC and BoolQ of SuperGLUE (Wang et al. 2019), field names and labels as T5 words them; what has another label is
refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._entry import entry
from foreword.tasks._files import BESIDE, HIDDEN, PART, REMADE, File, pick

UNSTATED = "licence of the data not stated"
Label = Callable[[Any, Path, int], str]


def _text(row: Any, path: Path, number: int) -> str:
    """A label that is written as its name."""
    return parts.text(row, "label", path, number)


def _truth(row: Any, path: Path, number: int) -> str:
    """A label that is a truth value."""
    return str(parts.get(row, "label", path, number))


def _choice(row: Any, path: Path, number: int) -> str:
    """A label that is the number of a choice, from 0."""
    label = _truth(row, path, number)
    return {"0": "choice1", "1": "choice2"}.get(label, label)


def _superglue(
    docstring: str,
    name: str,
    called: str,
    summary: str,
    *,
    licence: str,
    hub: tuple[str, str | None],
    files: tuple[File, ...],
    labels: tuple[str, ...],
    template: Template,
    dev: int,
    metrics: tuple[str, ...] = ("accuracy",),
    label: Label = _text,
    hub_fields: Mapping[str, str] | None = None,
    hub_label: Callable[[Any], str] | None = None,
    sample: Callable[[Path], list[Example]] | None = None,
    cluster: str = "",
) -> ModuleType:
    """The entry of a task of JSON-lines files, whose official dev split is scored. called: in SuperGLUE. hub_fields: the hub's names of
    fields, where they are others. sample: reads a train file that is a JSON list. cluster: the field that several questions share."""

    def read(path: Path, split: str) -> list[Example]:
        def make(row: Mapping[str, Any], number: int) -> Example:
            fields = {key: parts.text(row, key, path, number) for key in template.names()}
            return parts.choice(f"{split}-{number}", fields, label(row, path, number), labels, cluster)

        return parts.table(path, make)

    def hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
        fields = {key: row[(hub_fields or {}).get(key, key)].strip() for key in template.names()}
        target = hub_label(row) if hub_label else labels[row["label"]]
        return parts.choice(f"{split}-{number}", fields, target, labels, cluster)

    def load(folder: Path | None) -> Task:
        """The task from its files, or from the hub."""
        if folder is None:
            splits = parts.from_hub(hub, hub_row, "train", "dev")
            train, scored, origin = splits["train"], splits["dev"], f"hub {hub[0]}"
        else:
            path = pick(folder, files, "train")
            train = sample(path) if sample is not None and path.suffix == ".json" else read(path, "train")
            scored, origin = read(pick(folder, files, "dev"), "val"), path.name
        several = sum(file.split == "train" for file in files) > 1
        source = f"{called}, {licence}; train from {origin}" if several else f"SuperGLUE {called}, {licence}"
        return parts.dev_scored(name, train, scored, dev, template=template, metrics=metrics, source=source)

    return entry(
        docstring,
        NAME=name,
        SUMMARY=summary,
        LICENCE=licence,
        PLACE=f"superglue/{called}",
        HUB=hub,
        GET=f"train.jsonl and val.jsonl of SuperGLUE {called} from https://super.gluebenchmark.com ({licence})",
        METRICS=metrics,
        FILES=files,
        TEMPLATE=template,
        load=load,
    )


def _boolq_sample(path: Path) -> list[Example]:
    examples = []
    for number, row in enumerate(parts.read_list(path), 1):
        whole = parts.text(row, "sentence", path, number)
        question, _, passage = whole.removeprefix("question: ").partition("\npassage: ")
        fields = {"passage": " ".join(passage.split()), "question": question.strip()}
        examples.append(parts.choice(f"train-{number}", fields, parts.text(row, "label", path, number), TRUTHS))
    return examples


TRUTHS = ("False", "True")
TASKS = (
    _superglue(
        """CB: does the premise entail, contradict or leave open the hypothesis; it refuses a label not among the three.

Source: SuperGLUE (Wang et al. 2019), field names and labels as T5 words them. The official dev split (56) is
scored, as its test answers are hidden; dev is 50 questions cut from train by seed 0. T5 scores accuracy
and the mean of the three classes' F1.
""",
        "cb",
        "CB",
        "Entailment, contradiction or neutral (SuperGLUE CB)",
        licence=UNSTATED,
        hub=("aps/super_glue", "cb"),
        files=(
            File("train", "train.jsonl", {"rows": 250}),
            File("dev", "val.jsonl", {"rows": 56}),
            File("test", "test.jsonl", {"rows": 250}, kind=HIDDEN),
            File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
        ),
        labels=("entailment", "contradiction", "neutral"),
        template=Template(
            instruction="Say how the hypothesis stands to the premise: entailment, contradiction or neutral.",
            question="hypothesis: {hypothesis} premise: {premise}\nanswer:",
        ),
        dev=50,
        metrics=("accuracy", "cb_f1"),
    ),
    _superglue(
        """RTE: does the premise entail the hypothesis; it refuses a label that is not one of the two.

Source: SuperGLUE (Wang et al. 2019), field names and labels as T5 words them. The official dev split (277) is
scored, as its test answers are hidden; dev is 250 questions cut from train by seed 0.
""",
        "rte",
        "RTE",
        "Does a premise entail a hypothesis (SuperGLUE RTE)",
        licence=UNSTATED,
        hub=("nyu-mll/glue", "rte"),
        files=(
            File("train", "train.jsonl", {"rows": 2490}),
            File("dev", "val.jsonl", {"rows": 277}),
            File("test", "test.jsonl", {"rows": 3000}, kind=HIDDEN),
            File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
        ),
        labels=("entailment", "not_entailment"),
        template=Template(
            instruction="Say whether the premise entails the hypothesis: entailment or not_entailment.",
            question="hypothesis: {hypothesis} premise: {premise}\nanswer:",
        ),
        dev=250,
        hub_fields={"hypothesis": "sentence2", "premise": "sentence1"},
        cluster="premise",
    ),
    _superglue(
        """COPA: which of two sentences is the cause or the effect of a third; it refuses a label that is not 0 or 1.

Source: Roemmele et al. 2011, in SuperGLUE, field names and labels as T5 words them. The official dev split
(100) is scored, as its test answers are hidden; dev is 50 questions cut from train by seed 0.
""",
        "copa",
        "COPA",
        "The more plausible cause or effect (SuperGLUE COPA)",
        licence="BSD 2-Clause per its authors",
        hub=("aps/super_glue", "copa"),
        files=(
            File("train", "train.jsonl", {"rows": 400}),
            File("train", "train.joined.jsonl", {"rows": 400}, kind=REMADE),
            File("dev", "val.jsonl", {"rows": 100}),
            File("test", "test.jsonl", {"rows": 500}, kind=HIDDEN),
            File("train_sample", "olora_train_sample.json", {"rows": 400}, kind=BESIDE),
            File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
        ),
        labels=("choice1", "choice2"),
        template=Template(
            instruction="Say which choice is the cause or effect of the premise: choice1 or choice2.",
            question="choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}\nanswer:",
        ),
        dev=50,
        label=_choice,
    ),
    _superglue(
        """WiC: has the word the same meaning in both sentences; it refuses a label that is not a truth value.

Source: Pilehvar and Camacho-Collados 2019, in SuperGLUE, field names and labels as T5 words them (the places of
the word are not shown). Train is the official `train.jsonl` where it is there, else 4,599 of its 5,428 rows;
dev is 400 questions cut from it by seed 0. The official dev split (638) is scored, as its test answers are
hidden.
""",
        "wic",
        "WiC",
        "Has a word the same meaning in two sentences (SuperGLUE WiC)",
        licence="CC BY-NC 4.0 per its authors",
        hub=("aps/super_glue", "wic"),
        files=(
            File("train", "train.jsonl", {"rows": 5428}),
            File("train", "train.joined.jsonl", {"rows": 4599}, kind=PART),
            File("dev", "val.jsonl", {"rows": 638}),
            File("test", "test.jsonl", {"rows": 1400}, kind=HIDDEN),
            File("train_sample", "olora_train_sample.json", {"rows": 2000}, kind=BESIDE),
            File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
        ),
        labels=TRUTHS,
        template=Template(
            instruction="Say whether the word has the same meaning in both sentences: True or False.",
            question="sentence1: {sentence1} sentence2: {sentence2} word: {word}\nanswer:",
        ),
        dev=400,
        label=_truth,
    ),
    _superglue(
        """BoolQ: does the passage answer the question with yes; it refuses a label that is not a truth value.

Source: Clark et al. 2019, in SuperGLUE, field names and labels as T5 words them. Train is the official
`train.jsonl` where it is there, else a labelled sample of 2,000 rows; dev is 200 questions cut from it by seed
0. The official dev split (3,270) is scored, as its test answers are hidden.
""",
        "boolq",
        "BoolQ",
        "Yes-or-no questions on a passage (SuperGLUE BoolQ)",
        licence="CC BY-SA 3.0 per its authors",
        hub=("google/boolq", None),
        files=(
            File("train", "train.jsonl", {"rows": 9427}),
            File("train", "olora_train_sample.json", {"rows": 2000}, kind=PART),
            File("dev", "val.jsonl", {"rows": 3270}),
            File("test", "test.jsonl", {"rows": 3245}, kind=HIDDEN),
            File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
        ),
        labels=TRUTHS,
        template=Template(
            instruction="Say whether the answer to the question is True or False.",
            question="passage: {passage} question: {question}\nanswer:",
        ),
        dev=200,
        label=_truth,
        hub_label=lambda row: str(bool(row["answer"])),
        sample=_boolq_sample,
        cluster="passage",
    ),
)
