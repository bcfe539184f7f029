"""No branch names a method or a trainable: what they do follows from their rows and entries; it refuses a guard that sees nothing."""

from __future__ import annotations

import ast

import pytest

from foreword.prompts.methods import FORMER, METHODS, REFERENCES
from test_house import SOURCE, files, room, tree, where

ASKS = {
    "startswith", "endswith", "removeprefix", "removesuffix", "partition", "split", "get", "index", "count", "fullmatch", "match",
    "search", "intersection", "difference", "issubset", "issuperset", "isdisjoint",
}  # fmt: skip


def texts(node: ast.AST, constants: dict[str, set[str]]) -> set[str]:
    """The texts that stand in an expression, up to their first colon, also behind a module's own constants."""
    strings = {
        part.value.split(":")[0]
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
    return strings.union(*(constants.get(part.id, set()) for part in ast.walk(node) if isinstance(part, ast.Name)))


def branches(module: ast.Module, names: set[str]) -> list[str]:
    """Where code does one thing or another by one of these names: a comparison, a pattern, a question asked of a text, or a table by
    name."""
    constants = {
        target.id: texts(node.value, {})
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    hits = []
    for node in ast.walk(module):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.match_case):
            parts = [node.pattern]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKS:
            parts = [node.func.value, *node.args]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            parts = [ast.Constant(keyword.arg) for keyword in node.keywords if keyword.arg is not None]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.Sub):
            parts = [side for side in (node.left, node.right) if not isinstance(side, ast.JoinedStr)]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        if any(texts(part, constants) & names for part in parts):
            hits.append(f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node).splitlines()[0]}")
    return hits


NAMES_OF_METHODS = set(METHODS | REFERENCES) | set(FORMER)
ENGLISH = {"metrics", "synthetic", "tasks"}  # rooms that know of no method, and where "few" and "zero" are words


def test_no_branch_names_a_method() -> None:
    """What a method does follows from its row, and what is trained from its entry on the shelf; their names stand there only."""
    named = [
        f"{where(path)}, {hit}"
        for path in files()
        if path.name != "methods.py" and room(path) not in ENGLISH
        for hit in branches(tree(path), NAMES_OF_METHODS)
    ]
    assert not named, "\n".join(named)
    assert branches(tree(SOURCE / "prompts" / "methods.py"), NAMES_OF_METHODS), "the table itself is seen"


def by_trainable(module: ast.Module) -> list[str]:
    """Where code compares what a row trains, or takes one entry from the shelf by name; the names themselves are ordinary words."""
    hits = []
    for node in ast.walk(module):
        sides: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject]
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            sides = [node.value]
        on_trainable = any(ast.unparse(side).split(".")[-1] in ("trainable", "TRAINABLES") for side in sides)
        if on_trainable and texts(node, {}):
            hits.append(f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node).splitlines()[0]}")
    return hits


def test_no_branch_names_a_trainable() -> None:
    named = [f"{where(path)}, {hit}" for path in files() for hit in by_trainable(tree(path))]
    assert not named, "\n".join(named)


@pytest.mark.parametrize(
    "code",
    [
        "if row.trainable == 'weights': pass",
        "match spec.method.trainable:\n    case 'prompt': pass",
        "x = 6 if trainable in ('weights',) else 4",
        "entry = TRAINABLES['prompt']",
    ],
)
def test_the_guard_sees_a_branch_on_a_trainable(code: str) -> None:
    assert by_trainable(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "if row.name == 'mt': pass",
        "x = 6 if label.split(':')[0] in ('pt', 'full-ft') else 4",
        "match name:\n    case 'full-ft' | 'pt': pass",
        "if label.startswith('ipt:'): pass",
        "KEPT = ('pt', 'ipt')\nif label in KEPT: pass",
        "flops = {'full-ft': 6}.get(name, 4)",
        "COLOURS = {'zero': 0}\ncolour = COLOURS[name]",
        "COLOURS = dict(zero=0)\ncolour = COLOURS[name]",
        "if 'zero' != name: pass",
        "if {'pt', 'ipt'} & set(labels): pass",
        "KEPT = {'pt', 'ipt'}\nothers = set(labels) - KEPT",
        "if KEPT.isdisjoint(labels) or {'few'}.issubset(labels): pass",
        "row = rows['few']",
    ],
)
def test_the_guard_sees_a_branch_on_a_name(code: str) -> None:
    assert branches(ast.parse(code), NAMES_OF_METHODS)


@pytest.mark.parametrize(
    "code", ["safe_open(path, framework='pt')", "say('use pt or ipt')", "methods = ['zero', 'pt']"]
)
def test_the_guard_lets_a_name_be_written(code: str) -> None:
    assert not branches(ast.parse(code), NAMES_OF_METHODS)
