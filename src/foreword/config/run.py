"""A Run: the settings of a user, from a TOML file and `key=value`; unknown keys and wrong values are refused."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from foreword.config.settings import Count, Settings, Whole, described, fields_of, kinds_of, quoted, unknown_key
from foreword.config.tuning import Tuning
from foreword.util.errors import ForewordError

FORMER_KEYS = {
    "answers": "amortize_over"
}  # keys of earlier versions, which a file, an override and a call may still say


class Run(Settings):
    """What a command does.

    model: a hub id or a folder. task: a built-in task's name, looked for in data_dir; or data: a file, a folder of
    split files, or a hub id, with the files dev and test where those splits stand apart; read by input_column,
    target_column, references_column (several answers) and id_column ("" where there is none).
    choices_column: each row's own answers to choose from; target_index: the target is the place of the answer among the
    choices, counted from this number (0 or 1). quoting, delimiter, encoding, header: how a table of text is written.
    split: the shares of train, dev and test that are cut from one file, such as 60/20/20 (none: a tenth for dev; for test a tenth
    too, but 100 questions where a third of them are as many, else a third). folds: every example of one file is scored once, in so
    many parts, each by what was trained on the others.
    instruction, question, answer, separator, stop, extract, empty_answers: the wording, where it is not to be the task's own.
    metrics, choices: the same; none given means the task's own, or few short targets that repeat; `none` makes answers free text.
    methods: labels such as `icl` or `icl:bm25:3`. seeds: each tuned or drawn method is tried with each.
    shots, retriever: k and the retriever of a label that says none; encoder: the sentence-transformers model of
    the retriever `dense`. limit, train_limit: at most so many test and training examples, drawn by a fixed seed
    (none: all).
    max_new_tokens: an answer's longest. batch_size: inputs answered at once. too_long: what becomes of an input that
    does not fit the window even without demonstrations: drop leaves it out and counts it, refuse stops the run; auto leaves out
    those of a built-in task and refuses a user's own.
    dtype, device: what the backbone computes in and on (auto: as the model says, the fastest there is).
    revision: of the model on the hub. trust_remote_code: whether code that the model brings may run. allow_other_base: a prompt may be
    used on another model than it was tuned on, if it fits in width. target_tokenizer:
    the folder of an encoder-decoder's own output tokenizer.
    chat: whether the model is spoken to through its tokenizer's chat template (auto: where there is one).
    choice_score: choices are compared by the log-probability of all their tokens (sum), the same a token (mean), or less that of the
    same choice where the input says nothing (calibrated).
    amortize_over: the number of answers over which the cost of tuning is spread. margin: how far below the best score, in points, a
    cheaper method may be shown to lie and still be recommended (none: 2 points or 5 % of the score, the smaller).
    out: the folder of records and report.
    tuning: how anything is trained. model_learning_rate: the rate, of the weights themselves, at which a copy of the model is
    trained, lora_learning_rate: of the adapters' weights, for LoRA; all else they do as `tuning` says.
    """

    model: Annotated[str, Field(min_length=1)]
    task: str = ""
    data: str = ""
    dev: str = ""
    test: str = ""
    data_dir: str = ""
    input_column: Annotated[str, Field(min_length=1)] = "input"
    target_column: Annotated[str, Field(min_length=1)] = "target"
    references_column: str = ""
    split: str = ""
    folds: Annotated[int, Field(ge=2)] | None = None
    id_column: str = ""
    choices_column: str = ""
    target_index: Annotated[int, Field(ge=0, le=1)] | None = None
    quoting: Literal["auto", "standard", "none"] = "auto"
    delimiter: str = ""
    encoding: Annotated[str, Field(min_length=1)] = "utf-8"
    header: list[str] = Field(default=[])
    instruction: str | None = None
    question: str | None = None
    answer: str | None = None
    separator: str | None = None
    stop: str | list[str] | None = None
    extract: str | None = None
    empty_answers: bool | None = None
    metrics: list[str] = Field(default=[])
    choices: list[str] = Field(default=[])
    methods: Annotated[list[str], Field(min_length=1)] = Field(default=["zero", "icl", "pt", "ipt"])
    seeds: Annotated[list[Whole], Field(min_length=1)] = Field(default=[0, 1, 2])
    shots: Count = 1
    retriever: str = "bm25"
    encoder: str = ""
    limit: Count | None = None
    train_limit: Count | None = None
    max_new_tokens: Count = 64
    batch_size: Count = 128
    too_long: Literal["auto", "refuse", "drop"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    revision: str = ""
    trust_remote_code: bool = False
    allow_other_base: bool = False
    target_tokenizer: str = ""
    chat: Literal["auto", "on", "off"] = "auto"
    choice_score: Literal["sum", "mean", "calibrated"] = "sum"
    amortize_over: Count = 1000
    margin: Annotated[float, Field(ge=0)] | None = None
    out: Annotated[str, Field(min_length=1)] = "runs"
    tuning: Tuning = Tuning()
    model_learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    lora_learning_rate: Annotated[float, Field(gt=0)] = 1e-3

    @model_validator(mode="before")
    @classmethod
    def _keys_of_today(cls, values: Any) -> Any:
        return keys_of_today(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.task and self.data:
            raise ForewordError(f"Both task ('{self.task}') and data ('{self.data}') are given; keep the one you mean.")
        for key in ("methods", "seeds", "metrics", "choices", "header"):
            values = getattr(self, key)
            twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
            if twice is not None:
                raise ForewordError(f"{key} holds {quoted(twice)} twice; name each once.")
        return self


Settings.root = Run


def keys_of_today(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under their keys of today. Raises ForewordError where one stands under both."""
    for former, key in FORMER_KEYS.items():
        if former in values and key in values:
            raise ForewordError(f"{key} is given twice, once under its former name {former}; keep the one you mean.")
    return {FORMER_KEYS.get(key, key): value for key, value in values.items()}


def load(
    path: Path | None,
    overrides: Sequence[str] = (),
    *,
    flags: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Run:
    """The Run of a TOML file (or of none) with `key=value` overrides and flags.

    The later wins: defaults (a verb's own), the file, overrides in their order, flags (values as they are). A value of an
    override is written as in TOML; a bare word is text, a list may be bare with commas (`seeds=0,1`), `none` unsets what may
    be unset, and text needs quotes only for escapes (`stop="\\n"`). Raises ForewordError where the file is absent or
    broken, and for an unknown key or a value that is not accepted.
    """
    values = _over({} if defaults is None else defaults, {} if path is None else keys_of_today(load_toml(path)))
    for override in overrides:
        key, equals, text = override.partition("=")
        key = FORMER_KEYS.get(key.strip(), key.strip())
        if not equals or not key:
            raise ForewordError(f"The override '{override}' is not key=value; write e.g. tuning.learning_rate=0.3.")
        _set(values, key, text.strip())
    return Run.model_validate(_over(values, flags or {}))


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
    if list in kinds and (str not in kinds or text.startswith("[")):
        return _listed(text, int if int in kinds_of(get_args(field.annotation)[0]) else str)
    return _scalar(text, str if str in kinds else float)


def _listed(text: str, kind: type) -> Any:
    if text.startswith("["):
        return _toml(text, text)
    if text.startswith(('"', "'")):
        return _toml(f"[{text}]", text)
    return [_scalar(part.strip(), kind) for part in text.split(",") if part.strip()]


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
