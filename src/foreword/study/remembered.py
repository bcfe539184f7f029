"""What a prompt's folder keeps of how it was tuned, beside wording and numbers, so that nothing is asked twice; it refuses to overrule
what the user says now."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from foreword.config.run import Run
from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.metrics.own import in_file
from foreword.prompts.retrieve import seeded
from foreword.prompts.soft_prompt import COLUMNS, SoftPrompt
from foreword.tasks._labels import OFF, free
from foreword.util.errors import ForewordError
from foreword.util.files import stands

RETRIEVAL = ("shots", "retriever", "encoder")
CUT = ("split", "cluster_column")  # by which train, dev and test are cut from one file
ALIKE = {
    "choices": "choices_column",
    "choices_column": "choices",
}  # who gives one of them has said what the other would say


def settings_of(run: Run, task: Task) -> dict[str, Any]:
    """The settings by which the examples were read, answered, scored and shown demonstrations, as plain values. The column of ids is
    not among them: new inputs need none."""
    settings = {name: getattr(run, name) for name in (*RETRIEVAL, *((*COLUMNS.values(), *CUT) if run.data else ()))}
    choices = {example.choices for split in SPLITS for example in task.split(split)}
    return settings | {
        "choices": list(choices.pop()) or [OFF] if len(choices) == 1 else [],
        "metrics": [
            name for name in task.metrics if not in_file(name)
        ],  # a file's code runs only where the user names it
        "max_new_tokens": run.max_new_tokens,
        "choice_score": run.choice_score,
    }


def recalled(run: Run, prompt: SoftPrompt) -> Run:
    """The run with what the prompt keeps wherever the user says nothing. Columns and choices are for a user's own data; metrics, and how
    choices are compared, also for the task that the prompt was tuned on. The seed is the prompt's own where it draws demonstrations.
    max_new_tokens counts as not given, so that it may still be raised for longer targets."""
    settings, by_user = prompt.provenance.settings, set(run.model_fields_set)
    names = {*RETRIEVAL, "max_new_tokens"}
    names |= set() if run.task else {*COLUMNS.values(), "choices"}
    names |= {"metrics", "choice_score"} if not run.task or run.task == prompt.provenance.task else set()
    names -= {"choice_score"} if free(run.choices) else set()
    update = {
        name: value
        for name, value in settings.items()
        if name in names and name not in by_user and ALIKE.get(name) not in by_user
    }
    if update.get("choices_column"):
        update.pop("choices", None)  # which all of its rows had
    if "metrics" in update:
        update["metrics"] = [name for name in update["metrics"] if not in_file(name)]
    method = prompt.provenance.method
    if "seeds" not in by_user and (
        method.get("demonstrations") == "fixed" or seeded(str(method.get("retriever") or ""))
    ):
        update["seeds"] = [prompt.provenance.seed]
    known = run.model_copy(update=update)
    known.model_fields_set.discard("max_new_tokens" if "max_new_tokens" not in by_user else "")
    return known


def cut_as_tuned(run: Run, prompt: SoftPrompt) -> Run:
    """The run with the split and clusters by which the prompt's data were cut, where data are cut anew and the user says nothing else."""
    if not run.data or run.dev or run.test:
        return run
    names = [name for name in CUT if name not in run.model_fields_set]
    if stands(run.data, folder=True) and "split" in names:
        names.remove("split")  # a folder brings its own
    settings = prompt.provenance.settings
    return run.model_copy(update={name: settings[name] for name in names if settings.get(name)})


def questions_of(task: Task, start: SoftPrompt | None = None) -> dict[str, list[str]]:
    """Digests of the questions of train and dev, those of the prompt that the training began from among them."""
    before: dict[str, list[str]] = {} if start is None else start.profile.get("questions", {})
    return {split: sorted({*map(_question, task.split(split)), *before.get(split, ())}) for split in ("train", "dev")}


def _question(example: Example) -> str:
    return hashlib.sha256(example.question.encode()).hexdigest()[:16]


def trained_on(prompt: SoftPrompt | None, examples: Sequence[Example]) -> list[bool]:
    """For each example, whether the prompt was trained on its question; one that keeps no digests, or none, says nothing."""
    known = set(() if prompt is None else prompt.profile.get("questions", {}).get("train", ()))
    return [_question(example) in known for example in examples]


def seen_before(run: Run, prompt: SoftPrompt, task: Task) -> tuple[str, ...]:
    """Notes on test examples that the prompt was trained on, or chosen by. Raises ForewordError for the first where they were cut from
    the user's own data, otherwise than when it was tuned. What stands in the task's own train, too, the task says; a prompt that keeps
    no digests says nothing."""
    own, test = {example.question for example in task.train}, task.test
    dev = set(prompt.profile.get("questions", {}).get("dev", ()))
    known = trained_on(prompt, test)
    trained = sum(there and example.question not in own for there, example in zip(known, test, strict=True))
    chosen = sum(not there and _question(example) in dev for there, example in zip(known, test, strict=True))
    name = run.tuning.init_prompt
    if trained and run.data and not run.test and not stands(run.data, folder=True):
        raise ForewordError(
            f"{trained:,} of {len(test):,} test examples were trained on by {name}, for which {run.data} was split otherwise; give --test "
            "FILE, or the --split, --dev or --cluster-column that it was tuned with."
        )
    counts = {"that {} was trained on": trained, "by which {} was chosen": chosen}
    return tuple(
        f"{count:,} of {len(test):,} test examples ask a question {how.format(name)}."
        for how, count in counts.items()
        if count
    )


def pool_of(prompts: Sequence[SoftPrompt | None], scored: Sequence[Example]) -> tuple[Example, ...]:
    """The examples that all of these prompts keep, in their order, with other ids where one of the scored has the same; none where they
    keep none, or not the same."""
    rows = [prompt.worked for prompt in prompts if prompt is not None and prompt.worked]
    if not rows or any(each != rows[0] for each in rows):
        return ()
    examples = [Example(row["id"], row["fields"], tuple(row["targets"]), tuple(row["choices"])) for row in rows[0]]
    if {example.id for example in examples} & {example.id for example in scored}:
        examples = [replace(example, id=f"demonstration-{example.id}") for example in examples]
    return tuple(examples)


def worked_rows(shown: Sequence[Example]) -> tuple[dict[str, Any], ...]:
    """Examples that a prompt may show, as plain rows; `pool_of` reads them back."""
    return tuple(
        {
            "id": example.id,
            "fields": dict(example.fields),
            "targets": list(example.targets),
            "choices": list(example.choices),
        }
        for example in shown
    )
