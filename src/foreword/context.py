"""A Context is what stands before an input, as an ordered tuple of segments, and the rule for shortening it; it refuses to
touch tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foreword.errors import ForewordError

Run = tuple[str, bool]  # a text, and whether it is the template's own: only there do control tokens count as such
Runs = tuple[Run, ...]
Text = str | Runs  # a plain text is the template's own


def plain(text: Text) -> str:
    """The text itself."""
    return text if isinstance(text, str) else "".join(part for part, _ in text)


@dataclass(frozen=True)
class Words:
    """Text that every input of a task gets: an instruction."""

    text: str


@dataclass(frozen=True)
class Vectors:
    """A soft prompt of `length` positions; its numbers live elsewhere."""

    length: int


@dataclass(frozen=True)
class Shown:
    """A worked example. shared: every input of the trial gets this one (fixed), not only its own input (retrieved). parts: the text
    in the pieces that are tokenised apart (question, answer, separator); none: all of it at once."""

    id: str
    text: str
    similarity: float | None = None
    shared: bool = False
    parts: tuple[Runs, ...] = ()


Segment = Words | Vectors | Shown
Encode = Callable[[Text, bool], tuple[int, ...]]


class TooLongError(ForewordError):
    """An input that does not fit the window even without demonstrations."""


@dataclass(frozen=True)
class Fitted:
    """A context and a question in tokens. prefix: ids that rows share. own: this row's ids. shown: the demonstrations kept,
    farthest first. dropped: how many were left out. soft: positions of the soft prompt."""

    prefix: tuple[int, ...]
    own: tuple[int, ...]
    shown: tuple[Shown, ...]
    dropped: int
    soft: int
    question: int

    @property
    def before(self) -> int:
        """Positions before the input: soft prompt, instruction, demonstrations."""
        return self.soft + len(self.prefix) + len(self.own) - self.question


@dataclass(frozen=True)
class Context:
    """The segments before the input: soft prompt first, then words, then demonstrations with the most similar last."""

    segments: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        rank = {Vectors: 0, Words: 1, Shown: 2}
        ranks = [rank[type(segment)] for segment in self.segments]
        if ranks != sorted(ranks):
            raise ValueError("a context holds its soft prompt first, then words, then demonstrations")

    @property
    def soft(self) -> int:
        """Positions of the soft prompt."""
        return sum(segment.length for segment in self.segments if isinstance(segment, Vectors))

    def fit(self, question: Text, encode: Encode, room: int | None, *, name: str) -> Fitted:
        """Tokens of context and question within `room` positions (soft prompt included; None: unbounded). Whole demonstrations
        are dropped, farthest first, until it fits. encode(text, first): tokens of a piece. Raises TooLongError, naming the
        example, when the rest alone is too long."""
        words = "".join(segment.text for segment in self.segments if isinstance(segment, Words))
        shown = [segment for segment in self.segments if isinstance(segment, Shown)]
        dropped = 0
        while True:
            fitted = self._lay(words, shown, question, encode, dropped)
            size = fitted.soft + len(fitted.prefix) + len(fitted.own)
            if room is None or size <= room:
                return fitted
            if not shown:
                raise TooLongError(
                    f"Example '{name}' needs {size} positions (soft prompt {fitted.soft}) and the model has {room} for them; shorten it, "
                    "lower --prompt-length or --max-new-tokens, or leave such examples out with --too-long drop."
                )
            shown = shown[1:]
            dropped += 1

    def _lay(self, words: str, shown: Sequence[Shown], question: Text, encode: Encode, dropped: int) -> Fitted:
        pieces: list[tuple[Text, bool]] = [(words, True)]
        pieces += [(part, one.shared) for one in shown for part in one.parts or (one.text,)]
        prefix: tuple[int, ...] = ()
        own: tuple[int, ...] = ()
        for text, shared in pieces:
            ids = encode(text, not prefix and not own)
            if shared and not own:
                prefix += ids
            else:
                own += ids
        asked = encode(question, not prefix and not own)
        return Fitted(prefix, own + asked, tuple(shown), dropped, self.soft, len(asked))
