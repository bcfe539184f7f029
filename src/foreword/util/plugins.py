"""A shelf: foreword's own items of one kind and those that other packages bring through entry points, read when first asked for."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pkgutil
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from foreword.util.errors import ForewordError, unknown

KINDS = {
    "task": "foreword.tasks",
    "metric": "foreword.metrics",
    "method": "foreword.methods",
    "retriever": "foreword.retrievers",
    "init": "foreword.inits",
    "trainable": "foreword.trainables",
}
INFO = ".dist-info"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")  # `:`, `+`, `,` and `/` have meanings where names are written

Item = TypeVar("Item")


class _HasName(Protocol):
    @property
    def name(self) -> str: ...


NamedItem = TypeVar("NamedItem", bound=_HasName)


def own_items(
    package: str, path: Iterable[str], kind: str, items_of: Callable[[ModuleType], Iterable[NamedItem]]
) -> dict[str, NamedItem]:
    """The items that the files of one of foreword's own folders hold, by their names. items_of: those of a file. Raises ValueError where
    two have one name."""
    items: dict[str, NamedItem] = {}
    for file in sorted(info.name for info in pkgutil.iter_modules(path)):
        for item in items_of(importlib.import_module(f"{package}.{file}")):
            if item.name in items:
                folder = package.rpartition(".")[2]
                raise ValueError(f"Two {kind}s are called '{item.name}'; the second is in {folder}/{file}.py.")
            items[item.name] = item
    return items


@dataclass(frozen=True)
class Plugin:
    """An item that another package brings: an entry point of one of the groups. kind: of item, in a word."""

    kind: str
    point: EntryPoint

    @property
    def package(self) -> str:
        """The package and its version, as a sentence has them."""
        dist = self.point.dist
        return f"The package '{dist.name}' {dist.version}" if dist is not None else f"The package of {self.point.value}"

    def fault(self, reason: str) -> ForewordError:
        """The refusal of what the package brings, for a reason such as `is no Metric`."""
        return ForewordError(
            f"{self.package} brings the {self.kind} '{self.point.name}' ({self.point.value}), which {reason}; "
            "mend the package, or uninstall it."
        )

    def load(self) -> Any:
        """What the entry point names. Raises ForewordError where it cannot be imported, for whatever reason."""
        if not _NAME.fullmatch(self.point.name):
            raise self.fault(
                "has a name that cannot be written where names are listed (letters, digits, '.', '-', '_')"
            )
        try:
            return self.point.load()
        except (
            Exception,
            SystemExit,
        ) as error:  # the code of others may fail in any way; the sentence keeps the reason
            raise self.fault(f"cannot be imported ({type(error).__name__}: {error})") from error

    @functools.cached_property
    def identity(self) -> str:
        """The package, its version and a digest of all its files but bytecode: what may change a number is in it."""
        dist = self.point.dist
        return f"{dist.name if dist else ''}=={dist.version if dist else ''}|sha256:{self._digest()}"

    def _digest(self) -> str:
        """A digest of paths and contents: of the folder, or the one file, that the module belongs to, and of what else the package has."""
        origin, root = _place(self.point.module)
        own = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        archive = root.is_file() and root != origin
        digest = hashlib.sha256()
        for path in [*own, *([] if archive else self._beside(origin, root))]:
            if path.suffix not in (".pyc", ".pyo"):
                contents = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{Path(os.path.relpath(path, root)).as_posix()}\n{contents}\n".encode())
        return digest.hexdigest()[:24]

    def _beside(self, origin: Path, root: Path) -> list[Path]:
        """The package's files outside the folder, or the one file, of the module: those on the list of an installed package, else (it is
        used from its source folder) the modules and packages that stand beside, without tests. Raises ForewordError where neither tells."""
        dist = self.point.dist
        if dist is not None and dist.read_text("RECORD") is not None:
            base = Path(str(dist.locate_file(""))).resolve()
            listed = [part for part in dist.files or [] if ".." not in part.parts and not part.parts[0].endswith(INFO)]
            paths = {base.joinpath(*part.parts) for part in listed}
            if origin in paths:
                return sorted(path for path in paths if path != root and root not in path.parents and path.is_file())
        if any(root.parent.glob(f"*{INFO}")):
            raise ForewordError(
                f"{self.package} brings the {self.kind} '{self.point.name}' and no list of its files (RECORD), by all of which it is to be "
                "known; install it with pip."
            )
        modules = [
            path for path in root.parent.glob("*.py") if not path.name.startswith(("test_", "conftest.", "setup."))
        ]
        packages = [
            path.parent for path in root.parent.glob("*/__init__.py") if path.parent.name not in ("test", "tests")
        ]
        inner = [path for package in packages if package != root for path in package.rglob("*") if path.is_file()]
        return sorted(path for path in (*modules, *inner) if path != root)


def _place(module: str) -> tuple[Path, Path]:
    """A module's file, and the folder of the package that it belongs to, or the file itself; of what lies in a zip archive, the archive."""
    parts = module.split(".")
    spec = importlib.util.find_spec(parts[0])
    for end in range(2, len(parts) + 1):  # a namespace package is shared by strangers: what lies below it counts
        if spec is None or spec.origin is not None:
            break
        spec = importlib.util.find_spec(".".join(parts[:end]))
    if spec is None or spec.origin is None:
        raise ForewordError(f"The module '{module}' of a plug-in has no file to be known by; install it as files.")
    origin = Path(spec.origin).parent.resolve() / Path(spec.origin).name
    root = origin.parent if spec.submodule_search_locations is not None else origin
    while not root.exists():  # in a zip archive: the archive
        root = root.parent
    return origin, root


@functools.cache
def plugins(kind: str) -> Mapping[str, tuple[Plugin, ...]]:
    """The items of one kind that installed packages bring, by their names; nothing is imported."""
    entries: dict[str, tuple[Plugin, ...]] = {}
    for point in sorted(entry_points(group=KINDS[kind]), key=lambda point: (point.name, point.value)):
        entries[point.name] = (*entries.get(point.name, ()), Plugin(kind, point))
    return entries


class Shelf(Mapping[str, Item], Generic[Item]):
    """Names to the items of one kind: foreword's own in their order, then those of other packages in alphabetical order.

    own: the names of foreword's own; item: the one of a name. accept: makes an item of what an entry point names, or raises
    `Plugin.fault`. A name that two bring is refused when it is asked for.
    """

    def __init__(
        self,
        kind: str,
        own: Callable[[], Collection[str]],
        item: Callable[[str], Item],
        accept: Callable[[Any, Plugin], Item],
    ) -> None:
        self.kind, self._own, self._item, self._accept = kind, own, item, accept
        self._loaded: dict[str, Item] = {}

    def __getitem__(self, name: str) -> Item:
        """The item. Raises KeyError for an unknown name, ForewordError for a plug-in that cannot be used."""
        brought = self.plugin(name)
        if brought is None:
            if name not in self._own():
                raise KeyError(name)
            return self._item(name)
        if name not in self._loaded:
            self._loaded[name] = self._accept(brought.load(), brought)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own() or name in plugins(self.kind)

    def __iter__(self) -> Iterator[str]:
        own = list(self._own())
        return iter([*own, *(name for name in plugins(self.kind) if name not in own)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def plugin(self, name: str) -> Plugin | None:
        """The plug-in of that name; None for one of foreword's own. Raises ForewordError where two bring the name."""
        brought = plugins(self.kind).get(name, ())
        if brought and name in self._own():
            raise brought[0].fault(f"is the name of a {self.kind} of foreword's own")
        if len(brought) > 1:
            other = brought[1].package.removeprefix("The ")
            raise brought[0].fault(f"the {other} brings too")
        return brought[0] if brought else None

    def identity(self, name: str) -> str:
        """What the item of a plug-in is known by in a trial's key; empty for one of foreword's own."""
        brought = self.plugin(name)
        return "" if brought is None else brought.identity

    def named(self, name: str) -> Item:
        """The item of that name. Raises ForewordError with the nearest known name."""
        if name not in self:
            raise unknown(self.kind, name, self)
        return self[name]
