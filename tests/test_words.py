"""Names say what they hold: words that say nothing are no names, in the package, its benches, its recipes and its tests."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from test_house import ROOT, tree

WATCHED = ("one", "found", "said", "told", "made", "wanted", "seen", "kept", "given", "asked", "thing")
HYPOTHESIS = "given"  # the decorator of property-based tests
PARTS = {
    "src": (),
    "bench": ("kept",),
    "recipes": (),
    "tests": (),
}  # bench: the attribute of --kept, a key of the results there


def name_of(node: ast.AST) -> str:
    """The name that a node reads, binds or defines; empty where there is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else ""


def watched(module: ast.Module) -> Counter[str]:
    """How often each of the watched words is a name in a file, as a constant (`_SAID`), a class (`Told`) or private (`_said`) too."""
    imported = {
        alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module == "hypothesis"
        for alias in node.names
    }
    words = Counter(name_of(node).strip("_").lower() for node in ast.walk(module))
    return Counter(
        {word: words[word] for word in WATCHED if words[word] and not (word == HYPOTHESIS and word in imported)}
    )


@pytest.mark.parametrize("part", PARTS)
def test_no_name_says_nothing(part: str) -> None:
    paths = sorted((ROOT / part).rglob("*.py"))
    assert paths, part
    counts = {str(path.relative_to(ROOT)): watched(tree(path)) for path in paths}
    assert not {path: words for path, words in counts.items() if set(words) - set(PARTS[part])}


def test_the_counter_sees_them() -> None:
    """One that sees nothing would pass for ever."""
    text = "def _found(one, *, told=None):\n    self.said = [kept for kept in one]\n    return told\nclass Seen: pass\n"
    assert watched(ast.parse(text)) == {"found": 1, "one": 2, "told": 2, "said": 1, "kept": 2, "seen": 1}
    assert watched(ast.parse("from hypothesis import given\n@given(a)\ndef test(a): pass\n")) == {}
    assert watched(ast.parse("def test(given): pass\n")) == {"given": 1}
