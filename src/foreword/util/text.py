"""Text in runs, each with the mark whether it is the template's own, which says where control tokens count as such."""

from __future__ import annotations

Run = tuple[str, bool]  # a text, and whether it is the template's own: only there do control tokens count as such
Runs = tuple[Run, ...]
Text = str | Runs  # a plain text is the template's own


def plain(text: Text) -> str:
    """The text itself."""
    return text if isinstance(text, str) else "".join(part for part, _ in text)
