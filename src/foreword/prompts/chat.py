"""A chat template in pieces: the text around each message and the tokens of a conversation, equal to those of `apply_chat_template`; a
message's text is never read as control tokens."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from foreword.prompts.context import Demonstration, TokenizedContext
from foreword.util.errors import ForewordError

GAP = "\n\n"  # between the instruction and the first question, where a template has no system message
DATE = datetime(
    2024, 7, 26
)  # what `strftime_now` says: Llama 3's own default, for a record must not change with the day
CODES = ("%-d", "%d", "%-m", "%m", "%b", "%B", "%y", "%Y", "%a", "%A", "%-H", "%H", "%M", "%S", "%j")
PROBE, OTHER = "a", "b"
FOLLOWING = (
    "a",
    "A",
    "0",
    "é",
    "漢",
    "(",
    " a",
    "\na",
)  # beginnings of a text that tokenizers join with what stands before it


@dataclass(frozen=True)
class Span:
    """A stretch of a rendered conversation. content: text of a message, not the template's. shared: every row of the trial has it.
    turn: the place of its message."""

    text: str
    content: bool = False
    shared: bool = False
    turn: int = -1


@dataclass(frozen=True)
class Frame:
    """What a template writes around messages of given roles. texts: before each content in the order of the text, and behind the last.
    order: the message whose content stands at each place. trims: whether the template cuts blanks off a content's left and right."""

    roles: tuple[str, ...]
    texts: tuple[str, ...]
    order: tuple[int, ...]
    trims: tuple[tuple[bool, bool], ...]

    def spans(self, contents: Sequence[Sequence[Span]]) -> list[Span]:
        """The whole conversation with these contents, a sequence of spans a message."""
        spans: list[Span] = []
        for text, place in zip(self.texts, self.order, strict=False):
            spans.append(Span(text))
            pieces = [replace(piece, content=True, turn=place) for piece in contents[place]]
            left, right = self.trims[place]
            if pieces and left:
                pieces[0] = replace(pieces[0], text=pieces[0].text.lstrip())
            if pieces and right:
                pieces[-1] = replace(pieces[-1], text=pieces[-1].text.rstrip())
            spans += pieces
        return [*spans, Span(self.texts[-1])]


class Chat:
    """The chat template of a tokenizer.

    start: ids that the engine itself puts before a text. name: the model's, for refusals. inside: the soft prompt stands inside the
    first turn (the system message, where the template has one), not before the template's first token. system: whether the template has
    a system message. begins: whether the template writes `start` itself; where it does not, the engine puts none. end: the id that
    ends an answer, None where the template writes none. around: the most that it writes around one question. digest: of the template's
    text and the tokens it writes.
    """

    def __init__(self, tokenizer: Any, *, start: Sequence[int] = (), name: str = "this model", inside: bool = False):
        self.tokenizer, self.start, self.name, self.inside = tokenizer, tuple(start), name, inside
        self.source = str(tokenizer.get_chat_template())
        self._controls = _controls(tokenizer, self.source)
        words = sorted((re.escape(text) for text in self._controls.values()), key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(words)})" if words else "(?!)")
        self._frame_of = functools.lru_cache(maxsize=256)(self._taken_apart)
        self._written = functools.lru_cache(maxsize=4096)(lambda text: self._count(self._ids(text, True)))
        self._known = functools.lru_cache(maxsize=256)(self._encode)
        self._lasting = functools.lru_cache(maxsize=256)(self._lasting_of)
        self.system = self._has_system()
        frame = self.frame(self.system, 0)
        first = self._ids(frame.texts[0], True)
        self.begins = first[: len(self.start)] == self.start
        self._start = len(self.start) if self.begins else 0
        if inside and self.frame(self.system, 1).order[0] != 0:
            raise ForewordError(
                f"The chat template of {name} puts the system message behind other turns, so no soft prompt can stand in it; "
                "leave out --soft-place system."
            )
        self._ahead, self._lead, self._tail = self._around_an_answer()
        ending = [i for i in self._ids(self._tail, True) if i in self._controls]
        self.end: int | None = ending[-1] if ending else None
        frames = [self.frame(system, 0) for system in {False, self.system}]
        self.around = max(("".join(frame.texts) for frame in frames), key=len) + GAP
        identity = "\0".join((self.source, *frame.texts, self._lead, self._tail))
        self.digest = hashlib.sha256(identity.encode()).hexdigest()

    def placed(self, inside: bool) -> Chat:
        """The same with the soft prompt inside the first turn, or before the template's first token."""
        return self if inside == self.inside else Chat(self.tokenizer, start=self.start, name=self.name, inside=inside)

    # -- text -------------------------------------------------------------------------------------------------------

    def render(self, messages: Sequence[tuple[str, str]], *, answering: bool) -> str:
        """The template's text for (role, content) messages; answering: with what stands before an answer. Thinking is turned off where
        the template knows the switch, and today is a fixed date."""
        known = {"enable_thinking": False} if "enable_thinking" in self.source else {}
        return str(
            self.tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in messages],
                chat_template=_dated(self.source),
                tokenize=False,
                add_generation_prompt=answering,
                **known,
            )
        )

    def frame(self, system: bool, demonstrations: int) -> Frame:
        """What the template writes around [system], as many user and assistant turns, and a last user turn. Raises ForewordError for a
        template that refuses such messages, or that does more with a content than to write it once."""
        pairs = ("user", "assistant") * demonstrations
        return self._frame_of((*(("system",) if system else ()), *pairs, "user"), True)

    def _taken_apart(self, roles: tuple[str, ...], answering: bool) -> Frame:
        def rendered(changed: int = -1, content: str = PROBE) -> str:
            contents = [content if place == changed else PROBE for place in range(len(roles))]
            return self.render(list(zip(roles, contents, strict=True)), answering=answering)

        try:
            base = rendered()
            places, trims = [], []
            for turn in range(len(roles)):
                place = _difference(base, rendered(turn, OTHER))
                places.append(place)
                spaced = rendered(turn, f" {PROBE} ")
                middle = spaced[place : len(spaced) - (len(base) - place - len(PROBE))]
                trims.append((not middle.startswith(" "), not middle.endswith(" ")))
        except (
            Exception
        ) as error:  # a template is another's program: whatever it raises says that it refuses these messages
            raise ForewordError(
                f"The chat template of {self.name} cannot be taken apart for the turns {', '.join(roles)} "
                f"({' '.join(str(error).split())[:160]}); use --chat off."
            ) from error
        order = tuple(sorted(range(len(roles)), key=places.__getitem__))
        cuts = [places[turn] for turn in order]
        begins = [0, *(cut + len(PROBE) for cut in cuts)]
        texts = tuple(base[begin:end] for begin, end in zip(begins, [*cuts, len(base)], strict=True))
        return Frame(roles, texts, order, tuple(trims))

    def _has_system(self) -> bool:
        try:
            self.frame(True, 0)
        except ForewordError:
            self.frame(False, 0)
            return False
        return True

    def _around_an_answer(self) -> tuple[str, str, str]:
        """What the template writes from the last question to where an answer begins; then before the answer, where it writes more; and
        behind the answer, up to the token that ends it."""
        frame = self.frame(False, 0)
        whole = self._frame_of((*frame.roles, "assistant"), False)
        ahead, between, behind = frame.texts[-1], whole.texts[-2], whole.texts[-1]
        lead = between[len(ahead) :] if between.startswith(ahead) else ""
        closing = self._pattern.search(behind)
        return ahead, lead, behind[: closing.end()] if closing else ""

    def conversation(self, words: str, shown: Sequence[Demonstration], question: str) -> list[Span]:
        """The instruction (as system message, or at the head of the first user turn where there is none), a user and an assistant turn
        for each demonstration, the question as last user turn, what the template writes before an answer. Raises ForewordError where
        the template does not write the messages as they are."""
        system = self.system and (bool(words) or self.inside)
        contents = [[Span(words, shared=True)]] if system else []
        for demonstration in shown:
            contents.append([Span(demonstration.question, shared=demonstration.shared)])
            contents.append([Span(demonstration.answer.strip(), shared=demonstration.shared)])
        contents.append([Span(question)])
        if words and not system:
            contents[0].insert(0, Span(words + GAP, shared=True))
        frame = self.frame(system, len(shown))
        spans = frame.spans(contents)
        checked = contents if words or not system else [[Span(PROBE)], *contents[1:]]
        texts = ["".join(piece.text for piece in content) for content in checked]
        rendered = self.render(list(zip(frame.roles, texts, strict=True)), answering=True)
        if rendered != "".join(span.text for span in frame.spans(checked)):
            raise ForewordError(
                f"The chat template of {self.name} changes the text of the messages that end in {_end_of(question)!r} (it reads some of "
                "their words as its own); take those words out of the data, or use --chat off."
            )
        return spans

    # -- tokens -----------------------------------------------------------------------------------------------------

    def lay(self, words: str, shown: Sequence[Demonstration], question: str) -> TokenizedContext:
        """The tokens before an answer, those of `apply_chat_template` for the same messages. What rows share ends where the first content
        begins that they do not share; where that would change a token, the token belongs to the row. Where the soft prompt stands
        inside the first turn, the text is tokenised in two parts, before and behind it."""
        spans = self.conversation(words, shown, question)
        ahead, ids = self._split(spans)
        own = next(place for place, span in enumerate(spans) if span.content and not span.shared)
        last = max(place for place, span in enumerate(spans) if span.content and not span.shared)
        common = _common(self._lasting(tuple(spans[1 if self.inside else 0 : own])), ids)
        question_start = self._reach(spans[:last], ids)
        taken = 0 if self.inside else self._start
        return TokenizedContext(
            prefix=ids[min(taken, common) : common],
            own=ids[max(taken, common) :],
            question=len(ids) - max(question_start, taken),
            ahead=ahead[self._start :],
        )

    def turns(self, words: str, shown: Sequence[Demonstration], question: str) -> list[tuple[str, tuple[int, ...]]]:
        """(role, ids) of each turn in the order of the text, the template's words with the turn that they open or close; the last is what
        stands before the answer. The tokenizer's own start is there; where the soft prompt stands inside the first turn, an entry
        without a role marks its place."""
        spans = self.conversation(words, shown, question)
        roles = self.frame(self.system and (bool(words) or self.inside), len(shown)).roles
        ahead, ids = self._split(spans)
        turns: list[tuple[str, tuple[int, ...]]] = []
        if self.inside:
            turns += [(roles[0], ahead), ("", ())]
        closing = "" if self.end is None else self._controls[self.end]
        default = spans[0].text.rfind(closing) if closing else -1
        done = 0
        if default > 0:  # a system message of the template's own
            done = self._reach([self._closed(spans[0].text[default:], spans[0].text[:default])], ids)
            turns.append(("system", ids[:done]))
        for place, span in enumerate(spans):
            following = spans[place + 1] if place + 1 < len(spans) else None
            if not span.content or following is None or following.content:
                continue
            to = self._reach([*spans[: place + 1], self._closed(following.text)], ids)
            turns.append((roles[span.turn], ids[done:to]))
            done = to
        return [*turns, ("assistant", ids[done:])]

    def _closed(self, text: str, before: str = "") -> Span:
        """The beginning of the template's words behind a content that still belongs to its turn: up to the first control token, with the
        line end behind it."""
        closing = self._pattern.search(text)
        cut = closing.end() if closing else 0
        return Span(before + text[: cut + 1 if closing and text[cut : cut + 1] == "\n" else cut])

    @property
    def controls(self) -> tuple[str, ...]:
        """The texts of the control tokens."""
        return tuple(sorted(self._controls.values(), key=len, reverse=True))

    def text(self, ids: Sequence[int]) -> str:
        """The text of ids, control tokens written out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _split(self, spans: Sequence[Span]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids before the soft prompt, where it stands inside the first turn, and those of the rest."""
        cut = 1 if self.inside else 0  # the template's text before the first content
        return self._encode(tuple(spans[:cut])), self._encode(tuple(spans[cut:]), not self.inside)

    def _reach(self, spans: Sequence[Span], ids: Sequence[int]) -> int:
        """How many of the ids are those of a beginning of the conversation."""
        return _common(self._encode(tuple(spans[1:] if self.inside else spans), not self.inside), ids)

    def _lasting_of(self, spans: tuple[Span, ...]) -> tuple[int, ...]:
        """The ids of a beginning that stay as they are whatever follows, so that all rows have the same of them: up to the last control
        token, where the template writes one behind the last content, because no token reaches over it."""
        ids = self._encode(spans, not self.inside)
        if spans and not spans[-1].content and self._written(spans[-1].text):
            return ids[: max(place for place, i in enumerate(ids) if i in self._controls) + 1]
        for following in FOLLOWING:
            ids = ids[: _common(ids, self._encode((*spans, Span(following, content=True)), not self.inside))]
        return ids

    def answer_ids(self, text: str, *, end: bool = True) -> tuple[int, ...]:
        """The tokens of an answer as they stand behind a question, with (or without) the token that ends it."""
        ahead = Span(self._ahead)
        spans = [ahead, Span(self._lead), Span(text.strip(), content=True), *([Span(self._tail)] if end else [])]
        known, whole = self._known((ahead,), True), self._encode(tuple(spans))
        if whole[: len(known)] == known:
            return whole[len(known) :]
        return self._encode(tuple(spans[1:]), False)

    def _encode(self, spans: tuple[Span, ...], first: bool = True) -> tuple[int, ...]:
        """The ids of a text whose contents are data: no text of theirs becomes a control token. first: a text begins here."""
        text = "".join(span.text for span in spans)
        written = sum(self._written(span.text) for span in spans if not span.content)
        ids = self._ids(text, first)
        if self._count(ids) == written:
            return ids
        ids_joined: list[int] = []
        run = ""
        for span in spans:
            parts = self._pattern.split(span.text) if span.content else [span.text]
            run += parts[0]
            for control, following in zip(parts[1::2], parts[2::2], strict=True):
                ids_joined += self._ids(run, first and not ids_joined)
                ids_joined += self._as_text(control)
                run = following
        ids_joined += self._ids(run, first and not ids_joined)
        if self._count(ids_joined) != written:
            raise ForewordError(
                f"The text that ends in {_end_of(text)!r} holds words that the tokenizer of {self.name} reads as control tokens whatever "
                "is done; take them out of the data."
            )
        return tuple(ids_joined)

    def _as_text(self, control: str) -> tuple[int, ...]:
        """The ids of a control token's letters."""
        cuts = [("", control), *((control[:cut], control[cut:]) for cut in range(1, len(control)))]
        for parts in cuts:
            ids = tuple(i for part in parts for i in self._ids(part, False, split_special_tokens=True))
            if not self._count(ids):
                return ids
        return ()

    def _ids(self, text: str, first: bool, **options: Any) -> tuple[int, ...]:
        """Ids of a text; of one that is not first, behind a character that is removed again, so that nothing marks its beginning."""

        def encode(text: str) -> tuple[int, ...]:
            return tuple(self.tokenizer(text, add_special_tokens=False, **options).input_ids)

        if not text:
            return ()
        for anchor in () if first else ("\n", "0", "|"):
            known, joined = encode(anchor), encode(anchor + text)
            if joined[: len(known)] == known and len(joined) > len(known):
                return joined[len(known) :]
        return encode(text)

    def _count(self, ids: Sequence[int]) -> int:
        return sum(i in self._controls for i in ids)


def has_template(tokenizer: Any) -> bool:
    """Whether a tokenizer brings a chat template."""
    return bool(getattr(tokenizer, "chat_template", None))


def _controls(tokenizer: Any, source: str) -> dict[int, str]:
    """Ids and texts of control tokens: the special ones, and those added ones that the template writes. Not the unknown token, which
    stands for text that cannot be written."""
    special = {int(i) for i in tokenizer.all_special_ids}
    unknown = tokenizer.unk_token_id
    if unknown is not None and unknown not in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        special.discard(int(unknown))
    controls = {i: str(tokenizer.convert_ids_to_tokens(i)) for i in special}
    for text, i in tokenizer.get_added_vocab().items():
        marked = getattr(tokenizer.added_tokens_decoder.get(i), "special", False)
        if i != unknown and text.strip() and (marked or text in source):
            controls[int(i)] = text
    return controls


def _dated(source: str) -> str:
    """The template with `strftime_now` saying a fixed date."""
    if "strftime_now" not in source:
        return source
    replacements = "".join(f" | replace({code!r}, {DATE.strftime(code)!r})" for code in CODES)
    return "{%- macro strftime_now(format) -%}{{ format" + replacements + " }}{%- endmacro -%}" + source


def _difference(first: str, second: str) -> int:
    """The one place where two texts of equal length differ. Raises ValueError where there is none, or another."""
    places = [place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b]
    if len(places) != 1 or len(first) != len(second):
        raise ValueError("it does not write each message once")
    return places[0]


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two sequences have in common at their beginning."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))


def _end_of(text: str) -> str:
    return text if len(text) <= 40 else "..." + text[-40:]
