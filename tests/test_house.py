"""The architecture page that is a test: floors, imports, sizes and first sentences; it refuses a house that has grown crooked."""

from __future__ import annotations

import ast
import functools
import graphlib
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "foreword"

# Ground floor first. A room (a folder, or a file at the top) imports only rooms that lie below its own floor.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("util",),
    ("data", "models"),
    ("config",),
    ("metrics", "engine", "synthetic"),
    ("prompts",),
    ("registry",),
    ("export", "tasks", "train", "infer"),
    ("results",),
    ("report",),
    ("monitor",),
    ("study",),
    ("api", "plugins", "serve"),
    ("cli",),
    ("__init__", "__main__"),
)
# Inside a room the same holds for its files and folders, ground floor first; a new file gets its place here, or the test says so.
INSIDE: dict[str, tuple[str, ...]] = {
    "api": (
        "comparison data models settings",
        "calls",
        "predictor",
    ),
    "config": (
        "choices settings",
        "tuning",
        "run",
    ),
    "data": (
        "conversations readers",
        "examples",
        "template",
        "task",
    ),
    "engine": (
        "half_products",
        "batch batching cache capabilities gguf gradient head numbers passes prefix residual sampling truth unused vocabulary whole",
        "attention decoding inputs known memory rounding stored tokenizer_adapter",
        "blocks constrained decoders identity install packed_attention session token_texts",
        "activation_checkpointing cohorts core fused half_layers shared_prefix_decoder skippable",
        "causal seq2seq",
        "sound switch",
        "check",
        "load",
        "trainable",
    ),
    "export": (
        "arrays clients",
        "targets",
    ),
    "infer": (
        "choosing decoding ensemble",
        "predict",
    ),
    "models": (
        "cache one_load reference vetted",
        "fetch list shipped",
    ),
    "monitor": (
        "observations profile shift sketch",
        "windows",
        "against labelling truth",
        "run",
        "charts",
        "page",
    ),
    "prompts": (
        "context retrieve soft_prompt",
        "chat inits inspect methods store",
        "layout",
    ),
    "registry": (
        "names stored_prompt",
        "adding compare index",
        "registry",
        "hub remote",
    ),
    "results": (
        "papers record stats trivial",
        "clusters",
        "rows",
        "cells classes collected document",
        "apart choice judged remarks",
        "reason scored",
        "summary",
    ),
    "serve": (
        "engine log running telemetry texts views",
        "metrics shelf",
        "cards errors gate",
        "echo keys protocol",
        "rows",
        "answering",
        "shapes talking watch",
        "service",
        "app",
    ),
    "study": (
        "base boundary composed earlier fitting folds places positions preset profiled recorded remembered "
        "representable resolve spec",
        "command consistent measure",
        "grid trial",
        "cost gate plan stored",
        "compare pace questions single unit",
        "executors price show text",
        "page running",
    ),
    "train": (
        "checkpoint optim trainables",
        "loop pretrain",
    ),
    "util": (
        "allocator environment errors fingerprint folding jsontext locks phrases progress text",
        "files plugins",
        "claims",
    ),
}
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

ONE_ROOM = {
    "transformers": {"engine", "train.pretrain.init_model"},
    "peft": {"train.trainables.lora"},
    "pickle": set(),
    "dill": set(),
    "shelve": set(),
    "marshal": set(),
}
# What may be imported where it is used: optional extras, and libraries that only some inputs need.
LATE = {
    ("data.readers", "openpyxl"),
    ("engine.constrained", "llguidance"),
    ("data.readers", "pyarrow"),
    ("metrics", "unidecode"),
    ("prompts.retrieve", "faiss"),
    ("prompts.retrieve", "sentence_transformers"),
    ("serve.telemetry", "opentelemetry"),
    ("study.executors", "ray"),
    ("train.trainables", "peft"),
    ("tasks", "datasets"),
}
LATE_ROOMS = {"__main__", "cli"}  # so that --help answers at once
# The only places that may hold tensors: rooms, or files and folders of one.
TENSORS = {
    "engine",
    "export",
    "infer.predict",
    "prompts.inits",
    "prompts.soft_prompt",
    "prompts.store",
    "registry",
    "serve",
    "study.executors.processes",
    "study.trial",
    "train",
    "util.environment",
}


@functools.cache
def files() -> tuple[Path, ...]:
    return tuple(sorted(SOURCE.rglob("*.py")))


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module(path: Path) -> str:
    """The dotted name of a file inside the package: `engine.core`; of a folder's own file, the folder's."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def room(path: Path) -> str:
    """The first part of a file's path inside the package, its ending left out."""
    return module(path).split(".")[0]


def within(path: Path, places: Collection[str]) -> bool:
    """Whether a file is one of these places (`prompts.store`, or a whole room), or lies in one."""
    return any(f"{module(path)}.".startswith(f"{place}.") for place in places)


def imported(node: ast.AST) -> list[str]:
    """Full dotted names of what an import statement names, `from foreword import x` as `foreword.x`; of a name out of a file, the
    file's."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written out in full"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if node.module == "foreword" or name in modules() else node.module or "" for name in names]
    return []


@functools.cache
def modules() -> frozenset[str]:
    return frozenset(f"foreword.{module(path)}" for path in files())


def imports(path: Path) -> list[str]:
    return [name for node in ast.walk(tree(path)) for name in imported(node)]


@functools.cache
def below(path: Path) -> frozenset[str]:
    """The files of foreword that this one imports, for the type checker alone or not, by their dotted names inside the package."""
    names = {name for name in imports(path) if name in modules()} - {f"foreword.{module(path)}"}
    return frozenset(name.removeprefix("foreword.") for name in names)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_guard_sees_the_house() -> None:
    """A guard that sees no files would pass for ever."""
    assert len(files()) > 60
    assert sum(len(below(path)) for path in files()) > 700
    assert sum(1 for path in files() for _ in functions(path)) > 300
    assert {room(path) for path in files()} == set(FLOOR), "every room has a floor, and every floor its rooms"
    assert len(FLOOR) == sum(len(rooms) for rooms in FLOORS), "no room stands on two floors"
    for name, floors in INSIDE.items():
        parts = {module(path).split(".")[1] for path in files() if module(path).startswith(f"{name}.")}
        assert parts == set(" ".join(floors).split()), f"every file and folder of {name}/ has a floor"
        assert len(parts) == len(" ".join(floors).split()), f"none in {name}/ stands on two floors"


def test_imports_point_down() -> None:
    inner = {
        f"{name}.{part}": floor
        for name, floors in INSIDE.items()
        for floor, row in enumerate(floors)
        for part in row.split()
    }
    up = []
    for path in files():
        here = module(path).split(".")
        for name in below(path):
            there = name.split(".")
            if there[0] != here[0] and FLOOR[there[0]] >= FLOOR[here[0]]:
                up.append(f"{where(path)} (floor {FLOOR[here[0]]}) imports {name} (floor {FLOOR[there[0]]})")
            mine, other = ".".join(here[:2]), ".".join(there[:2])
            if (
                mine != other
                and mine in inner
                and other in inner
                and there[0] == here[0]
                and inner[other] >= inner[mine]
            ):
                up.append(f"{where(path)} (floor {inner[mine]} of {here[0]}/) imports {name} (floor {inner[other]})")
    assert not up, "\n".join(up)


def test_no_files_import_each_other_in_a_circle() -> None:
    """Neither when they run nor for the type checker."""
    graph = {module(path): below(path) for path in files()}
    try:
        order = tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")
    assert set(order) == set(graph)


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
        if name.split(".")[0] in ONE_ROOM and not within(path, ONE_ROOM[name.split(".")[0]])
    ]
    assert not strays, "\n".join(strays)
    assert any(name.startswith("transformers") for path in files() for name in imports(path))


def test_rooms_without_tensors_import_no_torch() -> None:
    heavy = [
        (path, name)
        for path in files()
        for name in imports(path)
        if name.split(".")[0] in ("torch", "transformers", "safetensors")
    ]
    strays = [f"{where(path)} imports {name}" for path, name in heavy if not within(path, TENSORS)]
    assert not strays, "\n".join(strays)
    idle = [place for place in TENSORS if not any(within(path, {place}) for path, _ in heavy)]
    assert not idle, f"these hold no tensors (any more): {idle}"


def test_imports_stand_at_the_head() -> None:
    late = []
    for path in files():
        if within(path, LATE_ROOMS):
            continue
        allowed = {library for place, library in LATE if within(path, {place})}
        for function in functions(path):
            for node in ast.walk(function):
                for name in imported(node):
                    if name.split(".")[0] not in allowed:
                        late.append(f"{where(path)}:{node.lineno} imports {name} inside {function.name}")  # type: ignore[attr-defined]
    assert not late, "\n".join(late)


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = (
        "import sys, foreword.cli.app; "
        "print(*sorted({'torch', 'transformers', 'pandas', 'numpy', 'scipy', 'datasets', 'pyarrow'} & set(sys.modules)))"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == ""
