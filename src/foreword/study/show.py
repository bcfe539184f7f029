"""What the model gets for one example, piece by piece; it refuses to render anything that is not sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from foreword.backbone import Backbone
from foreword.config import Run
from foreword.context import Words
from foreword.data import Example
from foreword.errors import unknown
from foreword.methods import Method
from foreword.progress import Progress, silent
from foreword.study.asked import checked, scored_task
from foreword.study.plan import backbone_of, encoder_of, fitting_split, plainly, specs_of, with_carried
from foreword.study.single import with_prompt
from foreword.task import Task
from foreword.trial import Trial

BOX = "▢"


@dataclass(frozen=True)
class Piece:
    """kind: soft prompt, start, words, demonstration, question or end. source: a demonstration's id. controls: the control tokens
    in it, which the model gets as such and not as text."""

    kind: str
    text: str
    tokens: int
    source: str = ""
    similarity: float | None = None
    controls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """One example as it is sent. ids: its tokens, the tokenizer's own start and end included, the soft prompt's positions not."""

    example: str
    method: str
    pieces: tuple[Piece, ...]
    tokens: int
    window: int | None
    reserve: int
    dropped: int
    targets: tuple[str, ...]
    ids: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def show_input(run: Run, prompt: str, label: str | None, example: str, *, progress: Progress = silent) -> Shown:
    """The pieces of one test example under one method, demonstrations retrieved as in a trial. example: its id, or empty for the
    first that a comparison would answer. Raises ForewordError for an unknown id."""
    if prompt or label is None:
        run, _ = with_prompt(run, prompt, label)
    else:
        run = run.model_copy(update={"methods": [label]})
    run, given = with_carried(checked(run))
    task = scored_task(run, whole_pool=True)
    known = {one.id: one for one in task.test}
    if example and example not in known:
        raise unknown("test example", example, list(known)[:1000])
    backbone = backbone_of(run)
    task = plainly(run, backbone, task)
    spec = specs_of(run, given)[0]
    chosen = known[example] if example else _first(run, backbone, task, spec.method)
    encode = encoder_of(run, backbone)[1] if spec.method.retriever == "dense" else None
    spec = replace(spec, tuning=run.tuning.model_copy(update={"max_steps": 0}))
    asked = replace(task, test=(chosen,))
    layout = Trial(spec, backbone, asked, Path(), encode, run.batch_size, progress).layout()
    laid = layout.lay(chosen)
    fitted = laid.fitted
    words = "".join(s.text for s in layout.context(chosen).segments if isinstance(s, Words))
    pieces = [Piece("soft prompt", BOX * fitted.soft, fitted.soft)] if fitted.soft else []
    pieces += _special("start", backbone.words, backbone.words.start)
    first = True
    if words:
        ids = backbone.words.ids(words, first=True)
        pieces.append(Piece("words", words, len(ids), controls=backbone.words.controls(ids)))
        first = not ids
    for one in fitted.shown:
        ids = ()
        for part in one.parts:
            ids += backbone.words.ids(part, first=first and not ids)
        pieces.append(Piece("demonstration", one.text, len(ids), one.id, one.similarity, backbone.words.controls(ids)))
        first = False
    asked_ids = (fitted.prefix + fitted.own)[-fitted.question :] if fitted.question else ()
    pieces.append(Piece("question", laid.question, fitted.question, controls=backbone.words.controls(asked_ids)))
    start, end = backbone.words.start, backbone.words.end if backbone.kind == "seq2seq" else ()
    pieces += _special("end", backbone.words, end)
    return Shown(
        example=chosen.id,
        method=spec.label,
        pieces=tuple(pieces),
        tokens=sum(piece.tokens for piece in pieces),
        window=backbone.window,
        reserve=layout.kept(chosen),
        dropped=fitted.dropped,
        targets=chosen.targets,
        ids=start + fitted.prefix + fitted.own + end,
    )


def _first(run: Run, backbone: Backbone, task: Task, method: Method) -> Example:
    """The first test example that is not left out; where all are, the very first."""
    for one in task.test:
        if fitting_split(run, backbone, replace(task, train=(), dev=(), test=(one,)), [method], "test"):
            return one
    return task.test[0]


def _special(kind: str, words: Any, ids: tuple[int, ...]) -> list[Piece]:
    return [Piece(kind, "".join(words.pieces(ids)), len(ids), controls=words.controls(ids))] if ids else []
