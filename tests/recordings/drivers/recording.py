"""What every driver does: it reads what to call from stdin, traces each call on its own, and exports by OTLP/HTTP.

A driver runs in an environment of its own and imports nothing of the tests. Stdin has one JSON object; stdout gets one,
``{"<api>.<case>": {"trace_id": …, "error": the class of what was raised, or null}}``.
"""

import importlib
import json
import sys
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


@dataclass(frozen=True)
class Call:
    """One case to run through one API."""

    name: str
    api: str
    case: str
    url: str
    model: str
    prompt: str
    streamed: bool
    tool: bool
    usage_told: bool


class Recording:
    """What stdin says, and the tracer that exports to where it says."""

    def __init__(self):
        self._told = json.load(sys.stdin)
        self.system = self._told["system"]
        self.tool_name = self._told["tool_name"]
        self.tool_result = self._told["tool_result"]
        self.calls = [Call(**call) for call in self._told["calls"]]
        resource = Resource.create({"service.name": self._told["run"]})
        self.provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{self._told['otlp']}/v1/traces")
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(self.provider)
        if self._told["instrumentor"]:
            module, _, name = self._told["instrumentor"].partition(":")
            getattr(importlib.import_module(module), name)().instrument(
                tracer_provider=self.provider, **self._told["options"]
            )

    @property
    def tool_schema(self):
        """What describes the tool's arguments."""
        return {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def run(self, perform, flush=lambda: None):
        """Perform each call in a trace of its own, flush, and tell the traces and what was raised."""
        tracer = trace.get_tracer("recording")
        done = {}
        for call in self.calls:
            attributes = {"recorded.call": call.name, "fallom.session_id": f"{self._told['run']} {call.name}"}
            with tracer.start_as_current_span("case", attributes=attributes) as span:
                error = None
                try:
                    perform(call)
                except Exception as raised:
                    error = f"{type(raised).__name__}: {raised}"
                done[call.name] = {"trace_id": f"{span.get_span_context().trace_id:032x}", "error": error}
        flush()
        self.provider.shutdown()
        sys.stdout.write(json.dumps(done) + "\n")
