"""A Run: the settings of a user, from a TOML file and `key=value`; unknown keys and wrong values are refused."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator
from pydantic.fields import FieldInfo

from foreword.config.choices import choices_of, doubled
from foreword.config.settings import (
    HOW,
    RUNNING,
    WHAT,
    WORDING,
    Count,
    Settings,
    Whole,
    described,
    fields_of,
    flag_of,
    kinds_of,
    option,
    quoted,
    unknown_key,
)
from foreword.config.tuning import Tuning, refuse_unread
from foreword.util.errors import ForewordError
from foreword.util.text import comma_list

ANSWER_TOKENS = 64  # of an answer at most, where neither the user nor a prompt says
FORMER_KEYS = {
    "answers": "amortize_over"
}  # keys of earlier versions, which a file, an override and a call may still say


class Run(Settings):
    """What a command does. Each field says what it is, and how the command line calls it."""

    model: Annotated[str, Field(min_length=1)] = option(
        ...,
        WHAT,
        "A folder, a GGUF file, a hub id, or a name that `foreword models` lists, such as 'reference' (comes with foreword).",
        also=("-m",),
        default_text="none, or the prompt's",
    )
    task: str = option("", WHAT, "A built-in task; `foreword tasks` lists them.", also=("-t",), default_text="none")
    data: str = option(
        "",
        WHAT,
        "Your examples: JSONL, CSV, TSV or Parquet, a folder of split files, or a datasets hub id.",
        also=("-d",),
        default_text="none",
    )
    dev: str = option("", WHAT, "A file of dev examples, beside --data.", default_text="cut from train")
    test: str = option("", WHAT, "A file of test examples, beside --data.", default_text="cut from train")
    data_dir: str = option(
        "", WHAT, "Where the files of built-in tasks lie.", default_text="FOREWORD_DATA, else the hub"
    )
    input_column: Annotated[str, Field(min_length=1)] = option("input", WORDING, "The column of the input.")
    target_column: Annotated[str, Field(min_length=1)] = option("target", WORDING, "The column of the answer.")
    references_column: str = option("", WORDING, "The column with several accepted answers.", default_text="none")
    split: str = option(
        "",
        WHAT,
        "Shares of train, dev and test cut from one file, such as 60/20/20.",
        default_text="a tenth for dev; for test a tenth, but 100 questions, or a third where that is less",
    )
    folds: Annotated[int, Field(ge=2)] | None = option(
        None,
        WHAT,
        "For small data: score every example of one file once, in so many parts, each by what was trained on the others.",
        default_text="none",
    )
    id_column: str = option("", WORDING, "The column of the example's id.", default_text="none, rows are numbered")
    cluster_column: str = option(
        "",
        WORDING,
        "The column of what examples share (a passage, a document): intervals are then over these, and no split that is cut shares one.",
        default_text="none, each stands alone",
    )
    choices_column: str = option("", WORDING, "The column with each row's own choices, a list.", default_text="none")
    target_index: Annotated[int, Field(ge=0, le=1)] | None = option(
        None,
        WORDING,
        "The target is the answer's place among the choices, counted from 0 or 1 (give which).",
        default_text="none",
    )
    quoting: Literal["auto", "standard", "none"] = option(
        "auto",
        WORDING,
        "Quotation marks in CSV and TSV: standard, none (plain letters), or auto: none where a TSV reads only so.",
    )
    delimiter: str = option(
        "",
        WORDING,
        "What parts the cells: one character, comma, semicolon, tab or pipe.",
        default_text="by the file's name and lines",
    )
    encoding: Annotated[str, Field(min_length=1)] = option("utf-8", WORDING, "Of files of text.")
    header: list[str] = option(
        [],
        WORDING,
        "Comma list of column names, for a table without a header line.",
        default_text="the first line",
        reads="list",
    )
    instruction: str | None = option(
        None,
        WORDING,
        "Said first by zero, few and icl; by a soft prompt where asked, as pt+instruction.",
        default_text="the task's, else none",
        reads="escaped",
    )
    question: str | None = option(
        None,
        WORDING,
        "The input's wording, such as 'Input: {input}\\nOutput:'.",
        default_text="the task's, else 'Input: {input}\\nOutput:'; the bare input in a chat and for an encoder-decoder",
        reads="escaped",
    )
    answer: str | None = option(
        None,
        WORDING,
        "The answer's wording, such as ' {target}'.",
        default_text="the task's, else ' {target}'",
        reads="escaped",
    )
    separator: str | None = option(
        None, WORDING, "Between demonstrations.", default_text="the task's, else '\\n\\n'", reads="escaped"
    )
    stop: str | list[str] | None = option(
        None,
        WORDING,
        "Text at which an answer ends, or a JSON list of such texts.",
        default_text="the task's, else '\\n'",
        reads="escaped",
    )
    extract: str | None = option(
        None,
        WORDING,
        "A regular expression that takes the answer out of the output: its first group.",
        default_text="none",
    )
    empty_answers: bool | None = option(
        None, WORDING, "An empty target is an answer (`no answer`).", flag="--allow-empty", default_text="off"
    )
    metrics: list[str] = option(
        [],
        HOW,
        "Comma list; the first decides. Also a function of your own file, my_metric.py:score.",
        default_text="the task's, or what fits the targets",
        reads="list",
    )
    choices: list[str] = option(
        [],
        WORDING,
        "The answers to choose from (classification): a comma list, a JSON list, or a file with one a line; none: free text, whatever "
        "the targets look like.",
        default_text="few short targets that repeat, else none",
        reads="choices",
    )
    methods: Annotated[list[str], Field(min_length=1)] = option(
        ["zero", "icl", "pt", "ipt"],
        HOW,
        "Comma list: zero, few, icl, pt, ipt, ipt-fixed; also icl:random, icl:bm25:3, few:4, pt+instruction; full-ft (full "
        "fine-tuning: all weights of a copy) and lora (adapters in a copy) to hold them against.",
        reads="list",
    )
    seeds: Annotated[list[Whole], Field(min_length=1)] = option(
        [0, 1, 2], HOW, "Comma list, such as 0,1,2.", reads="numbers"
    )
    shots: Count = option(1, HOW, "Demonstrations shown before an input.", also=("--num-fewshot",))
    retriever: str = option("bm25", HOW, "random, bm25 or dense.")
    encoder: str = option(
        "",
        HOW,
        "For dense: a sentence-transformers model, backbone:mean or backbone:last.",
        default_text="the backbone's own states, backbone:mean",
    )
    limit: Count | None = option(
        None, RUNNING, "At most so many examples of each split: a smoke run.", default_text="all"
    )
    train_limit: Count | None = option(None, RUNNING, "At most so many training examples.", default_text="all")
    max_new_tokens: Count = option(
        ANSWER_TOKENS, RUNNING, "Tokens of an answer at most.", default_text="{}, or the longest target"
    )
    batch_size: Count = option(128, RUNNING, "Inputs answered together; changes no answer.")
    too_long: Literal["auto", "refuse", "drop"] = option(
        "auto",
        RUNNING,
        "Examples beyond the window: drop (and say how many), refuse, or auto: drop a built-in task's, refuse yours.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "auto", RUNNING, "auto, float32, bfloat16 or float16."
    )
    device: str = option("auto", RUNNING, "auto, cpu, cuda, cuda:1, mps, or spread over all.")
    revision: str = option("", RUNNING, "A branch, tag or commit of the model on the hub.", default_text="the main one")
    trust_remote_code: bool = option(False, RUNNING, "Run code that the model or the encoder brings along.")
    allow_other_base: bool = option(
        False,
        WHAT,
        "Use a soft prompt on another model than it was tuned on, such as a quantised model's full-precision twin.",
    )
    target_tokenizer: str = option(
        "", RUNNING, "Folder of an encoder-decoder's own output tokenizer.", default_text="none"
    )
    chat: Literal["auto", "on", "off"] = option(
        "auto", RUNNING, "auto (use the model's chat template if it has one), on or off."
    )
    choice_score: Literal["sum", "mean", "calibrated"] = option(
        "sum",
        HOW,
        "How choices are compared: sum (log-probability of all tokens), mean (a token), calibrated (less that of the same "
        "choice without the input).",
    )
    amortize_over: Count = option(
        1000, HOW, "For how many answers the cost of a method is counted.", also=("--answers",)
    )
    margin: Annotated[float, Field(ge=0)] | None = option(
        None,
        HOW,
        "Points below the best score within which a cheaper method must be shown to lie to be recommended.",
        default_text="2 points or 5% of the score, the smaller",
    )
    out: Annotated[str, Field(min_length=1), AfterValidator(os.path.expanduser)] = option(
        "runs", RUNNING, "Folder for everything that is kept.", also=("-o",)
    )
    tuning: Tuning = Tuning()
    model_learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=3e-4,
        description="Of full-ft: in units of the weights themselves; all else of its training is as [tuning] says.",
    )
    lora_learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=1e-3,
        description="Of lora: in units of the adapters' weights; all else of its training is as [tuning] says.",
    )

    @model_validator(mode="before")
    @classmethod
    def _keys_of_today(cls, values: Any) -> Any:
        """Settings under their keys of today. Raises ForewordError where one stands under both."""
        if not isinstance(values, Mapping):
            return values
        for former, key in FORMER_KEYS.items():
            if former in values and key in values:
                raise ForewordError(
                    f"{key} is given twice, once under its former name {former}; keep the one you mean."
                )
        return {FORMER_KEYS.get(key, key): value for key, value in values.items()}

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.task and self.data:
            raise ForewordError(f"Both task ('{self.task}') and data ('{self.data}') are given; keep the one you mean.")
        for key in ("methods", "seeds", "metrics", "choices", "header"):
            if (twice := doubled(getattr(self, key))) is not None:
                raise ForewordError(f"{key} holds {quoted(twice)} twice; name each once.")
        return self


Settings.root = Run


def load(
    path: Path | None,
    overrides: Sequence[str] = (),
    *,
    flags: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Run:
    """The Run of a TOML file (or of none) with `key=value` overrides and flags.

    The later wins: defaults (a verb's own), the file, overrides in their order, flags (values as they are). A value of an
    override is written as in TOML; a bare word is text, a list may be bare with commas (`seeds=0,1`), choices may be a JSON list or
    the path of a file, `none` unsets what may be unset, and text needs quotes only for escapes (`stop="\\n"`). Raises ForewordError
    where the file is absent or broken, and for an unknown key or a value that is not accepted.
    """
    today: Any = Run._keys_of_today  # a class method once more, as pydantic leaves it
    file = {} if path is None else today(load_toml(path))
    refuse_unread(file.get("tuning"))
    values = _over(defaults or {}, file)
    for override in overrides:
        key, equals, text = override.partition("=")
        key = FORMER_KEYS.get(key.strip(), key.strip())
        if not equals or not key:
            raise ForewordError(f"The override '{override}' is not key=value; write e.g. tuning.learning_rate=0.3.")
        _set(values, key, text.strip())
    return Run.model_validate(_over(values, today(flags or {})))


def _over(under: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of both, those above winning, tables setting by setting."""
    merged = dict(under)
    for key, value in above.items():
        inner = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        merged[key] = _over(inner, value) if both and isinstance(inner, Mapping) else value
    return merged


def load_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ForewordError where it is absent or broken."""
    try:
        text = path.read_text(encoding="utf-8")
        return _tables(text)
    except FileNotFoundError as error:
        raise ForewordError(f"There is no configuration at {path}; check the path.") from error
    except OSError as error:
        raise ForewordError(f"Cannot read the configuration {path}: {error.strerror}; give a TOML file.") from error
    except UnicodeDecodeError as error:
        raise ForewordError(f"The configuration {path} is not UTF-8 text; save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        reason = str(error).replace("at end of document", f"at line {text.count(chr(10)) + 1}, the end of the file")
        raise ForewordError(f"The configuration {path} is not valid TOML: {reason}; mend that line.") from error


def _tables(text: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises TOMLDecodeError, also where the reader gives up on a text that is none: nested too deeply, a
    number of too many digits, a date that no calendar has."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise tomllib.TOMLDecodeError("it is nested too deeply") from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        raise tomllib.TOMLDecodeError(f"it holds a value that cannot be read ({error})") from error


def _set(values: dict[str, Any], key: str, text: str) -> None:
    field = dict(fields_of(Run)).get(key)
    if field is None:
        raise unknown_key(Run, key)
    if field.annotation is Tuning:
        raise ForewordError(f"'{key}' is a table of settings; set one of them, e.g. tuning.learning_rate=0.3.")
    *tables, last = key.split(".")
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ForewordError(f"{table} is {described(inner)}, but must be a table of settings.")
        values = inner
    values[last] = _value(field, text)


def _value(field: FieldInfo, text: str) -> Any:
    """The value that the text of an override means for this field; what it cannot mean is left for the model to refuse."""
    kinds = kinds_of(field.annotation)
    if type(None) in kinds and text.lower() == "none":
        return None
    if bool in kinds and text in ("True", "False"):  # as Python writes them
        return text == "True"
    flag = flag_of(field)
    if flag is not None and flag.reads == "choices" and not text.startswith(('"', "'")):
        try:
            return choices_of(text, "choices")
        except ForewordError:
            if not text.startswith("["):
                raise  # else no JSON: a list as in TOML
    if list in kinds and (str not in kinds or text.startswith("[")):
        return _listed(text, int if int in kinds_of(get_args(field.annotation)[0]) else str)
    return _scalar(text, str if str in kinds else float)


def _listed(text: str, kind: type) -> Any:
    if text.startswith("["):
        return _toml(text, text)
    if text.startswith(('"', "'")):
        return _toml(f"[{text}]", text)
    return [_scalar(part, kind) for part in comma_list(text)]


def _scalar(text: str, kind: type) -> Any:
    """Text stays as it is unless quoted; any other kind is read as TOML, then as a number, and else stays text."""
    if kind is str and not text.startswith(('"', "'")):
        return text
    value = _toml(text, text)
    if isinstance(value, str) and kind is not str:
        for number in (int, float):
            try:
                return number(value)
            except ValueError:
                continue
    return value


def _toml(text: str, otherwise: Any) -> Any:
    try:
        table = _tables(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return otherwise
    return table["value"] if list(table) == ["value"] else otherwise
