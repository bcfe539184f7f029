"""Changes the text of one file as accidents and attackers do, by a seed; it refuses to draw from anything but the generator it is given."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from fuzz.oddities import ENCODINGS, ODD, PIECES, RAW, TOML

_BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">{}]>'.format(
    "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
)


def mutated(content: bytes, name: str, rng: Random) -> bytes:
    """The content with one to three changes that fit the kind of file, or any file."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = _once(content, name.lower(), rng)
    return content


def _once(content: bytes, name: str, rng: Random) -> bytes:
    if name.endswith(".gz"):
        return _gzip(content, name, rng)
    if rng.random() < 0.25:
        return raw(content, rng)
    change = next((of for ending, of in KINDS.items() if name.endswith(ending)), None)
    return raw(content, rng) if change is None else change(content, rng)


def raw(content: bytes, rng: Random) -> bytes:
    """Bytes cut, turned, put in, left out, doubled."""
    at = rng.randrange(len(content) + 1)
    to = min(len(content), at + rng.choice((1, 1, 2, 4, 16, 200)))
    how = rng.randrange(6)
    if how == 0:
        return content[:at]
    if how == 1:
        return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
    if how == 2:
        return content[:at] + rng.choice(PIECES) + content[at:]
    if how == 3:
        return content[:at] + content[to:]
    if how == 4:
        return content[:to] + content[at:]
    return content[:at] + rng.choice(PIECES) + content[to:]


def _gzip(content: bytes, name: str, rng: Random) -> bytes:
    """The packed content changed, or what is inside, packed again."""
    if rng.random() < 0.4:
        return raw(content, rng)
    try:
        inside = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return raw(content, rng)
    return gzip.compress(_once(inside, name.removesuffix(".gz"), rng), 1, mtime=0)


def json_value(value: Any, rng: Random) -> Any:
    """One place somewhere in a value changed: another value there, left out, doubled, under another name."""
    places: list[tuple[Any, Any]] = []
    _places(value, places)
    if not places:
        return rng.choice(ODD)
    inside, key = rng.choice(places) if rng.random() < 0.5 else _walked(value, rng)
    how = rng.randrange(8)
    if how == 0:
        del inside[key]
    elif how == 1 and isinstance(inside, dict):
        inside[rng.choice(("", "x", "\ud800", str(key) + " ", "é"))] = inside.pop(key)
    elif how == 2 and isinstance(inside, list):
        inside.insert(key, inside[key])
    elif how == 3:
        inside[key] = [inside[key]]
    elif how == 4:
        inside[key] = f"@@{rng.randrange(len(RAW))}@@"
    else:
        inside[key] = rng.choice(ODD)
    return value


def _places(value: Any, places: list[tuple[Any, Any]]) -> None:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            _places(value[key], places)


def _walked(value: Any, rng: Random) -> tuple[Any, Any]:
    """A place found by going down, so that what stands high is met as often as the many things below it."""
    while True:
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if not isinstance(value[key], dict | list) or not value[key] or rng.random() < 0.3:
            return value, key
        value = value[key]


def written(value: Any) -> bytes:
    """A value as JSON, the marks of raw texts replaced by them."""
    text = json.dumps(value)
    return re.sub(r'"@@(\d+)@@"', lambda mark: RAW[int(mark[1]) % len(RAW)], text).encode()


def _json(content: bytes, rng: Random) -> bytes:
    try:
        return written(json_value(json.loads(content), rng))
    except (ValueError, RecursionError):
        return raw(content, rng)


def _json_lines(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = _json(lines[at], rng)
    return b"\n".join(lines)


def _table(content: bytes, rng: Random, mark: bytes) -> bytes:
    """A cell of a table changed, or a row."""
    lines = content.split(b"\n")
    at = rng.choice((0, rng.randrange(len(lines))))
    cells = lines[at].split(mark)
    place = rng.randrange(len(cells))
    how = rng.randrange(5)
    if how == 0:
        cells.insert(place, cells[place])
    elif how == 1:
        del cells[place]
    elif how == 2:
        cells[place] = b'"' + cells[place]
    else:
        odd = rng.choice(ODD)
        cells[place] = (odd if isinstance(odd, str) else json.dumps(odd)).encode("utf-8", "surrogatepass")
    lines[at] = mark.join(cells)
    return b"\n".join(lines)


def _toml(content: bytes, rng: Random) -> bytes:
    lines = content.decode("utf-8", "replace").split("\n")
    at = rng.randrange(len(lines))
    key, _, _ = lines[at].partition("=")
    how = rng.randrange(8)
    if how == 0:
        lines.insert(
            at,
            rng.choice(
                (
                    "[a]",
                    "[[a]]",
                    ".".join("a" * 3_000) + " = 1",
                    "[" + ".".join("a" * 3_000) + "]",
                    "x" * 3_000 + " = 1",
                )
            ),
        )
    elif how == 1:
        lines.insert(at, lines[at])
    else:
        lines[at] = f"{key}= {rng.choice(TOML)}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _xml(content: bytes, rng: Random) -> bytes:
    text = content.decode("utf-8", "replace")
    how = rng.randrange(6)
    tags = re.findall(r"<[^<>]*>", text) or [""]
    tag = rng.choice(tags)
    if how == 0:
        text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
        return f'<?xml version="1.0" encoding="{rng.choice(ENCODINGS)}"?>{text}'.encode()
    if how == 1:
        return (_BOMB + re.sub(r"^\s*<[?][^>]*[?]>", "", text).replace(tag, tag + "&j;", 1)).encode()
    if how == 2:
        return text.replace(tag, "", 1).encode()
    if how == 3:
        return text.replace(tag, tag * rng.choice((2, 200)), 1).encode()
    if how == 4:
        return text.replace(tag, tag + str(rng.choice(ODD)), 1).encode("utf-8", "surrogatepass")
    return re.sub(r'"[^"]*"', lambda _: '"' + str(rng.choice(ODD)).replace('"', "") + '"', text, count=1).encode(
        "utf-8", "surrogatepass"
    )


def _lines(content: bytes, rng: Random) -> bytes:
    """A word of a plain file changed."""
    words = re.split(rb"(\s)", content)
    at = rng.randrange(len(words))
    odd = rng.choice(ODD)
    words[at] = (odd if isinstance(odd, str) else json.dumps(odd)).encode("utf-8", "surrogatepass")
    return b"".join(words)


KINDS: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": lambda content, rng: _table(content, rng, b","),
    ".tsv": lambda content, rng: _table(content, rng, b"\t"),
    ".toml": _toml,
    ".xml": _xml,
    ".txt": _lines,
}
