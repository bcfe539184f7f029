"""What a server remembers of its requests: the newest, and each prompt's windows compared with what it was tuned on; it refuses to
keep a text."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from foreword.monitor import Observation, Rule, Sketch, Window, observations_of, reference_of, window_of
from foreword.monitor.against import of_folder
from foreword.monitor.windows import ANSWERS, Reference
from foreword.registry import Registry
from foreword.serve.answering import Call
from foreword.serve.keys import Key
from foreword.serve.rows import InputRow
from foreword.serve.shelf import Served
from foreword.util.errors import ForewordError

NEWEST = 200  # requests that are remembered
SHOWN = 20  # of these, on a page; and windows of a prompt
BASELINE = 200  # answers of a prompt that its later ones are compared with
PROMPTS = 256  # that are watched at once; the one not asked for longest is forgotten


@dataclass
class _Stream:
    """The requests of one version. against: in words, why nothing where there is no reference. waiting: whole windows that nobody has
    looked at."""

    against: str
    reference: Reference
    vectors: str
    first: list[Observation] = field(default_factory=list)
    window: list[Observation] = field(default_factory=list)
    waiting: deque[tuple[int, list[Observation]]] = field(default_factory=lambda: deque(maxlen=SHOWN))
    tested: deque[Window] = field(default_factory=lambda: deque(maxlen=SHOWN))
    count: int = 0


class Watch:
    """Remembers requests as their lines in the log say them. sketch: makes vectors of inputs, where the server is told to log features."""

    def __init__(self, registry: Registry | None, sketch: Sketch | None = None, rule: Rule | None = None) -> None:
        self._registry, self._sketch, self.rule = registry, sketch, rule or Rule()
        self._newest: deque[dict[str, Any]] = deque(maxlen=NEWEST)
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._lock, self._testing = threading.Lock(), threading.Lock()

    def with_vectors(self, inputs: Sequence[InputRow]) -> list[InputRow]:
        """Inputs with their vectors, where they are to have some; in the thread that lays texts out."""
        sketch = self._sketch
        return (
            list(inputs)
            if sketch is None
            else [replace(input_row, vector=sketch.vector(input_row.question)) for input_row in inputs]
        )

    def describe(self, line: dict[str, Any], call: Call, *, content: bool) -> None:
        """Add to a line what a monitor compares: lengths; vectors and the numbers of choices where the server is told to log features; the
        inputs' own texts where it logs contents."""
        for values, input_row in zip(line["inputs"], call.inputs, strict=True):
            values["characters"] = len(input_row.question)
            if input_row.vector is not None:
                values["vector"] = list(input_row.vector)
            if content:
                values["text"] = input_row.question
        if self._sketch is None:
            return
        line["vectors"] = self._sketch.kind
        for values, choice in zip(line["choices"], call.choices, strict=True):
            if choice.text in choice.scores:
                values["choice"] = list(choice.scores).index(choice.text)

    def add(self, line: dict[str, Any], served: Served) -> None:
        """A request is over."""
        with self._lock:
            self._newest.append(
                {name: line[name] for name in ("time", "id", "model", "status", "seconds", "seconds_to_first_token")}
                | {name: line[name] for name in ("prompt", "version", "prompt_tokens", "completion_tokens", "key")}
            )
            if served.version is None:
                return
            place = served.name, served.version.digest
            stream = self._streams.pop(place, None) or self._begun(served)
            self._streams[place] = stream
            if len(self._streams) > PROMPTS:
                self._streams.pop(next(iter(self._streams)))
            for observation in observations_of(line):
                textless = replace(observation, text=None, output=None)
                if textless.vectors != stream.vectors:
                    textless = replace(textless, vector=None)
                if len(stream.first) < BASELINE:
                    stream.first.append(textless)
                stream.window.append(textless)
                stream.count += 1
                if len(stream.window) == self.rule.size:
                    stream.waiting.append((stream.count // self.rule.size - 1, stream.window))
                    stream.window = []

    def _begun(self, served: Served) -> _Stream:
        assert self._registry is not None and served.version is not None
        folder = self._registry.place(served.name, served.version)
        try:
            reference = of_folder(folder, served.id, stored=served.stored)
        except ForewordError as error:  # nothing is known of its inputs: its answers are still compared
            return _Stream(str(error), {}, "")
        return _Stream(reference.what, reference.values, reference.vectors)

    # -- for the page -------------------------------------------------------------------------------------------------

    def summary(self, key: Key | None) -> dict[str, Any]:
        """The newest requests (of a key that is no administrator's, its own) and each prompt's windows (of those that a key may ask). Whole
        windows are tested when somebody looks."""
        with self._lock:
            newest = list(reversed(self._newest))
            streams = [
                (name, digest, stream)
                for (name, digest), stream in self._streams.items()
                if key is None or key.may_ask(name)
            ]
        mine = [observation for observation in newest if key is None or key.admin or observation["key"] == key.name]
        return {
            "requests": mine[:SHOWN],
            "window": self.rule.size,
            "alpha": self.rule.alpha,
            "horizon": self.rule.horizon,
            "prompts": [self._of(name, digest, stream) for name, digest, stream in streams],
        }

    def _of(self, name: str, digest: str, stream: _Stream) -> dict[str, Any]:
        with self._testing:  # one at a time: two pages do not test the same window twice
            while stream.waiting:
                number, members = stream.waiting.popleft()
                in_baseline = number * self.rule.size < BASELINE
                reference = stream.reference | reference_of(stream.first, (ANSWERS,))
                stream.tested.append(window_of(members, reference, self.rule, number, in_baseline))
            windows = list(stream.tested)
        version = next((observation.version for observation in stream.first), None)
        return {
            "prompt": f"{name}@{version}",
            "digest": digest,
            "against": stream.against,
            "requests": stream.count,
            "waiting": len(stream.window),
            "alarms": sum(window.alarm for window in windows),
            "windows": [window.as_dict() for window in windows],
        }
