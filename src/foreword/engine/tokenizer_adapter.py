"""TokenizerAdapter turns text into token ids piece by piece, and back; the tokens of a piece do not depend on its neighbours."""

from __future__ import annotations

import copy
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from foreword.engine.vocabulary import tokenizer_text
from foreword.util.errors import ForewordError
from foreword.util.text import Run, Runs, Text

_ANCHORS = ("\n", "0", "|")  # some vocabularies have entries that begin with a line end


class TokenizerAdapter:
    """A tokenizer with the three things the engine needs: the specials around a text, tokens of a piece, and text again.

    start, end: the special ids that the tokenizer itself puts around a text (`<s>`; `</s>`; often nothing). rows: ids that the
    model has a vector for; a tokenizer may know more, and a text that needs those is refused. side: the tokenizer's argument that a text
    goes to (`text`, or `text_target` for what an encoder-decoder is to say).
    """

    def __init__(self, tokenizer: Any, rows: int | None = None, *, side: str = "text") -> None:
        self.hf, self.rows, self.side = tokenizer, rows, side
        self._letter = plain = self._encode("a")
        around = list(tokenizer(**{side: "a"}).input_ids)
        at = next((i for i in range(len(around)) if around[i : i + len(plain)] == plain), 0)
        self.start: tuple[int, ...] = tuple(around[:at])
        self.end: tuple[int, ...] = tuple(around[at + len(plain) :])
        self._anchors = [(anchor, self._encode(anchor)) for anchor in _ANCHORS]

    def _encode(self, text: str, data: bool = False) -> list[int]:
        options = {"split_special_tokens": True} if data else {}
        return list(self.hf(**{self.side: text}, add_special_tokens=False, **options).input_ids)

    def target(self) -> TokenizerAdapter:
        """The wording of answers of the same tokenizer: itself, but for tokenizers that write a target in another way."""
        other = TokenizerAdapter(self.hf, self.rows, side="text_target")
        same = (other.start, other.end, other._encode("a 1")) == (self.start, self.end, self._encode("a 1"))
        return self if same else other

    def with_ends(self, start: tuple[int, ...], end: tuple[int, ...]) -> TokenizerAdapter:
        """The same with other ids around a text."""
        if (start, end) == (self.start, self.end):
            return self
        other = copy.copy(self)
        other.start, other.end = start, end
        return other

    def ids(self, text: Text, *, first: bool) -> tuple[int, ...]:
        """The token ids of one piece, no specials around it. A piece that is not first is tokenised after a line end (or a sign,
        where the line end melts into it) which is then taken off, so that no tokenizer marks it as the beginning of a text. In runs
        of text, what looks like a control token counts as one only where it is the template's own; a start that a first piece has
        already is dropped, for the tokenizer's own stands before it."""
        ids: tuple[int, ...] = ()
        for part, trusted in self._pieces(text):
            ids += self._piece(part, first=first and not ids, data=not trusted)
        if first and self.start and ids[: len(self.start)] == self.start:
            ids = ids[len(self.start) :]
        return self._known(ids)

    def _known(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """The ids, each of which the model has a vector for."""
        if self.rows is not None and max(ids, default=0) >= self.rows:
            beyond = next(token for token in ids if token >= self.rows)
            raise ForewordError(
                f"A text holds {self.pieces([beyond])[0]!r}, token {beyond} of the tokenizer, and the model has vectors for {self.rows} "
                "tokens alone; leave it out of the text, or use a model whose table of vectors was resized for this tokenizer."
            )
        return ids

    def _piece(self, text: str, *, first: bool, data: bool) -> tuple[int, ...]:
        if not text:
            return ()
        if first:
            return tuple(self._encode(text, data))
        for anchor, known in self._anchors:
            joined = self._encode(anchor + text, data)
            if joined[: len(known)] == known and len(joined) > len(known):
                return tuple(joined[len(known) :])
        return tuple(self._encode(text, data))

    def _pieces(self, text: Text) -> Runs:
        """The text in pieces to be tokenised apart: one, unless what is not the template's own looks like a control token."""
        if isinstance(text, str):
            return ((text, True),)
        whole = "".join(part for part, _ in text)
        hits = [] if self._control is None else list(self._control.finditer(whole))
        own = [(end - len(part), end) for (part, mine), end in _ends(text) if mine]
        trusted = [hit.span() for hit in hits if any(begin <= hit.start() and hit.end() <= end for begin, end in own)]
        if len(trusted) == len(hits):
            return ((whole, True),)
        cuts: list[Run] = []
        at = 0
        for begin, end in trusted:
            cuts += [(whole[at:begin], False), (whole[begin:end], True)]
            at = end
        return (*cuts, (whole[at:], False))

    @functools.cached_property
    def _control(self) -> re.Pattern[str] | None:
        """Finds the control tokens in a text, the longest at a place."""
        longest_first = sorted(self._controls.values(), key=lambda name: (-len(name), name))
        return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    @functools.cached_property
    def _controls(self) -> dict[int, str]:
        """The control tokens, by their ids."""
        added = getattr(self.hf, "added_tokens_decoder", {})
        named = zip(self.hf.all_special_ids, self.hf.all_special_tokens, strict=True)
        return {int(i): str(token.content) for i, token in added.items() if token.special} | {
            int(i): str(s) for i, s in named
        }

    def controls(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The control tokens among these ids, in order."""
        return tuple(self._controls[i] for i in ids if i in self._controls)

    def text(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens left out."""
        return str(self.hf.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def added(self, ids: Sequence[int], *, specials: bool = False) -> str:
        """The text that ids add behind a letter: alone, a decoder takes the blank off that many tokens begin with. specials: control tokens
        are written out."""
        before, text, alone = (
            str(self.hf.decode(whole, skip_special_tokens=not specials, clean_up_tokenization_spaces=False))
            for whole in (self._letter, [*self._letter, *ids], list(ids))
        )
        return text[len(before) :] if text.startswith(before) else alone

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Each id's own token, for showing."""
        return [str(piece) for piece in self.hf.convert_ids_to_tokens(list(ids))]

    def unknown(self, ids: Sequence[int]) -> int:
        """How many of the ids are the tokenizer's unknown token (text it cannot write)."""
        unk = self.hf.unk_token_id
        return 0 if unk is None or unk in (self.hf.pad_token_id, self.hf.eos_token_id) else list(ids).count(unk)

    @property
    def pad(self) -> int:
        """An id to fill with, one that the model has a vector for; it is masked everywhere, so any will do."""
        known = self.hf.pad_token_id
        return 0 if known is None or (self.rows is not None and known >= self.rows) else int(known)

    @functools.cached_property
    def _texts(self) -> list[str]:
        """What each token adds behind a letter, as `added` says it of one."""
        before = str(self.hf.decode(self._letter))
        rows = [[*self._letter, i] for i in range(len(self.hf))]
        texts = self.hf.batch_decode(rows, clean_up_tokenization_spaces=False)
        return [str(text).removeprefix(before) for text in texts]

    def ending_in(self, character: str) -> frozenset[int]:
        """The ids whose text holds the character, or part of one: only after one of these can a stop text be complete."""
        return frozenset(i for i, text in enumerate(self._texts) if character in text or "\ufffd" in text)

    def special_ids(self) -> frozenset[int]:
        """Ids that are no text: never shown, never sampled for a prompt's initial values."""
        return frozenset(int(i) for i in self.hf.all_special_ids if i is not None)  # a name without a token

    def frequent(self, count: int) -> list[int]:
        """The `count` most frequent tokens that are text. Trained vocabularies (byte-pair merges, unigram pieces) stand in the
        order of their frequency, so these are the lowest ids (Lester et al. 2021, section 3.2: the 5,000 most common)."""
        special = self.special_ids()
        size = len(self.hf) if self.rows is None else min(self.rows, len(self.hf))
        return [i for i in range(size) if i not in special][:count]

    def digest_text(self) -> str:
        """What identifies the tokenizer: see `tokenizer_text`; and the specials that it puts around a text."""
        return repr((tokenizer_text(self.hf), self.start, self.end))


def stripped(text: Text) -> Text:
    """A text without white space at its ends."""
    if isinstance(text, str):
        return text.strip()
    runs = [run for run in text if run[0]]
    while runs and not runs[0][0].strip():
        runs.pop(0)
    while runs and not runs[-1][0].strip():
        runs.pop()
    if not runs:
        return ()
    runs[0] = (runs[0][0].lstrip(), runs[0][1])
    runs[-1] = (runs[-1][0].rstrip(), runs[-1][1])
    return tuple(runs)


def _ends(runs: Runs) -> Iterator[tuple[Run, int]]:
    """Each run with the place of its end in the whole."""
    return zip(runs, itertools.accumulate(len(part) for part, _ in runs), strict=True)
