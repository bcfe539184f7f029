"""The shelf of what a server answers with: the base model and the store's prompts, each checked when it is loaded; it refuses a prompt of
another model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.engine import Backbone, Prefix
from foreword.infer.choosing import choice_ids
from foreword.prompts.layout import Layout
from foreword.prompts.retrieve import Encode, Retriever, fixed, make, sentence_encoder
from foreword.prompts.retrieve.pool import Vectors
from foreword.registry import Registry, StoredPrompt, Version
from foreword.serve.views import Views
from foreword.study.boundary import bounded
from foreword.util.errors import ForewordError
from foreword.util.text import plain

MOST_LOADED = 256  # prompts that are held at once; the one not asked for longest goes, and is loaded again when it is
REMEMBERED = 512  # texts of a prompt whose tokens are kept: its demonstrations come again, most inputs never do


class UnknownModelError(ForewordError):
    """There is no such prompt here."""


class NotHeldError(Exception):
    """A prompt is in the store and not yet held; see `Shelf.fetch`."""

    def __init__(self, name: str, version: Version) -> None:
        super().__init__(f"{name}@{version.number}")
        self.name, self.version = name, version


@dataclass
class _States:
    """The vectors of texts, [N, H], by the model's own states. model: whose tokenizers belong to the thread that asks."""

    model: Backbone
    pooling: str

    def __call__(self, texts: Sequence[str]) -> Vectors:
        return self.model.states(texts, pooling=self.pooling)


@dataclass(frozen=True, eq=False)
class Served:
    """What answers under a name. version: None for the base model. template: how an input is worded, None for the base model. layout: with
    no demonstrations in it yet. choices: with the tokens by which they are compared."""

    name: str
    chat: bool
    version: Version | None = None
    stored: StoredPrompt | None = None
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
        return self.stored is not None and self.stored.provenance.place == "behind"


class Shelf:
    """Finds what a request's `model` means. Names are looked up in the store for each request, so a version that is added or an alias that
    is moved is served from then on. base: the name of the model alone."""

    def __init__(self, views: Views, registry: Registry | None, *, base: str) -> None:
        self.views, self.registry, self.base = views, registry, base
        self._base = {chat: Served(base, chat) for chat in (False, True)}
        self._loaded: OrderedDict[tuple[str, str], Served] = OrderedDict()
        self._fetched: dict[tuple[str, str], tuple[StoredPrompt, Retriever | None]] = {}
        self._unloaded: set[tuple[str, str]] = set()
        self._lock, self._fetching = threading.RLock(), threading.Lock()

    def base_model(self, *, chat: bool) -> Served:
        """The model alone."""
        return self._base[chat]

    def is_base(self, model: str) -> bool:
        """Whether a request's `model` names the model alone."""
        return model in (self.base, "base")

    def resolve(self, model: str) -> tuple[str, Version]:
        """The name and version that a request's `model` means. Raises UnknownModelError, also for one that was unloaded."""
        name, version = self._known(model)
        if self.is_unloaded(name, version):
            raise UnknownModelError(f"{name}@{version.number} was unloaded from this server; load it again.")
        return name, version

    def is_unloaded(self, name: str, version: Version) -> bool:
        """Whether a version is refused until it is loaded again."""
        return (name, version.digest) in self._unloaded

    def _known(self, model: str) -> tuple[str, Version]:
        if self.registry is None:
            raise UnknownModelError(f"There is no model '{model[:200]}'; this server has '{self.base}' alone.")
        try:
            index, version = self.registry.resolve(model)
        except ForewordError as error:
            raise UnknownModelError(str(error)) from error
        return index.name, version

    def get(self, model: str) -> Served:
        """What answers under a name, loaded and checked if it is not yet, however long that takes. Raises ForewordError."""
        while True:
            try:
                return self.held(model)
            except NotHeldError as missing:
                self.fetch(missing.name, missing.version)

    def held(self, model: str) -> Served:
        """What answers under a name, in the thread that lays texts out. Raises NotHeldError where it is to be fetched first, ForewordError
        where it cannot be had."""
        name, version = self.resolve(model)
        key = (name, version.digest)
        with self._lock:
            if key in self._fetched:
                stored, retriever = self._fetched.pop(key)
                self._loaded[key] = self.served(name, stored, version, retriever)
                while len(self._loaded) > MOST_LOADED:
                    self._loaded.popitem(last=False)
            if key not in self._loaded:
                raise NotHeldError(name, version)
            served = self._loaded[key]
            if served.version != version:  # that one is gone, and the same contents came again under another number
                served = self._loaded[key] = replace(served, version=version)
            self._loaded.move_to_end(key)
            return served

    def fetch(self, name: str, version: Version) -> None:
        """Read a prompt and index what it may show, which takes minutes where that is much: in a thread of its own, so that other prompts'
        requests are laid out meanwhile. Raises ForewordError."""
        key = (name, version.digest)
        with self._fetching:
            with self._lock:
                if key in self._loaded or key in self._fetched:
                    return
            stored = self._registry().load(name, version)
            retriever = self._indexed(stored, self._checked(stored), self.views.loading)
            with self._lock:
                self._fetched[key] = (stored, retriever)

    def load(self, model: str) -> Served:
        """Hold a prompt, also one that was unloaded. Raises as `held` does."""
        with self._lock:
            name, version = self._known(model)
            self._unloaded.discard((name, version.digest))
            return self.held(f"{name}@{version.digest}")

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

    def served(
        self, name: str, stored: StoredPrompt, version: Version | None = None, retriever: Retriever | None = None
    ) -> Served:
        """What answers with a prompt, checked against the model. retriever: where it was made already. Raises ForewordError for a prompt of
        another model."""
        chat = self._checked(stored)
        model, row = self.views.laying(chat), stored.method
        template = _worded(stored, model)
        layout = Layout(
            model,
            template,
            row,
            soft=0 if stored.prompt is None else stored.prompt.length,
            reserve=0,
            fixed=fixed(stored.pool, row.k, stored.provenance.seed) if row.demonstrations == "fixed" else (),
            append=stored.provenance.place == "behind",
            inside=stored.provenance.place == "system",
            calibrated=stored.choice_score == "calibrated",
            remembered=REMEMBERED,
        )
        choices = (
            zip(stored.choices, choice_ids(model, template, stored.choices), strict=True) if stored.choices else ()
        )
        prefix = None if stored.prompt is None else Prefix.of(stored.prompt.values)
        retriever = retriever or self._indexed(stored, chat, self.views.laying)
        return Served(name, chat, version, stored, prefix, template, layout, retriever, tuple(choices))

    def _checked(self, stored: StoredPrompt) -> bool:
        """Whether a prompt is spoken to through a chat template. Raises ForewordError where it does not fit the model."""
        stored.refuse_unusable()
        chat = self._speaks(stored)
        model = self.views.laying(chat)
        if stored.prompt is not None:
            stored.prompt.fits(name=model.name, fingerprint=model.fingerprint, hidden=model.hidden)
            stored.prompt.speaks(name=model.name, chat="" if model.chat is None else model.chat.digest)
            self._same_kind(stored, model)
        return chat

    def _speaks(self, stored: StoredPrompt) -> bool:
        """Whether a prompt is spoken to through the model's chat template: as it was tuned, else where there is one."""
        tuned = stored.prompt is not None and stored.provenance.fingerprint
        chat = bool(stored.provenance.chat) if tuned else self.views.chats
        if chat and not self.views.chats:
            raise ForewordError(
                f"This prompt was tuned through a chat template, and {self.base} has none; serve it with its own model."
            )
        return chat

    @staticmethod
    def _same_kind(stored: StoredPrompt, model: Backbone) -> None:
        if stored.provenance.kind != model.kind:
            raise ForewordError(
                f"This prompt was made for a {stored.provenance.kind} model, and {model.name} is {model.kind}."
            )

    def _indexed(self, stored: StoredPrompt, chat: bool, view: Callable[[bool], Backbone]) -> Retriever | None:
        """A retriever over what a prompt may show, if it retrieves. view: what texts are indexed with here; inputs are compared in the
        thread that lays out."""
        if stored.method.demonstrations != "retrieved":
            return None
        encode: Encode | None = None
        if stored.method.retriever == "dense":
            source, _, pooling = stored.encoder.partition(":")
            own = source in ("", "backbone")
            encode = _States(view(chat), pooling or "mean") if own else sentence_encoder(stored.encoder)
        retriever = make(stored.method.retriever, stored.pool, seed=stored.provenance.seed, encode=encode)
        if isinstance(encode, _States):
            encode.model = self.views.laying(chat)
        return retriever


def demonstrated(served: Served, example: Example, reserve: int) -> Layout:
    """The layout of a prompt with what it shows before this example, and room for an answer of `reserve` tokens."""
    layout = served.layout
    assert layout is not None and served.stored is not None
    other = layout.placed(layout.append)
    other.reserve = reserve
    if served.retriever is not None:
        other.retrieved = {example.id: served.retriever.find(example, served.stored.method.k)}
    return other


def question_of(served: Served, example: Example) -> str:
    """An input as it is worded."""
    assert served.template is not None
    return plain(served.template.question_runs(example))


def _worded(stored: StoredPrompt, model: Backbone) -> Template:
    """The wording of a prompt; where it does not say one, the one that this kind of model gets, as `foreword generate` has it."""
    template = stored.template(Template())
    if stored.prompt is not None and {"question", "answer"} & set(stored.provenance.template):
        return template
    parts = set(stored.provenance.template)
    if not {"question", "answer"} & parts and (model.kind == "seq2seq" or model.chat is not None):
        return replace(template, question="{input}", answer="{target}", stop=template.stop if "stop" in parts else "")
    return bounded(model, Task("served", stored.pool, (), (), template, ("exact_match",))).template
