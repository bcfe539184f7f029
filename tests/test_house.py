"""The architecture page that is a test: floors, imports, sizes and first sentences; it refuses a house that has grown crooked."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "foreword"

# Ground floor first. A room (a file, or a folder of files) imports only rooms that lie below its own floor.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "folding", "jsontext", "locks", "progress"),
    ("settings",),
    ("tuning",),
    (
        "allocator",
        "files",
        "stats",
        "config",
        "softprompt",
        "readers",
        "context",
        "conversations",
        "ensemble",
        "optim",
        "pack",
        "metrics",
        "reference",
    ),
    ("models", "vetted"),
    ("data", "record", "store", "backbone", "golden", "memory", "chat", "environment"),
    ("template", "retrieve", "inits", "checkpoint"),
    ("task", "methods"),
    ("world", "layout", "report", "trainables", "spec"),
    ("tasks", "choosing", "training", "pretrain", "registry"),
    ("predict",),
    ("positions",),
    ("trial", "export"),
    ("study",),
    ("api", "serve"),
    ("cli",),
    ("__init__", "__main__"),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

LINES, FUNCTION_LINES = 400, 60
ONE_ROOM = {
    "transformers": {"backbone"},
    "peft": set(),
    "pickle": set(),
    "dill": set(),
    "shelve": set(),
    "marshal": set(),
}
# What may be imported where it is used: optional extras, and libraries that only some inputs need.
LATE = {
    ("tasks", "datasets"),
    ("readers", "pyarrow"),
    ("readers", "openpyxl"),
    ("retrieve", "faiss"),
    ("retrieve", "sentence_transformers"),
    ("metrics", "unidecode"),
}
LATE_ROOMS = {"cli", "__main__"}  # so that --help answers at once
NO_TORCH = {"errors", "files", "stats", "config", "data", "record", "report", "metrics", "retrieve", "study", "cli"}
NO_TORCH |= {"template", "task", "tasks", "world", "methods", "context", "readers", "ensemble", "pack", "progress"}
NO_TORCH |= {"__init__", "__main__", "layout", "settings", "tuning", "chat", "conversations", "models"}


@functools.cache
def files() -> tuple[Path, ...]:
    return tuple(sorted(SOURCE.rglob("*.py")))


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room(path: Path) -> str:
    """The first part of a file's path inside the package, its ending left out."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(node: ast.AST) -> list[str]:
    """Full dotted names of what an import statement names, `from foreword import x` as `foreword.x`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module == "foreword":
        return [f"foreword.{alias.name}" for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written out in full"
        return [node.module or ""]
    return []


def imports(path: Path) -> list[str]:
    return [name for node in ast.walk(tree(path)) for name in imported(node)]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_guard_sees_the_house() -> None:
    """A guard that sees no files would pass for ever."""
    assert len(files()) > 60
    assert sum(name.startswith("foreword.") for path in files() for name in imports(path)) > 150
    assert sum(1 for path in files() for _ in functions(path)) > 300
    assert {room(path) for path in files()} == set(FLOOR), "every room has a floor, and every floor its rooms"
    assert len(FLOOR) == sum(len(rooms) for rooms in FLOORS), "no room stands on two floors"


def test_imports_point_down() -> None:
    up = []
    for path in files():
        here = room(path)
        for name in imports(path):
            there = name.split(".")[1] if name.startswith("foreword.") else ""
            if there in FLOOR and there != here and FLOOR[there] >= FLOOR.get(here, 0):
                up.append(f"{where(path)} (floor {FLOOR.get(here, 0)}) imports {there} (floor {FLOOR[there]})")
    assert not up, "\n".join(up)


def test_nobody_inside_imports_the_front_door() -> None:
    """Names of foreword/__init__ are for users; only the version may be asked for, and only by the command line."""
    inside = [
        f"{where(path)} imports {name}"
        for path in files()
        for name in imports(path)
        if name == "foreword" or (name.startswith("foreword.") and name.split(".")[1] not in FLOOR)
        if not (room(path) == "cli" and name == "foreword.__version__")
    ]
    assert not inside, "\n".join(inside)


def test_a_library_has_its_room() -> None:
    strays = [
        f"{where(path)} imports {name}"
        for path in files()
        for name in imports(path)
        if name.split(".")[0] in ONE_ROOM and room(path) not in ONE_ROOM[name.split(".")[0]]
    ]
    assert not strays, "\n".join(strays)
    assert any(name.startswith("transformers") for path in files() for name in imports(path))


def test_rooms_without_tensors_import_no_torch() -> None:
    assert set(FLOOR) >= NO_TORCH
    strays = [
        f"{where(path)} imports {name}"
        for path in files()
        for name in imports(path)
        if room(path) in NO_TORCH and name.split(".")[0] in ("torch", "transformers", "safetensors")
    ]
    assert not strays, "\n".join(strays)


def test_imports_stand_at_the_head() -> None:
    late = []
    for path in files():
        if room(path) in LATE_ROOMS:
            continue
        for function in functions(path):
            for node in ast.walk(function):
                for name in imported(node):
                    if (room(path), name.split(".")[0]) not in LATE:
                        late.append(f"{where(path)}:{node.lineno} imports {name} inside {function.name}")  # type: ignore[attr-defined]
    assert not late, "\n".join(late)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_says_at_its_head_what_it_is(path: Path) -> None:
    told = " ".join((ast.get_docstring(tree(path)) or "").split())
    assert told.endswith((".", "`")) and len(told.split()) >= 5, f"{where(path)} does not say what it is: {told!r}"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_and_its_functions_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES, where(path)
    for function in functions(path):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= FUNCTION_LINES, f"{function.name} in {where(path)} has {lines} lines"


def test_every_public_function_says_what_it_does() -> None:
    """Verbs that a reader calls; methods that only keep a library's promise are theirs to explain."""
    silent, seen = [], 0
    for path in files():
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                seen += 1
                if not ast.get_docstring(node):
                    silent.append(f"{where(path)}: {node.name}")
    assert seen > 150
    assert not silent, "\n".join(silent)


def test_nothing_that_is_read_can_run() -> None:
    """No pickles, no eval: a file of data stays data."""
    found = []
    for path in files():
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Name) and called.id in ("eval", "exec", "compile", "__import__"):
                found.append(f"{where(path)}:{node.lineno} calls {called.id}")
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                name = f"{called.value.id}.{called.attr}"
                if name in ("torch.load", "pickle.load", "pickle.loads", "joblib.load", "yaml.load", "os.system"):
                    found.append(f"{where(path)}:{node.lineno} calls {name}")
            for keyword in node.keywords:
                if keyword.arg in ("allow_pickle", "shell") and ast.unparse(keyword.value) != "False":
                    found.append(f"{where(path)}:{node.lineno} sets {keyword.arg}")
    assert not found, "\n".join(found)


def test_no_chance_walks_along() -> None:
    """Chance is a function of (seed, what it is for): no generator of a module or a library draws here."""
    found = [
        f"{where(path)}:{node.lineno} {ast.unparse(node)}"
        for path in files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and re.fullmatch(
            r"(np|numpy)\.random\.(seed|rand|randn|choice|shuffle)|random\.(seed|shuffle|choice|sample)",
            ast.unparse(node),
        )
    ]
    assert not found, "\n".join(found)


def test_no_machine_is_named() -> None:
    """Paths of the machine that it was written on have no place in what is shipped."""
    found = [
        f"{where(path)}: {hit.group()}"
        for path in files()
        for hit in re.finditer(
            r"(?<![\w.])/(work|root|home|Users)/\S*|\.\./shared\S*", path.read_text(encoding="utf-8")
        )
    ]
    assert not found, "\n".join(found)


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = (
        "import sys, foreword.cli.app; "
        "print(*sorted({'torch', 'transformers', 'pandas', 'numpy', 'scipy', 'datasets', 'pyarrow'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""
