"""A site of studies made again: its own files are new, those of others stay; it refuses to take a user's file for its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import study_pages
from foreword.report.study import StudyPage, write_site
from foreword.report.study.site import listed
from foreword.util.errors import ForewordError

OWN = study_pages.own()


def write(folder: Path, *pages: StudyPage) -> Path:
    write_site(folder, {"runs/a": pages or [OWN]})
    return folder


def files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file()}


def test_what_others_put_into_a_sites_folder_stays(tmp_path: Path) -> None:
    site = write(tmp_path / "site")
    fresh = files(site)
    mine = {"CNAME": "example.org", "notes.html": "mine", ".git/HEAD": "ref: x", "figures/mine.svg": "<svg/>"}
    (site / ".git" / "refs").mkdir(parents=True)
    for name, text in mine.items():
        (site / name).write_text(text, encoding="utf-8")
    (site / "link").symlink_to("nowhere")
    for _ in range(2):
        write(site)
        assert files(site) == fresh | mine and (site / ".git" / "refs").is_dir() and (site / "link").is_symlink()
    listed_there = fresh["foreword-site.txt"].splitlines()[1:]
    assert listed_there == sorted(fresh) and "CNAME" not in files(site)["foreword-site.txt"]


def test_a_page_that_is_no_more_goes_and_a_users_file_of_a_new_pages_name_is_named(tmp_path: Path) -> None:
    site = write(tmp_path / "site", OWN, replace(OWN, name="second"))
    assert (site / "second.html").is_file()
    write(site)
    assert not (site / "second.html").exists()
    (site / "second.html").write_text("dear", encoding="utf-8")
    before = files(site)
    with pytest.raises(ForewordError, match=r"second\.html is none of the site's files"):
        write(site, OWN, replace(OWN, name="second"))
    assert files(site) == before


def test_a_site_of_an_earlier_version_that_holds_more_is_refused(tmp_path: Path) -> None:
    site = write(tmp_path / "site")
    mark = site / "foreword-site.txt"
    for text in ("A site that `foreword report` wrote; it may write it anew.\n", ""):
        mark.write_text(text, encoding="utf-8")
        write(site)
        mark.write_text(text, encoding="utf-8")
        (site / "notes.md").write_text("dear", encoding="utf-8")
        with pytest.raises(ForewordError, match=r"holds notes\.md beside a site of an earlier version"):
            write(site)
        assert (site / "notes.md").read_text(encoding="utf-8") == "dear"
        (site / "notes.md").unlink()


def test_a_study_does_not_take_the_name_of_the_index_nor_of_another(tmp_path: Path) -> None:
    names = ("index", "Index", "a--2", "a", "A", "a")
    entries = listed({"runs": [replace(OWN, name=name) for name in names]})
    assert [entry.name for entry in entries] == ["index--2", "Index--3", "a--2", "a", "A--3", "a--4"]
    site = write(tmp_path / "site", replace(OWN, name="index"))
    assert "report of studies" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "index--2.html").is_file()
