"""A Trial is one (backbone, task, method, seed, given prompt) to a finished record; it refuses to be keyed by names alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from foreword.config.tuning import today
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.engine import Backbone
from foreword.engine.batching import visited
from foreword.engine.memory import out_of_memory
from foreword.infer.predict import Prediction, predict
from foreword.metrics import metric
from foreword.metrics.scores import Scores, scores_of
from foreword.prompts import store
from foreword.prompts.inits import InitSource, vocab
from foreword.prompts.layout import Laid, Layout
from foreword.prompts.retrieve import RetrievedExample, fixed, make
from foreword.prompts.soft_prompt import Provenance, SoftPrompt, profile_digest, worked_digest
from foreword.results.record import Answer, Costs, DemonstrationRef, Record
from foreword.study.positions import FORWARD, answering, parted
from foreword.study.profiled import profiled
from foreword.study.remembered import questions_of, worked_rows
from foreword.study.spec import Spec
from foreword.train.loop import Tuned, dev_loss, train
from foreword.train.trainables import TRAINABLES, PrefixLike, Setup
from foreword.util.environment import hardware, versions
from foreword.util.errors import ForewordError, TrialFailedError
from foreword.util.files import held, remove_empty
from foreword.util.progress import Progress, silent

PLACE_SAMPLE, PLACE_FACTOR = 64, 1.25
COUNTED = 64  # training rows whose tokens are counted for what a training takes
DEV_BATCH = 64  # not the user's batch size: no setting that changes no answer may choose another checkpoint
CHAT = "The model was spoken to in turns, through its chat template (--chat off for running text)."
APPENDED = "The soft prompt stands behind the encoder's input: in front, it would move the input to positions unknown to this model."

Encode = Callable[[Sequence[str]], "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class Trial:
    """A spec with what it runs on. encode: text to vectors [N, H], for dense retrieval; None: the backbone's own states.
    keeps: settings of the run that a soft prompt's folder is to keep; they decide nothing here."""

    spec: Spec
    backbone: Backbone
    task: Task
    out: Path
    encode: Encode | None = None
    batch_size: int = 128
    progress: Progress = silent
    keeps: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of the contents."""
        return self.spec.key(self.backbone, self.task)

    @property
    def path(self) -> Path:
        """Where its record stands once it is finished."""
        return self.out / "records" / f"{self.key}.json"

    @property
    def name(self) -> str:
        """For people: label, seed and fold."""
        seed = f" seed {self.spec.seed}" if self.spec.method.random() else ""
        return f"{self.spec.label}{seed}{f' fold {self.spec.fold}' if self.spec.fold else ''}"

    @property
    def work(self) -> Path:
        """Its checkpoints, and the lock that keeps others from the same trial."""
        return self.out / "work" / self.key

    def finished(self) -> Record | None:
        """The record of an earlier run, if this very trial has been run and its soft prompt is still where it was kept. Raises
        ForewordError where the record is damaged, or another prompt stands there."""
        record = Record.read(self.path) if self.path.is_file() else None
        if record is None or not record.prompt:
            return record
        folder = self.out / record.prompt
        if not folder.exists():
            return None
        if store.load(folder).digest != record.fingerprints.get("soft_prompt"):
            raise ForewordError(
                f"The prompt at {folder} is not the one that was tuned for {self.name}; delete it, and it is tuned again."
            )
        return record

    def run(self) -> Record:
        """The finished record, computed if it is not there yet; written whole or not at all."""
        return self.run_or_take()[0]

    def run_or_take(self, waiting: Callable[[], None] = lambda: None) -> tuple[Record, bool]:
        """The finished record, and whether it was computed now. Of several processes, one computes; waiting: called where that is
        another, before its record is waited for. Raises TrialFailedError where the reason says nothing of other trials."""
        done = self.finished()
        if done is not None:
            return done, False
        with held(self.work, waiting):
            try:
                done = self.finished()
                if done is not None:
                    return done, False
                layout = self._placed()
                record = self._score(layout, *self._trained(layout))
                record.write(self.path)
                shutil.rmtree(self.work, ignore_errors=True)
                return record, True
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                raise TrialFailedError(
                    f"The memory is not enough for {self.name}; lower --batch-size or --train-batch-size, or use --dtype bfloat16."
                ) from error
            finally:
                remove_empty(self.work, self.work.parent)

    def computed(self, scored: Sequence[Trial], suffix: str = "") -> Iterator[Record]:
        """The records of these trials (this one may be among them), answered with what this one trains; none is written. suffix: of the
        names under which soft prompts are kept."""
        answering, tuned, prompt = self._trained(layout := self._placed())
        for trial in scored:
            own = layout if trial is self else trial.layout().placed(layout.append)
            record = trial._score(own, answering, tuned, prompt, suffix)
            yield replace(record, costs=replace(record.costs, train_flop=self._train_flop(layout, tuned)))

    def fit(self) -> tuple[Tuned | None, SoftPrompt | None]:
        """Only what this trial trains, nothing scored and nothing kept but checkpoints."""
        return self._trained(self._placed())[1:]

    def laid(self) -> list[Laid]:
        """The examples of the scored split in tokens, as this trial words them."""
        layout = self._placed()
        return [layout.lay(example) for example in self.task.split(self.spec.split)]

    # -- parts ------------------------------------------------------------------------------------------------------

    def layout(self) -> Layout:
        """How this trial words its examples, demonstrations found for every example it will need."""
        row, task, spec = self.spec.method, self.task, self.spec
        shown = fixed(task.train, row.k, spec.seed) if row.demonstrations == "fixed" else []
        retrieved: dict[str, list[RetrievedExample]] | None = None
        if row.demonstrations == "retrieved":
            needed = list(task.split(spec.split))
            if row.trains and spec.tuning.max_steps > 0:
                places = visited(len(task.train), spec.tuning.batch_size, spec.tuning.max_steps, seed=spec.seed)
                needed += [*(task.train[place] for place in places), *self._dev()]
            retriever = make(row.retriever, task.train, seed=spec.seed, encode=self.encode or self.backbone.states)
            unique = list({example.id: example for example in needed}.values())
            retrieved = {
                example.id: list(each) for example, each in zip(unique, retriever.find_all(unique, row.k), strict=True)
            }
        return Layout(
            self.backbone,
            task.template,
            row,
            soft=self._length() if row.soft else 0,
            reserve=spec.max_new_tokens,
            fixed=shown,
            retrieved=retrieved,
            inside=self._asked_place() == "system",
            calibrated=spec.choice_score == "calibrated",
        )

    def _placed(self) -> Layout:
        """The layout with the soft prompt, if there is one, where it is to stand."""
        layout = self.layout()
        return layout.placed(self.spec.method.soft and self._appends(layout))

    def _length(self) -> int:
        return self.spec.tuning.prompt_length if self.spec.start_prompt is None else self.spec.start_prompt.length

    def _dev(self) -> tuple[Example, ...]:
        if not self.task.dev:
            raise ForewordError(
                f"The task '{self.task.name}' has no dev examples to choose the best prompt by; give a dev split."
            )
        return self.task.limited({"dev": self.spec.tuning.dev_limit}).dev

    def _asked_place(self) -> str:
        """Where the soft prompt is to stand: as it was trained, where it is used as it is."""
        start, tuning = self.spec.start_prompt, self.spec.tuning
        return today(start.provenance.place) if start is not None and tuning.max_steps == 0 else tuning.place

    def _appends(self, layout: Layout) -> bool:
        """Whether the soft prompt stands behind the encoder's input. `auto`: in front, as Lester et al. have it, unless the encoder
        has absolute positions and the untrained prompt in front, which moves the whole input, costs a quarter more loss on the
        first training examples than the same prompt behind it."""
        backbone, place = self.backbone, self._asked_place()
        if place == "append" and backbone.kind != "seq2seq":
            raise ForewordError(
                "A prompt appended to the input (place=append) needs an encoder-decoder; this model reads left to right."
            )
        if place != "auto" or backbone.kind != "seq2seq" or backbone.relative:
            return place == "append"
        examples = self.task.train[:PLACE_SAMPLE]
        soft = vocab(backbone, self._length(), Random("place"), InitSource()).to(backbone.device)
        plain = layout.alone()
        losses = []
        for append in (False, True):
            rows = [plain.placed(append).training_row(example) for example in examples]
            with torch.no_grad():
                losses.append(float(backbone.loss(soft, rows)[0]))
        return losses[0] > PLACE_FACTOR * losses[1]

    def _trained(self, layout: Layout) -> tuple[Backbone, Tuned | None, SoftPrompt | None]:
        """The backbone that answers, what was trained, and the soft prompt to be kept, from the start or from the checkpoint of a run
        that was cut short; the trial's own backbone alone where the method trains nothing."""
        spec = self.spec
        if not spec.method.trains:
            return self.backbone, None, None
        trainable = TRAINABLES[spec.method.trainable]
        answering, tuned = train(
            trainable,
            Setup(self.backbone, spec.tuning, spec.seed, spec.starts_from(self.task)),
            layout.training_rows(self.task.train),
            lambda backbone: replace(self, backbone=backbone)._dev_score(layout),
            folder=self.work,
            name=f"{self.name}: tuning",
            progress=self.progress,
        )
        prompt = None
        if trainable.artifact is not None:
            profile = profiled(self.backbone, self.task, layout)
            profile["questions"] = questions_of(self.task, spec.start_prompt)
            dev = tuned.dev_scores("" if spec.tuning.select_by == "loss" else self.task.metrics[0])
            prompt = trainable.artifact(tuned.best, self._provenance(layout, profile, dev))
            prompt = None if prompt is None else replace(prompt, worked=self._worked(), profile=profile)
        return answering, tuned, prompt

    def _dev_score(self, layout: Layout) -> Callable[[PrefixLike], float]:
        spec, backbone = self.spec, self.backbone
        dev = self._dev()
        if spec.tuning.select_by == "loss":
            return dev_loss(backbone, [layout.training_row(example) for example in dev], DEV_BATCH)
        laid = [layout.lay(example) for example in dev]
        measure = metric(self.task.metrics[0])

        def by_metric(prefix: PrefixLike) -> float:
            prediction = self._answer(prefix, laid, silent)
            numbers = measure.numbers(prediction.outputs, [case.targets for case in dev], [case.facts for case in dev])
            return -float(measure.from_sums(numbers.sum(axis=0)))

        return by_metric

    def _answer(self, prefix: PrefixLike, laid: Sequence[Laid], progress: Progress) -> Prediction:
        return predict(
            self.backbone,
            self.task.template,
            prefix,
            laid,
            longest=self.spec.max_new_tokens,
            batch_size=self.batch_size,
            choice_score=self.spec.choice_score,
            name=f"{self.name}: answering",
            progress=progress,
        )

    def _worked(self) -> tuple[dict[str, Any], ...]:
        return worked_rows(self.task.train if self.spec.method.demonstrations != "none" else ())

    def _provenance(
        self, layout: Layout, profile: dict[str, Any], scores: dict[str, float] | None = None
    ) -> Provenance:
        return Provenance(
            backbone=self.backbone.name,
            fingerprint=self.backbone.fingerprint,
            kind=self.backbone.kind,
            task=self.task.name,
            task_fingerprint=self.task.fingerprint,
            label=self.spec.label,
            method=self.spec.method.as_dict(),
            template=self.task.template.as_dict(),
            tuning=self.spec.tuning.stored(),
            seed=self.spec.seed,
            scores=scores or {},
            place="behind" if layout.append else "system" if layout.inside else "front",
            chat="" if self.backbone.chat is None else self.backbone.chat.digest,
            base="" if self.backbone.stored is None else self.backbone.stored.source,
            revision="" if self.backbone.stored is None else self.backbone.stored.revision,
            settings=self.keeps
            | {"demonstrations": worked_digest(self._worked()), "profile": profile_digest(profile), "trial": self.key},
        )

    def _score(
        self, layout: Layout, answering: Backbone, tuned: Tuned | None, prompt: SoftPrompt | None, suffix: str = ""
    ) -> Record:
        examples = self.task.split(self.spec.split)
        if not examples:
            split = self.spec.split
            raise ForewordError(f"The task '{self.task.name}' has no {split} examples to score; give a {split} split.")
        laid = [layout.lay(example) for example in examples]
        values = None if prompt is None else prompt.values
        prediction = replace(self, backbone=answering)._answer(values, laid, self.progress)
        scores = self._scores(laid, prediction.outputs)
        saved = "" if prompt is None else self._saved(layout, prompt, scores.whole, suffix)
        return Record(
            key=self.key,
            label=self.spec.label,
            method=self.spec.label.split(":")[0],
            task=self.task.name,
            backbone=self.backbone.name,
            seed=self.spec.seed,
            deterministic=not self.spec.method.random(),
            primary=self.task.metrics[0],
            scores=scores.whole,
            costs=Costs(
                trainable_parameters=0 if tuned is None else tuned.parameters,
                train_seconds=0.0 if tuned is None else tuned.seconds,
                prefix_tokens=float(np.mean([example.fitted.before for example in laid])),
                seconds_per_answer=prediction.seconds / len(laid),
                train_flop=self._train_flop(layout, tuned),
                answer_flop=self._answer_flop(layout, laid),
            ),
            answers=self._answers(laid, prediction, scores),
            spec=self.spec.contents(self.backbone, self.task),
            fingerprints=self._fingerprints(prompt),
            versions=versions(),
            hardware=hardware(self.backbone.device),
            metric_signatures=scores.signatures,
            dropped_demonstrations=sum(example.fitted.dropped for example in laid),
            curve=() if tuned is None else tuned.curve,
            dev_start=None if tuned is None else tuned.start,
            prompt=saved,
            notes=(
                *self.task.remarks,
                *answering.notes,
                *([APPENDED] if layout.append else []),
                *([CHAT] if layout.chat is not None else []),
                *scores.absent,
            ),
            cut_answers=sum(prediction.cut),
            fold=self.spec.fold,
        )

    def _saved(self, layout: Layout, prompt: SoftPrompt, scores: dict[str, float], suffix: str) -> str:
        """The folder of the soft prompt in the run's folder; one that was used as it is keeps its provenance."""
        fold, source = f"-fold{self.spec.fold}" if self.spec.fold else "", self.spec.start_prompt
        folder = f"prompts/{self.spec.label.replace(':', '-')}-seed{self.spec.seed}{fold}-{self.key[:8]}{suffix}"
        if source is not None and not self.spec.tuning.max_steps:
            stored = replace(source, provenance=replace(source.provenance, scores=scores))
        else:
            stored = replace(prompt, provenance=self._provenance(layout, prompt.profile, scores))
        store.save(stored, self.out / folder)
        return folder

    def _train_flop(self, layout: Layout, tuned: Tuned | None) -> float:
        """Operations of the training that was done, its rows taken to be as long as the first that it saw."""
        if tuned is None or not tuned.curve:
            return 0.0
        tuning, rows = self.spec.tuning, layout.training_rows(self.task.train)
        places = visited(len(rows), tuning.batch_size, tuning.max_steps, seed=self.spec.seed)
        each, shared = parted(self.backbone, layout.soft, [rows[place] for place in places[:COUNTED]])
        step = shared + min(tuning.batch_size, len(rows)) * sum(each) / len(each)
        return TRAINABLES[self.spec.method.trainable].flops(self.backbone) * tuned.curve[-1]["step"] * step

    def _answer_flop(self, layout: Layout, laid: Sequence[Laid]) -> float:
        each, shared = answering(self.backbone, self.task.template, layout.soft, laid, self.spec.max_new_tokens)
        return FORWARD * self.backbone.parameters * (sum(each) + shared) / len(laid)

    def _fingerprints(self, prompt: SoftPrompt | None) -> dict[str, str]:
        digests = {"backbone": self.backbone.fingerprint, "task": self.task.fingerprint}
        return digests if prompt is None else digests | {"soft_prompt": prompt.digest}

    def _scores(self, laid: Sequence[Laid], outputs: Sequence[str]) -> Scores:
        targets, facts = [example.example.targets for example in laid], [example.example.facts for example in laid]
        return scores_of(self.task.metrics, outputs, targets, facts)

    def _answers(self, laid: Sequence[Laid], prediction: Prediction, scores: Scores) -> tuple[Answer, ...]:
        return tuple(
            Answer(
                id=example.example.id,
                input=example.question,
                output=output,
                targets=example.example.targets,
                scores={name: float(own[place]) for name, own in scores.own.items()},
                statistics={self.task.metrics[0]: [float(x) for x in scores.statistics[place]]},
                shown=tuple(DemonstrationRef(s.id, s.text, s.similarity) for s in example.fitted.shown),
                dropped=example.fitted.dropped,
                prefix_tokens=example.fitted.before,
                input_tokens=example.fitted.question,
                subset=example.example.subset,
                probabilities=prediction.probabilities[place],
                cut=cut,
                cluster=example.example.cluster,
            )
            for place, (example, output, cut) in enumerate(zip(laid, prediction.outputs, prediction.cut, strict=True))
        )
