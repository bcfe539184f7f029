"""One input: a kind, and for a folder which of its files holds what; drawn by a seed, kept in the corpus, run; it refuses to be run twice
with two results."""

from __future__ import annotations

import base64
import json
import random
import zlib
from dataclasses import dataclass
from pathlib import Path

from fuzz import bases, mutate, targets
from fuzz.guard import fault

CORPUS = Path(__file__).parent / "corpus.jsonl"
# Inputs of a kind, of a hundred; a model's folder takes a tenth of a second, the others some milliseconds.
SHARES = {
    "table": 24,
    "task": 40,
    "golden": 12,
    "config": 6,
    "override": 6,
    "template": 6,
    "label": 3,
    "form": 2,
    "choices": 1,
}
SHARES |= {"prompt": 4, "record": 2, "checkpoint": 3, "model": 3, "saved": 1, "texts": 1}


@dataclass(frozen=True)
class Case:
    """target: the kind. base, file: the folder, and the file in it that has this content (None: it is not there); "" where the input
    is words, which stand in the content as JSON."""

    target: str
    base: str
    file: str
    content: bytes | None

    def as_dict(self, why: str) -> dict[str, str]:
        """The line of the corpus."""
        packed = "" if self.content is None else base64.b85encode(zlib.compress(self.content, 9)).decode()
        return {"target": self.target, "base": self.base, "file": self.file, "content": packed, "why": why}


def corpus_cases() -> list[tuple[Case, str]]:
    """The corpus: each input with how it once failed."""
    lines = CORPUS.read_text(encoding="utf-8").splitlines() if CORPUS.is_file() else []
    corpus = []
    for line in map(json.loads, lines):
        content = zlib.decompress(base64.b85decode(line["content"])) if line["content"] else None
        corpus.append((Case(line["target"], line["base"], line["file"], content), line["why"]))
    return corpus


def drawn(seed: int, number: int, only: tuple[str, ...] = ()) -> Case:
    """The input of this number. only: of these kinds alone."""
    rng = random.Random(f"fuzz/{seed}/{number}")
    shares = {target: share for target, share in SHARES.items() if not only or target in only}
    target = rng.choices(list(shares), list(shares.values()))[0]
    if target in targets.WORDS:
        return Case(target, "", "", targets.drawn(target, rng).encode())
    name, file = rng.choice(
        [(name, file) for name, base in bases.bases().items() if name.startswith(target + "/") for file in base.changed]
    )
    base = bases.bases()[name]
    return Case(target, name, file, None if rng.random() < 0.02 else mutate.mutated(base.files[file], file, rng))


class Runner:
    """Runs inputs in folders below one that is its own; a folder is written once, and mended after each input."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fault(self, case: Case) -> str:
        """What is wrong with how this input ends; empty where nothing is."""
        if case.target in targets.WORDS:
            assert case.content is not None
            text = case.content.decode()
            return fault(lambda: targets.WORDS[case.target](text))
        folder = self._folder(case.base)
        path = folder / case.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if case.content is not None:
            path.write_bytes(case.content)
        try:
            return fault(lambda: targets.FOLDERS[case.target](folder, case.file))
        finally:
            path.unlink(missing_ok=True)
            if case.file in bases.bases()[case.base].files:
                path.write_bytes(bases.bases()[case.base].files[case.file])

    def _folder(self, base: str) -> Path:
        folder = self.root / base
        if not folder.is_dir():
            for name, content in bases.bases()[base].files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        return folder
