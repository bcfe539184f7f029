"""A conversation in a terminal: each line is answered as the server would answer it; it refuses to keep a turn that was broken off."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from foreword.config.run import ANSWER_TOKENS
from foreword.engine import Backbone
from foreword.prompts.context import Demonstration
from foreword.registry import StoredPrompt
from foreword.serve.answering import Call
from foreword.serve.engine import Engine
from foreword.serve.protocol import ChatRequest, read
from foreword.serve.rows import InputRow, as_it_is, in_turns, spoken
from foreword.serve.shelf import Shelf
from foreword.serve.views import Views
from foreword.util.errors import ForewordError

FOREVER = 10**6  # seconds


class Talk:
    """A conversation with a model, or a prompt on it. Turns are kept where the model has a chat template; else each line stands alone.
    settings: of a request, such as temperature and seed."""

    def __init__(
        self,
        backbone: Backbone,
        stored: StoredPrompt | None,
        *,
        system: str = "",
        longest: int | None = None,
        **settings: float | int | list[str],
    ) -> None:
        self.views = Views(backbone)
        self.shelf = Shelf(self.views, None, base=backbone.name)
        self.served = None if stored is None else self.shelf.served("prompt", stored)
        self.chat = self.views.chats if self.served is None else self.served.chat
        own = None if stored is None else stored.max_new_tokens
        self.longest, self.system = longest or own or ANSWER_TOKENS, system
        self.turns: list[Demonstration] = []
        values = {"model": "prompt", "messages": [{"role": "user", "content": "x"}], **settings}
        self._body = read(json.dumps(values).encode(), ChatRequest)
        if system and self.served is None and not self.chat:
            raise ForewordError(
                f"A system message is given by --system, and {backbone.name} has no chat template that says it; leave it out."
            )
        if system:
            self._input_row("x")
        self.engine = Engine(backbone)

    async def say(self, line: str) -> AsyncIterator[str]:
        """The answer to a line, piece by piece. Raises ForewordError for one that does not fit."""
        call = Call(self.engine, self.views, self._body, [self._input_row(line)], self.longest)
        async for delta in call.deltas(FOREVER):
            yield delta.text
        if self.chat:
            self.turns.append(Demonstration(f"turn-{len(self.turns)}", "", None, False, line, call.choices[0].text))

    def forget(self) -> None:
        """Begin anew."""
        self.turns = []

    def close(self) -> None:
        """End the engine's thread."""
        self.engine.close()

    def _input_row(self, line: str) -> InputRow:
        if self.served is not None:
            return in_turns(self.served, self.system, self.turns, line, self.longest)
        if self.chat:
            return spoken(self.shelf, self.system, self.turns, line)
        return as_it_is(self.shelf.base_model(chat=False), self.views.laying(False), line)
