"""What is written into a version's folder when it is added: a prompt's files, or an instruction only, with demonstrations and choices; a
second set of what the folder has is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foreword.data.conversations import system_message
from foreword.data.examples import Columns, Example, examples
from foreword.data.readers import Rows, read_rows
from foreword.data.template import Template
from foreword.prompts.methods import Method, parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.registry.stored_prompt import (
    FREE,
    POOL,
    StoredPrompt,
    Use,
    digests_of,
    load_stored_prompt,
    read_use,
    words_only,
    write_pool,
    write_use,
)
from foreword.util.errors import ForewordError


@dataclass(frozen=True)
class NewVersion:
    """What a user gives to be kept. folder: a prompt that `foreword tune`, `compare` or PEFT wrote; None without a soft
    prompt, where `method` then names. template: the parts of the template that are given, without a soft prompt.
    demonstrations: a file of worked examples. columns: of that file, by the names of `Columns`; what is not given is as the folder's own
    data had it. seed: of what is drawn, 0 where none is given."""

    folder: Path | None = None
    method: str = ""
    shots: int = 1
    seed: int | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    demonstrations: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    choices: Sequence[str] = ()
    max_new_tokens: int | None = None
    encoder: str = ""


def writer(new: NewVersion) -> Callable[[Path], None]:
    """What writes a version's folder. Raises ForewordError for what cannot be meant, before anything is written."""
    if new.max_new_tokens is not None and new.max_new_tokens < 1:
        raise ForewordError(
            f"--max-new-tokens is {new.max_new_tokens}, and an answer has at least one token; give 1 or more."
        )
    if new.folder is None:
        return _words(new)
    if new.method or new.template or new.seed is not None:
        raise ForewordError(
            "A prompt's folder brings its method, wording and seed along; leave out --method, --question, --answer, --instruction, "
            "--separator, --stop, --allow-empty and --seed, or the folder."
        )
    if not new.folder.is_dir():
        raise ForewordError(
            f"There is no prompt folder at {new.folder}; give the folder that `foreword tune` or PEFT wrote."
        )
    source = new.folder
    digests_of(source)
    stored = load_stored_prompt(source)
    _refuse_unread(new, stored.method, f"the prompt was made by '{stored.provenance.label or 'pt'}', which")
    pool = _pool(new, stored.template(Template()), _rows(new), stored)
    if pool and stored.pool:
        raise ForewordError(
            f"The folder {source} keeps its own demonstrations and others are given; leave --demonstrations out."
        )
    had = read_use(source)
    use = Use(
        list(new.choices) or had.choices,
        had.metrics,
        new.max_new_tokens or had.max_new_tokens,
        new.encoder or had.encoder,
    )

    def write(part: Path) -> None:
        for path in source.iterdir():
            shutil.copyfile(path, part / path.name)
        _complete(part, pool, use)

    return write


def _words(new: NewVersion) -> Callable[[Path], None]:
    if not new.method:
        raise ForewordError(
            "There is nothing to add; give a prompt's folder, or --method zero, few or icl for words only."
        )
    row = parse(new.method, shots=new.shots, retriever="bm25", retrievers=list(RETRIEVERS))
    if row.trains:
        raise ForewordError(
            f"The method '{new.method}' trains something; give the folder that `foreword tune` wrote, or name zero, few or icl."
        )
    _refuse_unread(new, row, f"the method '{new.method}'")
    wording: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in new.template.items()}
    rows = _rows(new)
    if not wording.get("instruction"):
        columns = Columns(**new.columns)
        system = system_message(rows, new.demonstrations, columns.input, columns.target)
        wording |= {"instruction": system} if system else {}
    pool = _pool(new, Template(**wording), rows)
    use = Use(list(new.choices), [], new.max_new_tokens, new.encoder)

    def write(part: Path) -> None:
        words_only(part, new.method, row, wording, new.seed or 0)
        _complete(part, pool, use, always=True)

    return write


def _refuse_unread(new: NewVersion, row: Method, who: str) -> None:
    """Raises ForewordError for what is given and would change no answer of a method."""
    unread = {
        "Columns are": (new.columns and not new.demonstrations, "reads none without --demonstrations; leave them out"),
        "Demonstrations are": (new.demonstrations and row.demonstrations == "none", "shows none; leave them out"),
        "An encoder is": (new.encoder and row.retriever != "dense", "reads none; leave --encoder out, or use dense"),
        "A seed is": (new.seed is not None and not row.random(), "draws nothing; leave --seed out"),
    }
    for what, (present, why) in unread.items():
        if present:
            raise ForewordError(f"{what} given, and {who} {why}.")


def _complete(part: Path, pool: Sequence[Example], use: Use, *, always: bool = False) -> None:
    if pool:
        write_pool(part / POOL, pool)
    if always or use != Use():
        write_use(part, use)


def _rows(new: NewVersion) -> Rows:
    return read_rows(new.demonstrations, as_written=True) if new.demonstrations else []


def _pool(new: NewVersion, template: Template, rows: Rows, stored: StoredPrompt | None = None) -> tuple[Example, ...]:
    """The worked examples that are given, read as the folder's prompt, where there is one, was tuned on its own."""
    if not new.demonstrations:
        return ()
    columns = Columns(**{**({} if stored is None else stored.provenance.columns), **new.columns})
    columns = replace(columns, choices=None) if new.choices else columns
    choices = () if stored is None or columns.choices else stored.choices
    pool = examples(
        rows,
        columns,
        choices=() if list(new.choices) == [FREE] else new.choices or choices,
        empty_answers=template.empty_answers,
        origin=new.demonstrations,
        fields_needed=template.names(),
        prefix="demonstration",
    )
    return tuple(pool)
