"""Answers in OpenAI's shapes, whole and in chunks: virtual tokens stand in no count of theirs and are reported apart."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from foreword.engine.token_texts import TokenTexts
from foreword.serve.answering import Call, Delta
from foreword.serve.echo import Token
from foreword.serve.rows import InputRow


@dataclass(frozen=True)
class Shape:
    """How one request is answered. id: of the request. chat: by which endpoint. words: its tokens in texts, for log-probabilities.
    trace: the headers of a caller's own trace."""

    id: str
    chat: bool
    model: str
    call: Call
    words: TokenTexts
    created: int
    trace: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, chat: bool, model: str, call: Call, words: TokenTexts) -> Shape:
        """For a request that came now."""
        return cls(name, chat, model, call, words, int(time.time()))

    def whole(self) -> dict[str, Any]:
        """The answer when all of it is there."""
        choices = []
        for place, choice in enumerate(self.call.choices):
            values: dict[str, Any] = {"index": place, "finish_reason": choice.finish_reason}
            values["logprobs"] = self._logprobs(choice.tokens)
            if self.chat:
                values["message"] = {"role": "assistant", "content": choice.text, "refusal": None}
            else:
                values["text"] = choice.text
            if self.call.body.return_token_ids:
                values["token_ids"] = _ids(choice.tokens)
                values["prompt_token_ids"] = list(self.call.inputs[place // self.call.n].ids)
            choices.append(values)
        kind = "chat.completion" if self.chat else "text_completion"
        return self._head(kind) | {"choices": choices, "usage": self.usage(), "foreword": self.about()}

    def opening(self) -> list[dict[str, Any]]:
        """The chunks before the first delta: in a chat, who speaks."""
        if not self.chat:
            return []
        delta = {"role": "assistant", "content": ""}
        return [
            self._chunk([{"index": place, "delta": delta, "logprobs": None, "finish_reason": None}])
            for place in range(len(self.call.choices))
        ]

    def chunk(self, delta: Delta) -> dict[str, Any]:
        """The next delta of its choice as a chunk."""
        values: dict[str, Any] = {"index": delta.place, "finish_reason": delta.finish_reason}
        values["logprobs"] = self._logprobs(delta.tokens)
        if self.chat:
            values["delta"] = {"content": delta.text} if delta.text else {}
        else:
            values["text"] = delta.text
        if self.call.body.return_token_ids:
            values["token_ids"] = _ids(delta.tokens)
        return self._chunk([values])

    def closing(self) -> list[dict[str, Any]]:
        """The chunks behind the last delta: usage, where it is asked for."""
        if not self.call.body.usage_wanted:
            return []
        return [self._chunk([]) | {"usage": self.usage(), "foreword": self.about()}]

    def usage(self) -> dict[str, Any]:
        """Tokens read and said; the soft prompt's positions are in none of OpenAI's counts."""
        read = sum(len(input_row.ids) for input_row in self.call.inputs)
        generated = sum(choice.completion_tokens for choice in self.call.choices)
        virtual = sum(input_row.served.virtual_tokens for input_row in self.call.inputs)
        return {
            "prompt_tokens": read,
            "completion_tokens": generated,
            "total_tokens": read + generated,
            "foreword_virtual_tokens": virtual,
        }

    def about(self) -> dict[str, Any]:
        """What foreword says beside: the version that answered, its demonstrations, the choices' log-probabilities."""
        return about(self.call)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        head = self._head("chat.completion.chunk" if self.chat else "text_completion")
        usage = {"usage": None} if self.call.body.usage_wanted else {}
        return head | {"choices": choices} | usage

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        if self.call.body.top is None:
            return None
        if self.chat:
            return {"content": [self._chat_token(token) for token in tokens if not token.end], "refusal": None}
        return {
            "tokens": [self.words.name(token.id) for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [self._top(token) for token in tokens],
            "text_offset": [token.offset for token in tokens],
        }

    def _top(self, token: Token) -> dict[str, float] | None:
        """The likeliest tokens by their texts, of equal texts the likeliest, and the token itself."""
        if token.logprob is None:
            return None
        known: dict[str, float] = {}
        for i, value in (*token.top, (token.id, token.logprob)):
            known.setdefault(self.words.name(i), value)
        return known

    def _chat_token(self, token: Token) -> dict[str, Any]:
        def named(i: int, value: float | None) -> dict[str, Any]:
            return {"token": self.words.name(i), "logprob": value, "bytes": list(self.words.content(i))}

        return named(token.id, token.logprob) | {"top_logprobs": [named(i, value) for i, value in token.top]}


def _ids(tokens: Sequence[Token]) -> list[int]:
    return [token.id for token in tokens if not token.end]


def about(call: Call) -> dict[str, Any]:
    """What foreword says of a call, as plain values. json_whole: of each choice that was to be JSON, whether it got to its end."""
    served = call.inputs[0].served
    values: dict[str, Any] = {
        "prompt": served.id if served.version is not None else None,
        "digest": None if served.version is None else served.version.digest,
        "virtual_tokens": served.virtual_tokens,
        "inputs": [_shown(input_row) for input_row in call.inputs],
    }
    if any(input_row.grammar is not None for input_row in call.inputs):
        values["json_whole"] = [choice.finish_reason == "stop" for choice in call.choices]
    scores = [choice.scores for choice in call.choices]
    return values | ({"choice_logprobs": scores} if any(scores) else {})


def _shown(input_row: InputRow) -> dict[str, Any]:
    return {
        "demonstrations": [{"id": shown.id, "similarity": shown.similarity} for shown in input_row.shown],
        "dropped_demonstrations": input_row.dropped,
        "raw": input_row.raw,
    }
