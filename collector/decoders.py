"""Which decoder reads which format: one line a format."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.component import CollectorError, DecodeError
from collector.fallom import evaluations, exposures, metrics
from collector.fallom import trace as fallom_trace
from collector.fallom.fields import load_object
from collector.otlp import data_points, json_body, logs, metric_points, wire
from collector.otlp import json as otlp_json
from collector.otlp.messages import from_json, from_protobuf
from collector.request import Decoded, Format, Outcome, Received, Request
from collector.rows import Row, batch, decode_rows

_JS_KIND_MAX = 4

Decoder = Callable[[Sequence[Received]], Decoded]


def decode_json_traces(requests: Sequence[Received]) -> Decoded:
    """Return the spans of JSON bodies: OTLP/JSON, or the flat Fallom trace where one has its fields."""
    outcomes: dict[int, Outcome | CollectorError] = {}
    rows: list[Row] = []
    otlp: dict[int, Received] = {}
    with _without_garbage_collection():
        for place, (request, receipt) in enumerate(requests):
            try:
                body = json_body.to_protobuf(request.body)
                if body is None:
                    document = load_object(request.body)
                    if _is_flat(document):
                        rows.append(fallom_trace.decode(document, request, receipt))
                        outcomes[place] = Outcome(1)
                        continue
                    body = otlp_json.to_protobuf(document)
                otlp[place] = (_as_protobuf(body, request), receipt)
            except CollectorError as error:
                outcomes[place] = error
    batches = [batch("spans", rows)]
    if otlp:
        decoded = wire.decode(list(otlp.values()))
        outcomes.update(zip(otlp, decoded.outcomes, strict=True))
        batches.append(decoded.rows)
    spans = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
    return Decoded("spans", spans, [outcomes[place] for place in range(len(requests))])


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep the collector of cycles from running: JSON has none, but so many objects that it would run all the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _is_flat(document: dict[str, object]) -> bool:
    if "resourceSpans" in document or "resource_spans" in document:
        return False
    if fallom_trace.looks_flat(document):
        return True
    if document:
        raise DecodeError(
            f"neither OTLP/JSON (resourceSpans) nor a Fallom trace ({', '.join(fallom_trace.REQUIRED)})", field="body"
        )
    return False


def _as_protobuf(body: bytes, request: Request) -> Request:
    if request.headers:
        body = _with_otlp_kinds(body)
    return Request(Format.OTLP_PROTOBUF, body, request.project, request.headers)


def _with_otlp_kinds(body: bytes) -> bytes:
    """Undo what Fallom's TypeScript exporter, which alone sends X-Fallom-* headers, does to kinds.

    It sends JavaScript's enum, which is OTLP's minus 1. A kind beyond that enum shows that another exporter sent it.
    """
    message = ExportTraceServiceRequest.FromString(body)
    spans = [span for r in message.resource_spans for s in r.scope_spans for span in s.spans]
    if all(span.kind <= _JS_KIND_MAX for span in spans):
        for span in spans:
            span.kind = Span.SpanKind.ValueType(span.kind + 1)
    return bytes(message.SerializeToString())


_LOGS_PROTOBUF, _LOGS_JSON = from_protobuf(ExportLogsServiceRequest), from_json(ExportLogsServiceRequest)
_POINTS_PROTOBUF, _POINTS_JSON = from_protobuf(ExportMetricsServiceRequest), from_json(ExportMetricsServiceRequest)

DECODERS: dict[Format, Decoder] = {
    Format.OTLP_PROTOBUF: wire.decode,
    Format.JSON_TRACES: decode_json_traces,
    Format.METRICS: partial(decode_rows, "metrics", metrics.decode),
    Format.EXPOSURE: partial(decode_rows, "exposures", exposures.decode),
    Format.EVALUATION: evaluations.decode,
    Format.ASSIGNMENT: partial(decode_rows, "exposures", exposures.decode_assignment),
    Format.LOGS_PROTOBUF: partial(logs.decode, _LOGS_PROTOBUF),
    Format.LOGS_JSON: partial(logs.decode, _LOGS_JSON),
    Format.DATA_POINTS_PROTOBUF: partial(data_points.decode, _POINTS_PROTOBUF),
    Format.DATA_POINTS_JSON: partial(data_points.decode, _POINTS_JSON),
}


def decoders(*, keep_logs: bool = False, keep_metrics: bool = False) -> Mapping[Format, Decoder]:
    """Return the decoders, given whether log records and data points that feed no other table are kept."""
    points = metric_points.decode if keep_metrics else data_points.decode
    return DECODERS | {
        Format.LOGS_PROTOBUF: partial(logs.decode, _LOGS_PROTOBUF, keep=keep_logs),
        Format.LOGS_JSON: partial(logs.decode, _LOGS_JSON, keep=keep_logs),
        Format.DATA_POINTS_PROTOBUF: partial(points, _POINTS_PROTOBUF),
        Format.DATA_POINTS_JSON: partial(points, _POINTS_JSON),
    }
