"""Items of other packages, and stubs of them: used by name, known by their contents, refused in one sentence."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import entry
import tiny
from foreword import tasks
from foreword.config.tuning import Tuning
from foreword.data.task import Task
from foreword.metrics import METRICS, metric
from foreword.plugins import contracts
from foreword.plugins.stubs import STUBS
from foreword.prompts.inits import INITS
from foreword.prompts.methods import ROWS, parse
from foreword.prompts.retrieve import RETRIEVERS, Kind, Pool, Ranked, make, signature
from foreword.study.spec import Spec
from foreword.train.trainables import TRAINABLES, tuning_for
from foreword.util.errors import ForewordError
from foreword.util.plugins import KINDS, plugins
from test_readme import commands

SHELVES = (METRICS, INITS, ROWS, RETRIEVERS, TRAINABLES, tasks.TASKS)
ITEMS = """
from dataclasses import replace

from foreword import Example, METHODS, Task, Template
from foreword.prompts.inits import INITS
from foreword.prompts.retrieve import Kind, Ranked
from foreword.train.trainables import TRAINABLES

NAME, SUMMARY, METRICS = "acme-capitals", "names in capitals", ("acme-length",)


def load(folder=None):
    rows = [Example(f"{n}", {"input": f"bana lori {n}"}, (f"tem {n}",)) for n in range(12)]
    return Task(NAME, tuple(rows[:8]), tuple(rows[8:10]), tuple(rows[10:]), Template(), METRICS)


def length(output, references):
    return 1.0 if len(output) == len(references[0]) else 0.5


def first(pool):
    def rank(examples, barred, k):
        return [[(n, None) for n in range(len(pool.groups)) if n not in bars][:k] for bars in barred]

    return Ranked("acme-first", pool, rank)


RETRIEVER = Kind("acme-first", first, lambda: "first")
METHOD = replace(METHODS["ipt-fixed"], instruction=True, k=1, trainable="acme-train")
TRAINABLE = replace(TRAINABLES["prompt"], name="acme-train")


def start(backbone, length, rng, source):
    return INITS["vocab"](backbone, length, rng, source)
"""
POINTS = {
    "task": ("acme-capitals", "acme_items"),
    "metric": ("acme-length", "acme_items:length"),
    "method": ("acme-both", "acme_items:METHOD"),
    "retriever": ("acme-first", "acme_items:RETRIEVER"),
    "init": ("acme-start", "acme_items:start"),
    "trainable": ("acme-train", "acme_items:TRAINABLE"),
}


def distribution(folder: Path, points: dict[str, tuple[str, str]], name: str = "acme", **files: str) -> Path:
    """A package as pip leaves it: modules, and a dist-info with entry points and a list of the modules and of the folders beside."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    groups = [f"[{KINDS[kind]}]\n{point} = {value}\n" for kind, (point, value) in points.items()]
    (info / "entry_points.txt").write_text("\n".join(groups))
    for module, text in files.items():
        (folder / f"{module}.py").write_text(text)
    listed = [folder / f"{module}.py" for module in files] + [
        path for path in folder.glob("*/*") if path.parent != info
    ]
    (info / "RECORD").write_text("".join(f"{path.relative_to(folder).as_posix()},,\n" for path in listed))
    return folder


def forget() -> None:
    plugins.cache_clear()
    for shelf in SHELVES:
        shelf._loaded.clear()
    sys.modules.pop("acme_items", None)
    importlib.invalidate_caches()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path where packages may be installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget()
    yield folder
    forget()


def in_process(folder: Path, *argv: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), str(Path(tasks.__file__).parents[2])])
    command = [sys.executable, "-m", "foreword", *map(str, argv)]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path, "COLUMNS": "100"}
    )


# -- other packages ------------------------------------------------------------------------------------------------------


def test_a_real_run_with_an_item_of_each_kind_of_another_package(tmp_path: Path) -> None:
    folder = distribution(tmp_path / "site", POINTS, acme_items=ITEMS)
    model, out = entry.save_model(tmp_path / "model"), tmp_path / "out"
    settings = ("--init", "acme-start", "--max-steps", 2, "--prompt-length", 3, "--max-new-tokens", 4, "--seeds", 0)
    methods = ("--methods", "acme-both,icl:acme-first")
    ran = in_process(
        folder, "compare", "-m", model, "--task", "acme-capitals", *methods, *settings, "-o", out, "--json"
    )
    assert (ran.returncode, ran.stdout.count("acme-length") > 0) == (0, True), ran.stderr
    records = {json.loads(path.read_text())["label"]: json.loads(path.read_text()) for path in out.glob("records/*")}
    assert set(records) == {"acme-both", "icl:acme-first"} and all(
        0 <= r["scores"]["acme-length"] <= 100 for r in records.values()
    )
    identity = "acme==1.2|sha256:"
    assert all(identity in record["spec"]["metrics"]["acme-length"] for record in records.values())
    assert (
        identity in records["icl:acme-first"]["spec"]["retriever"]
        and "plugins" not in records["icl:acme-first"]["spec"]
    )
    brought = records["acme-both"]["spec"]["plugins"]
    assert set(brought) == {"trainable", "init"} and all(text.startswith(identity) for text in brought.values())


def test_another_packages_task_is_listed_and_a_broken_one_refused(tmp_path: Path) -> None:
    folder = distribution(tmp_path / "site", POINTS, acme_items=ITEMS)
    assert "acme-capitals: names in capitals" in in_process(folder, "tasks", "acme-capitals").stdout
    (folder / "acme_items.py").write_text("import no_such_library")
    ran = in_process(folder, "tasks", "acme_capitals")
    entry.one_sentence(
        ran.returncode,
        ran.stderr,
        ("'acme' 1.2", "the task 'acme-capitals'", "cannot be imported", "no_such_library"),
    )


def key_of(label: str = "pt", init: str = "acme-start") -> str:
    row = parse(label, shots=1, retriever="bm25", retrievers=list(RETRIEVERS))
    rows = tuple(tasks.load("mini-dart").train[:6])
    task = Task("toy", rows[:2], rows[2:4], rows[4:])
    return Spec(label, row, 0, Tuning(init=init), 4).key(tiny.backbone("gpt2"), task)


def test_what_a_plugin_holds_is_in_the_key_of_what_it_changes(installed: Path) -> None:
    distribution(installed, POINTS, acme_items=ITEMS)
    before = (key_of(), key_of("icl:acme-first"), key_of("acme-both"), metric("acme-length").signature())
    plain = key_of(init="vocab"), key_of("zero")
    assert before == (key_of(), key_of("icl:acme-first"), key_of("acme-both"), metric("acme-length").signature())
    (installed / "acme_items.py").write_text(ITEMS.replace("0.5", "0.25"))
    forget()
    after = (key_of(), key_of("icl:acme-first"), key_of("acme-both"), metric("acme-length").signature())
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert plain == (key_of(init="vocab"), key_of("zero")), "what it does not change keeps its key"


def test_items_of_each_kind_stand_on_their_shelves(installed: Path) -> None:
    own_names = [list(shelf) for shelf in SHELVES]
    distribution(installed, POINTS, acme_items=ITEMS)
    forget()
    for shelf, before in zip(SHELVES, own_names, strict=True):
        name = POINTS[shelf.kind][0]
        assert list(shelf) == [*before, name] and name in shelf and len(shelf) == len(before) + 1
        assert shelf.identity(name).startswith("acme==1.2|sha256:") and shelf.identity(before[0]) == ""
    assert metric("acme-length").score(["ab", "a"], [["cd"], ["cd"]]) == 75.0
    assert parse("acme-both", shots=2, retriever="bm25", retrievers=list(RETRIEVERS)).k == 2
    assert (
        make("acme-first", tasks.load("acme_capitals").train)
        .find(tasks.load("acme-capitals").test[0], 2)[-1]
        .example.id
        == "0"
    )
    assert tuning_for(entry_run(), "acme-train").learning_rate == Tuning().learning_rate


def entry_run() -> Any:
    from foreword.config.run import Run

    return Run(model="m")


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.kind)
def test_a_name_that_two_bring_is_refused_when_it_is_asked_for(shelf: Any, installed: Path) -> None:
    ours = next(iter(shelf))
    distribution(installed, {shelf.kind: (ours, "acme_items:x")})
    forget()
    with pytest.raises(
        ForewordError,
        match=f"'acme' 1.2 brings the {shelf.kind} '{ours}'.* is the name of a {shelf.kind} of foreword's own",
    ):
        shelf.named(ours)
    distribution(installed, {shelf.kind: ("theirs", "acme_items:x")})
    distribution(installed, {shelf.kind: ("theirs", "other_items:x")}, name="other")
    forget()
    with pytest.raises(ForewordError, match=r"the package 'other' 1.2 brings too; mend"):
        shelf.named("theirs")


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.kind)
def test_what_is_no_item_is_refused_with_the_package(shelf: Any, installed: Path) -> None:
    distribution(installed, {shelf.kind: ("acme-five", "acme_items:FIVE")}, acme_items="FIVE = 5\n")
    forget()
    with pytest.raises(
        ForewordError, match=rf"The package 'acme' 1.2 brings the {shelf.kind} 'acme-five'.*; mend the package"
    ):
        shelf.named("acme-five")
    distribution(installed, {shelf.kind: ("acme-five", "acme_items:SIX")}, acme_items="raise SystemExit(3)\n")
    forget()
    with pytest.raises(ForewordError, match=r"cannot be imported .SystemExit: 3.; mend the package, or uninstall it"):
        shelf.named("acme-five")
    with pytest.raises(ForewordError, match=f"There is no {shelf.kind} .acme-six."):
        shelf.named("acme-six")


def test_naming_plugins_imports_nothing_and_a_method_may_not_be_a_label(installed: Path) -> None:
    distribution(installed, POINTS | {"method": ("a+b", "acme_items:METHOD")}, acme_items=ITEMS)
    forget()
    assert "acme-capitals" in tasks.names() and "acme-first" in list(RETRIEVERS) and "acme_items" not in sys.modules
    with pytest.raises(ForewordError, match="has a name that cannot be written where names are listed"):
        ROWS["a+b"]


def test_a_package_is_known_by_all_its_files(installed: Path) -> None:
    folder = installed / "acme_pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "code.py").write_text("def score(output, references):\n    return 1\n")
    (folder / "words.txt").write_text("a")
    distribution(installed, {"metric": ("acme-pack", "acme_pack.code:score")})
    forget()
    first = METRICS.identity("acme-pack")
    importlib.import_module("acme_pack.code")
    forget()
    assert METRICS.identity("acme-pack") == first, "bytecode is no contents"
    (folder / "words.txt").write_text("b")
    forget()
    assert METRICS.identity("acme-pack") != first


def identity_now(name: str) -> str:
    forget()
    return METRICS.identity(name)


SCORE = "import acme_rest\n\n\ndef score(output, references):\n    return 1\n"


def test_a_package_of_several_modules_is_known_by_all_of_them(installed: Path) -> None:
    """It was known by the file of its entry point alone, so that a finished record stood for an edited helper."""
    distribution(installed, {"metric": ("acme-score", "acme_score:score")}, acme_score=SCORE)
    alone = identity_now("acme-score")
    (installed / "strangers.py").write_text("")
    assert identity_now("acme-score") == alone == f"acme==1.2|sha256:{digest_of('.', SCORE)}", "as in earlier versions"
    distribution(installed, {"metric": ("acme-score", "acme_score:score")}, acme_score=SCORE, acme_rest="A = 1\n")
    both = identity_now("acme-score")
    (installed / "acme_rest.py").write_text("A = 2\n")
    assert len({alone, both, identity_now("acme-score")}) == 3
    (installed / "acme-1.2.dist-info" / "RECORD").unlink()
    with pytest.raises(
        ForewordError, match=r"brings the metric 'acme-score' and no list of its files \(RECORD\).* with pip"
    ):
        identity_now("acme-score")


def digest_of(name: str, text: str) -> str:
    contents = hashlib.sha256(text.encode()).hexdigest()
    return hashlib.sha256(f"{name}\n{contents}\n".encode()).hexdigest()[:24]


def test_a_package_used_from_its_source_is_known_by_what_stands_beside(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `pip install -e` leaves a stub: its folder on the path, and on the list nothing but the file that says so."""
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.syspath_prepend(str(source))
    distribution(installed, {"metric": ("acme-score", "acme_score:score")})
    (source / "acme_score.py").write_text(SCORE)
    identities = [identity_now("acme-score")]
    assert identities == [f"acme==1.2|sha256:{digest_of('.', SCORE)}"], "as in earlier versions"
    (source / "test_acme_score.py").write_text("B = 1\n")
    (source / "tests").mkdir()
    (source / "tests" / "__init__.py").write_text("B = 1\n")
    assert identity_now("acme-score") == identities[0], "a test changes no number"
    (source / "acme_pack").mkdir()
    for name, text in (
        ("acme_rest.py", "A = 1"),
        ("acme_rest.py", "A = 2"),
        ("acme_pack/__init__.py", ""),
        ("acme_pack/a.txt", "a"),
    ):
        (source / name).write_text(text)
        identities.append(identity_now("acme-score"))
    assert len(set(identities)) == 5


# -- stubs ---------------------------------------------------------------------------------------------------------------


def test_every_stub_keeps_its_contract_and_runs_once_it_is_installed(tmp_path: Path) -> None:
    """Written by the command, tested by its own test in one process, then put on the path as pip would put it."""
    for kind in STUBS:
        ran = entry.foreword("new", kind, f"my-{kind}", "--out", tmp_path / f"my-{kind}")
        assert ran.code == 0 and f"my_{kind}.py" in ran.out, ran.err
    folders = [str(tmp_path / f"my-{kind}") for kind in STUBS]
    path = os.pathsep.join([*folders, str(Path(tasks.__file__).parents[2])])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        cwd=tmp_path,
    )
    assert ran.returncode == 0 and f"{len(STUBS)} passed" in ran.stdout, ran.stdout


def test_the_contract_of_a_retriever_holds_it_to_any_order_of_the_pool() -> None:
    """Where the seed draws, as the contract says; foreword's own keep it."""
    for name in RETRIEVERS:
        contracts.retriever(RETRIEVERS[name])

    def by_place(pool: Pool) -> Ranked:
        def rank(examples: Any, barred: Any, k: int) -> Any:
            free = [[number for number in range(len(pool.groups)) if number not in bars] for bars in barred]
            drawn = [
                Random(f"{pool.seed}/{example.id}").sample(numbers, k)
                for example, numbers in zip(examples, free, strict=True)
            ]
            return [[(number, None) for number in numbers] for numbers in drawn]

        return Ranked("by-place", pool, rank)

    with pytest.raises(AssertionError, match="the order of the pool"):
        contracts.retriever(Kind("by-place", by_place, lambda: "1", seeded=True))


def test_a_stub_is_refused_where_it_cannot_stand(tmp_path: Path) -> None:
    entry.refused("new", "metrics", "mine", says=("There is no kind of item 'metrics'; did you mean 'metric'?",))
    entry.refused("new", "metric", "bleu", says=("There is a metric 'bleu' already",))
    entry.refused("new", "metric", "My Metric", says=("cannot be the name of a metric",))
    for name in ("email", "numpy", "foreword"):  # its test imported the other module, and failed as it stood
        entry.refused("new", "task", name, "-o", tmp_path / name, says=(f"a module '{name}' already", f"my-{name}"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    entry.refused("new", "metric", "mine", "-o", tmp_path / "full", says=("is there and not empty",))


def test_the_init_of_a_run_is_known_before_the_model_is_loaded(tmp_path: Path) -> None:
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(30))
    argv = ("compare", "-m", tmp_path / "no-model", "-d", data, "--methods", "pt", "--init", "voacb")
    entry.refused(*argv, says=("There is no init 'voacb'; did you mean 'vocab'?",))


def test_signatures_of_foreword_s_own_stay_as_they_were() -> None:
    assert not any("sha256" in signature(name) for name in ("random", "dense")) and "stem:no" in signature("bm25")


# -- docs/plugins.md -----------------------------------------------------------------------------------------------------


def test_every_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
    lines = list(commands(page))
    for words in lines:
        quick = ("--limit", 4, "--max-new-tokens", 4) if words[1] == "compare" else ()
        ran = entry.foreword(*words[1:], *quick)
        assert ran.code == 0, f"{' '.join(words)}\n{ran.err}"
    assert len(lines) == 4
    for kind, group in KINDS.items():
        assert f"| {kind} | `{group}` |" in page
