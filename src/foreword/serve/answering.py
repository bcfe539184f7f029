"""A request's way through the engine: its rows become a job, the job's tokens become texts with log-probabilities; it refuses to go on when
nobody listens."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from foreword.engine import Request, Sampling
from foreword.engine.token_texts import TokenTexts
from foreword.infer.choosing import compared
from foreword.serve.echo import NEVER, Token, finite, prompt_tokens
from foreword.serve.engine import Engine, Event, Job
from foreword.serve.errors import HttpError
from foreword.serve.protocol import Common
from foreword.serve.rows import InputRow
from foreword.serve.texts import Answer
from foreword.serve.views import Views

Result = TypeVar("Result")
UNCHOSEN = (
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
)  # what says nothing where an answer is one of a prompt's choices


@dataclass(frozen=True)
class Delta:
    """What is new of one choice. text: may be empty. tokens: those behind it. finish_reason: None while it goes on."""

    place: int
    text: str
    tokens: tuple[Token, ...] = ()
    finish_reason: str | None = None


@dataclass
class Choice:
    """One choice as far as it is. scores: of a prompt that chooses, each choice's log-probability in nats."""

    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    completion_tokens: int = 0
    logprob: float | None = None
    finish_reason: str | None = None
    scores: dict[str, float] = field(default_factory=dict)

    def take(self, delta: Delta) -> None:
        """Add what is new."""
        self.text += delta.text
        self.tokens += delta.tokens
        self.finish_reason = delta.finish_reason or self.finish_reason


@dataclass
class Offsets:
    """Where the tokens of one choice stand in its text, as it grows. _at: characters before the next token; None where a text begins, of
    which a decoder or a wording may have taken off how it opens."""

    words: TokenTexts
    _at: int | None = None

    def begin(self) -> None:
        """Another text follows: behind what is echoed, the answer."""
        self._at = None

    def placed(self, delta: Delta, before: int) -> tuple[Token, ...]:
        """The tokens of a delta with their offsets. before: characters of the choice."""
        at = before - self._opening(delta) if self._at is None else self._at
        tokens = []
        for token in delta.tokens:
            inside, count = (False, 0) if token.end else self.words.characters(token.id)
            tokens.append(replace(token, offset=max(before if self._at is None else 0, at - inside)))
            at += count
        self._at = at
        return tuple(tokens)

    def _opening(self, delta: Delta) -> int:
        """How many characters of the tokens stand before the text's first."""
        content = b"".join(
            self.words.content(token.id) for token in delta.tokens if self.words.characters(token.id) != (False, 0)
        )
        whole = content.decode("utf-8", "replace")
        blank = len(whole) - len(whole.lstrip())
        if whole.lstrip().startswith(delta.text.lstrip()):
            return blank - (len(delta.text) - len(delta.text.lstrip()))
        return max(0, whole.find(delta.text))


class Call:
    """A request under way. inputs: each has n choices: choice p * n + i is the i-th of input p. longest: tokens of an answer.
    watched: log-probabilities are computed even where they are not asked for. began: when it came, by the monotonic clock; now, where that
    is not said. first: when its first token came, 0 before."""

    def __init__(
        self,
        engine: Engine,
        views: Views,
        body: Common,
        inputs: Sequence[InputRow],
        longest: int,
        *,
        watched: bool = False,
        began: float | None = None,
    ) -> None:
        self.engine, self.views, self.body, self.inputs, self.longest = engine, views, body, inputs, longest
        self.n = body.n or 1
        self.choices = [Choice() for _ in range(self.n * len(inputs))]
        self.began, self.first = time.monotonic() if began is None else began, 0.0
        self.seed = body.seed if body.seed is not None else secrets.randbits(62)
        self.temperature = body.temperature or 0.0
        self._top = body.top
        self._asks = body.top if body.top is not None or not watched else 0
        self._job: Job | None = None
        self._end = 0.0
        self._offsets = [Offsets(views.answer_tokens) for _ in self.choices]
        self._sampling = [self._sampled(place) for place in range(self.n)]
        for input_row in inputs:
            if input_row.chooses:
                self._refuse_unchosen()

    def _sampled(self, place: int) -> Sampling:
        """How the place-th choice is sampled: by the seed itself the first, by others that follow from it the rest."""
        seed = self.seed
        if place:
            seed = int.from_bytes(hashlib.sha256(f"{self.seed}/{place}".encode()).digest()[:7])
        body = self.body
        return Sampling(
            temperature=self.temperature,
            top_k=max(0, body.top_k or 0),
            top_p=1.0 if body.top_p is None else body.top_p,
            min_p=body.min_p or 0.0,
            repetition_penalty=body.repetition_penalty or 1.0,
            seed=seed,
        )

    def _refuse_unchosen(self) -> None:
        parameters = [name for name in UNCHOSEN if getattr(self.body, name) not in (None, 1, 1.0, 0, -1)]
        parameters += ["logprobs"] if self._top is not None else []
        parameters += ["stop"] if self.body.stops else []
        parameters += ["response_format"] if self.body.schema_of_json is not None else []
        if parameters:
            raise HttpError(
                400,
                f"The prompt answers with the likeliest of its choices, to which '{parameters[0]}' says nothing; leave it out "
                "(the choices' log-probabilities come with every answer).",
                param=parameters[0],
            )

    # -- answers ----------------------------------------------------------------------------------------------------

    async def deltas(self, deadline: float) -> AsyncGenerator[Delta, None]:
        """What is new, as it comes, until all choices are finished. deadline: seconds for all of it, from when the request came. Raises
        HttpError; when the caller leaves, the engine forgets the request."""
        self._end = asyncio.get_running_loop().time() + deadline - (time.monotonic() - self.began)
        try:
            if getattr(self.body, "echo", None):
                for place in range(len(self.choices)):
                    yield self._recorded(await self._echoed(place))
                    self._offsets[place].begin()
            async for delta in self._answered():
                self.first = self.first or time.monotonic()
                yield self._recorded(delta)
        except TimeoutError as error:
            raise HttpError(
                408,
                f"The answer was not finished within {deadline:g} s; ask for fewer tokens, or later.",
                code="deadline",
            ) from error
        finally:
            if self._job is not None:
                self.engine.cancel(self._job)

    def _recorded(self, delta: Delta) -> Delta:
        choice = self.choices[delta.place]
        if self._top is not None:
            delta = replace(delta, tokens=self._offsets[delta.place].placed(delta, len(choice.text)))
        choice.take(delta)
        return delta

    async def _answered(self) -> AsyncGenerator[Delta, None]:
        if self.longest == 0:
            for place in range(len(self.choices)):
                yield Delta(place, "", finish_reason="length")
            return
        open_places = []
        for place in range(len(self.choices)):
            if self.inputs[place // self.n].chooses:
                yield await self._chosen(place)
            else:
                open_places.append(place)
        if open_places:
            async for delta in self._grown(open_places):
                yield delta

    async def _grown(self, places: Sequence[int]) -> AsyncGenerator[Delta, None]:
        """Answers that grow token by token."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(events: list[Event]) -> None:
            for event in events:
                queue.put_nowait(event)

        def tell(events: list[Event]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody listens any more
                loop.call_soon_threadsafe(put, events)

        answers = {place: self._answer(place) for place in places}
        model = self.views.model(self.inputs[0].served.chat)
        self._job = Job(model, [self._request(place) for place in places], tell)
        self.engine.submit(self._job)
        waiting: dict[int, list[Token]] = {place: [] for place in places}
        left = len(places)
        while left:
            async with asyncio.timeout_at(self._end):  # around nothing that is the caller's
                event = await queue.get()
            if isinstance(event, Exception):
                raise event
            place, generated = places[event[0]], event[1]
            choice, finished = self.choices[place], generated.finish_reason is not None
            choice.completion_tokens += 1
            if generated.logprob is not None:
                choice.logprob = (choice.logprob or 0.0) + finite(generated.logprob)
            text = answers[place].take(generated.token, finished)
            end = finished and generated.token in model.eos
            if self._top is not None:
                waiting[place].append(Token.of(generated.token, generated.logprob, generated.top, end=end))
            elif not end:
                waiting[place].append(Token(generated.token))
            if text or finished:
                yield Delta(place, text, tuple(waiting[place]), generated.finish_reason)
                waiting[place] = []
            left -= finished
        self._job = None

    def _answer(self, place: int) -> Answer:
        input_row = self.inputs[place // self.n]
        goes_on = self.views.goes_on(input_row.raw)
        return Answer(self.views.reading(input_row.served.chat), input_row.template, self.body.stops, goes_on)

    def _request(self, place: int) -> Request:
        input_row = self.inputs[place // self.n]
        stops = tuple(dict.fromkeys((*input_row.text_stops, *self.body.stops)))
        return Request(
            input_row.row,
            input_row.served.prefix,
            self.longest,
            sampling=self._sampling[place % self.n],
            top_logprobs=self._asks,
            ended=self.views.ended(input_row.served.chat, stops, raw=input_row.raw),
            constraint=None if input_row.grammar is None else input_row.grammar.constraint(),
        )

    # -- what is no running batch -----------------------------------------------------------------------------------

    async def _chosen(self, place: int) -> Delta:
        """The likeliest of a prompt's choices, compared as when it was tuned, the first among equals; at a temperature one drawn by their
        probabilities."""
        input_row = self.inputs[place // self.n]
        served = input_row.served
        assert served.stored is not None
        model, how = self.views.model(served.chat), served.stored.choice_score
        inputs = [input_row.row] + ([input_row.blank] if how == "calibrated" and input_row.blank is not None else [])
        rows = [replace(row, answer=ids) for row in inputs for _, ids in served.choices]
        sums = await self._called(lambda: model.score([served.prefix] * len(rows), rows))
        count = len(served.choices)
        by = compared(how, sums[:count], [len(ids) for _, ids in served.choices], sums[count:])
        scores = [min(finite(score), -NEVER) for score in by]
        at = scores.index(max(scores))
        if self.temperature:
            weights = [math.exp((score - max(scores)) / self.temperature) for score in scores]
            rng = Random(f"{self._sampling[place % self.n].seed}/choice")
            (at,) = rng.choices(range(len(scores)), weights)
        choice = self.choices[place]
        choice.scores = {text: finite(score) for (text, _), score in zip(served.choices, sums[:count], strict=True)}
        choice.completion_tokens, choice.logprob = len(served.choices[at][1]), finite(sums[at])
        return Delta(place, served.choices[at][0], finish_reason="stop")

    async def _echoed(self, place: int) -> Delta:
        input_row = self.inputs[place // self.n]
        top = self._top
        if top is None:
            return Delta(place, input_row.text, tuple(Token(token) for token in input_row.ids))
        model = self.views.model(input_row.served.chat)
        tokens = await self._called(
            lambda: prompt_tokens(model, input_row.served.prefix, input_row.row, input_row.ids, top)
        )
        return Delta(place, input_row.text, tokens)

    async def _called(self, work: Callable[[], Result]) -> Result:
        async with asyncio.timeout_at(self._end):
            return await asyncio.wrap_future(self.engine.call(work))
