"""Stores elsewhere: a version is pushed to, or pulled from, any place that fsspec reaches, and every file is checked against its digest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from foreword.registry.index import FILE, Index, Version
from foreword.registry.names import checked_alias, parse_reference
from foreword.registry.registry import VERSIONS, Registry
from foreword.registry.stored_prompt import digests_of
from foreword.util.errors import ForewordError


class Remote:
    """A store at an fsspec url, laid out as a local one. Raises ForewordError for a url that nothing here opens."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.system, self.root = url_to_fs(url)
        except (ValueError, ImportError, OSError) as error:
            raise ForewordError(
                f"Nothing here opens {url} ({error}); install what fsspec asks for, or check the url."
            ) from error

    def index(self, name: str) -> Index | None:
        """What is known there of a name; None where there is nothing."""
        path = self._path(name, FILE)
        with self._reached():
            if not self.system.exists(path):
                return None
            content = self.system.cat_file(path)
        try:
            raw = json.loads(content)
        except ValueError as error:
            raise ForewordError(
                f"The registry's index {self.url}/{name} is damaged ({error}); restore it from a copy."
            ) from error
        return Index.of(raw, name, f"{self.url}/{name}/{FILE}")

    def push(self, registry: Registry, reference: str, *, aliases: Sequence[str] = ()) -> tuple[Version, bool]:
        """Copy a version there; it has the next number there, unless it is there already, and then what is damaged of its files is written
        anew; the version there, and whether it is new. The index goes last, so a push that is broken off changes nothing. Two that push
        to one name at once, on a place without locks, may lose one's index entry: push again. Raises ForewordError, also for what can be no
        alias."""
        for alias in aliases:
            checked_alias(alias)
        local, version = registry.resolve(reference)
        name = local.name
        registry.load(name, version)
        index = self.index(name) or Index(name)
        there = index.by_digest(version.digest)
        new = there is None
        if there is None or not self._whole(name, there):
            folder = self._path(name, VERSIONS, version.digest)
            with self._reached():
                self.system.makedirs(folder, exist_ok=True)
            for file in version.files:
                self._write(posixpath.join(folder, file), (registry.place(name, version) / file).read_bytes())
            index, there = index.holding(version)
        for alias in aliases:
            index = index.pointed(alias, there)
        whole = json.dumps(index.as_dict(), sort_keys=True, ensure_ascii=False, indent=1) + "\n"
        self._write(self._path(name, FILE), whole.encode())
        return there, new

    def pull(self, registry: Registry, reference: str, *, aliases: Sequence[str] = ()) -> tuple[Version, bool]:
        """Copy a version from there into a store here. Raises ForewordError where a file is not what its index says."""
        parsed = parse_reference(reference)
        index = self.index(parsed.name)
        if index is None:
            raise ForewordError(f"There is no prompt '{parsed.name}' at {self.url}; check the name and the url.")
        version = index.resolve(parsed)

        def write(part: Path) -> None:
            for file in version.files:
                (part / file).write_bytes(self._bytes(self._path(parsed.name, VERSIONS, version.digest, file)))
            if digests_of(part) != version.files:
                raise ForewordError(
                    f"What came from {self.url} is not {parsed.name}@{version.number}; pull it again, or push it anew."
                )

        return registry.add(parsed.name, write, descent=version.parents, note=version.note, aliases=aliases)

    def _whole(self, name: str, version: Version) -> bool:
        """Whether every file of a version is there as its index says."""
        for file, digest in version.files.items():
            path = self._path(name, VERSIONS, version.digest, file)
            with self._reached():
                if not self.system.exists(path) or hashlib.sha256(self.system.cat_file(path)).hexdigest() != digest:
                    return False
        return True

    def _path(self, *parts: str) -> str:
        return posixpath.join(self.root, *parts)

    def _bytes(self, path: str) -> bytes:
        with self._reached():
            try:
                content: Any = self.system.cat_file(path)
            except FileNotFoundError as error:
                raise ForewordError(f"A file is missing at {self.url}: {path}; push the version anew.") from error
        return bytes(content)

    def _write(self, path: str, content: bytes) -> None:
        with self._reached():
            self.system.pipe_file(path, content)

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        """Raises ForewordError for whatever the place's own library raises."""
        try:
            yield
        except ForewordError:
            raise
        except Exception as error:  # each library has kinds of its own; the user gets one sentence
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ForewordError(
                f"The store at {self.url} could not be reached or written ({reason}); check the url, the network, and your rights there."
            ) from error
