"""Views of one backbone: spoken to in running text or in turns, each with tokenizers of its own for a thread that lays texts out; it
refuses to share a tokenizer between threads, whose settings a call changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from foreword.engine import Backbone, JsonWriter
from foreword.engine.token_texts import TokenTexts
from foreword.prompts.chat import Chat, has_template

Ended = Callable[[Sequence[int]], bool]


def own_tokenizers(backbone: Backbone) -> Backbone:
    """The same model with tokenizers that nobody else uses."""
    view = copy.copy(backbone)
    view.tokenizer = copy.copy(backbone.tokenizer)
    view.tokenizer.hf = copy.deepcopy(backbone.tokenizer.hf)
    if backbone.target_tokenizer is backbone.tokenizer:
        view.target_tokenizer = view.tokenizer
    else:
        view.target_tokenizer = copy.copy(backbone.target_tokenizer)
        view.target_tokenizer.hf = copy.deepcopy(backbone.target_tokenizer.hf)
    return view


class Views:
    """A backbone in running text and, where it has a chat template, in turns. `model` is what answers; `laying`, `reading` and `loading`
    have tokenizers of their own, for the thread that makes rows, the one that makes texts and the one that loads prompts."""

    def __init__(self, backbone: Backbone) -> None:
        self.plain = backbone
        _ = backbone.fingerprint  # once, for all views
        laying = own_tokenizers(backbone)
        self._reading = {False: own_tokenizers(backbone)}
        self._loading = {False: own_tokenizers(backbone)}
        self._laying = {False: laying}
        self._model = {False: backbone}
        self.chats = backbone.kind != "seq2seq" and has_template(laying.tokenizer.hf)
        if self.chats:
            chat = Chat(laying.tokenizer.hf, start=laying.tokenizer.start, name=laying.name)
            self._laying[True] = laying.chatting(chat)
            self._model[True] = backbone.chatting(chat)
            self._reading[True] = copy.copy(self._reading[False])
            self._reading[True].eos = self._model[True].eos
            if (
                self._laying[True].engine is not laying.engine
            ):  # the two views of a chat share one engine without a start
                self._laying[True].engine = self._model[True].engine
            self._loading[True] = copy.copy(self._laying[True])
            self._loading[True].tokenizer = self._loading[False].tokenizer
            self._loading[True].target_tokenizer = self._loading[False].target_tokenizer
        words = self._reading[False]
        self.input_tokens, self.answer_tokens = TokenTexts(words.tokenizer), TokenTexts(words.target_tokenizer)
        self._ended: dict[tuple[bool, bool, tuple[str, ...]], Ended] = {}
        self._writers: dict[bool, JsonWriter] = {}

    def laying(self, chat: bool) -> Backbone:
        """What rows are made with."""
        return self._laying[chat]

    def loading(self, chat: bool) -> Backbone:
        """What demonstrations are indexed with."""
        return self._loading[chat]

    def model(self, chat: bool) -> Backbone:
        """What answers them."""
        return self._model[chat]

    def reading(self, chat: bool) -> Backbone:
        """What their answers are read with."""
        return self._reading[chat]

    def json_writer(self, chat: bool) -> JsonWriter:
        """What compiles schemas, for the thread that makes rows. Raises ForewordError where JSON cannot be written."""
        if chat not in self._writers:
            self._writers[chat] = JsonWriter(self._laying[chat])
        return self._writers[chat]

    def ended(self, chat: bool, stops: tuple[str, ...], *, raw: bool) -> Ended:
        """What ends an answer: the model's own ends, or a text of `stops`; in a raw answer also at its very beginning."""
        key = (chat, raw, stops)
        if key not in self._ended:
            if len(self._ended) > 256:  # stop texts come from outside
                self._ended.clear()
            model = self._model[chat]
            self._ended[key] = _raw_ended(model, stops, self.goes_on(raw)) if raw else model.ended(*stops)
        return self._ended[key]

    def goes_on(self, raw: bool) -> bool:
        """Whether an answer goes on with the text of its input, as a raw one of a model that reads from left to right does."""
        return raw and self.plain.kind != "seq2seq"


def _raw_ended(model: Backbone, stops: tuple[str, ...], goes_on: bool) -> Ended:
    ends = frozenset(model.eos)
    closing = frozenset[int]().union(*(model.target_tokenizer.ending_in(stop[-1]) for stop in stops))

    def ended(ids: Sequence[int]) -> bool:
        if ids[-1] in ends or ids[-1] not in closing:
            return ids[-1] in ends
        text = model.target_tokenizer.added(ids) if goes_on else model.target_tokenizer.text(ids)
        return any(stop in text for stop in stops)

    return ended
