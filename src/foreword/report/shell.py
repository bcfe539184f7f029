"""What every page of a report shares: the document with its policy, sections, figures, prose; it refuses the network, and any script but
the page's own."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files


def document(
    title: str, body: str, *, data: object = None, scripts: Sequence[str] = ("tables.js",), eyebrow: str = ""
) -> str:
    """A whole page. body: HTML, the heading h1 in it. data: what the scripts read. scripts: files that lie beside this one."""
    script = "\n".join(resource(name) for name in scripts)
    slots = {
        "head": head(title, resource("page.css") + resource("study.css"), script),
        "eyebrow": escape(eyebrow),
        "body": body,
        "data": embedded(data),
        "script": script,
    }
    return filled(resource("shell.html"), slots)


def head(title: str, style: str, script: str = "") -> str:
    """The head of a page that lets nothing run but this script, and asks nobody. title: as text."""
    policy = f"script-src {policy_hash(script)}; " if script else ""
    return filled(resource("head.html"), {"title": escape(title), "style": style, "script_policy": policy})


def filled(template: str, slots: dict[str, str]) -> str:
    """The template with its slots filled, in one pass, so that no text that goes in is itself searched for slots."""
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: slots[slot[1]], template)


def policy_hash(script: str) -> str:
    """What the page's policy lets run: this script alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def resource(name: str) -> str:
    """The text of a file that lies beside this one."""
    return files("foreword.report").joinpath(name).read_text(encoding="utf-8")


def embedded(data: object) -> str:
    """JSON that cannot close its own script element, whatever texts it holds."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def prose(text: str) -> str:
    """Prose as a printer sets it: a true minus, and no line break inside `p = 0.18` or `p-value`."""
    text = re.sub(r"(?<=[ (])-(?=\d)", "−", text).replace("p-value", "p\u2011value")
    return text.replace("p = ", "p\u00a0=\u00a0").replace("p &lt; ", "p\u00a0&lt;\u00a0")


def scrolled(name: str, table: str) -> str:
    """A table that scrolls sideways where the screen is narrow; nothing for no table."""
    return f'<div class="scroll" role="region" aria-label="{name}" tabindex="0">{table}</div>' if table else ""


def figure(name: str, text: str, svg: str, description: str, more: str = "") -> str:
    """A titled picture; `told` is what a reader who cannot see it gets."""
    caption = f"<figcaption><strong>{escape(name)}</strong>{prose(escape(text))}</figcaption>"
    return f'<figure><div>{caption}{more}</div><div role="img" aria-label="{escape(description)}">{svg}</div></figure>'


def section(name: str, title: str, body: str) -> str:
    """A part of the page. name: of its anchor. body: HTML."""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>{body}</section>'
