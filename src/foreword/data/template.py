"""A Template: how an Example's fields become question text and answer text, before any tokenizer."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import regex

from foreword.data.examples import Example
from foreword.util.errors import ForewordError, nearest
from foreword.util.text import Runs

_PLACE = regex.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_TARGET = "{target}"
_SECONDS = 1.0  # that taking an answer out of one output may take


@dataclass(frozen=True)
class Template:
    """The wording of a task.

    instruction: stands once, before everything else, for methods without a soft prompt (prompt design, in-context learning).
    question: the input with `{field}` places, ending where the answer starts; any column may be named, a literal brace is doubled.
    answer: the answer with its `{target}` place; what stands before the place (a blank, say) is part of the answer's tokens.
    separator: stands after the instruction and after each demonstration.
    stop: generation ends where this text, or the first of these texts, appears.
    extract: a regular expression that takes the answer out of what was generated: its first group, or all that it matches; an
    output that it does not match stays as it is. "": none.
    empty_answers: an empty target is an answer like others, so that an answer may stop before it says anything.
    """

    instruction: str = ""
    question: str = "Input: {input}\nOutput:"
    answer: str = " {target}"
    separator: str = "\n\n"
    stop: str | tuple[str, ...] = "\n"
    extract: str = ""
    empty_answers: bool = False

    def __post_init__(self) -> None:
        if self.answer.count(_TARGET) != 1:
            count = self.answer.count(_TARGET)
            raise ForewordError(
                f"The answer template {self.answer!r} has {count or 'no'} {{target}} place{'s' if count else ''}; write one, e.g. "
                "' {target}'."
            )
        if not self.names():
            raise ForewordError(
                f"The question template {self.question!r} names no field; write e.g. 'Input: {{input}}\\nOutput:'."
            )
        try:
            _compiled(self.extract)
        except regex.error as error:
            raise ForewordError(
                f"--extract {self.extract!r} is no regular expression ({error}); write e.g. 'answer is (.+)'."
            ) from error

    @functools.cached_property
    def _parts(self) -> tuple[tuple[str, str | None], ...]:
        """The question as literal texts, each with the field that follows it; None behind the last."""
        parts: list[tuple[str, str | None]] = []
        literal, end = "", 0
        for place in _PLACE.finditer(self.question):
            literal += self.question[end : place.start()]
            end = place.end()
            if place.group() in ("{{", "}}"):
                literal += place.group()[0]
                continue
            name = (place.group(1) or "").strip()
            if not name:
                why = "a place without a name" if place.group(1) is not None else f"a single '{place.group()}'"
                raise ForewordError(
                    f"The question template {self.question!r} is not well formed ({why}); name a column, as in {{input}}, and double "
                    "a literal brace."
                )
            parts.append((literal, name))
            literal = ""
        return (*parts, (literal + self.question[end:], None))

    @property
    def parts(self) -> tuple[tuple[str, str | None], ...]:
        """The question as literal texts, each with the field that follows it; None behind the last."""
        return self._parts

    def names(self) -> list[str]:
        """The fields that the question names, in order."""
        return [name for _, name in self._parts if name is not None]

    def question_runs(self, example: Example) -> Runs:
        """The question of an example in runs of text: the template's own, and the example's. Raises ForewordError when a field is
        missing."""
        runs: list[tuple[str, bool]] = []
        for literal, name in self._parts:
            runs.append((literal, True))
            if name is not None and name not in example.fields:
                raise ForewordError(
                    f"The template names the field '{name}', which example '{example.id}' lacks{nearest(name, example.fields)}"
                )
            if name is not None:
                runs.append((example.fields[name], False))
        return tuple(run for run in runs if run[0])

    def ask(self, example: Example) -> str:
        """The question text of an example. Raises ForewordError when a field is missing."""
        return "".join(text for text, _ in self.question_runs(example))

    def replied(self, target: str) -> Runs:
        """The answer of one target in runs of text: the template's own, and the target's."""
        before, after = self.answer.split(_TARGET)
        return tuple(run for run in ((before, True), (target, False), (after, True)) if run[0])

    def reply(self, target: str) -> str:
        """The answer text of one target."""
        return "".join(text for text, _ in self.replied(target))

    def shown(self, example: Example) -> tuple[Runs, Runs, Runs]:
        """Question, answer and separator of a worked example, each to be tokenised on its own: as a question and an answer
        that is trained are."""
        return self.question_runs(example), self.replied(example.targets[0]), ((self.separator, True),)

    def demonstration(self, example: Example) -> str:
        """Question, answer and separator of a worked example, as it is shown before an input."""
        return self.ask(example) + self.reply(example.targets[0]) + self.separator

    def opening(self) -> str:
        """The instruction with its separator, or nothing."""
        return self.instruction + self.separator if self.instruction else ""

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts at which an answer ends."""
        return tuple(stop for stop in ((self.stop,) if isinstance(self.stop, str) else self.stop) if stop)

    def instructed(self, instruction: str) -> Template:
        """The same with this instruction, where it has none of its own."""
        return self if self.instruction or not instruction else replace(self, instruction=instruction)

    def read(self, generated: str) -> str:
        """The target in a generated text: the answer's own wording taken off, cut at the first stop text behind its leading blanks
        and line ends, stripped."""
        before, after = self.answer.split(_TARGET)
        body = generated
        opening, led = before.strip(), body.lstrip()
        if opening and led.startswith(opening):
            following = led[len(opening) :]
            if not before[-1].isspace() or not following or following[0].isspace():
                body = following
        body = body if self.empty_answers else body.lstrip()
        for stop in self.stops:
            body = body.split(stop, 1)[0]
        return self._extracted(_closed(body.strip(), after.strip()).strip())

    def _extracted(self, text: str) -> str:
        if not self.extract:
            return text
        try:
            hit = _compiled(self.extract).search(text, timeout=_SECONDS)
        except (TimeoutError, MemoryError) as error:
            too_much = (
                f"longer than {_SECONDS:.0f} s" if isinstance(error, TimeoutError) else "more memory than there is"
            )
            raise ForewordError(
                f"--extract {self.extract!r} takes {too_much} on one output; write it without nested repetitions."
            ) from error
        if hit is None:
            return text
        return str((hit.group(1) if hit.re.groups else hit.group()) or "").strip()

    def misread(self, targets: Iterable[str]) -> tuple[int, str]:
        """How many of the targets are read back as something else when the model generates exactly the target's text, and the first of
        these; (0, "") where all come back."""
        lost = [target for target in targets if self.read(self.reply(target)) != target.strip()]
        return len(lost), lost[0] if lost else ""

    def mended(self, targets: Iterable[str]) -> Template | None:
        """This wording changed as little as will read all targets back; None where no change at hand does."""
        known = tuple(targets)
        before = self.answer.split(_TARGET)[0]
        blank = before[: len(before) - len(before.lstrip())]
        answers = (self.answer, before + _TARGET, blank + _TARGET)
        for stop in (self.stop, "\n\n", "\n###\n", ""):
            for answer in dict.fromkeys(answers):
                other = replace(self, answer=answer, stop=stop)
                if not other.misread(known)[0]:
                    return other
        return None

    def as_dict(self) -> dict[str, Any]:
        """The wording as plain values, for fingerprints and records; what only some tasks set stands there only where it is set."""
        values = asdict(self)
        values["stop"] = self.stop if isinstance(self.stop, str) else list(self.stop)
        return {name: value for name, value in values.items() if value or name not in ("extract", "empty_answers")}


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.DOTALL)


def _closed(body: str, end: str) -> str:
    """A text cut where the answer's closing words stand: at their first place before a blank or the text's end, else at their
    first place."""
    if not end or end not in body:
        return body
    at = body.find(end)
    while at >= 0:
        following = body[at + len(end) :]
        if not following or following[0].isspace():
            return body[:at]
        at = body.find(end, at + 1)
    return body.split(end, 1)[0]
