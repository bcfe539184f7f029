"""What an OpenTelemetry collector is told of requests: the GenAI conventions' names, a caller's own trace, no content unless asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

import entry
import serving
import tiny
from foreword.prompts import store
from foreword.registry import Registry
from foreword.serve.telemetry import ATTRIBUTES, METRICS, Telemetry
from foreword.util.errors import ForewordError

KNOWN = {
    value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_") and isinstance(value, str)
}
NEWER = {"gen_ai.prompt.version", "error.type"}  # of the conventions' own repository; of all conventions


@pytest.fixture
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[serving.Running, Any, Any]]:
    """A server, the spans that it told and what it measured."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(spans))
    backbone, registry = tiny.backbone("llama"), Registry(tmp_path / "store")
    store.save(serving.soft(backbone, 5, 1), tmp_path / "a")
    serving.keep(registry, "a", tmp_path / "a")
    with serving.server(backbone, store=registry.folder, log_content=getattr(request, "param", False)) as running:
        running.service.telemetry = Telemetry(traces, MeterProvider(metric_readers=[reader]), "test")
        yield running, spans, reader
        running.service.telemetry = None


def test_the_names_are_those_of_the_conventions() -> None:
    theirs = {name for name in ATTRIBUTES.values() if not name.startswith("foreword.")}
    assert theirs - NEWER <= KNOWN, theirs - NEWER - KNOWN
    metrics = {value for value in vars(gen_ai_metrics).values() if isinstance(value, str)}
    assert {name for name, _, _ in METRICS.values()} <= metrics


def test_a_request_is_a_span_with_its_prompt_and_its_tokens(watched: tuple[serving.Running, Any, Any]) -> None:
    running, spans, reader = watched
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = {"model": "a", "prompt": [5, 6, 7], "max_tokens": 4, "temperature": 0.5, "seed": 3, "stop": "zz", "n": 2}
    answer = running.post("/v1/completions", body, headers={"traceparent": trace}).json()
    assert running.post("/v1/completions", {"model": "nobody", "prompt": "x"}).status_code == 404
    span, refused = spans.get_finished_spans()
    assert (span.name, span.kind.name) == ("text_completion a", "SERVER")
    assert (
        f"{span.context.trace_id:032x}" == trace.split("-")[1] and f"{span.parent.span_id:016x}" == trace.split("-")[2]
    )
    assert 0 < span.end_time - span.start_time < 60e9
    attributes = dict(span.attributes)
    first = attributes.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < first <= (span.end_time - span.start_time) / 1e9 + 1e-3
    digest = running.service.shelf.get("a").version.digest
    assert attributes == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "foreword",
        "gen_ai.request.model": "a",
        "gen_ai.response.model": "a@1",
        "gen_ai.response.id": answer["id"],
        "gen_ai.prompt.name": "a",
        "gen_ai.prompt.version": "1",
        "foreword.prompt.digest": digest,
        "gen_ai.request.max_tokens": 4,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.seed": 3,
        "gen_ai.request.stop_sequences": ("zz",),
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.finish_reasons": tuple(choice["finish_reason"] for choice in answer["choices"]),
        "gen_ai.usage.input_tokens": answer["usage"]["prompt_tokens"],
        "gen_ai.usage.output_tokens": answer["usage"]["completion_tokens"],
        "foreword.usage.virtual_tokens": answer["usage"]["foreword_virtual_tokens"],
    }
    assert refused.attributes["error.type"] == "model_not_found" and refused.status.status_code.name == "ERROR"
    (of_scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
    measured = {metric.name: list(metric.data.data_points) for metric in of_scope.metrics}
    assert set(measured) == {name for name, _, _ in METRICS.values()}
    sums = {point.attributes["gen_ai.token.type"]: point.sum for point in measured["gen_ai.client.token.usage"]}
    assert sums == {"input": answer["usage"]["prompt_tokens"], "output": answer["usage"]["completion_tokens"]}
    (duration,) = measured["gen_ai.server.request.duration"]
    assert duration.count == 1 and duration.attributes["gen_ai.prompt.version"] == "1"
    assert dict(duration.attributes).keys() <= attributes.keys(), "no label of a metric comes from one caller alone"


@pytest.mark.parametrize("watched", [True], indirect=True)
def test_content_is_told_where_it_is_asked_for(watched: tuple[serving.Running, Any, Any]) -> None:
    running, spans, _ = watched
    text = running.text("a", "bana 1 lo", max_tokens=3, raw=True)
    attributes = spans.get_finished_spans()[-1].attributes
    assert json.loads(attributes["gen_ai.input.messages"])[0]["parts"] == [{"type": "text", "content": "bana 1 lo"}]
    (message,) = json.loads(attributes["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "text", "content": text}] and message["finish_reason"] in ("stop", "length")


def test_a_collector_gets_it_over_http(tmp_path: Path) -> None:
    received: dict[str, bytes] = {}

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    telemetry = Telemetry.to(f"http://127.0.0.1:{collector.server_port}/", "0")
    with serving.server(tiny.backbone("llama")) as running:
        running.service.telemetry = telemetry
        running.text("base", [5, 6], max_tokens=2)
    collector.shutdown()
    collector.server_close()
    traces = ExportTraceServiceRequest.FromString(received["/v1/traces"]).resource_spans[0]
    assert {"key": "service.name", "value": "foreword"} in [
        {"key": each.key, "value": each.value.string_value} for each in traces.resource.attributes
    ]
    (span,) = traces.scope_spans[0].spans
    assert span.name == "text_completion base" and b"gen_ai.usage.input_tokens" in received["/v1/traces"]
    metrics = ExportMetricsServiceRequest.FromString(received["/v1/metrics"]).resource_metrics[0].scope_metrics[0]
    assert {metric.name for metric in metrics.metrics} == {name for name, _, _ in METRICS.values()}


def test_what_is_no_collector_is_refused_before_a_model_is_loaded() -> None:
    with pytest.raises(ForewordError, match="no url"):
        Telemetry.to("localhost:4318", "0")
    entry.refused("serve", "-m", "nothing", "--otlp", "collector", says=("--otlp collector",))
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\nfrom foreword.serve.telemetry import Telemetry\n"
        "from foreword.util.errors import MissingExtraError\n"
        "try:\n    Telemetry.to('http://x', '0')\nexcept MissingExtraError as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'foreword[otel]'" in ran.stdout, ran.stderr
