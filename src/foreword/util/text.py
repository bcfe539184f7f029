"""Text in runs, each marked as the template's own or a user's (control tokens count only in the template's), and comma lists."""

from __future__ import annotations

Run = tuple[str, bool]  # a text, and whether it is the template's own: only there do control tokens count as such
Runs = tuple[Run, ...]
Text = str | Runs  # a plain text is the template's own


def plain(text: Text) -> str:
    """The text itself."""
    return text if isinstance(text, str) else "".join(part for part, _ in text)


def comma_list(text: str) -> list[str]:
    """The parts of a text with commas, without the blanks around them; empty ones are none."""
    return [part.strip() for part in text.split(",") if part.strip()]
