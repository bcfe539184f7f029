"""What a study keeps in its folder: its cells, the state of each, their records; it refuses to believe a state whose record is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from foreword.results.cells import Cell, Scored
from foreword.results.clusters import named_anew, shared_out
from foreword.results.record import ENGINE, Record
from foreword.study.earlier import keep_document
from foreword.study.grid import CellSpec, Study, spec_of
from foreword.study.preset import Preset
from foreword.util import phrases
from foreword.util.claims import Claims
from foreword.util.errors import ForewordError
from foreword.util.files import read_object, tidy, write_json, write_json_once

STUDIES, CELLS, CLAIMS = "studies", "cells", "claims"
AXES = ("model", "task", "seed")


@dataclass(frozen=True)
class State:
    """How a cell ended. key: of its record. cause: why there is none. stamp: of the files that it was made of, by which a later run sees
    whether model or data are still the same. examples, shape, scored: see Cell. clusters: those of today's task by the ids of the
    examples for which the record has another name, or none, as no key holds them."""

    state: Literal["done", "failed"]
    key: str = ""
    cause: str = ""
    stamp: str = ""
    examples: int | None = None
    shape: dict[str, int] = field(default_factory=dict)
    scored: dict[str, Any] | None = None
    clusters: dict[str, str] = field(default_factory=dict)


class Folder:
    """The folder of a study. Cells are named by their ids, and states are written once."""

    def __init__(self, out: Path) -> None:
        self.out = out

    @property
    def claims(self) -> Claims:
        """Who is at which unit."""
        return Claims(self.out / CLAIMS)

    def state(self, id_: str) -> State | None:
        """How a cell ended; None where it has not, or where its record is not there any more."""
        path = self._path(id_)
        if not path.is_file():
            return None
        try:
            state = State(**_object(path, "state of a cell"))
        except TypeError as error:
            raise ForewordError(
                f"{path} is not of the shape this version writes ({error}); delete it and run the study again."
            ) from error
        if state.state == "done" and not self.record_path(state.key).is_file():
            return None
        return state

    def end(self, id_: str, state: State) -> None:
        """Write how a cell ended; what another wrote before stays, but a state whose record is gone."""
        path = self._path(id_)
        if not write_json_once(path, vars(state)) and self.state(id_) is None:
            write_json(path, vars(state))

    def forget(self, id_: str) -> None:
        """A cell is to be looked at again."""
        self._path(id_).unlink(missing_ok=True)

    def record_path(self, key: str) -> Path:
        """Where the record of that key stands."""
        return self.out / "records" / f"{key}.json"

    def record(self, id_: str) -> Record | None:
        """The record of a cell that is done."""
        state = self.state(id_)
        return Record.read(self.record_path(state.key)) if state is not None and state.state == "done" else None

    def ended_at(self, id_: str) -> float:
        """When a cell ended, in seconds since 1970."""
        return self._path(id_).stat().st_mtime

    def tidy(self) -> None:
        """Remove what killed workers left half written."""
        for name in (STUDIES, CELLS, CLAIMS, "records", "prompts"):
            if (self.out / name).is_dir():
                tidy(self.out / name)

    def _path(self, id_: str) -> Path:
        return self.out / CELLS / f"{id_}.json"


def _object(path: Path, what: str) -> dict[str, Any]:
    """A JSON object that a study wrote. Raises ForewordError where it is damaged, with what to do about it."""
    try:
        return read_object(path, what)
    except ForewordError as error:
        reason = str(error).rpartition(";")[0] or str(error).rstrip(".")
        raise ForewordError(f"{reason}; delete it and run the study again.") from error


def document_path(out: Path, name: str) -> Path:
    """Where it stands what a study is."""
    return out / STUDIES / f"{name}.json"


def keep(out: Path, study: Study, command: str) -> str:
    """Write what the study is. Where cells of an earlier run that are done are not in it any more, what that was is kept in a folder of
    its own, and the sentence that says so is returned; else an empty one. Raises ForewordError where the same study stands there at
    another scale."""
    path, notice = document_path(out, study.preset.name), ""
    if path.is_file():
        earlier = _object(path, "study")
        scale = earlier.get("scale")
        if scale != study.scale:
            raise ForewordError(
                f"{out} holds the study {study.preset.name} at the scale {scale}, and the scale {study.scale} is asked for; give --out "
                "another folder."
            )
        notice = _left_out(out, study, path, earlier)
    write_json(
        path,
        {
            "engine": ENGINE,
            "preset": study.preset.model_dump(),
            "scale": study.scale,
            "command": command,
            "cells": [cell.as_dict() for cell in study.cells],
        },
    )
    return notice


def _left_out(out: Path, study: Study, path: Path, earlier: Mapping[str, Any]) -> str:
    """Keep what the study was before, where it has cells that are done and not in it any more; the sentence that says so."""
    folder, known = Folder(out), {cell.id for cell in study.cells}
    before = {str(cell["id"]): cell["at"] for cell in earlier.get("cells", [])}
    states = {id_: folder.state(id_) for id_ in before if id_ not in known}
    lost = [before[id_] for id_, state in states.items() if state is not None and state.state == "done"]
    if not lost:
        return ""
    there = keep_document(out, path, list(before))
    others = []
    for axis in AXES:
        now = {getattr(cell.at, axis) for cell in study.cells}
        gone = dict.fromkeys(str(at[axis]) for at in lost if at[axis] not in now)
        others += [f"the {axis} {', '.join(gone)}"] if gone else []
    there_now = [{getattr(cell.at, axis) for cell in study.cells} for axis in AXES]
    if any(all(at[axis] in now for axis, now in zip(AXES, there_now, strict=True)) for at in lost):
        others.append("other settings")
    return (
        f"{out} holds {phrases.plural(len(lost), 'finished cell')} of {study.preset.name} that this command does not ask for "
        f"({' and '.join(others)}): the report leaves them out, and what it was is kept in {there}; ask for all in one "
        "command, or give --out another folder."
    )


@dataclass(frozen=True)
class StoredStudy:
    """A study as its folder has it."""

    out: Path
    preset: Preset
    scale: str
    command: str
    specs: tuple[CellSpec, ...]
    cells: tuple[Cell, ...]

    @property
    def folder(self) -> Folder:
        """Where it stands."""
        return Folder(self.out)

    def counts(self) -> dict[str, int]:
        """How many cells are done, failed, running and waiting."""
        states = [cell.state for cell in self.cells]
        return {name: states.count(name) for name in ("done", "failed", "running", "waiting")}


def names(out: Path) -> list[str]:
    """The studies in a folder. Raises ForewordError where there is none."""
    there = sorted(path.stem for path in (out / STUDIES).glob("*.json"))
    if not there:
        raise ForewordError(f"{out} holds no study; give the folder that `foreword study NAME --out` wrote.")
    return there


def read_specs(out: Path, name: str) -> tuple[dict[str, Any], tuple[CellSpec, ...]]:
    """The document of a study and its cells, without their records. Raises ForewordError where there is none."""
    path = document_path(out, name)
    document = _object(path, "study")
    try:
        document |= {name: str(document[name]) for name in ("scale", "command")}
        Preset.model_validate(document["preset"]).at(document["scale"])
        return document, tuple(spec_of(values) for values in document["cells"])
    except (KeyError, TypeError) as error:
        raise ForewordError(
            f"{path} is not of the shape this version writes ({error}); delete it and run the study again."
        ) from error


def read(out: Path, name: str) -> StoredStudy:
    """A study with the records of its cells, whatever is done of it; no model is loaded. Raises ForewordError where there is none."""
    document, specs = read_specs(out, name)
    folder = Folder(out)
    claimed = folder.claims.held()
    preset = Preset.model_validate(document["preset"])
    cells = [_cell(folder, spec, claimed) for spec in specs]
    records = iter(shared_out([cell.record for cell in cells if cell.record is not None]))
    cells = [cell if cell.record is None else replace(cell, record=next(records)) for cell in cells]
    return StoredStudy(out, preset, document["scale"], document["command"], specs, tuple(cells))


def as_json(stored: StoredStudy) -> dict[str, Any]:
    """A study as plain values: its cells with their scores, and how many have ended."""
    return {
        "study": stored.preset.name,
        "scale": stored.scale,
        "out": str(stored.out),
        "counts": stored.counts(),
        "cells": [
            {
                "id": cell.id,
                "at": cell.at.as_dict(),
                "paper": dict(cell.paper),
                "state": cell.state,
                "cause": cell.cause,
                "scores": None if cell.record is None else cell.record.scores,
            }
            for cell in stored.cells
        ],
    }


def _cell(folder: Folder, spec: CellSpec, claimed: dict[str, int]) -> Cell:
    state = folder.state(spec.id)
    if state is None:
        return Cell(spec.id, spec.at, spec.paper, "running" if spec.unit in claimed else "waiting")
    if state.state == "failed":
        return Cell(spec.id, spec.at, spec.paper, "failed", cause=state.cause)
    scored = None if state.scored is None else Scored(**state.scored)
    limit = spec.run.get("train_limit") or spec.run.get("limit")
    record = folder.record(spec.id)
    record = None if record is None else named_anew(record, state.clusters)
    return Cell(spec.id, spec.at, spec.paper, "done", record, "", state.examples, state.shape, scored, limit)


def units_left(folder: Folder, units: Mapping[str, Sequence[CellSpec]]) -> list[str]:
    """The units with a cell that has not ended, in their order."""
    return [name for name, cells in units.items() if any(folder.state(cell.id) is None for cell in cells)]


def ended(folder: Folder, cells: Sequence[CellSpec]) -> bool:
    """Whether all of these have ended."""
    return all(folder.state(cell.id) is not None for cell in cells)
