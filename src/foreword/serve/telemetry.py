"""What an OpenTelemetry collector is told: a span and a few measurements a request, under the names of the GenAI conventions; it refuses to
tell what was said unless it is told to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from foreword.util.errors import ForewordError, MissingExtraError

CONVENTIONS = (
    "0.1.0"  # of open-telemetry/semantic-conventions-genai, whose names these are; those of foreword begin with its own
)
SCHEMA = "https://opentelemetry.io/schemas/1.45.0"
PROVIDER = "foreword"
ATTRIBUTES = {  # of a line of the request log, or of the request's body: what the conventions call it
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "answered_by": "gen_ai.response.model",
    "id": "gen_ai.response.id",
    "prompt": "gen_ai.prompt.name",
    "version": "gen_ai.prompt.version",
    "digest": "foreword.prompt.digest",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "stop": "gen_ai.request.stop_sequences",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
    "stream": "gen_ai.request.stream",
    "output": "gen_ai.output.type",
    "finish_reasons": "gen_ai.response.finish_reasons",
    "seconds_to_first_token": "gen_ai.response.time_to_first_chunk",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "virtual_tokens": "foreword.usage.virtual_tokens",
    "input_messages": "gen_ai.input.messages",
    "output_messages": "gen_ai.output.messages",
    "error": "error.type",
}
OF_METRICS = ("operation", "provider", "model", "answered_by", "prompt", "version", "error")
TOKEN_TYPE = "gen_ai.token.type"
METRICS = {  # name, unit and what it measures
    "duration": ("gen_ai.server.request.duration", "s", "Until the last token."),
    "first": ("gen_ai.server.time_to_first_token", "s", "Until the first token."),
    "later": ("gen_ai.server.time_per_output_token", "s", "For each token behind the first."),
    "tokens": ("gen_ai.client.token.usage", "{token}", "Tokens read and said."),
}
SECONDS = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)  # as the conventions advise


class Telemetry:
    """Tells requests to the providers of a tracer and of a meter (of the OpenTelemetry SDK)."""

    def __init__(self, traces: Any, metrics: Any, version: str) -> None:
        self._providers = (traces, metrics)
        self._tracer = traces.get_tracer("foreword", version, schema_url=SCHEMA)
        meter = metrics.get_meter("foreword", version, schema_url=SCHEMA)
        self._metrics = {
            key: meter.create_histogram(
                name,
                unit=unit,
                description=what,
                explicit_bucket_boundaries_advisory=[4.0**power for power in range(14)] if key == "tokens" else SECONDS,
            )
            for key, (name, unit, what) in METRICS.items()
        }

    @classmethod
    def to(cls, url: str, version: str) -> Telemetry:
        """To a collector that takes OTLP over HTTP at this url (its /v1/traces and /v1/metrics); headers and all else come from the
        variables that OpenTelemetry reads. Raises ForewordError for a url that is none, MissingExtraError without the library."""
        if not url.startswith(("http://", "https://")):
            raise ForewordError(f"--otlp {url} is no url of a collector; give one such as http://localhost:4318.")
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise MissingExtraError("OpenTelemetry", "otel") from error
        base, name = url.rstrip("/"), os.environ.get("OTEL_SERVICE_NAME", "foreword")
        resource = Resource.create({"service.name": name, "service.version": version})
        traces = TracerProvider(resource=resource)
        traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=5)))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=5))
        return cls(traces, MeterProvider(resource=resource, metric_readers=[reader]), version)

    def request(self, line: Mapping[str, Any], body: Any, trace: Mapping[str, str]) -> None:
        """Tell a request that is over. line: of the request log. body: what was asked. trace: the headers by which a caller's own trace
        goes on here."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode

        values = _values(line, body)
        end, seconds = time.time_ns(), float(line.get("seconds") or 0.0)
        attributes = {name: values[key] for key, name in ATTRIBUTES.items() if values.get(key) is not None}
        span = self._tracer.start_span(
            f"{values['operation']} {values['model']}",
            context=extract(dict(trace)),
            kind=SpanKind.SERVER,
            start_time=end - round(seconds * 1e9),
            attributes=attributes,
        )
        if values["error"] is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)
        self._measure(line, {ATTRIBUTES[key]: values[key] for key in OF_METRICS if values.get(key) is not None})

    def _measure(self, line: Mapping[str, Any], attributes: dict[str, Any]) -> None:
        if "seconds" not in line:
            return  # it was refused before it was begun
        first, generated, seconds = line["seconds_to_first_token"], line["completion_tokens"], line["seconds"]
        self._metrics["duration"].record(seconds, attributes)
        if first is not None:
            self._metrics["first"].record(first, attributes)
            if generated > 1:
                self._metrics["later"].record((seconds - first) / (generated - 1), attributes)
        for kind, count in (("input", line["prompt_tokens"]), ("output", generated)):
            self._metrics["tokens"].record(count, attributes | {TOKEN_TYPE: kind})

    def close(self) -> None:
        """Tell what is not told yet, and nothing more."""
        for provider in self._providers:
            provider.shutdown()


def _values(line: Mapping[str, Any], body: Any) -> dict[str, Any]:
    """What ATTRIBUTES names."""
    status = int(line["status"])
    values = {key: line[key] for key in ATTRIBUTES if key in line}
    values |= {
        "operation": "chat" if hasattr(body, "messages") else "text_completion",
        "provider": PROVIDER,
        "error": None if status == 200 else str(line.get("code") or status),
        "max_tokens": body.longest,
        "top_p": body.top_p,
        "top_k": body.top_k,
        "stop": list(body.stops) or None,
        "n": body.n if (body.n or 1) > 1 else None,
        "stream": True if body.stream else None,
        "output": "json" if body.schema_of_json is not None else None,
    }
    if line.get("version") is not None:
        values |= {"answered_by": f"{line['prompt']}@{line['version']}", "version": str(line["version"])}
    if "choices" in line:
        values["finish_reasons"] = [choice["finish_reason"] or "error" for choice in line["choices"]]
    if "input_texts" in line:
        values["input_messages"] = json.dumps([_message("user", text) for text in line["input_texts"]])
        outputs = zip(line["output_texts"], values["finish_reasons"], strict=True)
        messages = [_message("assistant", text) | {"finish_reason": reason} for text, reason in outputs]
        values["output_messages"] = json.dumps(messages)
    return values


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}
