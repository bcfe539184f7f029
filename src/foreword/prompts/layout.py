"""A Layout puts the examples of one trial into rows of tokens that fit the model's window; an example that cannot fit is refused."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import Backbone, Row
from foreword.prompts.chat import Chat
from foreword.prompts.context import Context, Demonstration, Fitted, TokenizedContext, in_a_row
from foreword.prompts.methods import Method, context
from foreword.prompts.retrieve import RetrievedExample
from foreword.util.errors import ForewordError, TooLongError
from foreword.util.text import Text, plain

UNSAID = "N/A"  # an input that says nothing (Zhao et al. 2021)


@dataclass(frozen=True)
class Laid:
    """One example in tokens: what stands before the answer, and the demonstrations kept. blank: the same with an input that says
    nothing, where choices are held against it."""

    example: Example
    question: str
    fitted: Fitted
    append: bool = False
    blank: Row | None = None

    def row(self, answer: tuple[int, ...] = ()) -> Row:
        """The row that the backbone gets, soft prompt apart."""
        return Row(self.fitted.prefix, self.fitted.own, answer, self.append, self.fitted.ahead)


def unsaid(example: Example) -> Example:
    """The example with an input that says nothing."""
    return dataclasses.replace(example, fields=dict.fromkeys(example.fields, UNSAID))


class Layout:
    """How one method lays out examples for one backbone. soft: the soft prompt's length. fixed: the trial's fixed demonstrations.
    retrieved: for each example's id, its retrieved demonstrations. reserve: positions kept free for an answer that is generated.
    calibrated: the scores of choices are compared with those for a content-free input.
    behind: the soft prompt stands behind the encoder's input. inside: it stands inside the first turn of a chat, not before it.
    remembered: texts whose tokens are kept, the newest."""

    def __init__(
        self,
        backbone: Backbone,
        template: Template,
        method: Method,
        *,
        soft: int,
        reserve: int,
        fixed: Sequence[Example] = (),
        retrieved: Mapping[str, list[RetrievedExample]] | None = None,
        append: bool = False,
        inside: bool = False,
        calibrated: bool = False,
        remembered: int = 100_000,
    ) -> None:
        self.backbone, self.template, self.method = backbone, template, method
        self.soft, self.reserve, self.fixed, self.retrieved = soft, reserve, fixed, retrieved
        self.append, self.inside, self.calibrated = append, inside and method.soft, calibrated
        self._longest = functools.lru_cache(maxsize=1_000)(self._longest_of)
        self._ids = functools.lru_cache(maxsize=remembered)(
            lambda text, first: backbone.tokenizer.ids(text, first=first)
        )
        self.chat = self._chat()
        self._tokens = in_a_row(self._ids) if self.chat is None else self._in_turns

    def placed(self, append: bool) -> Layout:
        """The same with the soft prompt behind the encoder's input, or in front of it."""
        other = copy.copy(self)
        other.append = append
        return other

    def alone(self) -> Layout:
        """The same without demonstrations."""
        return Layout(
            self.backbone,
            self.template,
            self.method.bare(),
            soft=self.soft,
            reserve=self.reserve,
            append=self.append,
            inside=self.inside,
        )

    def _chat(self) -> Chat | None:
        """The chat template of the backbone, with the soft prompt where this layout has it."""
        chat = self.backbone.chat
        if self.inside and not isinstance(chat, Chat):
            raise ForewordError(
                "A soft prompt inside the system message (--soft-place system) needs a chat template, and this model is used "
                "without one; leave out --soft-place, or --chat off."
            )
        return chat.placed(self.inside) if isinstance(chat, Chat) else None

    def _in_turns(self, words: str, shown: Sequence[Demonstration], question: Text) -> TokenizedContext:
        assert self.chat is not None
        return self.chat.lay(self.template.instruction if words else "", shown, plain(question))

    def context(self, example: Example) -> Context:
        """What this method puts before the example."""
        retrieved = self.retrieved
        find = None if retrieved is None else (lambda query, k: retrieved[query.id][-k:])
        return context(self.method, self.template, example, soft=self.soft, fixed=self.fixed, find=find)

    def answer_room(self, example: Example) -> int:
        """Positions kept free for the answer: those of the longest choice, where there is a choice, else `reserve`."""
        return self._longest(example.choices) if example.choices else self.reserve

    def _longest_of(self, choices: tuple[str, ...]) -> int:
        return max(len(self.backbone.answer_ids(self.template.replied(choice))) for choice in choices)

    def lay(self, example: Example, *, answer: int = 0) -> Laid:
        """The example in tokens, with room for the answer after it. Raises TooLongError."""
        question, reserved = self.template.question_runs(example), self.answer_room(example)
        room = self._room(reserved, max(reserved, answer), example.id)
        context = self.context(example)
        fitted = context.fit(question, self._tokens, room, name=example.id)
        laid = Laid(example, plain(question), fitted, self.append)
        if not (self.calibrated and example.choices):
            return laid
        without_examples = (*(part for part in context.segments if not isinstance(part, Demonstration)), *fitted.shown)
        blank = Context(without_examples).fit(
            self.template.question_runs(unsaid(example)), self._tokens, room, name=example.id
        )
        return dataclasses.replace(laid, blank=dataclasses.replace(laid, fitted=blank).row())

    def training_row(self, example: Example) -> Row:
        """The example with the answer that it is trained on."""
        ids = self.backbone.answer_ids(self.template.replied(example.targets[0]))
        return self.lay(example, answer=len(ids)).row(ids)

    def training_rows(self, examples: Sequence[Example]) -> Sequence[Row]:
        """The rows of a training split, each laid out when it is first used."""
        return _Rows(self, examples)

    def _room(self, reserved: int, reserve: int, name: str) -> int | None:
        window, specials = self.backbone.window, self.backbone.specials
        if self.chat is not None and not self.chat.begins:
            specials = 0  # the engine puts none there
        if window is None:
            return None
        taken = reserved - 1 if self.backbone.kind == "seq2seq" else reserved + self.soft + specials
        if taken >= window:
            raise ForewordError(
                f"The model holds {window} positions, and an answer of {reserved} tokens with a soft prompt of {self.soft} leaves "
                "none for an input; lower --max-new-tokens or --prompt-length."
            )
        if self.backbone.kind == "seq2seq":
            decoder = self.backbone.answer_window or window
            if reserve > decoder:
                raise TooLongError(
                    f"Example '{name}' needs room for an answer of {reserve} tokens and the model's decoder holds {decoder}; "
                    "shorten the answer."
                )
            return window - specials
        return window - specials - reserve


class _Rows(Sequence[Row]):
    """Training rows made on demand and kept: a short training on a large split pays only for what it sees."""

    def __init__(self, layout: Layout, examples: Sequence[Example]) -> None:
        self._layout, self._examples = layout, examples
        self._rows: dict[int, Row] = {}

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if place not in self._rows:
            self._rows[place] = self._layout.training_row(self._examples[place])
        return self._rows[place]
