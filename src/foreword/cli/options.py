"""The flags that several verbs share, each declared once; it refuses to give one flag two meanings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from foreword.cli.reading import READING, choices_of, texts_of
from foreword.cli.using import SCORING
from foreword.util.errors import ForewordError

WHAT, HOW, TUNE, RUN, WORDS = "What is adapted", "How", "Tuning", "Running", "Wording and columns"

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A folder, a GGUF file, a hub id, or a name that `foreword models` lists, such as 'reference' (comes with foreword).",
        rich_help_panel=WHAT,
    ),
]
TaskName = Annotated[
    str | None, typer.Option("--task", "-t", help="A built-in task; `foreword tasks` lists them.", rich_help_panel=WHAT)
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        help="Your examples: JSONL, CSV, TSV or Parquet, a folder of split files, or a datasets hub id.",
        rich_help_panel=WHAT,
    ),
]
Dev = Annotated[str | None, typer.Option("--dev", help="A file of dev examples, beside --data.", rich_help_panel=WHAT)]
Test = Annotated[
    str | None, typer.Option("--test", help="A file of test examples, beside --data.", rich_help_panel=WHAT)
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        help="Shares of train, dev and test cut from one file, such as 60/20/20.",
        rich_help_panel=WHAT,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        help="For small data: score every example of one file once, in so many parts, each by what was trained on the others.",
        rich_help_panel=WHAT,
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option(
        "--data-dir",
        help="Where the files of built-in tasks lie.",
        rich_help_panel=WHAT,
    ),
]
Out = Annotated[
    str | None, typer.Option("--out", "-o", help="Folder for everything that is kept.", rich_help_panel=RUN)
]
PromptFolder = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        "-p",
        help="A soft prompt: a folder that `foreword tune` or PEFT wrote, or a hub id. It names its own model.",
        rich_help_panel=WHAT,
    ),
]

PromptFolders = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        "-p",
        help="A soft prompt: a folder that `foreword tune` or PEFT wrote, or a hub id. It names its own model. "
        "Several (--prompt A --prompt B) answer as an ensemble: the majority of their answers, among tied ones the first's.",
        rich_help_panel=WHAT,
    ),
]

Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        help="Comma list: zero, few, icl, pt, ipt, ipt-fixed; also icl:random, icl:bm25:3, few:4, pt+instruction; full-ft (full "
        "fine-tuning: all weights of a copy) and lora (adapters in a copy) to hold them against.",
        rich_help_panel=HOW,
    ),
]
MethodName = Annotated[
    str | None,
    typer.Option(
        "--method", help="One of zero, few, icl, pt, ipt, ipt-fixed (also icl:random, icl:bm25:3).", rich_help_panel=HOW
    ),
]
Shots = Annotated[
    int | None,
    typer.Option("--shots", "--num-fewshot", help="Demonstrations shown before an input.", rich_help_panel=HOW),
]
Retriever = Annotated[str | None, typer.Option("--retriever", help="random, bm25 or dense.", rich_help_panel=HOW)]
Encoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="For dense: a sentence-transformers model, backbone:mean or backbone:last.",
        rich_help_panel=HOW,
    ),
]
MetricNames = Annotated[
    str | None, typer.Option("--metrics", help="Comma list; the first decides.", rich_help_panel=HOW)
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="Comma list, such as 0,1,2.", rich_help_panel=HOW)]
Seed = Annotated[int | None, typer.Option("--seed", help="One seed.", rich_help_panel=HOW)]
AmortizeOver = Annotated[
    int | None,
    typer.Option(
        "--amortize-over",
        "--answers",
        help="For how many answers the cost of a method is counted.",
        rich_help_panel=HOW,
    ),
]

Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        help="Points below the best score within which a cheaper method must be shown to lie to be recommended.",
        rich_help_panel=HOW,
    ),
]

PromptLength = Annotated[
    int | None,
    typer.Option(
        "--prompt-length", "--num-virtual-tokens", help="P, the positions of a soft prompt.", rich_help_panel=TUNE
    ),
]
MaxSteps = Annotated[int | None, typer.Option("--max-steps", help="Training steps at most.", rich_help_panel=TUNE)]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--learning-rate", help="In units of the hidden states after the model's first block.", rich_help_panel=TUNE
    ),
]
TrainBatch = Annotated[
    int | None, typer.Option("--train-batch-size", help="Examples a training step.", rich_help_panel=TUNE)
]
Init = Annotated[
    str | None, typer.Option("--init", help="random, vocab, text, labels or warm_start.", rich_help_panel=TUNE)
]
InitText = Annotated[str | None, typer.Option("--init-text", help="The text for --init text.", rich_help_panel=TUNE)]
InitPrompt = Annotated[
    str | None, typer.Option("--init-prompt", help="The prompt folder for --init warm_start.", rich_help_panel=TUNE)
]

SoftPlace = Annotated[
    str | None,
    typer.Option(
        "--soft-place",
        help="Where the soft prompt stands: auto, prepend, append (to an encoder's input), or system (inside a chat's system message).",
        rich_help_panel=TUNE,
    ),
]
Chat = Annotated[
    str | None,
    typer.Option("--chat", help="auto (use the model's chat template if it has one), on or off.", rich_help_panel=RUN),
]

Limit = Annotated[
    int | None,
    typer.Option("--limit", help="At most so many examples of each split: a smoke run.", rich_help_panel=RUN),
]
TrainLimit = Annotated[
    int | None, typer.Option("--train-limit", help="At most so many training examples.", rich_help_panel=RUN)
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Inputs answered together; changes no answer.", rich_help_panel=RUN)
]
MaxNewTokens = Annotated[
    int | None, typer.Option("--max-new-tokens", help="Tokens of an answer at most.", rich_help_panel=RUN)
]
Dtype = Annotated[str | None, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.", rich_help_panel=RUN)]
Device = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps, or spread over all.", rich_help_panel=RUN)
]
TooLong = Annotated[
    str | None,
    typer.Option(
        "--too-long",
        help="Examples beyond the window: drop (and say how many), refuse, or auto: drop a built-in task's, refuse yours.",
        rich_help_panel=RUN,
    ),
]
Revision = Annotated[
    str | None, typer.Option("--revision", help="A branch, tag or commit of the model on the hub.", rich_help_panel=RUN)
]
Trust = Annotated[
    bool | None,
    typer.Option(
        "--trust-remote-code", help="Run code that the model or the encoder brings along.", rich_help_panel=RUN
    ),
]
TargetTokenizer = Annotated[
    str | None,
    typer.Option(
        "--target-tokenizer", help="Folder of an encoder-decoder's own output tokenizer.", rich_help_panel=RUN
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        help="A TOML file with the same names (prompt_length and the like under \\[tuning]).",
        rich_help_panel=RUN,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Machine output on stdout, and nothing else there.", rich_help_panel=RUN)
]

InputColumn = Annotated[
    str | None, typer.Option("--input-column", help="The column of the input.", rich_help_panel=WORDS)
]
TargetColumn = Annotated[
    str | None, typer.Option("--target-column", help="The column of the answer.", rich_help_panel=WORDS)
]
ReferencesColumn = Annotated[
    str | None,
    typer.Option("--references-column", help="The column with several accepted answers.", rich_help_panel=WORDS),
]
IdColumn = Annotated[
    str | None, typer.Option("--id-column", help="The column of the example's id.", rich_help_panel=WORDS)
]
Choices = Annotated[
    str | None,
    typer.Option(
        "--choices",
        help="The answers to choose from (classification): a comma list, a JSON list, or a file with one a line; none: free "
        "text, whatever the targets look like.",
        rich_help_panel=WORDS,
    ),
]
Instruction = Annotated[
    str | None,
    typer.Option(
        "--instruction",
        help="Said first by zero, few and icl; by a soft prompt where asked, as pt+instruction.",
        rich_help_panel=WORDS,
    ),
]
Question = Annotated[
    str | None,
    typer.Option("--question", help="The input's wording, such as 'Input: {input}\\nOutput:'.", rich_help_panel=WORDS),
]
AnswerWords = Annotated[
    str | None, typer.Option("--answer", help="The answer's wording, such as ' {target}'.", rich_help_panel=WORDS)
]
Separator = Annotated[str | None, typer.Option("--separator", help="Between demonstrations.", rich_help_panel=WORDS)]
Stop = Annotated[
    str | None,
    typer.Option("--stop", help="Text at which an answer ends, or a JSON list of such texts.", rich_help_panel=WORDS),
]

SOURCE = {"model": Model, "task": TaskName, "data": Data, "split": Split, "data_dir": DataDir}
DEMONSTRATIONS = {"shots": Shots, "retriever": Retriever, "encoder": Encoder, "seed": Seed}
TUNED = {
    "prompt_length": PromptLength,
    "max_steps": MaxSteps,
    "learning_rate": LearningRate,
    "train_batch_size": TrainBatch,
    "init": Init,
    "init_text": InitText,
    "init_prompt": InitPrompt,
    "soft_place": SoftPlace,
}
MACHINE = {
    "limit": Limit,
    "max_new_tokens": MaxNewTokens,
    "dtype": Dtype,
    "device": Device,
    "revision": Revision,
    "trust_remote_code": Trust,
    "target_tokenizer": TargetTokenizer,
    "chat": Chat,
}
ANSWERING = {"batch_size": BatchSize, "too_long": TooLong} | SCORING
WORDING = {
    "input_column": InputColumn,
    "target_column": TargetColumn,
    "references_column": ReferencesColumn,
    "id_column": IdColumn,
    "choices": Choices,
    "instruction": Instruction,
    "question": Question,
    "answer": AnswerWords,
    "separator": Separator,
    "stop": Stop,
} | READING

Verb = TypeVar("Verb", bound=Callable[..., None])


def takes(*tables: Mapping[str, Any]) -> Callable[[Verb], Verb]:
    """Give a verb's `**flags` the flags of these tables, each absent unless the user gives it; its own stand behind them."""

    def with_flags(verb: Verb) -> Verb:
        hints = get_type_hints(verb, include_extras=True)
        own = [
            one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for one in inspect.signature(verb).parameters.values()
            if one.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        shared = {name: flag for table in tables for name, flag in table.items()}
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=flag)
            for name, flag in shared.items()
        ]
        verb.__annotations__ = {one.name: one.annotation for one in own} | shared | {"return": None}
        verb.__signature__ = inspect.Signature([*added, *own])  # type: ignore[attr-defined]
        return verb

    return with_flags


TUNING = {
    "prompt_length",
    "max_steps",
    "learning_rate",
    "train_batch_size",
    "init",
    "init_text",
    "init_prompt",
    "soft_place",
}
ESCAPED = {"instruction", "question", "answer", "separator", "stop"}
LISTS = {"methods", "seeds", "metrics", "header"}


def settings(flags: dict[str, Any]) -> dict[str, Any]:
    """The given flags as settings of a Run: absent ones left out, comma lists split, `\\n` in wording read as a line end."""
    found: dict[str, Any] = {}
    tuning: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None:
            continue
        if name in LISTS:
            value = [part.strip() for part in value.split(",") if part.strip()]
        if name == "choices":
            value = choices_of(value)
        if name == "stop" and value.startswith("["):
            name, value = "stop", texts_of(value, "--stop")
        elif name in ESCAPED:
            value = value.replace("\\n", "\n").replace("\\t", "\t")
        if name == "seeds":
            value = [_whole(part) for part in value]
        if name == "seed":
            name, value = "seeds", [value]
        if name == "method":
            name, value = "methods", [value]
        if name in TUNING:
            tuning[{"train_batch_size": "batch_size", "soft_place": "place"}.get(name, name)] = value
        else:
            found[name] = value
    if tuning:
        found["tuning"] = tuning
    return found


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ForewordError(f"--seeds takes whole numbers such as 0,1,2, and '{text}' is none.") from error
