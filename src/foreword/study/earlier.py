"""What another study in the same folder said is kept beside the new one; it refuses to write over what cannot be made again."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foreword.util.errors import ForewordError
from foreword.util.files import canonical, read_json, whole_folder

REPORT, DOCUMENT, FOLDER = "report.html", "compare.json", "earlier"


def keep_earlier(out: Path, document: Mapping[str, Any]) -> Path | None:
    """Copy report.html and compare.json of the study that stands in the folder to a folder of its own inside it, unless the new
    document answers all that it does: the same trials and more, under the same settings. Returns that folder, None where nothing is
    to be kept."""
    there = [path for path in (out / REPORT, out / DOCUMENT) if path.is_file()]
    if not there:
        return None
    try:
        earlier = read_json(out / DOCUMENT, "comparison")
    except ForewordError:  # none of foreword's, or damaged: kept as it is
        earlier = None
    if isinstance(earlier, dict) and _covers(document, earlier):
        return None
    return _copied(there, out / FOLDER / _name(earlier, there))


def keep_comparison(out: Path) -> Path | None:
    """Copy the report and the document of a comparison that stands in the folder to a folder of its own inside it, once, before the page
    of a study takes the report's name; that folder, None where there is none, or it was kept already."""
    there = [path for path in (out / REPORT, out / DOCUMENT) if path.is_file()]
    if not (out / DOCUMENT).is_file():
        return None
    folder = out / FOLDER / _name(read_json(out / DOCUMENT, "comparison"), there)
    return None if folder.is_dir() else _copied(there, folder)


def keep_document(out: Path, document: Path, ids: Sequence[str]) -> Path:
    """Copy what a study of these cells was, and the report of the folder, to a folder of its own inside it; that folder."""
    digest = hashlib.sha256(canonical(sorted(ids)).encode()).hexdigest()[:8]
    there = [path for path in (document, out / REPORT) if path.is_file()]
    return _copied(there, out / FOLDER / f"{document.stem}-{digest}")


def _copied(paths: Sequence[Path], folder: Path) -> Path:
    with whole_folder(folder) as part:
        for path in paths:
            shutil.copy2(path, part / path.name)
    return folder


def _covers(document: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    trials = earlier.get("trials")
    if not isinstance(trials, dict) or not trials:
        return False
    settings = ("answers", "margin", "metric", "task", "backbone")
    same = all(document.get(name) == earlier.get(name) for name in settings)
    return same and trials.items() <= document.get("trials", {}).items()


def _name(earlier: Any, there: list[Path]) -> str:
    """A name that tells one study from another: the task's, and a digest of its trials, or of the files where those are not known."""
    if isinstance(earlier, dict) and isinstance(earlier.get("trials"), dict) and earlier["trials"]:
        about = canonical([earlier["trials"], earlier.get("answers"), earlier.get("margin")]).encode()
        task = re.sub(r"[^\w.-]+", "-", str(earlier.get("task")))[:40].strip("-.")
    else:
        about, task = b"".join(path.read_bytes() for path in there), ""
    return f"{task or 'study'}-{hashlib.sha256(about).hexdigest()[:8]}"
