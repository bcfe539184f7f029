"""A Context: the segments before an input, in order, and the rule for shortening them; no tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foreword.util.errors import TooLongError
from foreword.util.text import Runs, Text


@dataclass(frozen=True)
class Instruction:
    """Text that every input of a task gets: an instruction."""

    text: str


@dataclass(frozen=True)
class Vectors:
    """A soft prompt of `length` positions; its numbers live elsewhere."""

    length: int


@dataclass(frozen=True)
class Demonstration:
    """A worked example. shared: every input of the trial gets this one (fixed), not only its own input (retrieved). question, answer:
    its two halves, which a chat puts into turns of their own. parts: the text in the pieces that are tokenised apart (question, answer,
    separator); none: all of it at once."""

    id: str
    text: str
    similarity: float | None = None
    shared: bool = False
    question: str = ""
    answer: str = ""
    parts: tuple[Runs, ...] = ()


Segment = Instruction | Vectors | Demonstration
Encode = Callable[[Text, bool], tuple[int, ...]]


@dataclass(frozen=True)
class TokenizedContext:
    """Everything before an answer in ids. prefix: those that rows share. own: this row's. question: how many of the last belong to the
    question. ahead: as `before` of a Row."""

    prefix: tuple[int, ...]
    own: tuple[int, ...]
    question: int
    ahead: tuple[int, ...] = ()


Lay = Callable[[str, Sequence[Demonstration], Text], TokenizedContext]


@dataclass(frozen=True)
class Fitted:
    """A context and a question in tokens. prefix: ids that rows share. own: this row's ids. shown: the demonstrations kept,
    farthest first. dropped: how many were left out. soft: positions of the soft prompt. ahead: as `before` of a Row."""

    prefix: tuple[int, ...]
    own: tuple[int, ...]
    shown: tuple[Demonstration, ...]
    dropped: int
    soft: int
    question: int
    ahead: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Positions in all, the tokenizer's own start apart."""
        return len(self.ahead) + self.soft + len(self.prefix) + len(self.own)

    @property
    def before(self) -> int:
        """Positions before the input: soft prompt, instruction, demonstrations."""
        return self.size - self.question


@dataclass(frozen=True)
class Context:
    """The segments before the input: soft prompt first, then words, then demonstrations with the most similar last."""

    segments: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        rank = {Vectors: 0, Instruction: 1, Demonstration: 2}
        ranks = [rank[type(segment)] for segment in self.segments]
        if ranks != sorted(ranks):
            raise ValueError("a context holds its soft prompt first, then words, then demonstrations")

    @property
    def soft(self) -> int:
        """Positions of the soft prompt."""
        return sum(segment.length for segment in self.segments if isinstance(segment, Vectors))

    def fit(self, question: Text, lay: Lay, room: int | None, *, name: str) -> Fitted:
        """Tokens of context and question within `room` positions (soft prompt included; None: unbounded). Whole demonstrations
        are dropped, farthest first, until it fits. lay(words, shown, question): their tokens. Raises TooLongError, naming the
        example, when the rest alone is too long."""
        words = "".join(segment.text for segment in self.segments if isinstance(segment, Instruction))
        shown = [segment for segment in self.segments if isinstance(segment, Demonstration)]
        dropped = 0
        while True:
            tokens = lay(words, shown, question)
            fitted = Fitted(tokens.prefix, tokens.own, tuple(shown), dropped, self.soft, tokens.question, tokens.ahead)
            if room is None or fitted.size <= room:
                return fitted
            if not shown:
                raise TooLongError(
                    f"Example '{name}' needs {fitted.size} positions (soft prompt {fitted.soft}) and the model has {room} for them; "
                    "shorten it, or lower --prompt-length or --max-new-tokens."
                )
            shown = shown[1:]
            dropped += 1


def in_a_row(encode: Encode) -> Lay:
    """The plain way to lay out a context: words, demonstrations and question as one running text. encode(text, first): tokens of a
    piece."""

    def lay(words: str, shown: Sequence[Demonstration], question: Text) -> TokenizedContext:
        pieces: list[tuple[Text, bool]] = [(words, True)]
        for demonstration in shown:
            pieces += [(part, demonstration.shared) for part in demonstration.parts or (demonstration.text,)]
        prefix: tuple[int, ...] = ()
        own: tuple[int, ...] = ()
        for text, shared in pieces:
            ids = encode(text, not prefix and not own)
            if shared and not own:
                prefix += ids
            else:
                own += ids
        question_ids = encode(question, not prefix and not own)
        return TokenizedContext(prefix, own + question_ids, len(question_ids))

    return lay
