"""An answer's text while it grows: only what no later token changes is shown; it refuses to show half a character or half a stop text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from foreword.data.template import Template
from foreword.engine import Backbone
from foreword.engine.token_texts import BYTE, HALF


@dataclass
class Answer:
    """One answer as it comes. template: reads it, None for a raw one. stops: texts at which a raw answer is cut, or that a request adds to
    the template's. goes_on: whether it goes on with the input as it stands, a blank included. ids: its tokens so far, the end left out.
    shown: what was given out of its text."""

    model: Backbone
    template: Template | None
    stops: tuple[str, ...]
    goes_on: bool = False
    ids: list[int] = field(default_factory=list)
    shown: str = ""

    def take(self, token: int, finished: bool) -> str:
        """The text that one token more adds for certain."""
        if not (finished and token in self.model.eos):
            self.ids.append(token)
        text = self.whole() if finished else self._certain()
        if not text.startswith(self.shown):
            return ""
        new = text[len(self.shown) :]
        self.shown = text
        return new

    def whole(self) -> str:
        """The text, should the answer be at its end."""
        text = self._text(self.ids)
        if self.template is None:
            return _cut(text, self.stops)
        return _cut(self.template.read(text), self.stops)

    def _text(self, ids: Sequence[int]) -> str:
        words = self.model.target_tokenizer
        return words.added(ids) if self.goes_on else words.text(ids)

    def _settled(self) -> list[int]:
        """The ids without single bytes at their end: a tokenizer that falls back on bytes reads a run of them as one, so that a letter
        among them may yet become half of none. A token without a text, as a control token is, ends no run."""
        words, end = self.model.target_tokenizer, len(self.ids)
        while end and (
            BYTE.fullmatch(words.pieces(self.ids[end - 1 : end])[0]) or not words.text(self.ids[end - 1 : end])
        ):
            end -= 1
        return self.ids[:end]

    def _certain(self) -> str:
        """The beginning of the text that stays whatever follows."""
        template = self.template
        text = self._text(self._settled())
        while text.endswith(HALF):
            text = text[:-1]
        if template is None:
            return _held_back(_cut(text, self.stops), self.stops)
        before, after = template.answer.split("{target}")
        if template.extract or after.strip():
            return ""
        opening, led = before.strip(), text.lstrip()
        if opening and (opening.startswith(led) or led == opening):
            return ""
        held = _held_back(_cut(template.read(text), self.stops), (*self.stops, *template.stops))
        return held.rstrip()  # should the rest become a stop text, the blanks before it go, too


def _cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop texts."""
    places = [place for place in (text.find(stop) for stop in stops) if place >= 0]
    return text[: min(places)] if places else text


def _held_back(text: str, stops: Sequence[str]) -> str:
    """The text without an end that may become a stop text."""
    hold = 0
    for stop in stops:
        hold = max(hold, next((size for size in range(len(stop) - 1, 0, -1) if text.endswith(stop[:size])), 0))
    return text[: len(text) - hold]
