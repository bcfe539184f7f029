"""The log of a running server whose file is moved or deleted under it, and what a log that cannot be written says."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from foreword.serve.errors import as_http
from foreword.serve.log import LogError, RequestLog, lines_of


def ids(*paths: Path) -> list[int]:
    return [line["id"] for path in paths for line in lines_of(path)]


@pytest.mark.parametrize("how", ["moved", "deleted", "replaced", "with its folder"])
def test_a_log_that_was_moved_or_deleted_is_begun_anew(tmp_path: Path, how: str) -> None:
    """The server went on in the moved file unseen, and at --log-bytes every request was answered by 503 for good."""
    path, moved = tmp_path / "logs" / "log.jsonl", tmp_path / "moved.jsonl"
    log = RequestLog(path, 60)
    log.write({"id": 1})
    if how == "with its folder":
        shutil.rmtree(path.parent)
    elif how == "deleted":
        path.unlink()
    else:
        path.rename(moved)
    if how == "replaced":
        path.write_bytes(b"")
    for number in range(2, 6):  # 60 bytes hold three of them
        log.write({"id": number})
    log.close()
    assert not moved.is_file() or ids(moved) == [1]
    files = [*sorted(path.parent.glob("log-*")), path]
    assert len(files) == 2 and ids(*files) == [2, 3, 4, 5]


def test_a_log_that_goes_while_it_is_put_aside_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    log = RequestLog(path, 30)
    log.write({"id": 1})
    size = path.stat().st_size
    path.unlink()
    monkeypatch.setattr(log, "_size_in_place", lambda: size)  # it went after the look
    log.write({"id": 2})
    log.close()
    assert ids(path) == [2]


def test_a_log_that_was_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    """By its size before that it was put aside early, and a failure filled it up with zeros."""
    path = tmp_path / "log.jsonl"
    log = RequestLog(path, 60)
    for number in (1, 2, 3):
        log.write({"id": number})
    os.truncate(path, 0)
    log.write({"id": 4})
    log.close()
    assert ids(path) == [4] and not list(tmp_path.glob("log-*"))


def test_a_log_that_another_server_has_taken_is_refused_while_it_has_it(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = RequestLog(path)
    path.rename(tmp_path / "moved.jsonl")
    other = RequestLog(path)
    with pytest.raises(LogError, match="Another server writes the log") as refusal:
        log.write({"id": 1})
    assert as_http(refusal.value).status == 503
    other.close()
    log.write({"id": 2})
    log.close()
    assert ids(path) == [2]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_space_is_asked_for_only_where_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    log = RequestLog(tmp_path / "log.jsonl")

    def failing(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched, pytest.raises(LogError) as refusal:
        patched.setattr("foreword.serve.log.os.write", failing)
        log.write({"id": 1})
    log.close()
    full = number != errno.EIO
    assert ("free some space" in str(refusal.value), "folder can be written" in str(refusal.value)) == (full, not full)
