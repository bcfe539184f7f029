"""What Prometheus is told: requests, tokens, times and the cache, by prompt; it refuses labels that come from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest

from foreword.engine import Backbone
from foreword.serve.engine import Engine

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server. prompt: the id of a version in the store, or of the base model."""

    def __init__(self, engine: Engine, backbone: Backbone) -> None:
        self.registry = CollectorRegistry()
        by: Any = {"registry": self.registry, "labelnames": ["prompt"]}
        self._requests = Counter(
            "foreword_requests", "Requests, by how they ended.", ["prompt", "outcome"], registry=self.registry
        )
        self._read = Counter("foreword_prompt_tokens", "Tokens read.", **by)
        self._virtual = Counter("foreword_virtual_tokens", "Positions of soft prompts read.", **by)
        self._generated = Counter("foreword_completion_tokens", "Tokens said.", **by)
        self._first = Histogram("foreword_time_to_first_token_seconds", "Until the first token.", buckets=SECONDS, **by)
        self._whole = Histogram("foreword_request_seconds", "Until the last token.", buckets=SECONDS, **by)
        prefix_states = getattr(backbone.engine, "prefix_states", None)  # an encoder-decoder keeps no prefixes
        gauges = {
            "foreword_requests_running": ("Choices being answered.", lambda: engine.running),
            "foreword_requests_waiting": ("Choices in the queue.", lambda: max(0, engine.load - engine.running)),
            "foreword_cached_prefixes": ("Prefixes whose keys and values are kept.", lambda: len(prefix_states or ())),
            "foreword_cached_bytes": ("Bytes that these take.", lambda: getattr(prefix_states, "held", 0)),
        }
        for name, (what, value) in gauges.items():
            Gauge(name, what, registry=self.registry).set_function(value)

    def request(
        self, prompt: str, outcome: str, *, read: int, virtual: int, generated: int, first: float | None, seconds: float
    ) -> None:
        """Count a request that is over."""
        self._requests.labels(prompt, outcome).inc()
        self._read.labels(prompt).inc(read)
        self._virtual.labels(prompt).inc(virtual)
        self._generated.labels(prompt).inc(generated)
        self._whole.labels(prompt).observe(seconds)
        if first is not None:
            self._first.labels(prompt).observe(first)

    def refused(self, status: int) -> None:
        """Count a request that came to nothing."""
        self._requests.labels("", str(status)).inc()

    def text(self, may_ask: Callable[[str], bool]) -> bytes:
        """As Prometheus reads it: of prompts, those alone that the caller may ask."""
        return generate_latest(_Visible(self.registry, may_ask))


class _Visible:
    """A registry without the samples of other prompts."""

    def __init__(self, registry: CollectorRegistry, may_ask: Callable[[str], bool]) -> None:
        self._registry, self._may_ask = registry, may_ask

    def collect(self) -> Iterator[Metric]:
        """The families, each with what may be seen of it."""
        for family in self._registry.collect():
            family.samples = [
                sample
                for sample in family.samples
                if "prompt" not in sample.labels or self._may_ask(sample.labels["prompt"])
            ]
            yield family
