"""The verbs of a store of prompts: add, list, tag, roll back, remove, collect; a version never changes, and none is lost to a second
writer or a kill."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from foreword.prompts.store import CERTIFICATE
from foreword.registry.index import Index, Version
from foreword.registry.names import checked_alias, checked_name, parse_reference
from foreword.registry.stored_prompt import FREE, StoredPrompt, digest_of, digests_of, load_stored_prompt, read_use
from foreword.util.errors import ForewordError, nearest
from foreword.util.files import read_json, tidy, whole_folder

LOCK, VERSIONS = ".lock", "versions"
PATIENCE = 30.0  # seconds that a writer waits for another


class Registry:
    """A store in a folder: NAME/index.json and NAME/versions/DIGEST/, plain files. Readers need no lock; writers of one name wait for each
    other. A version's folder is there before the index names it and goes after the index has forgotten it, so that a kill leaves
    whole versions, and at most a folder that `gc` takes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- reading ----------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The names in the store that have a version, in order; a damaged one too, which is refused when it is used."""
        names = []
        for path in sorted(self.folder.glob("*/index.json")) if self.folder.is_dir() else ():
            with contextlib.suppress(ForewordError):
                index = Index.read(path.parent)
                if index is None or not index.versions:
                    continue
            names.append(path.parent.name)
        return names

    def refuse_missing(self) -> None:
        """Raises ForewordError where no store is."""
        if not self.folder.is_dir():
            raise ForewordError(
                f"There is no store at {self.folder}; `foreword registry add FOLDER --name NAME --store {self.folder}` makes one."
            )

    def index(self, name: str) -> Index:
        """What is known of a name. Raises ForewordError where there is no such."""
        index = Index.read(self.folder / checked_name(name))
        if index is None or not index.versions:
            names = self.names()
            known = nearest(name, names) if names else "; the store is empty."
            raise ForewordError(f"There is no prompt '{name}' in the store {self.folder}{known}")
        return index

    def resolve(self, reference: str) -> tuple[Index, Version]:
        """The version that a reference means, with its name's index. Raises ForewordError."""
        parsed = parse_reference(reference)
        index = self.index(parsed.name)
        return index, index.resolve(parsed)

    def place(self, name: str, version: Version) -> Path:
        """Where a version's files lie."""
        return self.folder / name / VERSIONS / version.digest

    def load(self, name: str, version: Version) -> StoredPrompt:
        """A version, each file checked against its digest in the index. Raises ForewordError where a byte is another."""
        folder = self.place(name, version)
        if not folder.is_dir():
            raise ForewordError(
                f"The files of {name}@{version.number} are gone from {folder}; restore them from a copy, or add the same prompt again."
            )
        try:
            files = digests_of(folder)
        except FileNotFoundError:  # taken out meanwhile
            files = {}
        if files != version.files:
            changed = sorted(path for path in {*files, *version.files} if files.get(path) != version.files.get(path))
            raise ForewordError(
                f"The files of {name}@{version.number} in {folder} are not those that were added (changed: {', '.join(changed)}); restore "
                "them from a copy, or add the same prompt again."
            )
        return load_stored_prompt(folder)

    def summary(self, name: str, version: Version) -> dict[str, Any]:
        """What a list says of a version, by its certificate; its other files are not read. Raises ForewordError where that is gone or
        damaged."""
        path = self.place(name, version) / CERTIFICATE
        raw = read_json(path, "prompt's certificate") if CERTIFICATE in version.files else {"birth": {}}
        provenance = raw.get("birth") if isinstance(raw, dict) else None
        if not isinstance(provenance, dict) or not isinstance(provenance.get("settings", {}), dict):
            raise ForewordError(
                f"The certificate {path} is not the one that was added; restore it from a copy, or add the same prompt again."
            )
        use = read_use(self.place(name, version)).choices
        chooses = use or provenance.get("settings", {}).get("choices")
        return {
            "method": provenance.get("label") or "pt",
            "task": provenance.get("task", ""),
            "backbone": provenance.get("backbone", ""),
            "scores": provenance.get("scores", {}),
            "chooses": bool(chooses) and chooses != [FREE],
        }

    # -- writing ----------------------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        write: Callable[[Path], None],
        *,
        parents: Sequence[str] = (),
        descent: Sequence[str] = (),
        note: str = "",
        aliases: Sequence[str] = (),
    ) -> tuple[Version, bool]:
        """Keep what `write` puts into a folder as a version of a name; the version, and whether it is new: contents that are there already
        stay the version that they are, whose files are put in place again where they are gone or damaged. parents: references
        to versions in this store. descent: `name@digest` of parents that need not be here. aliases: that are to point to it. Raises
        ForewordError where what was written cannot be used."""
        checked_name(name)
        other = next((known for known in self.names() if known != name and known.lower() == name.lower()), None)
        if other is not None:
            raise ForewordError(f"The store has '{other}', which some disks cannot tell from '{name}'; use that name.")
        for alias in aliases:
            checked_alias(alias)
        known_parents = tuple(dict.fromkeys((*map(self._parent, parents), *descent)))
        with self._writing(name) as folder:
            index = Index.read(folder) or Index(name)
            incoming = folder / VERSIONS / f"incoming-{os.getpid()}"
            with whole_folder(incoming) as part:
                write(part)
                files = digests_of(part)
                load_stored_prompt(part).refuse_unusable()
            try:
                digest = digest_of(files)
                version = index.by_digest(digest)
                new = version is None
                if version is None or not self._whole(folder / VERSIONS / digest, version):
                    added = datetime.now(UTC).isoformat(timespec="seconds")
                    index, version = index.holding(Version(0, digest, files, added, known_parents, note))
                    self._move_in(incoming, folder / VERSIONS / digest)
                for alias in aliases:
                    index = index.pointed(alias, version)
                index.write(folder)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
        return version, new

    def tag(self, reference: str, alias: str) -> Version:
        """Let an alias point to a version."""
        checked_alias(alias)
        parsed = parse_reference(reference)
        with self._changing(parsed.name) as (folder, index):
            version = index.resolve(parsed)
            index.pointed(alias, version).write(folder)
        return version

    def untag(self, name: str, alias: str) -> None:
        """Take an alias away."""
        with self._changing(name) as (folder, index):
            index.without_alias(alias).write(folder)

    def rollback(self, name: str, alias: str) -> Version:
        """Let an alias point to where it pointed before; that version."""
        with self._changing(name) as (folder, index):
            back = index.rolled_back(alias)
            back.write(folder)
            version = back.by_digest(back.aliases[alias][-1])
        assert version is not None
        return version

    def decide(
        self, name: str, alias: str, before: str, decision: dict[str, Any], promoted: Version | None = None
    ) -> None:
        """Keep a decision about an alias in the name's history and, where a version is promoted, let the alias point to it, both at once.
        before: the digest that the alias was to point to. Raises ForewordError where it points elsewhere by now."""
        with self._changing(name) as (folder, index):
            if index.aliases.get(alias, ("",))[-1] != before:
                raise ForewordError(
                    f"The alias {name}@{alias} has moved while its gate was deciding, so nothing was changed; run the gate again."
                )
            index = replace(index, decisions=(*index.decisions, decision))
            (index if promoted is None else index.pointed(alias, promoted)).write(folder)

    def remove(self, reference: str) -> Version:
        """Take a version out. Raises ForewordError for a bare name, and where an alias points to it."""
        parsed = parse_reference(reference)
        if str(parsed) == parsed.name:
            raise ForewordError(
                f"Which version of {reference} is to go? Write {reference}@NUMBER; --all takes the whole name."
            )
        with self._changing(parsed.name) as (folder, index):
            version = index.resolve(parsed)
            index.without(version).write(folder)
            shutil.rmtree(folder / VERSIONS / version.digest, ignore_errors=True)
        return version

    def remove_all(self, name: str) -> int:
        """Take out a name with all its versions; how many they were. Numbers go on behind them, should the name come again."""
        with self._changing(name) as (folder, index):
            Index(name, index.next).write(folder)
            shutil.rmtree(folder / VERSIONS, ignore_errors=True)
        return len(index.versions)

    def collect(self) -> list[Path]:
        """Remove what no index names: what a kill or a failure left; the folders that went."""
        gone: list[Path] = []
        for folder in sorted(self.folder.glob("*/")) if self.folder.is_dir() else ():
            if not (folder / LOCK).is_file() and not (folder / "index.json").is_file():
                continue
            with self._writing(folder.name):
                index = Index.read(folder)
                known = {version.digest for version in index.versions} if index is not None else set()
                tidy(folder)
                if (folder / VERSIONS).is_dir():
                    tidy(folder / VERSIONS)
                    for place in sorted((folder / VERSIONS).iterdir()):
                        if place.name not in known:
                            shutil.rmtree(place, ignore_errors=True)
                            gone.append(place)
        return gone

    def export(self, reference: str, out: Path) -> Version:
        """Write a version's files to a folder that is not there, or is empty."""
        index, version = self.resolve(reference)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ForewordError(f"{out} is not empty; give --out a new folder.")
        self.load(index.name, version)
        with whole_folder(out) as part:
            for path in self.place(index.name, version).iterdir():
                shutil.copyfile(path, part / path.name)
        return version

    # -- parts ------------------------------------------------------------------------------------------------------

    def _parent(self, reference: str) -> str:
        index, version = self.resolve(reference)
        return f"{index.name}@{version.digest}"

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        """A name's folder, while no other writer has it."""
        folder = self.folder / checked_name(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / LOCK, timeout=PATIENCE):
                yield folder
        except Timeout as error:
            raise ForewordError(
                f"Another process has been writing to {folder} for {PATIENCE:.0f} s; wait for it, or end it."
            ) from error

    @contextlib.contextmanager
    def _changing(self, name: str) -> Iterator[tuple[Path, Index]]:
        """The same for a name that is there, with its index."""
        self.index(name)
        with self._writing(name) as folder:
            yield folder, self.index(name)

    @staticmethod
    def _whole(folder: Path, version: Version) -> bool:
        """Whether a version's files are those that were added."""
        try:
            return digests_of(folder) == version.files
        except (OSError, ForewordError):  # gone, or something was put among them
            return False

    @staticmethod
    def _move_in(incoming: Path, place: Path) -> None:
        if place.exists():  # left by a writer that was killed before it wrote the index, or damaged since
            shutil.rmtree(place)
        incoming.replace(place)
