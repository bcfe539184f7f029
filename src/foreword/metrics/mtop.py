"""MTOP parses as their scorers read them: exact match after re-spacing, template accuracy, tree match; unbalanced brackets do not count
as a parse.

Sources: UnifiedSKG (Xie et al. 2022, metrics/mtop) re-spaces what its decoder's clean-up took away and compares
strings; the template is CASPER's (Pasupat et al. 2021, google-research/language); trees and their brackets are TOP's
(Gupta et al. 2018). The re-spacing gives a prediction that has the blank already a second one, so only a cleaned-up
output can match; that is the published metric.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from foreword.metrics.base import mean_metric

_SPACED = ("'s", ",", "?")
_DOTTED = ("Dr", "Mrs", "Mr", "O.J", "Jr", "N", "J", "Y", "drs", "St", "Portugal")
_SPACING = (
    *((word, f" {word}") for word in _SPACED),
    ("a.m.", "a.m ."),
    ("p.m.", "p.m ."),
    ("p. m.", "p . m ."),
    *((f"{word}.", f"{word} .") for word in _DOTTED),
)
_COMPACT = re.compile(r"\[(IN|SL)\s+([^\[\]=]*?)\s*=")


def respaced(output: str) -> str:
    """The output with the blanks that a tokenizer's clean-up took away, in UnifiedSKG's order of replacements."""
    for joined, spaced in _SPACING:
        output = output.replace(joined, spaced)
    return output


def expanded(parse: str) -> str:
    """A parse as it is; CASPER's compact form `[IN get alarm = [SL ordinal = next]]` in the form of MTOP."""
    if not parse.strip().startswith("[IN "):
        return parse
    named = _COMPACT.sub(lambda match: f"[{match[1]}:{'_'.join(match[2].upper().split())} ", parse)
    return named.replace("]", " ]")


def frame(parse: str) -> tuple[str, tuple[str, ...]] | None:
    """The intent and, sorted, the dotted paths of labels below it that hold a word; None where brackets do not fit.

    The parse has to be one bracket, opened first and closed last, with every `]` a word of its own.
    """
    words = expanded(parse).split()
    if not words:
        return None
    path: list[str] = []
    paths: set[str] = set()
    for place, word in enumerate(words):
        if not path and place:
            return None
        if word.startswith("["):
            path.append(word[1:])
        elif not path:
            return None
        elif word == "]":
            path.pop()
        else:
            paths.add(".".join(path[1:]))
    return None if path else (words[0][1:], tuple(sorted(paths)))


def template(parse: str) -> str | None:
    """The frame as one text, `IN:GET_ALARM-SL:ORDINAL`; None for a parse whose brackets do not fit."""
    parsed = frame(parse)
    return None if parsed is None else "-".join((parsed[0], *parsed[1]))


@dataclass(frozen=True)
class Node:
    """A bracket of a TOP tree: its label (empty for the root) and its children; words stand for themselves."""

    label: str
    children: list[Node | str] = field(default_factory=list)


class NotATreeError(ValueError):
    """The text is no TOP tree; `label` is the label that is neither intent nor slot, where that is why."""

    def __init__(self, label: str | None = None) -> None:
        super().__init__(label)
        self.label = label


def tree(parse: str) -> Node:
    """The TOP tree of a parse. One `]` too many at the end is let pass, as the original script does.

    Raises NotATreeError: a label but IN: or SL:, an open bracket, intents and slots that do not alternate.
    """
    root = Node("")
    stack = [root]
    for word in parse.split():
        if word == "]" and stack:
            stack.pop()
        elif not stack:
            raise NotATreeError
        elif word.startswith("["):
            if not word.startswith(("[IN:", "[SL:")):
                raise NotATreeError(word[1:])
            node = Node(word[1:])
            stack[-1].children.append(node)
            stack.append(node)
        else:
            stack[-1].children.append(word)
    if len(stack) > 1:
        raise NotATreeError
    return root


def alternates(root: Node) -> bool:
    """Whether intents hold only slots, slots only intents, and the root only intents, words aside."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        inner = [child for child in node.children if isinstance(child, Node)]
        if any(child.label.startswith("SL:") != node.label.startswith("IN:") for child in inner):
            return False
        waiting += inner
    return True


def written(root: Node) -> str:
    """A tree as text, one blank between words: two trees are equal where their texts are."""
    return " ".join(_walked(root)[2])


def brackets(root: Node) -> tuple[Counter[object], Counter[object]]:
    """The brackets of a tree as (label, first word, last word), and the same with all that stands inside."""
    plain, whole, _ = _walked(root)
    return plain, whole


def _walked(root: Node) -> tuple[Counter[object], Counter[object], list[str]]:
    # Depth first without recursion: predictions nest hundreds deep. A bracket is counted when it is met again, closed.
    plain: Counter[object] = Counter()
    whole: Counter[object] = Counter()
    words, text = 0, [""]
    waiting: list[tuple[Node | str, int, int]] = [(child, -1, -1) for child in reversed(root.children)]
    while waiting:
        node, start, opened = waiting.pop()
        if isinstance(node, str):
            words += 1
            text.append(node)
        elif start < 0:
            waiting.append((node, words, len(text)))
            text.append(f"[{node.label}")
            waiting += [(child, -1, -1) for child in reversed(node.children)]
        else:
            text.append("]")
            plain[node.label, start, words] += 1
            whole[start, words, " ".join(text[opened:])] += 1
    return plain, whole, text[1:]


def bracket_counts(ours: Counter[object], theirs: Counter[object]) -> tuple[int, int, int]:
    """How many brackets both trees have, the output has, the reference has."""
    return (ours & theirs).total(), ours.total(), theirs.total()


def ratios(both: int, ours: int, theirs: int) -> dict[str, float]:
    """Precision, recall and F1, each 0 where it is not defined."""
    precision = both / ours if ours else 0.0
    recall = both / theirs if theirs else 0.0
    total = precision + recall
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / total if total else 0.0}


def summed(rows: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    """The sums of bracket counts over trees."""
    return sum(row[0] for row in rows), sum(row[1] for row in rows), sum(row[2] for row in rows)


def _exact(output: str, reference: str) -> float:
    return float(reference in (output, respaced(output)))


def _template(output: str, reference: str) -> float:
    meant = template(reference)
    return float(template(respaced(output)) == meant if meant is not None else output.split() == reference.split())


def _tree(output: str, reference: str) -> float:
    try:
        return float(written(tree(output)) == written(tree(reference)))
    except NotATreeError:
        return float(output.split() == reference.split())


METRICS = (
    mean_metric(
        "mtop_em",
        of=_exact,
        source="UnifiedSKG's MTOP exact match (Xie et al. 2022): equal after its re-spacing; here also equal as it is.",
        signature=lambda: "mtop_em|case:mixed|spacing:unifiedskg-or-as-it-is|refs:any",
    ),
    mean_metric(
        "mtop_template",
        of=_template,
        source="MTOP template accuracy (CASPER, Pasupat et al. 2021) as UnifiedSKG runs it: intent and slot paths.",
        signature=lambda: "mtop_template|spacing:unifiedskg|invalid:wrong|reference-without-template:as-text|refs:any",
    ),
    mean_metric(
        "mtop_tree",
        of=_tree,
        source="Exact match of TOP trees (Gupta et al. 2018): white space and one closing bracket too many do not count.",
        signature=lambda: "mtop_tree|space:squeezed|reference-without-tree:as-text|refs:any",
    ),
)
