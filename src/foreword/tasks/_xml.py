"""Triples and texts from the XML of WebNLG and DART; an entry without triples of three parts is refused."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from foreword.tasks._files import xml_root
from foreword.util.errors import ForewordError


def entries(path: Path) -> list[tuple[list[list[str]], list[str], str]]:
    """(triples, texts, category) of every entry: triples of `modifiedtripleset`, texts of `lex` (its `text` in the enriched files).

    Raises ForewordError naming the file and the line, or the entry and the field, that is damaged.
    """
    parsed = []
    for number, entry in enumerate(xml_root(path).iter("entry"), 1):
        triples = [_triple(triple.text or "", path, number) for triple in entry.iterfind("modifiedtripleset/mtriple")]
        if not triples:
            raise ForewordError(
                f"Entry {number} of {path} has no 'mtriple' in its 'modifiedtripleset'; download the file again."
            )
        texts = [" ".join(_lex_text(lex).split()) for lex in entry.iterfind("lex")]
        parsed.append((triples, texts, entry.get("category", "")))
    return parsed


def _lex_text(lex: ElementTree.Element) -> str:
    inner = lex.find("text")
    return (lex.text if inner is None else inner.text) or ""


def _triple(text: str, path: Path, number: int) -> list[str]:
    cells = [cell.strip() for cell in text.split(" | ")]
    if len(cells) != 3:
        raise ForewordError(
            f"The field 'mtriple' in entry {number} of {path} has {len(cells)} parts, not 3; download the file again."
        )
    return cells
