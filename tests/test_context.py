"""Contexts: what is shared stands first, whole demonstrations give way to the window, farthest first, and nothing else does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.prompts.context import (
    Context,
    Demonstration,
    Fitted,
    Instruction,
    Segment,
    TooLongError,
    Vectors,
    in_a_row,
)


def encode(text: str, first: bool) -> tuple[int, ...]:
    """One id a character, and a mark of -1 before the first piece of all."""
    return ((-1,) if first and text else ()) + tuple(ord(character) for character in text)


LAY = in_a_row(encode)


def read(ids: tuple[int, ...]) -> str:
    return "".join("^" if i == -1 else chr(i) for i in ids)


def shown(name: str, text: str, shared: bool = False) -> Demonstration:
    return Demonstration(name, text, None if shared else 0.5, shared)


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    segments: list[Segment] = []
    soft = draw(st.integers(0, 6))
    if soft:
        segments.append(Vectors(soft))
    segments += [Instruction(text) for text in draw(st.lists(st.text("wx", max_size=5), max_size=2))]
    shared = draw(st.booleans())
    texts = draw(st.lists(st.text("ab", min_size=1, max_size=6), max_size=5))
    segments += [shown(f"d{place}", text, shared) for place, text in enumerate(texts)]
    return Context(tuple(segments))


QUESTION = st.text("qr", min_size=1, max_size=8)


@given(contexts(), QUESTION, st.integers(0, 40) | st.none())
def test_it_never_goes_over_the_room_and_drops_the_farthest_first(
    context: Context, question: str, room: int | None
) -> None:
    demonstrations = [segment for segment in context.segments if isinstance(segment, Demonstration)]
    words = "".join(segment.text for segment in context.segments if isinstance(segment, Instruction))
    soft = sum(segment.length for segment in context.segments if isinstance(segment, Vectors))
    bare = soft + 1 + len(words) + len(question)
    if room is not None and bare > room:
        with pytest.raises(
            TooLongError, match=f"Example 'e7' needs {bare} positions .soft prompt {soft}. and the model has {room}"
        ):
            context.fit(question, LAY, room, name="e7")
        return
    fitted = context.fit(question, LAY, room, name="e7")
    size = fitted.soft + len(fitted.prefix) + len(fitted.own)
    assert room is None or size <= room
    assert fitted.soft == soft == context.soft
    assert fitted.dropped + len(fitted.shown) == len(demonstrations)
    assert list(fitted.shown) == demonstrations[fitted.dropped :], "the best, which stand last, stay longest"
    if fitted.dropped and room is not None:
        again = size + len(demonstrations[fitted.dropped - 1].text)
        assert again > room, "no demonstration is dropped that had room"
    text = words + "".join(demonstration.text for demonstration in fitted.shown) + question
    assert read(fitted.prefix + fitted.own) == "^" + text
    assert fitted.question == len(question) + (0 if words or fitted.shown else 1)
    assert fitted.before == size - fitted.question


@given(contexts(), QUESTION)
def test_only_what_every_row_has_is_in_the_prefix(context: Context, question: str) -> None:
    fitted = context.fit(question, LAY, None, name="e")
    words = "".join(segment.text for segment in context.segments if isinstance(segment, Instruction))
    shared = "".join(
        segment.text for segment in context.segments if isinstance(segment, Demonstration) and segment.shared
    )
    own = "".join(
        segment.text for segment in context.segments if isinstance(segment, Demonstration) and not segment.shared
    )
    assert read(fitted.prefix).removeprefix("^") == words + shared
    assert read(fitted.own).removeprefix("^") == own + question


def test_a_shared_piece_behind_an_own_piece_is_no_prefix() -> None:
    context = Context((Instruction("w"), shown("a", "own"), shown("b", "shared", shared=True)))
    fitted = context.fit("q", LAY, None, name="e")
    assert (read(fitted.prefix), read(fitted.own)) == ("^w", "ownsharedq")


def test_a_wholly_bare_context_leaves_the_question_first() -> None:
    fitted = Context().fit("q", LAY, 2, name="e")
    assert fitted == Fitted((), (-1, ord("q")), (), 0, 0, 2)
    assert fitted.before == 0


def test_an_unbounded_window_drops_nothing() -> None:
    context = Context(tuple(shown(str(i), "x" * 1000) for i in range(5)))
    assert context.fit("q", LAY, None, name="e").dropped == 0


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(TooLongError) as caught:
        Context((Vectors(20), shown("a", "demonstration"))).fit("question", LAY, 10, name="test-4")
    assert str(caught.value) == (
        "Example 'test-4' needs 29 positions (soft prompt 20) and the model has 10 for them; shorten it, "
        "or lower --prompt-length or --max-new-tokens."
    )
    assert re.search(r"\n", str(caught.value)) is None


@pytest.mark.parametrize(
    "segments",
    [
        (Instruction("w"), Vectors(2)),
        (shown("a", "t"), Instruction("w")),
        (shown("a", "t"), Vectors(1)),
        (Vectors(1), shown("a", "t"), Instruction("w")),
    ],
)
def test_segments_have_their_order(segments: tuple[Segment, ...]) -> None:
    with pytest.raises(ValueError, match="soft prompt first, then words, then demonstrations"):
        Context(segments)
