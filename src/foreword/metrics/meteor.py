"""METEOR 1.5 by its own Java program, which the extra `coco` brings; it refuses to approximate it where Java is absent.

It is no Metric of the shelf, for the program gives scores, not sums. All numbers are 0..1.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from foreword.errors import ForewordError, MissingExtraError

_SEGMENT = re.compile(r"^Segment \d+ score:\s+(\S+)$", re.MULTILINE)
_FINAL = re.compile(r"^Final score:\s+(\S+)$", re.MULTILINE)
_SPACE = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


def here() -> bool:
    """Whether METEOR can run: its program is installed and Java is on the path."""
    return _jar() is not None and shutil.which("java") is not None


def absence() -> str:
    """The sentence to show where METEOR cannot run."""
    if _jar() is None:
        return str(MissingExtraError("METEOR", "coco"))
    return "METEOR needs Java, and there is no `java` on the path; install a Java runtime, version 8 or later."


def note() -> dict[str, list[str]]:
    """`{"absent": [sentence]}` for a report that would hold METEOR, where it cannot run; else nothing."""
    return {} if here() else {"absent": [absence()]}


def scores(
    outputs: Sequence[str], references: Sequence[Sequence[str]], *, slots: int | None = None
) -> tuple[list[float], float]:
    """Each output's score, and the score of the whole set (METEOR adds counts up; it is not the mean).

    Text is tokenised and lower-cased by the program (`-l en -norm`). slots: how many references the program reads for
    each output, those that an output lacks being empty lines; None for as many as the most. Raises ForewordError
    where the program cannot run or fails.
    """
    jar, java = _jar(), shutil.which("java")
    if jar is None or java is None:
        raise ForewordError(absence())
    if not outputs:
        return [], 0.0
    slots = slots or max(map(len, references))
    with tempfile.TemporaryDirectory() as folder:
        test, truth = Path(folder, "outputs"), Path(folder, "references")
        _write(test, outputs)
        _write(truth, [one for accepted in references for one in [*accepted, *[""] * (slots - len(accepted))]])
        options = ["-l", "en", "-norm", "-r", str(slots)]
        done = subprocess.run(
            [java, "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", str(jar), str(test), str(truth), *options],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    segments = [float(one) for one in _SEGMENT.findall(done.stdout)]
    final = _FINAL.search(done.stdout)
    if done.returncode or final is None or len(segments) != len(outputs):
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ForewordError(
            f"METEOR's program stopped after {len(segments)} of {len(outputs)} outputs, saying "
            f"'{said[-1] if said else 'nothing'}'; run `java -jar {jar}` to see why."
        )
    return segments, float(final.group(1))


def _jar() -> Path | None:
    found = importlib.util.find_spec("pycocoevalcap")
    for place in (found.submodule_search_locations or []) if found else []:
        jar = Path(place, "meteor", "meteor-1.5.jar")
        if jar.is_file():
            return jar
    return None


def _write(path: Path, texts: Sequence[str]) -> None:
    path.write_text("".join(_SPACE.sub(" ", text) + "\n" for text in texts), encoding="utf-8")
