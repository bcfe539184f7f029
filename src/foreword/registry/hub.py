"""A repository of the Hugging Face hub that holds one prompt, as PEFT opens it: a version is pushed as a commit and pulled by branch, tag
or commit; it refuses to make one public unless it is told to."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import RevisionNotFoundError

from foreword.registry.index import Version
from foreword.registry.names import checked_alias, checked_name
from foreword.registry.registry import Registry
from foreword.registry.stored_prompt import ENDINGS
from foreword.util.errors import ForewordError

SCHEME = "hf://"
REPOSITORY = re.compile(r"hf://(?:models/)?(?P<id>\w[\w.-]*/\w[\w.-]*)/?", re.ASCII)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Hub:
    """A repository by its url, `hf://owner/name`. The token is the one that the hub's own tools keep. Raises ForewordError for a url that
    names none."""

    url: str

    def __post_init__(self) -> None:
        if REPOSITORY.fullmatch(self.url) is None:
            raise ForewordError(f"{self.url} names no repository of the hub; write hf://OWNER/NAME.")

    @property
    def id(self) -> str:
        """OWNER/NAME."""
        match = REPOSITORY.fullmatch(self.url)
        assert match is not None
        return match["id"]

    def push(
        self, registry: Registry, reference: str, *, aliases: Sequence[str] = (), public: bool = False
    ) -> tuple[Version, bool]:
        """Make a version's files the files of the repository's main branch, in one commit, and let tags of the aliases' names point to it;
        the version, and whether that changed the branch. The repository is made, private unless `public`, where it is not there."""
        index, version = registry.resolve(reference)
        for alias in aliases:
            checked_alias(alias)
        registry.load(index.name, version)
        folder, message = (
            registry.place(index.name, version),
            f"{index.name}, version {version.number}: {version.digest}",
        )

        def commit() -> bool:
            api = HfApi()
            api.create_repo(self.id, private=not public, exist_ok=True)
            before = api.model_info(self.id).sha
            commit_info = api.upload_folder(
                repo_id=self.id, folder_path=folder, commit_message=message, delete_patterns="*", revision="main"
            )
            for alias in aliases:
                _point(api, self.id, alias, commit_info.oid)
            return bool(commit_info.oid != before)

        return version, self._called("pushed to", commit)

    def pull(self, registry: Registry, reference: str, *, aliases: Sequence[str] = ()) -> tuple[Version, bool]:
        """Add what the repository holds to a store here. reference: the name here, with @ a branch, tag or commit there. Raises
        ForewordError where it is no prompt, or its certificate was made for other numbers."""
        name, _, revision = reference.partition("@")
        checked_name(name)
        patterns = [f"*{ending}" for ending in ENDINGS]
        there = Path(
            self._called(
                "pulled from",
                lambda: HfApi().snapshot_download(self.id, revision=revision or None, allow_patterns=patterns),
            )
        )

        def write(part: Path) -> None:
            for path in sorted(there.iterdir()):
                if path.is_file() and path.suffix in ENDINGS:
                    shutil.copyfile(path, part / path.name)

        return registry.add(name, write, note=f"{self.url}@{there.name}", aliases=aliases)

    def _called(self, what: str, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except ForewordError:
            raise
        except Exception as error:  # the hub's library raises many kinds; the user gets one sentence
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ForewordError(
                f"Nothing could be {what} {self.url} ({reason}); check the name, the network, and that `hf auth login` was run."
            ) from error


def _point(api: HfApi, repository: str, tag: str, commit: str) -> None:
    """Let a tag name a commit, whatever it named before."""
    with contextlib.suppress(RevisionNotFoundError):
        api.delete_tag(repository, tag=tag)
    api.create_tag(repository, tag=tag, revision=commit)
