"""What the model gets for one example, piece by piece; it refuses to render anything that is not sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from foreword.config.run import Run
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.engine import Backbone
from foreword.prompts.context import Instruction
from foreword.prompts.layout import Laid, Layout
from foreword.prompts.methods import Method
from foreword.study.fitting import fitting_split
from foreword.study.plan import backbone_of, encoder_of, plainly, specs_of, suits, with_init_prompt
from foreword.study.remembered import cut_as_tuned, pool_of
from foreword.study.resolve import checked, heard, scored_task
from foreword.study.single import with_prompt
from foreword.study.trial import Trial
from foreword.util.errors import unknown
from foreword.util.progress import Progress, silent

BOX = "▢"


@dataclass(frozen=True)
class Piece:
    """kind: soft prompt, start, words, demonstration, question, end or, in a chat, answer (what stands before the answer). source: a
    demonstration's id. role: whose turn it is in a chat. controls: the control tokens in it, which the model gets as such and not as
    text."""

    kind: str
    text: str
    tokens: int
    source: str = ""
    similarity: float | None = None
    role: str = ""
    controls: tuple[str, ...] = ()


@dataclass(frozen=True)
class RenderedExample:
    """One example as it is sent. ids: its tokens, the tokenizer's own start and end included, the soft prompt's positions not.
    specials: texts in it that are control tokens, as they stand in the pieces of a chat. notes: what the task's data show."""

    example: str
    method: str
    pieces: tuple[Piece, ...]
    tokens: int
    window: int | None
    reserve: int
    dropped: int
    targets: tuple[str, ...]
    ids: tuple[int, ...]
    specials: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


# What each short cut is, for a reader of the table.
SHORT_CUTS = {
    "prefix_cache": "the prefix is run once and shared by all rows",
    "left_padding": "rows of several lengths grow in one batch",
    "logits_to_keep": "logits are made at the answers' positions alone",
    "incremental_decoding": "an answer grows by one token a pass, out of a cache",
    "packed_sequence": "prefix and rows stand in one sequence, nothing padded",
    "shared_prefix": "answers grow beside a prefix that is held once",
    "fused_lm_head_loss": "loss and gradient of the output layer come in parts",
    "gradient": "the loss has a gradient, so prompts can be tuned",
}


def show_engine(run: Run) -> dict[str, Any]:
    """Which short cuts the engine takes for the model that a run names, and why not the others: as found by loading it."""
    backbone = backbone_of(run)
    engine, by_name = backbone.engine, {"gradient": "gradient" not in backbone.engine.reasons}
    by_name |= asdict(engine.capabilities)
    rows = [
        {
            "name": name,
            "what": what,
            "taken": by_name[name],
            "why_not": "" if by_name[name] else engine.reasons.get(name, ""),
        }
        for name, what in SHORT_CUTS.items()
    ]
    return {
        "model": backbone.name,
        "model_type": backbone.model.config.model_type,
        "kind": backbone.kind,
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "short_cuts": rows,
        "factor_of_input_vectors": engine.factor,
        "alone_beyond": engine.switch,
        "notes": list(backbone.notes),
    }


def show_input(
    run: Run, prompt: str, label: str | None, example: str, *, progress: Progress = silent
) -> RenderedExample:
    """The pieces of one test example under one method, demonstrations retrieved as in a trial. example: its id, or empty for the
    first that a comparison would answer. Raises ForewordError for an unknown id."""
    if prompt or label is None:
        run, soft = with_prompt(run, prompt, label)
    else:
        run, soft = heard(run.model_copy(update={"methods": [label]})), None
    run, init_prompt = with_init_prompt(checked(run if soft is None else cut_as_tuned(run, soft)))
    task = scored_task(run, whole_pool=True)
    task = task if task.train else replace(task, train=pool_of([soft], task.test))
    known = {candidate.id: candidate for candidate in task.test}
    if example and example not in known:
        raise unknown("test example", example, list(known)[:1000])
    backbone = backbone_of(run, progress)
    task = plainly(run, backbone, task)
    spec = specs_of(run, init_prompt)[0]
    if spec.start_prompt is not None and prompt:
        suits(run, backbone, spec.start_prompt)
    chosen = known[example] if example else _first(run, backbone, task, spec.method)
    encode = encoder_of(run, backbone)[1] if spec.method.retriever == "dense" else None
    spec = replace(spec, tuning=run.tuning.model_copy(update={"max_steps": 0}))
    example_task = replace(task, test=(chosen,))
    layout = Trial(spec, backbone, example_task, Path(), encode, run.batch_size, progress).layout()
    laid = layout.lay(chosen)
    fitted = laid.fitted
    pieces = _running(layout, laid) if layout.chat is None else _turns(layout, laid)
    start = backbone.tokenizer.start if layout.chat is None or layout.chat.begins else ()
    end = backbone.tokenizer.end if backbone.kind == "seq2seq" else ()
    return RenderedExample(
        example=chosen.id,
        method=spec.label,
        pieces=tuple(pieces),
        tokens=sum(piece.tokens for piece in pieces),
        window=backbone.window,
        reserve=layout.answer_room(chosen),
        dropped=fitted.dropped,
        targets=chosen.targets,
        ids=start + fitted.ahead + fitted.prefix + fitted.own + end,
        specials=() if layout.chat is None else layout.chat.controls,
        notes=task.remarks,
    )


def _running(layout: Layout, laid: Laid) -> list[Piece]:
    """The pieces of running text."""
    backbone, fitted = layout.backbone, laid.fitted
    words = "".join(s.text for s in layout.context(laid.example).segments if isinstance(s, Instruction))
    pieces = [Piece("soft prompt", BOX * fitted.soft, fitted.soft)] if fitted.soft else []
    pieces += _special("start", backbone.tokenizer, backbone.tokenizer.start)
    first = True
    if words:
        ids = backbone.tokenizer.ids(words, first=True)
        pieces.append(Piece("words", words, len(ids), controls=backbone.tokenizer.controls(ids)))
        first = not ids
    for demonstration in fitted.shown:
        ids = ()
        for part in demonstration.parts:
            ids += backbone.tokenizer.ids(part, first=first and not ids)
        controls = backbone.tokenizer.controls(ids)
        pieces.append(
            Piece(
                "demonstration",
                demonstration.text,
                len(ids),
                demonstration.id,
                demonstration.similarity,
                controls=controls,
            )
        )
        first = False
    question_ids = (fitted.prefix + fitted.own)[-fitted.question :] if fitted.question else ()
    pieces.append(Piece("question", laid.question, fitted.question, controls=backbone.tokenizer.controls(question_ids)))
    if backbone.kind == "seq2seq":
        pieces += _special("end", backbone.tokenizer, backbone.tokenizer.end)
    return pieces


def _turns(layout: Layout, laid: Laid) -> list[Piece]:
    """The turns of a chat, each with the words and control tokens that the template puts around it."""
    assert layout.chat is not None
    fitted, template = laid.fitted, layout.template
    words = any(isinstance(s, Instruction) for s in layout.context(laid.example).segments)
    turns = layout.chat.turns(template.instruction if words else "", fitted.shown, laid.question)
    box = Piece("soft prompt", BOX * fitted.soft, fitted.soft)
    pieces = [box] if fitted.soft and not layout.inside else []
    demonstrated = iter([shown for shown in fitted.shown for _ in ("user", "assistant")])
    *turns, last = turns
    for role, ids in turns:
        if not role:
            pieces.append(box)
            continue
        opening = role == "system" or (layout.inside and not pieces)
        shown = None if opening else next(demonstrated, None)
        kind = "words" if opening else "question" if shown is None else "demonstration"
        source, similarity = ("", None) if shown is None else (shown.id, shown.similarity)
        pieces.append(Piece(kind, layout.chat.text(ids), len(ids), source, similarity, role))
    return [*pieces, Piece("answer", layout.chat.text(last[1]), len(last[1]), role=last[0])]


def _first(run: Run, backbone: Backbone, task: Task, method: Method) -> Example:
    """The first test example that is not left out; where all are, the very first."""
    for candidate in task.test:
        if fitting_split(run, backbone, replace(task, train=(), dev=(), test=(candidate,)), [method], "test"):
            return candidate
    return task.test[0]


def _special(kind: str, words: Any, ids: tuple[int, ...]) -> list[Piece]:
    return [Piece(kind, "".join(words.pieces(ids)), len(ids), controls=words.controls(ids))] if ids else []
