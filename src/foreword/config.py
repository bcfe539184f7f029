"""Run and Tuning are what a user sets, from a TOML file and `key=value`; unknown keys and wrong values are refused."""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

import annotated_types
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from foreword.errors import ForewordError, unknown

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]


class Settings(BaseModel):
    """Frozen settings that say in one sentence what they refuse. prefix: what stands before a key in that sentence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    prefix: ClassVar[str] = ""

    @model_validator(mode="wrap")
    @classmethod
    def _in_own_words(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise _refusal(cls, error, values) from error


class Tuning(Settings):
    """How a soft prompt is fitted.

    prompt_length: P, in rows. place: front of the input, or behind it in an encoder (auto: front, unless a model that has
    learnt its positions by heart loses the input there). init: where the rows start; init_text: the words for `text`;
    init_prompt: the prompt's folder for `carried`. reparameterisation: `mlp` fits the rows through two layers of width mlp_width (0: the
    backbone's H), folded away at save.
    optimizer, weight_decay: AdamW, or Adafactor, which keeps less memory.
    learning_rate: in units of the root mean square of the backbone's embedding rows, so that one rate serves every
    model. warmup_steps: the rate rises from 0 over so many steps; schedule: what it does after them, until max_steps.
    max_grad_norm: the gradient is clipped to this length (0: never). batch_size: examples a step. max_steps: 0 keeps
    the prompt as it starts. gradient_checkpointing: layers keep their input alone and run again for the gradient, for less memory
    and a third more time.
    eval_every: steps between evaluations on at most dev_limit dev examples. patience: evaluations without an
    improvement after which tuning stops (0: never). select_by: what the best checkpoint is the best in.
    """

    prefix: ClassVar[str] = "tuning."

    prompt_length: Count = 20
    place: Literal["auto", "front", "behind"] = "auto"
    init: Literal["random", "vocab", "text", "labels", "carried"] = "vocab"
    init_text: str = ""
    init_prompt: str = ""
    reparameterisation: Literal["none", "mlp"] = "none"
    mlp_width: Whole = 0
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 0.3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: Whole = 20
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    batch_size: Count = 8
    max_steps: Whole = 500
    eval_every: Count = 50
    patience: Whole = 5
    gradient_checkpointing: bool = False
    select_by: Literal["loss", "metric"] = "loss"
    dev_limit: Count = 200

    @model_validator(mode="after")
    def _init_has_what_it_needs(self) -> Self:
        for init, key in (("text", "init_text"), ("carried", "init_prompt")):
            if self.init == init and not getattr(self, key).strip():
                what = "words" if init == "text" else "folder of a prompt"
                raise ForewordError(
                    f"tuning.init is '{init}' and tuning.{key} is empty; give the {what} to start from."
                )
        return self


OF_PROMPTS = {"prompt_length", "place", "init", "init_text", "init_prompt", "reparameterisation", "mlp_width"}


class Run(Settings):
    """What a command does.

    model: a hub id or a folder. task: a built-in task's name, looked for in data_dir; or data: a file, a folder of
    split files, or a hub id, with the files dev and test where those splits stand apart; read by input_column,
    target_column, references_column (several answers) and id_column ("" where there is none).
    choices_column: each row's own answers to choose from; target_index: the target is the place of the answer among the
    choices, counted from this number (0 or 1). quoting, delimiter, encoding, header: how a table of text is written.
    instruction, question, answer, separator, stop, extract, empty_answers: the wording, where it is not to be the task's own.
    metrics, choices: the same; none given means the task's own.
    methods: labels such as `icl` or `icl:bm25:3`. seeds: each tuned or drawn method is tried with each.
    shots, retriever: k and the retriever of a label that says none; encoder: the sentence-transformers model of
    the retriever `dense`. limit, train_limit: at most so many test and training examples, drawn by a fixed seed
    (none: all).
    max_new_tokens: an answer's longest. batch_size: inputs answered at once. too_long: what becomes of an input that
    does not fit the window even without demonstrations: drop leaves it out and counts it, refuse stops the run; auto leaves out
    those of a built-in task and refuses a user's own.
    dtype, device: what the backbone computes in and on (auto: as the model says, the fastest there is).
    revision: of the model on the hub. trust_remote_code: whether code that the model brings may run. target_tokenizer:
    the folder of an encoder-decoder's own output tokenizer.
    answers: the number of answers over which the cost of tuning is spread. out: the folder of records and report.
    tuning: how soft prompts are fitted. model_learning_rate: the rate, of the weights themselves, at which the reference row `mt`
    fits all of a model's weights; all else it does as `tuning` says.
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
    id_column: str = ""
    choices_column: str = ""
    target_index: Annotated[int, Field(ge=0, le=1)] | None = None
    quoting: Literal["auto", "standard", "none"] = "auto"
    delimiter: str = ""
    encoding: Annotated[str, Field(min_length=1)] = "utf-8"
    header: list[str] = []
    instruction: str | None = None
    question: str | None = None
    answer: str | None = None
    separator: str | None = None
    stop: str | list[str] | None = None
    extract: str | None = None
    empty_answers: bool | None = None
    metrics: list[str] = []
    choices: list[str] = []
    methods: Annotated[list[str], Field(min_length=1)] = ["zero", "icl", "pt", "ipt"]
    seeds: Annotated[list[Whole], Field(min_length=1)] = [0, 1, 2]
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
    target_tokenizer: str = ""
    answers: Count = 1000
    out: Annotated[str, Field(min_length=1)] = "runs"
    tuning: Tuning = Tuning()
    model_learning_rate: Annotated[float, Field(gt=0)] = 3e-4

    @property
    def model_tuning(self) -> Tuning:
        """The settings by which a model's own weights are fitted: nothing in them that only a soft prompt has."""
        shared = self.tuning.model_dump(exclude=OF_PROMPTS)
        return Tuning(**shared | {"learning_rate": self.model_learning_rate})

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.task and self.data:
            raise ForewordError(f"Both task ('{self.task}') and data ('{self.data}') are given; keep the one you mean.")
        for key in ("methods", "seeds", "metrics", "choices", "header"):
            values = getattr(self, key)
            twice = next((one for place, one in enumerate(values) if one in values[:place]), None)
            if twice is not None:
                raise ForewordError(f"{key} holds {_quoted(twice)} twice; name each once.")
        return self


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
    values = _over({} if defaults is None else defaults, {} if path is None else _read(path))
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ForewordError(f"The override '{override}' is not key=value; write e.g. tuning.learning_rate=0.3.")
        _set(values, key, text.strip())
    return Run.model_validate(_over(values, flags or {}))


def _over(under: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of both, those above winning, tables setting by setting."""
    found = dict(under)
    for key, value in above.items():
        inner = found.get(key)
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        found[key] = _over(inner, value) if both and isinstance(inner, Mapping) else value
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except FileNotFoundError as error:
        raise ForewordError(f"There is no configuration at {path}; check the path.") from error
    except OSError as error:
        raise ForewordError(f"Cannot read the configuration {path}: {error.strerror}; give a TOML file.") from error
    except UnicodeDecodeError as error:
        raise ForewordError(f"The configuration {path} is not UTF-8 text; save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        reason = str(error).replace("at end of document", f"at line {text.count(chr(10)) + 1}, the end of the file")
        raise ForewordError(f"The configuration {path} is not valid TOML: {reason}; mend that line.") from error


def _set(values: dict[str, Any], key: str, text: str) -> None:
    field = dict(_fields(Run)).get(key)
    if field is None:
        raise _unknown_key(key)
    if field.annotation is Tuning:
        raise ForewordError(f"'{key}' is a table of settings; set one of them, e.g. tuning.learning_rate=0.3.")
    *tables, last = key.split(".")
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ForewordError(f"{table} is {_found(inner)}, but must be a table of settings.")
        values = inner
    values[last] = _value(field, text)


def _value(field: FieldInfo, text: str) -> Any:
    """The value that the text of an override means for this field; what it cannot mean is left for the model to refuse."""
    kinds = _kinds(field.annotation)
    if type(None) in kinds and text.lower() == "none":
        return None
    if list in kinds and (str not in kinds or text.startswith("[")):
        return _listed(text, int if int in _kinds(get_args(field.annotation)[0]) else str)
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
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return otherwise
    return table["value"] if list(table) == ["value"] else otherwise


def _kinds(annotation: Any) -> set[Any]:
    """The plain types in an annotation: `list[int] | None` gives list and None's type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return {kind for one in get_args(annotation) for kind in _kinds(one)}
    if origin is Literal:
        return {str}
    return {origin or annotation}


def _fields(model: type[Settings]) -> Iterator[tuple[str, FieldInfo]]:
    """Every key that can be set, with its prefix, tables before what they hold."""
    for name, field in model.model_fields.items():
        yield model.prefix + name, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from _fields(field.annotation)


def _unknown_key(key: str) -> ForewordError:
    names = [name for name, _ in _fields(Run)]
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    table = (close[0] if close else key).rpartition(".")[0]
    known = [name for name in names if name.rpartition(".")[0] == table]
    return unknown("setting", key, known or names)


def _refusal(model: type[Settings], error: ValidationError, values: Any) -> ForewordError:
    """The sentence for the first thing that pydantic refused; an unknown key goes first, for it may be the cause of the rest."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    if not first["loc"]:
        return ForewordError(
            f"{model.prefix.rstrip('.') or 'The configuration'} is {_found(values)}, but must be a table of settings."
        )
    name = str(first["loc"][0])
    key = model.prefix + name
    if first["type"] == "extra_forbidden":
        return _unknown_key(key)
    field = model.model_fields[name]
    accepted = _accepted(field.annotation, field.metadata)
    if first["type"] == "missing":
        return ForewordError(
            f"There is no {key}, and it must be {accepted}; give it with --{key} or {key} = ... in the file."
        )
    places = [part for part in first["loc"][1:] if isinstance(part, int)]
    if places:
        return ForewordError(f"{key} holds {_found(first['input'])}, but must be {accepted}.")
    return ForewordError(f"{key} is {_found(first['input'])}, but must be {accepted}.")


def _found(value: Any) -> str:
    """The value and, where it could be mistaken, its kind: `'5' (text)`."""
    if isinstance(value, str):
        return f"{_quoted(value)} (text)" if value else "empty"
    if isinstance(value, bool):
        return f"{str(value).lower()} (a truth value)"
    if isinstance(value, Mapping):
        return "a table"
    return "none" if value is None else f"{value}"


def _quoted(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _accepted(annotation: Any, metadata: Sequence[Any]) -> str:
    """What a field accepts, in words."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _accepted(inner, [*metadata, *(part for one in more for part in getattr(one, "metadata", [one]))])
    if origin in (Union, types.UnionType):
        return " or ".join(_accepted(one, metadata) for one in get_args(annotation))
    if origin is Literal:
        return f"one of {', '.join(_quoted(one) for one in get_args(annotation))}"
    if origin is list:
        least = " of one or more," if any(isinstance(one, annotated_types.MinLen) for one in metadata) else ","
        return f"a list{least} each {_accepted(get_args(annotation)[0], [])}"
    above = "".join(
        f" of at least {one.ge}" if isinstance(one, annotated_types.Ge) else f" above {one.gt}"
        for one in metadata
        if isinstance(one, annotated_types.Ge | annotated_types.Gt)
    )
    if annotation is str:
        return "text that is not empty" if any(isinstance(one, annotated_types.MinLen) for one in metadata) else "text"
    names = {int: "a whole number", float: "a number", type(None): "none"}
    return names.get(annotation, "a table of settings") + above
