"""The shelf of what a server answers with: the base model and the store's prompts, each checked when it is loaded; it refuses a prompt of
another model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.engine import Backbone, Prefix
from foreword.infer.choosing import choice_ids
from foreword.prompts.layout import Layout
from foreword.prompts.retrieve import Encode, Retriever, fixed, make, sentence_encoder
from foreword.registry import Kept, Registry, Version, parse_reference
from foreword.serve.views import Views
from foreword.study.boundary import bounded
from foreword.util.errors import ForewordError
from foreword.util.text import plain

KEPT = 256  # prompts that are held at once; the one not asked for longest goes, and is loaded again when it is


class UnknownModelError(ForewordError):
    """There is no such prompt here."""


@dataclass(frozen=True, eq=False)
class Served:
    """What answers under a name. version: None for the base model. template: how an input is worded, None for the base model. layout: with
    no demonstrations in it yet. choices: with the tokens by which they are compared."""

    name: str
    chat: bool
    version: Version | None = None
    kept: Kept | None = None
    prefix: Prefix | None = None
    template: Template | None = None
    layout: Layout | None = None
    retriever: Retriever | None = None
    choices: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def id(self) -> str:
        """`name@number`, or the base model's name."""
        return self.name if self.version is None else f"{self.name}@{self.version.number}"

    @property
    def virtual_tokens(self) -> int:
        """Positions of the soft prompt."""
        return 0 if self.prefix is None else len(self.prefix)

    @property
    def append(self) -> bool:
        """Whether the soft prompt stands behind an encoder's input."""
        return self.kept is not None and self.kept.provenance.place == "behind"


class Shelf:
    """Finds what a request's `model` means. Names are looked up in the store for each request, so a version that is added or an alias that
    is moved is served from then on. base: the name of the model alone."""

    def __init__(self, views: Views, registry: Registry | None, *, base: str) -> None:
        self.views, self.registry, self.base = views, registry, base
        self._base = {chat: Served(base, chat) for chat in (False, True)}
        self._loaded: OrderedDict[tuple[str, str], Served] = OrderedDict()
        self._unloaded: set[tuple[str, str]] = set()
        self._lock = threading.RLock()

    def base_model(self, *, chat: bool) -> Served:
        """The model alone."""
        return self._base[chat]

    def is_base(self, model: str) -> bool:
        """Whether a request's `model` names the model alone."""
        return model in (self.base, "base")

    def resolve(self, model: str) -> tuple[str, Version]:
        """The name and version that a request's `model` means. Raises UnknownModelError."""
        if self.registry is None:
            raise UnknownModelError(f"There is no model '{model[:200]}'; this server has '{self.base}' alone.")
        try:
            reference = parse_reference(model)
            index, version = self.registry.resolve(model)
        except ForewordError as error:
            raise UnknownModelError(str(error)) from error
        if (reference.name, version.digest) in self._unloaded:
            raise UnknownModelError(f"{reference.name}@{version.number} was unloaded from this server; load it again.")
        return index.name, version

    def get(self, model: str) -> Served:
        """What answers under a name, loaded and checked if it is not yet. Raises ForewordError."""
        name, version = self.resolve(model)
        key = (name, version.digest)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = self._load(name, version)
                while len(self._loaded) > KEPT:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]

    def load(self, model: str) -> Served:
        """Load a prompt, also one that was unloaded."""
        with self._lock:
            index, version = self._registry().resolve(model)
            self._unloaded.discard((index.name, version.digest))
            return self.get(f"{index.name}@{version.digest}")

    def unload(self, model: str) -> str:
        """Drop a prompt and refuse it until it is loaded again; requests under way end as they would. Its name and version."""
        with self._lock:
            name, version = self.resolve(model)
            self._unloaded.add((name, version.digest))
            self._loaded.pop((name, version.digest), None)
            return f"{name}@{version.number}"

    def loaded(self) -> list[Served]:
        """The prompts that are held."""
        with self._lock:
            return list(self._loaded.values())

    def _registry(self) -> Registry:
        if self.registry is None:
            raise UnknownModelError("This server has no store of prompts; start it with --prompts STORE.")
        return self.registry

    def _load(self, name: str, version: Version) -> Served:
        return self.served(name, self._registry().load(name, version), version)

    def served(self, name: str, kept: Kept, version: Version | None = None) -> Served:
        """What answers with a prompt, checked against the model. Raises ForewordError for a prompt of another."""
        kept.refuse_unusable()
        chat = self._speaks(kept)
        model = self.views.laying(chat)
        if kept.prompt is not None:
            kept.prompt.fits(name=model.name, fingerprint=model.fingerprint, hidden=model.hidden)
            kept.prompt.speaks(name=model.name, chat="" if model.chat is None else model.chat.digest)
            self._same_kind(kept, model)
        template = _worded(kept, model)
        row = kept.method
        layout = Layout(
            model,
            template,
            row,
            soft=0 if kept.prompt is None else kept.prompt.length,
            reserve=0,
            fixed=fixed(kept.pool, row.k, kept.provenance.seed) if row.demonstrations == "fixed" else (),
            append=kept.provenance.place == "behind",
            inside=kept.provenance.place == "system",
        )
        choices = zip(kept.choices, choice_ids(model, template, kept.choices), strict=True) if kept.choices else ()
        prefix = None if kept.prompt is None else Prefix.of(kept.prompt.values)
        retriever = self._retriever(kept, model) if row.demonstrations == "retrieved" else None
        return Served(name, chat, version, kept, prefix, template, layout, retriever, tuple(choices))

    def _speaks(self, kept: Kept) -> bool:
        """Whether a prompt is spoken to through the model's chat template: as it was tuned, else where there is one."""
        tuned = kept.prompt is not None and kept.provenance.fingerprint
        chat = bool(kept.provenance.chat) if tuned else self.views.chats
        if chat and not self.views.chats:
            raise ForewordError(
                f"This prompt was tuned through a chat template, and {self.base} has none; serve it with its own model."
            )
        return chat

    @staticmethod
    def _same_kind(kept: Kept, model: Backbone) -> None:
        if kept.provenance.kind != model.kind:
            raise ForewordError(
                f"This prompt was made for a {kept.provenance.kind} model, and {model.name} is {model.kind}."
            )

    @staticmethod
    def _retriever(kept: Kept, model: Backbone) -> Retriever:
        row = kept.method
        if row.retriever == "dense":
            if kept.encoder and kept.encoder.partition(":")[0] != "backbone":
                encode: Encode = sentence_encoder(kept.encoder)
            else:
                encode = partial(model.states, pooling=kept.encoder.partition(":")[2] or "mean")
            return make(row.retriever, kept.pool, seed=kept.provenance.seed, encode=encode)
        return make(row.retriever, kept.pool, seed=kept.provenance.seed)


def demonstrated(served: Served, example: Example, reserve: int) -> Layout:
    """The layout of a prompt with what it shows before this example, and room for an answer of `reserve` tokens."""
    layout = served.layout
    assert layout is not None and served.kept is not None
    other = layout.placed(layout.append)
    other.reserve = reserve
    if served.retriever is not None:
        other.retrieved = {example.id: served.retriever.find(example, served.kept.method.k)}
    return other


def question_of(served: Served, example: Example) -> str:
    """An input as it is worded."""
    assert served.template is not None
    return plain(served.template.question_runs(example))


def _worded(kept: Kept, model: Backbone) -> Template:
    """The wording of a prompt; where it does not say one, the one that this kind of model gets, as `foreword generate` has it."""
    template = kept.template(Template())
    if kept.prompt is not None and {"question", "answer"} & set(kept.provenance.template):
        return template
    said = set(kept.provenance.template)
    if not {"question", "answer"} & said and (model.kind == "seq2seq" or model.chat is not None):
        return replace(template, question="{input}", answer="{target}", stop=template.stop if "stop" in said else "")
    return bounded(model, Task("served", kept.pool, (), (), template, ("exact_match",))).template
