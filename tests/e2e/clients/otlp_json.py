"""Run in the environment ``otlp-json``: OpenTelemetry's own OTLP/JSON exporters for spans, logs and metrics.

Reads ``{"url", "attributes"}`` from standard input; prints ``{"trace_id", "results": {signal: name of the result}}``.
"""

import json
import sys

from opentelemetry.exporter.otlp.json.http import OTLPMetricExporter, OTLPSpanExporter
from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

plan = json.load(sys.stdin)
spans, logs, reader = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()

tracing = TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(spans))
with tracing.get_tracer("json").start_as_current_span("parent") as parent:
    with tracing.get_tracer("json").start_as_current_span("child", attributes=plan["attributes"]) as child:
        child.add_event("token", {"index": 3})
    logging = LoggerProvider()
    logging.add_log_record_processor(SimpleLogRecordProcessor(logs))
    logging.get_logger("json").emit(event_name="gen_ai.choice", body={"content": "Hi"}, attributes={"index": 0})
metering = MeterProvider(metric_readers=[reader])
metering.get_meter("json").create_counter("calls").add(2)
metering.get_meter("json").create_histogram("seconds").record(0.5)

results = {
    "spans": OTLPSpanExporter(endpoint=plan["url"] + "/v1/traces").export(spans.get_finished_spans()),
    "logs": OTLPLogExporter(endpoint=plan["url"] + "/v1/logs").export(logs.get_finished_logs()),
    "metrics": OTLPMetricExporter(endpoint=plan["url"] + "/v1/metrics").export(reader.get_metrics_data()),
}
trace_id = f"{parent.get_span_context().trace_id:032x}"
json.dump({"trace_id": trace_id, "results": {name: found.name for name, found in results.items()}}, sys.stdout)
