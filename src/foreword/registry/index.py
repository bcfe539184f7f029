"""The index of one name in a store: its versions and where each alias points, in one file that is replaced whole."""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from foreword.registry.names import Reference
from foreword.util.errors import ForewordError, nearest
from foreword.util.files import read_json, write_json

FILE, LAYOUT = "index.json", 1
WHOLE = re.compile(r"[0-9a-f]{64}")
PLAIN = re.compile(r"[^./\\:][^/\\:]*")  # a file's name that leads nowhere else, on any system
DEFAULT = "production"  # the alias that a bare name means, where it is set


@dataclass(frozen=True)
class Version:
    """One version of a prompt. number: counted from 1, never given twice. digest: of its files' contents. files: each file's sha256.
    parents: versions that it came from, as `name@digest`. added: when, in UTC."""

    number: int
    digest: str
    files: dict[str, str]
    added: str
    parents: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Index:
    """What is known of a name, which is its folder's: one that was copied or renamed has a name of its own. next: the number of the
    version that comes next. aliases: for each the digests that it has pointed to, the last of which is where it points. decisions: of
    gates before an alias, with their numbers, the oldest first."""

    name: str
    next: int = 1
    versions: tuple[Version, ...] = ()
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    decisions: tuple[dict[str, Any], ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Index | None:
        """The index in a name's folder; None where there is none. Raises ForewordError for a damaged one."""
        path = folder / FILE
        if not path.is_file():
            return None
        return cls.of(read_json(path, "registry's index"), folder.name, str(path))

    @classmethod
    def of(cls, raw: Any, name: str, where: str) -> Index:
        """The index of a name by the values of its file. where: for refusals. Raises ForewordError for damaged ones."""
        try:
            if raw["layout"] != LAYOUT:
                raise ForewordError(
                    f"The registry's index {where} has layout {raw['layout']}, and this version of foreword reads {LAYOUT}; use the "
                    "version that wrote it."
                )
            versions = tuple(Version(**{**entry, "parents": tuple(entry["parents"])}) for entry in raw["versions"])
            aliases = {str(alias): tuple(map(str, digests)) for alias, digests in raw["aliases"].items()}
            decisions = tuple(dict(decision) for decision in raw.get("decisions", ()))
            index = cls(name, int(raw["next"]), versions, aliases, decisions)
            files = [name for version in versions for name in version.files]
            if not all(WHOLE.fullmatch(version.digest) for version in versions) or not all(map(PLAIN.fullmatch, files)):
                raise ValueError("a digest is none, or a file lies elsewhere")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ForewordError(
                f"The registry's index {where} is damaged ({error!r}); restore it from a copy."
            ) from error
        known = {version.digest for version in versions}
        if any(not digests or digests[-1] not in known for digests in aliases.values()):
            raise ForewordError(
                f"The registry's index {where} has an alias that points to no version; restore it from a copy."
            )
        return index

    def write(self, folder: Path) -> None:
        """Replace the index whole."""
        write_json(folder / FILE, self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The values of its file."""
        values: dict[str, Any] = {"layout": LAYOUT, "name": self.name, "next": self.next, "aliases": self.aliases}
        decided = {"decisions": list(self.decisions)} if self.decisions else {}
        return values | {"versions": [asdict(version) for version in self.versions]} | decided

    def by_digest(self, digest: str) -> Version | None:
        """The version with this whole digest."""
        return next((version for version in self.versions if version.digest == digest), None)

    def holding(self, version: Version) -> tuple[Index, Version]:
        """The same with a version, and that as it stands here: under the next number, or, where its contents are there already, under
        theirs with these files (whose cards may be others)."""
        known = self.by_digest(version.digest)
        if known is None:
            here = replace(version, number=self.next)
            return replace(self, next=self.next + 1, versions=(*self.versions, here)), here
        here = replace(known, files=version.files)
        versions = tuple(here if other is known else other for other in self.versions)
        return replace(self, versions=versions), here

    def resolve(self, reference: Reference) -> Version:
        """The version that a reference means: a bare name is its alias `production`, else the newest. Raises ForewordError."""
        if reference.number is not None:
            matching = [version for version in self.versions if version.number == reference.number]
        elif reference.digest:
            matching = [version for version in self.versions if version.digest.startswith(reference.digest)]
        else:
            alias = reference.alias or (DEFAULT if DEFAULT in self.aliases else "")
            if alias and alias not in self.aliases:
                raise ForewordError(
                    f"The prompt '{self.name}' has no alias '{alias}'{nearest(alias, self.aliases) if self.aliases else '; it has none.'}"
                )
            digest = self.aliases[alias][-1] if alias else self.versions[-1].digest if self.versions else ""
            matching = [version for version in self.versions if version.digest == digest]
        if len(matching) != 1:
            known = ", ".join(str(version.number) for version in self.versions) or "none"
            what = "several versions that begin so" if matching else "no such version"
            raise ForewordError(f"{reference} was asked for and the store has {what}; its versions: {known}.")
        return matching[0]

    def aliases_of(self, version: Version) -> list[str]:
        """The aliases that point to a version."""
        return sorted(alias for alias, digests in self.aliases.items() if digests[-1] == version.digest)

    def pointed(self, alias: str, version: Version) -> Index:
        """The same with an alias that points to a version."""
        before = self.aliases.get(alias, ())
        if before[-1:] == (version.digest,):
            return self
        return replace(self, aliases={**self.aliases, alias: (*before, version.digest)})

    def without_alias(self, alias: str) -> Index:
        """The same without an alias. Raises ForewordError where there is no such."""
        if alias not in self.aliases:
            raise ForewordError(
                f"The prompt '{self.name}' has no alias '{alias}'{nearest(alias, self.aliases) if self.aliases else '; it has none.'}"
            )
        return replace(self, aliases={name: to for name, to in self.aliases.items() if name != alias})

    def rolled_back(self, alias: str) -> Index:
        """The same with an alias where it pointed before. Raises ForewordError where it has pointed nowhere else."""
        if alias not in self.aliases:
            self.without_alias(alias)
        there = [digest for digest in self.aliases[alias] if self.by_digest(digest) is not None]
        places = [digest for digest, _ in itertools.groupby(there)]  # before and behind one that is gone is one place
        before = places[:-1]
        if not before:
            raise ForewordError(
                f"The alias {self.name}@{alias} has pointed to no other version that is still there; move it with `foreword registry tag`."
            )
        return replace(self, aliases={**self.aliases, alias: tuple(before)})

    def without(self, version: Version) -> Index:
        """The same without a version. Raises ForewordError where an alias points to it."""
        pointing = self.aliases_of(version)
        if pointing:
            raise ForewordError(
                f"{self.name}@{version.number} is what the alias '{pointing[0]}' points to; move or untag that first."
            )
        remaining = tuple(other for other in self.versions if other != version)
        aliases = {
            alias: tuple(digest for digest in digests if digest != version.digest)
            for alias, digests in self.aliases.items()
        }
        return replace(self, versions=remaining, aliases=aliases)
