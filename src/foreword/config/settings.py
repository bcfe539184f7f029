"""The base of settings: frozen values; unknown keys and wrong values are refused in one sentence that names the key."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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

from foreword.util.errors import ForewordError, unknown

QUOTED = 200  # characters of a wrong value that a refusal shows
LARGEST = 10**12  # beyond, a number is a slip of the hand: no run counts so far
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Whole = Annotated[int, Field(ge=0, le=LARGEST)]


# The panels of `--help` in which settings stand.
WHAT, HOW, TUNE, RUNNING, WORDING = "What is adapted", "How", "Tuning", "Running", "Wording and columns"


@dataclass(frozen=True)
class Flag:
    """How the command line writes a setting. panel: of `--help`. name: the flag, where it is not the setting's own name; also: its other
    names. default_text: what holds where it is not given, in words, for a default that is nothing or is found out; `{}` in it is the
    default. reads: what becomes of its text: a comma list (`list`, `numbers`), `choices`, or text in which `\\n` is a line end
    (`escaped`)."""

    panel: str
    name: str = ""
    also: tuple[str, ...] = ()
    default_text: str = ""
    reads: str = ""

    def option(self, key: str) -> str:
        """The flag by which a setting of this name is known: `--train-batch-size`."""
        return self.name or f"--{key.replace('_', '-')}"

    def argument(self, key: str) -> str:
        """The same as a name in Python: `train_batch_size`."""
        return self.option(key).removeprefix("--").replace("-", "_")


def option(
    default: Any,
    panel: str,
    description: str,
    *,
    flag: str = "",
    also: tuple[str, ...] = (),
    default_text: str = "",
    reads: str = "",
) -> Any:
    """A field that is a setting and an option of the command line; see Flag. `...` is no default."""
    extra: Any = {"flag": Flag(panel, flag, also, default_text, reads)}  # no part of a JSON schema is made of it
    return Field(default=default, description=description, json_schema_extra=extra)


def flag_of(field: FieldInfo) -> Flag | None:
    """How the command line writes this field; None where it does not."""
    extra = field.json_schema_extra
    flag: object = extra.get("flag") if isinstance(extra, dict) else None
    return flag if isinstance(flag, Flag) else None


class Settings(BaseModel):
    """Frozen settings that say in one sentence what they refuse. prefix: what stands before a key in that sentence. root: the
    settings that all tables of settings belong to, whose keys are the known ones."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    prefix: ClassVar[str] = ""
    root: ClassVar[type[Settings] | None] = None

    @model_validator(mode="wrap")
    @classmethod
    def _in_own_words(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise _refusal(cls, error, values) from error


def kinds_of(annotation: Any) -> set[Any]:
    """The plain types in an annotation: `list[int] | None` gives list and None's type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kinds_of(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return {kind for inner in get_args(annotation) for kind in kinds_of(inner)}
    if origin is Literal:
        return {str}
    return {origin or annotation}


def fields_of(model: type[Settings]) -> Iterator[tuple[str, FieldInfo]]:
    """Every key that can be set, with its prefix, tables before what they hold."""
    for name, field in model.model_fields.items():
        yield model.prefix + name, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from fields_of(field.annotation)


def unknown_key(model: type[Settings], key: str) -> ForewordError:
    """The refusal of a key that these settings do not have, with the nearest known one wherever it stands."""
    names = [name for name, _ in fields_of(model.root or model)]
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    table = (close[0] if close else key).rpartition(".")[0]
    known = [name for name in names if name.rpartition(".")[0] == table]
    return unknown("setting", key, known or names)


def _refusal(model: type[Settings], error: ValidationError, values: Any) -> ForewordError:
    """The sentence for the first thing that pydantic refused; an unknown key goes first, for it may be the cause of the rest."""
    first = min(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
    if not first["loc"]:
        return ForewordError(
            f"{model.prefix.rstrip('.') or 'The configuration'} is {described(values)}, but must be a table of settings."
        )
    name = str(first["loc"][0])
    key = model.prefix + name
    if first["type"] == "extra_forbidden":
        return unknown_key(model, key)
    field = model.model_fields[name]
    inner = [part for part in first["loc"][1:] if isinstance(part, str) and part != "[key]"]
    if "[key]" in first["loc"] and "expected" in first.get("ctx", {}):
        return unknown(f"entry of {key}", inner[0], re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    accepted = _accepted(field.annotation, field.metadata)
    if first["type"] == "less_than_equal":
        accepted += f", at most {first['ctx']['le']:,}"
    if first["type"] == "missing":
        how = f"with --{key} or" if flag_of(field) is not None else "as"
        return ForewordError(f"There is no {key}, and it must be {accepted}; give it {how} {key} = ... in the file.")
    places = [part for part in first["loc"][1:] if isinstance(part, int)]
    if places:
        return ForewordError(f"{key} holds {described(first['input'])}, but must be {accepted}.")
    return ForewordError(f"{key} is {described(first['input'])}, but must be {accepted}.")


def described(value: Any) -> str:
    """The value and, where it could be mistaken, its kind: `'5' (text)`."""
    if isinstance(value, str):
        return f"{quoted(value)} (text)" if value else "empty"
    if isinstance(value, bool):
        return f"{str(value).lower()} (a truth value)"
    if isinstance(value, Mapping):
        return "a table"
    try:
        return "none" if value is None else shortened(f"{value}")
    except (ValueError, RecursionError):  # Python writes no whole number of thousands of digits
        return "a value too long to be written"


def quoted(value: Any) -> str:
    """Text in quotes, anything else as it is."""
    return shortened(repr(value)) if isinstance(value, str) else described(value)


def shortened(text: str) -> str:
    """The text, or its beginning where it is too long to be read in a sentence."""
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."


def _accepted(annotation: Any, metadata: Sequence[Any]) -> str:
    """What a field accepts, in words."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _accepted(inner, [*metadata, *(part for item in more for part in getattr(item, "metadata", [item]))])
    if origin in (Union, types.UnionType):
        return " or ".join(_accepted(inner, metadata) for inner in get_args(annotation))
    if origin is Literal:
        return f"one of {', '.join(quoted(value) for value in get_args(annotation))}"
    if origin is list:
        least = " of one or more," if any(isinstance(bound, annotated_types.MinLen) for bound in metadata) else ","
        return f"a list{least} each {_accepted(get_args(annotation)[0], [])}"
    if origin is dict:
        least = (
            " of one or more entries" if any(isinstance(bound, annotated_types.MinLen) for bound in metadata) else ""
        )
        values = _accepted(get_args(annotation)[1], [])
        return f"a table{least}" + ("" if values == "anything" else f", each {values}")
    if annotation is Any:
        return "anything"
    above = "".join(
        f" of at least {bound.ge}" if isinstance(bound, annotated_types.Ge) else f" above {bound.gt}"
        for bound in metadata
        if isinstance(bound, annotated_types.Ge | annotated_types.Gt)
    )
    if annotation is str:
        return (
            "text that is not empty" if any(isinstance(bound, annotated_types.MinLen) for bound in metadata) else "text"
        )
    names = {bool: "true or false", int: "a whole number", float: "a number", type(None): "none"}
    return names.get(annotation, "a table of settings") + above
