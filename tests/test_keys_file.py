"""The file of API keys: what it may hold, who may read it, and what `--drop` leaves."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from foreword.serve.keys import drop_key, new_key, read_keys
from foreword.util.errors import ForewordError

DIGEST = "0" * 64


def written(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"keys": list(entries)}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"admin": "false"}, "keys.0.admin"),  # any text but the empty one would be true
        ({"prompt": ["reviews"]}, "keys.0.prompt"),  # a limit by a wrong name would be none
        ({"prompts": "reviews"}, "keys.0.prompts"),  # its letters
        ({"prompts": [None]}, "keys.0.prompts.0"),
        ({"rate": 1.5}, "keys.0.rate"),
        ({"rate": -1}, "keys.0.rate"),
        ({"name": 5}, "keys.0.name"),  # which --drop would not find
        ({"sha256": "A" * 64}, "keys.0.sha256"),  # which no key has
        ({"sha256": "é" * 64}, "keys.0.sha256"),  # which cannot be compared at all
    ],
)
def test_a_key_that_would_have_to_be_guessed_at_is_refused(tmp_path: Path, changes: dict[str, Any], what: str) -> None:
    path = written(tmp_path / "keys.json", {"name": "alice", "sha256": DIGEST} | changes)
    with pytest.raises(ForewordError, match="is damaged") as refusal:
        read_keys(path)
    assert f"({what}: " in str(refusal.value) and str(refusal.value).endswith("make one with `foreword keys`.")


@pytest.mark.parametrize("whole", ["[]", '{"keys": {}}', '{"key": []}', "5"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, whole: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(whole, encoding="utf-8")
    with pytest.raises(ForewordError, match="is damaged"):
        read_keys(path)


def test_a_name_that_all_keys_have_cannot_be_dropped(tmp_path: Path) -> None:
    alike = [{"name": "alice", "sha256": DIGEST}, {"name": "alice", "sha256": "1" * 64}]
    path = written(tmp_path / "keys.json", *alike)
    with pytest.raises(ForewordError, match="'alice' is the last key"):
        drop_key(path, "alice")
    assert len(read_keys(path)) == 2
    written(path, *alike, {"name": "bob", "sha256": "2" * 64})
    drop_key(path, "alice")
    assert [key.name for key in read_keys(path)] == ["bob"]


def test_a_drop_from_no_file_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match="There is no file of API keys"):
        drop_key(tmp_path / "none" / "keys.json", "alice")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of another kind")
def test_a_changed_file_is_read_by_those_who_could_read_it_and_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "keys.json", tmp_path / "etc" / "keys.json"
    new_key(path, "alice")
    link.parent.mkdir()
    link.symlink_to(path)
    path.chmod(0o640)
    new_key(link, "bob")
    drop_key(link, "alice")
    assert link.is_symlink() and [key.name for key in read_keys(path)] == ["bob"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(link.parent.iterdir()) == [link], "one lock for a file, by whatever name"
