"""What a run asks for, read before any model is loaded: its names, its task, its wording; it refuses names it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foreword.config.run import Run
from foreword.data.examples import Columns, by_question, examples, merged, shared_questions
from foreword.data.readers import Form, options_of, read_rows
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.metrics import metric, read_named
from foreword.prompts.methods import Method, current, parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.tasks import load_task
from foreword.tasks._fit import default_metrics, repeated_inputs, unreached
from foreword.tasks._labels import free, labelled
from foreword.tasks._own import instructed
from foreword.tasks._splits import files_of
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import stands
from foreword.util.phrases import listed, plural

DEVICES = ("auto", "cpu", "cuda", "mps", "xpu", "spread")
POOLINGS = ("mean", "last")
WORDING = ("instruction", "question", "answer", "separator", "stop", "extract", "empty_answers")


def row_of(run: Run, label: str) -> Method:
    """The method that a label names, with the run's own retriever and number of demonstrations where it says none."""
    return parse(label, shots=run.shots, retriever=run.retriever, retrievers=list(RETRIEVERS))


def checked(run: Run, *, beside: Sequence[str] = ()) -> Run:
    """The run, every name in it known and methods under their names of today. Raises ForewordError for the first that is not, and for what
    is said of data and holds for none of these. beside: other files that are read."""
    methods = [current(label) for label in run.methods]
    twice = next((label for place, label in enumerate(methods) if label in methods[:place]), None)
    if twice is not None:
        raise ForewordError(f"methods holds '{twice}' twice, once under a former name; name each once.")
    run = run.model_copy(update={"methods": methods})
    for label in run.methods:
        row_of(run, label)
    read_named(run.metrics)
    RETRIEVERS.named(run.retriever)
    if run.device.partition(":")[0] not in DEVICES:
        raise unknown("device", run.device, DEVICES)
    pooling_of(run.encoder)
    paths = [path for path in (run.data, run.dev, run.test, *beside) if path]
    if run.data_dir and paths and not run.task:
        raise ForewordError(
            f"--data-dir {run.data_dir} is for built-in tasks, and own data are given ({listed(paths)}); leave it out."
        )
    _refuse_unheeded(form_of(run), paths or [f"the task {run.task}"] * bool(run.task))
    return run


def _refuse_unheeded(form: Form, data: list[str]) -> None:
    """Raises ForewordError for an option of tables where none of these files, datasets and tasks is such a table."""
    heeded = {option for path in data for file in files_of(path) for option in options_of(file)}
    unheeded = [option for option in form.options if option not in heeded]
    if unheeded and data:
        kind = "files of text" if unheeded[0] == "encoding" else "CSV and TSV files"
        raise ForewordError(
            f"--{unheeded[0]} is given, which is for {kind}, and the data are {listed(data)}; leave it out."
        )


def heard(run: Run) -> Run:
    """The run as it is. Raises ForewordError for an instruction that none of its methods says."""
    if run.instruction and not any(row_of(run, label).instruction for label in run.methods):
        name, *qualifiers = run.methods[0].split(":")
        raise ForewordError(
            f"An instruction is given and {listed(run.methods)} would not say it; write "
            f"{':'.join((name + '+instruction', *qualifiers))}, use zero, few or icl, or leave --instruction out."
        )
    return run


def unsaid(run: Run, task: Task, start: SoftPrompt | None = None) -> tuple[str, ...]:
    """A note where some of the methods do not say the instruction that the run, or its own data, gives. start: the prompt that soft prompts
    start from; one that is used as it is and keeps the same instruction was tuned without its being said, which needs no note."""
    saying = [label for label in run.methods if row_of(run, label).instruction]
    silent = [label for label in run.methods if label not in saying]
    if not silent or not (run.instruction or (not run.task and task.template.instruction)):
        return ()
    recalled = start is not None and start.provenance.template.get("instruction") == task.template.instruction
    if recalled and not saying and run.tuning.max_steps == 0:
        return ()
    said_by = f"said by {listed(saying)}, not" if saying else "not said"
    return (
        f"The instruction is {said_by} by {listed(silent)}; a label with +instruction, such as pt+instruction, says it.",
    )


def scarce(run: Run, tasks: Sequence[Task]) -> tuple[str, ...]:
    """Notes where train has fewer questions than methods are to show. tasks: the task, or those of its folds, of which the one with the
    fewest questions tells."""
    questions = [len({example.question for example in task.train}) for task in tasks]
    count, task = min(questions), tasks[questions.index(min(questions))]
    labels_of: dict[str, list[str]] = {}
    for label in run.methods:
        row = row_of(run, label)
        own = (row.trains and run.tuning.max_steps > 0) or shared_questions(task.train, task.test) > 0
        if row.demonstrations != "none" and row.k > count - own:
            where = " in one of the folds" if len(tasks) > 1 else ""
            fewer = ", one fewer where the input is one of them" if own else ""
            shown = f"so that {count} {'is' if count == 1 else 'are'} shown{fewer}"
            labels_of.setdefault(f"train has {plural(count, 'distinct question')}{where}, {shown}.", []).append(label)
    return tuple(f"{listed(labels)}: {note}" for note, labels in labels_of.items())


def refuse_folds(folds: int | None) -> None:
    """Raises ForewordError where folds are asked of a verb that scores no more than one of them."""
    if folds:
        raise ForewordError("Folds are for `foreword compare`, which scores every one of them; leave --folds out here.")


def pooling_of(encoder: str) -> str | None:
    """How the backbone's own states become one vector a text, `mean` or `last`; None where a sentence encoder is named."""
    if encoder and encoder.partition(":")[0] != "backbone":
        return None
    pooling = encoder.partition(":")[2] or "mean"
    if pooling not in POOLINGS:
        raise ForewordError(
            f"The encoder '{encoder}' asks for '{pooling}' states; write backbone:mean or backbone:last."
        )
    return pooling


def task_of(run: Run, *, whole_pool: bool = False, pooled: bool = False) -> Task:
    """The task that a run names, with its wording, metrics and limits. whole_pool: `limit` is for what is scored, and leaves the
    training examples, which are only shown, as they are. pooled: every row is in test, for the folds that the run asks for."""
    if not (run.task or run.data):
        raise ForewordError("There is no task; give --task NAME, or --data FILE with your own examples.")
    if run.task and run.data:
        raise ForewordError(f"Both --task {run.task} and --data {run.data} are given; give one of them.")
    for name in run.metrics:
        metric(name)
    if not pooled:
        refuse_folds(run.folds)
    own, shares = run.data != "", shares_of(run)
    task = load_task(
        Path(run.data) if own and stands(run.data) else run.data or run.task,
        data_dir=run.data_dir or None,
        dev=run.dev or None,
        test=run.test or None,
        input_column=run.input_column,
        target_column=run.target_column,
        references_column=run.references_column or None,
        id_column=run.id_column or None,
        choices_column=run.choices_column or None,
        target_index=run.target_index,
        cluster_column=run.cluster_column or None,
        form=form_of(run),
        template=worded(Template(), run) if own else None,
        metrics=run.metrics or None,
        choices=run.choices,
        dev_share=shares[0],
        test_share=shares[1],
        pooled=pooled,
    )
    if not own:
        task = replace(task, template=worded(task.template, run))
    limits = {"train": run.train_limit or (None if whole_pool else run.limit), "dev": run.limit, "test": run.limit}
    task = task.limited(limits)
    for split in ("test",) if pooled else SPLITS:
        if not task.split(split):
            raise ForewordError(f"The {split} split of {run.data or run.task} is empty; give at least one example.")
    return task


def form_of(run: Run) -> Form:
    """How the run's tables of text are written."""
    return Form(run.quoting, run.delimiter, run.encoding, tuple(run.header))


def columns_of(run: Run) -> Columns:
    """Which column of the run's tables is what."""
    names = (run.references_column or None, run.id_column or None, run.choices_column or None)
    return Columns(run.input_column, run.target_column, *names, run.target_index, run.cluster_column or None)


def asked_columns(run: Run) -> list[str]:
    """The columns that the run's question shows, each once."""
    names = worded(Template(), run).names()
    return list(dict.fromkeys(run.input_column if name == "input" else name for name in names))


def scored_task(run: Run, *, whole_pool: bool = False) -> Task:
    """The task that is scored: the run's own, or a test file alone, of which every example is scored and none demonstrated."""
    if run.task or run.data or not run.test:
        return task_of(run, whole_pool=whole_pool)
    refuse_folds(run.folds)
    shares_of(run)
    rows = read_rows(run.test, form=form_of(run), as_written=True)
    template, unheard = instructed(worded(Template(), run), {"test": (run.test, rows)}, columns_of(run))
    scored_examples = examples(
        rows,
        columns_of(run),
        choices=choices_of(run),
        empty_answers=template.empty_answers,
        origin=run.test,
        fields_needed=template.names(),
    )
    read, labels_note = labelled({"test": scored_examples}, run.choices)
    scored_examples = read["test"]
    test = by_question(merged(scored_examples))
    metrics = tuple(run.metrics) or default_metrics(scored_examples, test)
    notes = (*unheard, *labels_note, *repeated_inputs("test", scored_examples, test), *unreached(run.metrics, test))
    task = Task(Path(run.test).resolve().stem, (), (), tuple(test), template, metrics, source=run.test, notes=notes)
    return task.limited({"test": run.limit})


def choices_of(run: Run) -> list[str]:
    """The choices that the run names; none where it says that answers are free text."""
    return [] if free(run.choices) else list(run.choices)


def shares_of(run: Run) -> tuple[float, float | None]:
    """The shares of dev and test that `split` asks for, such as 60/20/20; a tenth and the default number where it is empty. Raises
    ForewordError where it is no three numbers above 0, or where the task has its own splits, or folds."""
    named = [f"--{name}" for name in ("task", "dev", "test") if getattr(run, name)]
    if run.folds and (named or run.split or stands(run.data, folder=True)):
        other = [*named, *(["--split"] if run.split else []), run.data][0]
        raise ForewordError(
            f"{run.folds} folds are asked for, which are cut from one file of --data, and {other} brings its own split; leave --folds out."
        )
    if not run.split:
        return 0.1, None
    try:
        sizes = [float(part) for part in run.split.split("/")]
    except ValueError:
        sizes = []
    if len(sizes) != 3 or not all(0 < size < float("inf") for size in sizes):
        raise ForewordError(
            f"The split is '{run.split}', but must be three numbers above 0 for train, dev and test, such as 60/20/20."
        )
    named = [flag for flag in named if flag != "--dev"]
    if named or stands(run.data, folder=True):
        raise ForewordError(
            f"The split {run.split} is asked for, but {named[0] if named else run.data} brings its own; leave --split out."
        )
    return sizes[1] / sum(sizes), sizes[2] / sum(sizes)


def worded(template: Template, run: Run) -> Template:
    """The template with what the run says otherwise."""
    wording: dict[str, Any] = {name: getattr(run, name) for name in WORDING}
    if isinstance(wording["stop"], list):
        wording["stop"] = tuple(wording["stop"])
    return replace(template, **{name: value for name, value in wording.items() if value is not None})


def described(task: Task, examples: int = 3) -> dict[str, Any]:
    """A task's sizes, metrics, wording and its first test examples as they are worded, as plain values."""
    shown = [
        {
            "id": example.id,
            "text": task.template.ask(example) + task.template.reply(example.targets[0]),
            "targets": example.targets,
        }
        for example in task.test[:examples]
    ]
    return {
        "task": task.name,
        "splits": {split: len(task.split(split)) for split in SPLITS},
        "metrics": task.metrics,
        "source": task.source,
        "notes": task.remarks,
        "template": task.template.as_dict(),
        "examples": shown,
    }
