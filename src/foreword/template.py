"""A Template is wording: an Example's fields become question text and answer text; it refuses to know any tokenizer."""

from __future__ import annotations

import string
from dataclasses import asdict, dataclass, replace
from typing import Any

from foreword.data import Example
from foreword.errors import ForewordError, nearest


@dataclass(frozen=True)
class Template:
    """How a task is worded.

    instruction: said once, before everything else, by the methods that use words only (prompt design, in-context learning).
    question: the input with `{field}` places, ending where the answer starts.
    answer: the answer with its `{target}` place; what stands before the place (a blank, say) is part of the answer's tokens.
    separator: stands after the instruction and after each demonstration.
    stop: generation ends where this text appears.
    """

    instruction: str = ""
    question: str = "Input: {input}\nOutput:"
    answer: str = " {target}"
    separator: str = "\n\n"
    stop: str = "\n"

    def __post_init__(self) -> None:
        if "{target}" not in self.answer:
            raise ForewordError(
                f"The answer template {self.answer!r} has no {{target}} place; write one, e.g. ' {{target}}'."
            )
        if not self.names():
            raise ForewordError(
                f"The question template {self.question!r} names no field; write e.g. 'Input: {{input}}\\nOutput:'."
            )

    def names(self) -> list[str]:
        """The fields that the question names, in order."""
        try:
            return [name for _, name, _, _ in string.Formatter().parse(self.question) if name]
        except ValueError as error:
            raise ForewordError(
                f"The question template {self.question!r} is not well formed ({error}); double a literal brace."
            ) from error

    def ask(self, example: Example) -> str:
        """The question text of an example. Raises ForewordError when a field is missing."""
        try:
            return self.question.format_map(dict(example.fields))
        except KeyError as error:
            name = str(error.args[0])
            raise ForewordError(
                f"The template names the field '{name}', which example '{example.id}' lacks{nearest(name, example.fields)}"
            ) from error

    def reply(self, target: str) -> str:
        """The answer text of one target."""
        return self.answer.replace("{target}", target)

    def demonstration(self, example: Example) -> str:
        """Question, answer and separator of a worked example, as it is shown before an input."""
        return self.ask(example) + self.reply(example.targets[0]) + self.separator

    def opening(self) -> str:
        """The instruction with its separator, or nothing."""
        return self.instruction + self.separator if self.instruction else ""

    def instructed(self, instruction: str) -> Template:
        """The same with this instruction, where it has none of its own."""
        return self if self.instruction or not instruction else replace(self, instruction=instruction)

    def read(self, generated: str) -> str:
        """The target in a generated text: cut at the stop text, the answer's own wording taken off, stripped."""
        before, after = self.answer.split("{target}", 1)
        body = generated
        if before.strip() and body.lstrip().startswith(before.strip()):
            body = body.lstrip()[len(before.strip()) :]
        if self.stop:
            body = body.lstrip("\n").split(self.stop, 1)[0] if self.stop == "\n" else body.split(self.stop, 1)[0]
        if after.strip() and after.strip() in body:
            body = body.split(after.strip(), 1)[0]
        return body.strip()

    def as_dict(self) -> dict[str, Any]:
        """The wording as plain values, for fingerprints and records."""
        return asdict(self)
