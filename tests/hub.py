"""A hub cache of a test's own, as the hub's library lays one out; it refuses to need a network."""

from __future__ import annotations

from pathlib import Path


def publish(cache: Path, name: str, folder: Path, revision: str = "main") -> None:
    """Put a folder into the cache as if it had been fetched."""
    home, commit = cache / f"models--{name.replace('/', '--')}", "a" * 40
    (home / "refs").mkdir(parents=True)
    (home / "refs" / revision).write_text(commit, encoding="utf-8")
    (home / "snapshots").mkdir()
    (home / "snapshots" / commit).symlink_to(folder, target_is_directory=True)
