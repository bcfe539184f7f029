"""Questions on a passage in the formats of SQuAD and MRQA, worded as in T5; a question without an answer is refused.

T5 pads every mark that is no letter, digit, accent, underscore or blank with blanks, in question, context and answers alike
(`pad_punctuation`); the target is the first answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, shared
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import items, json_lines_gz, json_value
from foreword.util.errors import ForewordError

METRICS = ("token_f1", "squad_em")
TEMPLATE = Template(
    instruction="Answer the question with words of the context.",
    question="question: {question} context: {context}\nanswer:",
)


def padded(text: str) -> str:
    """The text with blanks around its marks, blanks squeezed, none at either end."""
    return " ".join(re.sub(r"[^\w\s]", _mark, text).split())


def _mark(match: re.Match[str]) -> str:
    letter = match.group()
    return letter if unicodedata.category(letter)[0] in "NM" else f" {letter} "


def example(name: str, question: str, context: str, answers: Sequence[str]) -> Example:
    """One question with all its answers, each once."""
    texts = dict.fromkeys(padded(answer) for answer in answers)
    fields = {"question": padded(question), "context": padded(context)}
    cluster = shared("passage", fields["context"])
    return Example(name, fields, tuple(text for text in texts if text), cluster=cluster)


def squad(path: Path, split: str) -> list[Example]:
    """The questions of a file in SQuAD's JSON. Raises ForewordError naming article and field that are damaged."""
    examples: list[Example] = []
    for number, article in enumerate(items(json_value(path)), 1):
        for paragraph in parts.listed(article, "paragraphs", path, number):
            context = parts.text(paragraph, "context", path, number)
            for record in parts.listed(paragraph, "qas", path, number):
                answers = [
                    parts.text(answer, "text", path, number) for answer in parts.listed(record, "answers", path, number)
                ]
                examples.append(_checked(f"{split}-{len(examples) + 1}", record, context, answers, path, number))
    return examples


def mrqa(path: Path, split: str) -> list[Example]:
    """The questions of a file in MRQA's gzipped JSON lines, whose first line is a header."""
    examples: list[Example] = []
    for number, row in enumerate(json_lines_gz(path), 1):
        if number == 1 and isinstance(row, dict) and "header" in row:
            continue
        context = parts.text(row, "context", path, number)
        for record in parts.listed(row, "qas", path, number):
            answers = [str(answer) for answer in parts.listed(record, "answers", path, number)]
            examples.append(_checked(f"{split}-{len(examples) + 1}", record, context, answers, path, number))
    return examples


def _checked(name: str, record: Any, context: str, answers: list[str], path: Path, number: int) -> Example:
    checked = example(name, parts.text(record, "question", path, number), context, answers)
    if not checked.targets:
        raise ForewordError(f"The field 'answers' in row {number} of {path} holds no answer to a question; mend it.")
    return checked


def passage(example: Example) -> str:
    """The passage that a question is on: questions on one passage stay in one split."""
    return example.fields["context"]


def questions(rows: Sequence[Any]) -> int:
    """How many questions the rows of a SQuAD file hold."""
    return sum(len(paragraph_question["qas"]) for row in rows for paragraph_question in row["paragraphs"])


def mrqa_questions(rows: Sequence[Any]) -> int:
    """How many questions the rows of an MRQA file hold."""
    return sum(len(row["qas"]) for row in rows if "qas" in row)
