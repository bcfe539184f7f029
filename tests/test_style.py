"""The style of every file, held by one walk over the rooms, recipes, benches and tests: it prints all faults of each file at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from test_house import ROOT, SOURCE

LINES, FUNCTION_LINES = 400, 60
WORDS = 5  # that a file's first sentence has at least
MACHINE = re.compile(r"(?<![\w.])/(work|root|home|Users)/\S*|\.\./shared\S*")
WALKING = re.compile(
    r"(np|numpy)\.random\.(seed|rand|randn|choice|shuffle)|random\.(seed|shuffle|choice|sample)"
)  # generators of a module, which draw on from wherever they stand
READERS = {"torch.load", "pickle.load", "pickle.loads", "joblib.load", "yaml.load", "os.system"}

Rule = Callable[[str, ast.Module], Iterator[str]]
"""(text, tree) of a file -> its faults, each with its line."""


def head(text: str, tree: ast.Module) -> Iterator[str]:
    """A file says in a sentence what it is."""
    sentence = " ".join((ast.get_docstring(tree) or "").split())
    if not sentence.endswith((".", "`")) or len(sentence.split()) < WORDS:
        yield f"1: does not say in a sentence what it is: {sentence!r}"


def length(text: str, tree: ast.Module) -> Iterator[str]:
    """Files stay small."""
    if (lines := len(text.splitlines())) > LINES:
        yield f"{lines}: more than {LINES} lines"


def sizes(text: str, tree: ast.Module) -> Iterator[str]:
    """Functions stay small."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines, more than {FUNCTION_LINES}"


def silence(text: str, tree: ast.Module) -> Iterator[str]:
    """A public function or class says what it does; methods that only keep a library's promise are theirs to explain."""
    for node in tree.body:
        public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if public and not ast.get_docstring(node):
            yield f"{node.lineno}: {node.name} has no docstring"


def execution(text: str, tree: ast.Module) -> Iterator[str]:
    """No pickles, no eval: a file of data stays data."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("eval", "exec", "compile", "__import__") or called in READERS:
            yield f"{node.lineno}: calls {called}"
        for keyword in node.keywords:
            if keyword.arg in ("allow_pickle", "shell") and ast.unparse(keyword.value) != "False":
                yield f"{node.lineno}: sets {keyword.arg}"


def chance(text: str, tree: ast.Module) -> Iterator[str]:
    """Chance is a function of (seed, what it is for): no generator of a module or a library draws here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and WALKING.fullmatch(ast.unparse(node)):
            yield f"{node.lineno}: draws by {ast.unparse(node)}"


def machine(text: str, tree: ast.Module) -> Iterator[str]:
    """Paths of the machine that a file was written on have no place in it."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in MACHINE.finditer(line):
            yield f"{number}: names {match.group()}"


RULES: tuple[Rule, ...] = (head, length, sizes, silence, execution, chance, machine)
# Of tests not held: docstrings (a test's name is its sentence), calls of exec (guides run by it), sizes of functions.
OF_TESTS: tuple[Rule, ...] = (head, length, chance, machine)
ROOMS = {
    **{folder.name: folder for folder in sorted(SOURCE.iterdir()) if folder.is_dir() and any(folder.glob("*.py"))},
    "recipes": ROOT / "recipes",
    "bench": ROOT / "bench",
    "tests": ROOT / "tests",
}


def faults(path: Path) -> list[str]:
    """All faults of a file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    rules = OF_TESTS if path.is_relative_to(ROOMS["tests"]) else RULES
    return [f"{path.relative_to(ROOT)}:{fault}" for rule in rules for fault in rule(text, tree)]


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_file_keeps_the_rules(room: str) -> None:
    """'' stands for the files at the top of the package."""
    paths = sorted(ROOMS[room].rglob("*.py")) if room else sorted(SOURCE.glob("*.py"))
    assert paths, "a walk that sees no files would pass for ever"
    every = [fault for path in paths for fault in faults(path)]
    assert not every, "\n".join(every)


LONG = "def walk():\n" + "    pass\n" * FUNCTION_LINES
BROKEN: dict[Rule, tuple[str, ...]] = {
    head: ("x = 1", '"""Too short."""', '"""It has words enough but no stop"""'),
    length: ("x = 1\n" * (LINES + 1),),
    sizes: (LONG, "class A:\n    async " + LONG.replace("\n", "\n    ").lstrip()),
    silence: ("def verb(): pass", "class Noun: pass"),
    execution: (
        "eval(text)",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(line, shell=True)",
    ),
    chance: ("np.random.seed(0)", "random.shuffle(rows)"),
    machine: (f"# {'/'.join(['', 'home', 'me', 'data'])}", f"path = '{'/'.join(['..', 'shared', 'x'])}'"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_sees_what_breaks_it(rule: Rule) -> None:
    for text in BROKEN[rule]:
        assert list(rule(text, ast.parse(text))), text
    clean = '"""What this file is, in one sentence."""\n\n\ndef verb() -> None:\n    """What it does."""\n'
    assert not list(rule(clean, ast.parse(clean)))
