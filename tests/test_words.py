"""Names say what they hold: words that say nothing are counted, room by room, and may only become fewer."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from test_house import files, room, tree

WATCHED = ("one", "found", "said", "told", "made", "wanted", "seen", "kept", "given", "asked", "thing")
# The most that a room may have of them: variables, arguments, attributes and functions of its own. A room that is not here is not judged.
CEILINGS = {
    "__init__": 0,
    "__main__": 0,
    "api": 0,
    "cli": 0,
    "config": 0,
    "data": 0,
    "engine": 0,
    "export": 0,
    "infer": 0,
    "metrics": 0,
    "models": 0,
    "monitor": 0,
    "plugins": 0,
    "prompts": 0,
    "registry": 0,
    "report": 0,
    "results": 0,
    "serve": 0,
    "study": 0,
    "synthetic": 0,
    "tasks": 0,
    "train": 0,
    "util": 0,
}  # fmt: skip


def name_of(node: ast.AST) -> str:
    """The name that a node reads, binds or defines; empty where there is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""


def count(name: str) -> Counter[str]:
    """How often each of the watched words is a name in this room, as a constant (`_SAID`) or private (`_said`) too."""
    nodes = (node for path in files() if room(path) == name for node in ast.walk(tree(path)))
    words = (name_of(node).strip("_") for node in nodes)
    return Counter(word.lower() for word in words if (word.lower() if word.isupper() else word) in WATCHED)


@pytest.mark.parametrize("name", CEILINGS)
def test_words_that_say_nothing_become_fewer(name: str) -> None:
    assert sum(count(name).values()) <= CEILINGS[name], dict(count(name))


def test_the_counter_sees_them() -> None:
    """One that sees nothing would pass for ever."""
    tree = ast.parse("def _found(one, *, told=None):\n    self.said = [kept for kept in one]\n    return told\n")
    words = Counter(name_of(node).strip("_") for node in ast.walk(tree))
    assert {word: words[word] for word in ("found", "one", "told", "said", "kept")} == {
        "found": 1, "one": 2, "told": 2, "said": 1, "kept": 2,
    }  # fmt: skip
