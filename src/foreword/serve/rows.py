"""From a request to rows: inputs are worded as the prompt was tuned, with its demonstrations, or read as they are; it refuses what the
prompt or the model cannot take, before anything is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import Backbone, JsonGrammar, Row
from foreword.prompts.context import Demonstration
from foreword.prompts.layout import Layout, unsaid
from foreword.serve.errors import WINDOW, HttpError
from foreword.serve.protocol import MOST_PROMPTS, ChatRequest, CompletionRequest, Message
from foreword.serve.shelf import Served, Shelf, demonstrated
from foreword.util.errors import TooLongError


@dataclass(frozen=True)
class InputRow:
    """One input in tokens. raw: read as it is. ids: all tokens that the model reads, virtual ones left out. text: what they
    say. shown: the demonstrations, with their similarity. dropped: those that did not fit. grammar: of JSON that is to be answered.
    question: the input as it came. vector: of the question, where features are logged. blank: the same with an input that says nothing,
    where choices are held against it."""

    served: Served
    row: Row
    raw: bool
    ids: tuple[int, ...]
    text: str
    shown: tuple[Demonstration, ...] = ()
    dropped: int = 0
    question: str = ""
    vector: tuple[float, ...] | None = None
    grammar: JsonGrammar | None = None
    blank: Row | None = None

    @property
    def template(self) -> Template | None:
        """The wording that reads the answer: of JSON the opening alone, for the grammar says where it ends. None: as it is."""
        template = self.served.template
        if self.raw or template is None:
            return None
        return (
            template
            if self.grammar is None
            else replace(template, answer=f"{self.opening}{{target}}", stop=(), extract="")
        )

    @property
    def opening(self) -> str:
        """The words with which the prompt's wording opens an answer."""
        template = self.served.template
        return "" if self.raw or template is None else template.answer.partition("{target}")[0]

    @property
    def text_stops(self) -> tuple[str, ...]:
        """The texts at which the prompt's wording ends an answer."""
        template = self.template
        return () if template is None else template.stops

    @property
    def chooses(self) -> bool:
        """Whether the answer is one of the prompt's choices."""
        return bool(self.served.choices) and not self.raw


def completion_rows(shelf: Shelf, body: CompletionRequest, longest: int) -> list[InputRow]:
    """The inputs of a completion: texts are worded by the prompt; token ids, and every text where `raw` is said or there is no prompt, are
    read as they are. Raises ForewordError."""
    prompt = body.prompt
    texts: Sequence[object]
    if isinstance(prompt, str):
        texts = [prompt]
    else:
        texts = [prompt] if prompt and isinstance(prompt[0], int) else prompt
    if not texts or len(texts) > MOST_PROMPTS:
        raise HttpError(400, f"{len(texts)} prompts in one request; send 1 to {MOST_PROMPTS}.", param="prompt")
    served = shelf.base_model(chat=False) if shelf.is_base(body.model) else shelf.held(body.model)
    inputs = []
    for text in texts:
        if isinstance(text, str) and served.template is not None and not body.raw:
            inputs.append(worded(served, _example(served, text, body.fields), longest))
        elif body.fields is not None:
            raise HttpError(
                400,
                "fields are for a prompt's wording, and this prompt is read as it is; leave fields out.",
                param="fields",
            )
        else:
            inputs.append(as_it_is(served, shelf.views.laying(served.chat), text))
    return inputs


def chat_rows(shelf: Shelf, body: ChatRequest, longest: int) -> list[InputRow]:
    """The input of a chat: the last user message, worded by the prompt; behind the turns before it where the model has a chat template.
    Raises ForewordError."""
    words, turns, question = _turns(body.messages)
    if shelf.is_base(body.model):
        if not shelf.views.chats:
            raise HttpError(
                400,
                f"The model {shelf.base} has no chat template; use /v1/completions, or a prompt's name.",
                param="model",
            )
        return [spoken(shelf, words, turns, question)]
    served = shelf.held(body.model)
    if body.raw:
        raise HttpError(400, "raw is for /v1/completions; a chat's messages are always worded.", param="raw")
    return [in_turns(served, words, turns, question, longest, body.fields)]


def in_turns(
    served: Served,
    words: str,
    turns: list[Demonstration],
    question: str,
    longest: int,
    fields: dict[str, str] | None = None,
) -> InputRow:
    """A question to a prompt behind a system message and earlier turns, where there are some. Raises ForewordError."""
    if (words or turns) and not served.chat:
        raise HttpError(400, f"{served.id} is not spoken to in turns; send one user message alone.", param="messages")
    example = _example(served, question, fields)
    if not (words or turns):
        return worded(served, example, longest)
    return _continued(served, words, turns, example, longest)


def worded(served: Served, example: Example, longest: int) -> InputRow:
    """An input as a prompt words it. Raises ForewordError where it does not fit beside an answer of `longest` tokens."""
    window = served.layout.backbone.window if served.layout is not None else None
    if window is not None and longest + served.virtual_tokens >= window:
        raise HttpError(
            400,
            f"An answer of {longest:,} tokens behind {served.virtual_tokens} virtual ones leaves no room for an input in the model's "
            f"{window:,} positions; ask for fewer.",
            param="max_tokens",
            code=WINDOW,
        )
    layout = demonstrated(served, example, longest)
    try:
        laid = layout.lay(example)
    except TooLongError as error:
        raise TooLongError(
            f"The input does not fit the model's {window:,} positions beside {served.virtual_tokens} virtual tokens and an answer of "
            f"{longest:,}; shorten it, or ask for fewer tokens."
        ) from error
    row = laid.row()
    ids = _ids(layout, row)
    text, fitted = layout.backbone.tokenizer.text(ids), laid.fitted
    return InputRow(
        served, row, False, ids, text, fitted.shown, fitted.dropped, question=example.text, blank=laid.blank
    )


def _example(served: Served, text: str, fields: dict[str, str] | None) -> Example:
    template = served.template
    assert template is not None and served.stored is not None
    names = list(dict.fromkeys(template.names()))
    values = dict(fields or {})
    if fields is None and len(names) == 1:
        values = {names[0]: text}
    elif "input" in names and "input" not in values:
        values["input"] = text
    elif text and fields is not None:
        raise HttpError(
            400,
            "The input comes as a text and as fields; send all of it as fields beside an empty text.",
            param="fields",
        )
    if sorted(values) != sorted(names):
        raise HttpError(
            400,
            f"The prompt {served.id} is worded with the fields {', '.join(names)} and got {', '.join(values) or 'none'}; send them all as "
            '"fields": {NAME: TEXT}.',
            param="fields",
        )
    # In the order in which the prompt's own examples have them.
    values = {name: _encodable(values[name]) for name in names}
    name = hashlib.sha256("\0".join(f"{key}={values[key]}" for key in sorted(values)).encode()).hexdigest()[:16]
    return Example(f"request-{name}", values, (), served.stored.choices)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise HttpError(
            400, "A text holds half a character (a lone surrogate); send whole ones.", param="prompt"
        ) from error
    return text


def as_it_is(served: Served, model: Backbone, text: object) -> InputRow:
    """A text or token ids as they are, behind the soft prompt and the tokenizer's own start."""
    if isinstance(text, str):
        own = model.tokenizer.ids(((_encodable(text), False),), first=True) if text else ()
        own = own or model.tokenizer.start[-1:]
    else:
        assert isinstance(text, list)
        own = tuple(text)
        if any(token < 0 or token >= model.vocab for token in own):
            raise HttpError(400, f"A token id lies outside 0 to {model.vocab - 1}.", param="prompt")
        start = model.tokenizer.start
        own = own[len(start) :] if start and len(own) > len(start) and own[: len(start)] == start else own
    if not own:
        raise HttpError(
            400, "The prompt is empty, and the model needs a token to read; send some text.", param="prompt"
        )
    row = Row((), own, append=served.append)
    ids = (*model.tokenizer.start, *own, *_end(model))
    return InputRow(
        served,
        row,
        True,
        ids,
        text if isinstance(text, str) else model.tokenizer.text(ids),
        question=text if isinstance(text, str) else model.tokenizer.text(own),
    )


def _end(model: Backbone) -> tuple[int, ...]:
    return model.tokenizer.end if model.kind == "seq2seq" else ()


def _ids(layout: Layout, row: Row) -> tuple[int, ...]:
    model = layout.backbone
    start = () if layout.chat is not None and not layout.chat.begins else model.tokenizer.start
    return (*start, *row.before, *row.prefix, *row.own, *_end(model))


def _turns(messages: Sequence[Message]) -> tuple[str, list[Demonstration], str]:
    """The system message, the turns before the last as question and answer, and the last user message."""
    words = ""
    rest = list(messages)
    if rest[0].role in ("system", "developer"):
        words = _encodable(rest.pop(0).text)
    roles = [message.role for message in rest]
    if not roles or roles != [("user", "assistant")[place % 2] for place in range(len(roles))] or len(roles) % 2 == 0:
        raise HttpError(
            400,
            "messages must be a system message or none, then user and assistant in turn, the last one the user's.",
            param="messages",
        )
    pairs = zip(rest[:-1:2], rest[1:-1:2], strict=True)
    turns = [
        Demonstration(f"turn-{place}", "", None, False, _encodable(user.text), _encodable(assistant.text))
        for place, (user, assistant) in enumerate(pairs)
    ]
    return words, turns, _encodable(rest[-1].text)


def spoken(shelf: Shelf, words: str, turns: list[Demonstration], question: str) -> InputRow:
    """A question to the model alone, through its chat template."""
    served = shelf.base_model(chat=True)
    model = shelf.views.laying(True)
    chat = model.chat
    assert chat is not None
    tokens = chat.lay(words, turns, question)  # type: ignore[attr-defined]
    row = Row(tokens.prefix, tokens.own, before=tokens.ahead)
    start = model.tokenizer.start if chat.begins else ()
    ids = (*start, *row.before, *row.prefix, *row.own)
    return InputRow(served, row, True, ids, model.tokenizer.text(ids), question=question)


def _continued(served: Served, words: str, turns: list[Demonstration], example: Example, longest: int) -> InputRow:
    """An input behind earlier turns: those stand between the prompt's demonstrations and the question."""
    layout = demonstrated(served, example, longest)
    context = layout.context(example)
    shown = [segment for segment in context.segments if isinstance(segment, Demonstration)]
    assert served.template is not None and layout.chat is not None
    own = served.template.instruction if layout.method.instruction else ""
    if words and own and words != own:
        raise HttpError(400, f"The prompt {served.id} has its own system message; send none.", param="messages")
    rows = []
    for query in (example, unsaid(example)) if layout.calibrated else (example,):
        question = "".join(text for text, _ in served.template.question_runs(query))
        tokens = layout.chat.lay(own or words, [*shown, *turns], question)
        rows.append(Row(tokens.prefix, tokens.own, (), layout.append, tokens.ahead))
    row = rows[0]
    ids = _ids(layout, row)
    text = layout.backbone.tokenizer.text(ids)
    return InputRow(served, row, False, ids, text, tuple(shown), question=example.text, blank=rows[-1])
