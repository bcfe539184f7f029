"""What a request may hold, as OpenAI's API has it and a little more; it refuses what it does not know, naming the parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from foreword.engine import ANY_OBJECT
from foreword.serve.errors import HttpError

MOST_PROMPTS, MOST_CHOICES, MOST_STOPS, MOST_LOGPROBS = 128, 16, 16, 20
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0, 0.0),
    "presence_penalty": (0, 0.0),
    "logit_bias": ({},),
    "best_of": (1,),
    "suffix": ("",),
    "tools": ([],),
    "tool_choice": ("none",),
    "functions": ([],),
    "parallel_tool_calls": (False, True),
    "modalities": (["text"],),
    "store": (False,),
    "metadata": ({},),
    "service_tier": ("auto", "default"),
    "logprobs": (),
}
Text = Annotated[str, Field(max_length=1_000_000)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """A part of a request whose every name is known."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        """A name that is null is not said: clients send an answer's message back as they got it, `refusal` and all."""
        return {name: v for name, v in values.items() if v is not None} if isinstance(values, dict) else values


class StreamOptions(Strict):
    """include_usage: a last chunk with the usage."""

    include_usage: bool = False
    include_obfuscation: bool = False


class JsonSchema(Strict):
    """A schema with a name. strict: taken for true, whatever it says."""

    name: Annotated[str, Field(max_length=64)] = "answer"
    description: Text | None = None
    form: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(Strict):
    """The form of an answer. json_schema: of the type that has its name, and of no other."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _matching(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema goes with the type 'json_schema', and with no other")
        return self


class Common(Strict):
    """What both endpoints take. temperature: 0 where it is not given: the likeliest answer. raw: the text is read as it is, without the
    prompt's wording and demonstrations. fields: what the wording names, where that is more than `input`. timeout: seconds for the whole
    answer."""

    model: Annotated[str, Field(min_length=1, max_length=300)]
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=1000)] | None = None
    response_format: ResponseFormat | None = None
    raw: bool = False
    fields: dict[str, Text] | None = None
    return_token_ids: bool = False
    timeout: Annotated[float, Field(gt=0)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts."""
        return () if self.stop is None else (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def schema_of_json(self) -> Mapping[str, Any] | None:
        """The schema that an answer is to hold to; None for text."""
        response_format = self.response_format
        if response_format is None or response_format.type == "text":
            return None
        return ANY_OBJECT if response_format.json_schema is None else response_format.json_schema.form

    @property
    def usage_wanted(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def longest(self) -> int | None:
        """Tokens that an answer may have."""
        raise NotImplementedError

    @property
    def top(self) -> int | None:
        """How many of the likeliest tokens are told; None for no log-probabilities."""
        raise NotImplementedError


class CompletionRequest(Common):
    """The body of /v1/completions."""

    prompt: Text | Annotated[list[Text] | list[int] | list[list[int]], Field(max_length=1_000_000)]
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    echo: bool | None = None

    @property
    def longest(self) -> int | None:
        """Tokens that an answer may have."""
        return self.max_tokens

    @property
    def top(self) -> int | None:
        """How many of the likeliest tokens are told; None for no log-probabilities."""
        return self.logprobs


class Part(Strict):
    """A piece of a message's content."""

    type: Literal["text"]
    text: Text


class Message(Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[Part]
    name: str | None = None

    @property
    def text(self) -> str:
        """Its words."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(Common):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None

    @property
    def longest(self) -> int | None:
        """Tokens that an answer may have."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def top(self) -> int | None:
        """How many of the likeliest tokens are told; None for no log-probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None


Body = TypeVar("Body", bound=BaseModel)


def read(body: bytes, kind: type[Body]) -> Body:
    """A body as a request. Raises HttpError naming the first parameter that is wrong, unknown, or asks for what this server does not do."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HttpError(400, f"The body is no JSON ({error}); send a JSON object.") from error
    if not isinstance(values, dict):
        raise HttpError(400, "The body is JSON and no object; send an object.")
    known = set(kind.model_fields)
    for name, value in list(values.items()):
        if value is None or (name not in known and name in NEUTRAL and value in NEUTRAL[name]):
            del values[name]
        elif name not in known:
            why = "asks for what this server does not do" if name in NEUTRAL else "is unknown here"
            raise HttpError(
                400,
                f"The parameter '{name[:100]}' {why}; leave it out.",
                param=name[:100],
                code="unsupported_parameter",
            )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        where, sentence = _meant(error)
        raise HttpError(400, sentence, param=where, code="invalid_value") from error


def _meant(error: ValidationError) -> tuple[str | None, str]:
    """The parameter that is wrong and why: of a value that might be of several kinds, by the kind that it has."""
    errors = error.errors(include_url=False)
    first = next((each for each in errors if not each["type"].endswith("_type")), errors[0])
    path = [str(part) for part in first["loc"] if str(part).replace("_", "").isalnum()]  # the rest are names of kinds
    return (path[0] if path else None), f"{'.'.join(path[:4])}: {first['msg'].removeprefix('Value error, ')}."
