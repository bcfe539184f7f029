"""Reads records in the shapes that TRL trains on (`messages`, or `prompt` and `completion`) as an input, a target and a system message;
a conversation of several questions is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed

SYSTEM = "system"  # the column of a record's system message, once it is read


def conversational(row: Mapping[str, Any], input_column: str = "input", target_column: str = "target") -> bool:
    """Whether a record has the columns `messages`, or `prompt` and `completion`, and not the input and target columns."""
    if input_column in row or target_column in row:
        return False
    return "messages" in row or {"prompt", "completion"} <= set(row)


def flattened(
    rows: Sequence[Mapping[str, Any]],
    origin: str,
    *,
    input_column: str = "input",
    target_column: str = "target",
    answers_needed: bool = True,
) -> list[dict[str, Any]]:
    """The records with an input and a target column in place of a conversation, and a column `system` where it has a system message;
    other columns and other records as they are. Texts are taken as they stand. Raises ForewordError naming the row for a conversation
    that is not one question and its answer (answers_needed: when false, the answer may be absent), or whose messages are no such."""
    return [
        _flat(row, f"row {number} of {origin}", input_column, target_column, answers_needed)
        if conversational(row, input_column, target_column)
        else dict(row)
        for number, row in enumerate(rows, 1)
    ]


def system_message(
    rows: Sequence[Mapping[str, Any]], origin: str, input_column: str = "input", target_column: str = "target"
) -> str:
    """The system message that all conversations have; empty where none has one. Raises ForewordError where they differ."""
    first: tuple[int, str] | None = None
    for number, row in enumerate(rows, 1):
        if not conversational(row, input_column, target_column):
            continue
        text = _flat(row, f"row {number} of {origin}", input_column, target_column, False).get(SYSTEM, "")
        if first is None:
            first = (number, text)
        elif first[1] != text:
            raise ForewordError(
                f"The system messages of rows {first[0]} and {number} of {origin} differ, and a task has one instruction; put what changes "
                "from row to row into the user's message."
            )
    return "" if first is None else first[1]


def _flat(row: Mapping[str, Any], where: str, input_column: str, target_column: str, needed: bool) -> dict[str, Any]:
    others = {name: value for name, value in row.items() if name not in ("messages", "prompt", "completion")}
    if "messages" not in row and _listed(row["prompt"]) is None and not isinstance(row["prompt"], list):
        return others | {input_column: row["prompt"], target_column: row["completion"]}
    if "messages" in row:
        messages = _messages(row["messages"], f"'messages' in {where}")
    else:
        messages = _messages(row["prompt"], f"'prompt' in {where}", "user")
        if row["completion"] is not None:
            messages += _messages(row["completion"], f"'completion' in {where}", "assistant")
    roles = [role for role, _ in messages]
    texts = dict(messages)
    bare = roles[1:] if roles[:1] == ["system"] else roles
    if bare != ["user", "assistant"] and (needed or bare != ["user"]):
        raise ForewordError(
            f"The conversation in {where} has the turns {', '.join(roles) or 'none'} where one user and one assistant turn are expected "
            "(a system turn may stand first); split longer conversations into rows of one question each."
        )
    flat = {input_column: texts["user"], target_column: texts.get("assistant")}
    return others | flat | ({SYSTEM: texts["system"]} if "system" in texts else {})


def _listed(value: Any) -> list[Any] | None:
    """A list of objects, or one that a JSON text holds (a cell of a CSV file) whose objects all have a role: else the text may say that."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = parsed(value)
        except ValueError:
            return None
        if not isinstance(value, list) or not all(isinstance(part, dict) and "role" in part for part in value):
            return None
    return value if isinstance(value, list) and all(isinstance(part, dict) for part in value) and value else None


def _messages(value: Any, what: str, role: str = "") -> list[tuple[str, str]]:
    """(role, text) of each message; a text alone is one message of the role given."""
    messages = _listed(value)
    if messages is None and role and isinstance(value, str):
        return [(role, value)]
    pairs: list[tuple[str, str]] = []
    for message in messages or ():
        if not isinstance(message.get("role"), str) or not isinstance(message.get("content"), str):
            raise ForewordError(
                f"A message of {what} is {str(message)[:80]!r}, which lacks a role or a content in text; write "
                '{"role": "user", "content": "..."}.'
            )
        pairs.append((message["role"], message["content"]))
    if not pairs:
        raise ForewordError(
            f'The value of {what} is no list of messages; write [{{"role": "user", "content": "..."}}, ...].'
        )
    return pairs
