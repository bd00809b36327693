"""Which decoder reads which format: one line a format."""

from collections.abc import Callable

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.component import DecodeError
from collector.fallom import exposures, metrics
from collector.fallom import trace as fallom_trace
from collector.fallom.fields import load_object
from collector.otlp import json as otlp_json
from collector.otlp import wire
from collector.request import Decoded, Format, Receipt, Request

_JS_KIND_MAX = 4

Decoder = Callable[[Request, Receipt], Decoded]


def decode_json_traces(request: Request, receipt: Receipt) -> Decoded:
    """Return the spans of a JSON body: OTLP/JSON, or the flat Fallom trace where it has its fields."""
    document = load_object(request.body)
    is_otlp = "resourceSpans" in document or "resource_spans" in document
    if not is_otlp and fallom_trace.looks_flat(document):
        return fallom_trace.decode(document, request, receipt)
    if document and not is_otlp:
        raise DecodeError(
            f"neither OTLP/JSON (resourceSpans) nor a Fallom trace ({', '.join(fallom_trace.REQUIRED)})", field="body"
        )
    message = otlp_json.to_message(document)
    if request.headers:
        _shift_js_kinds([span for r in message.resource_spans for s in r.scope_spans for span in s.spans])
    return wire.decode_message(message, request, receipt)


def _shift_js_kinds(spans: list[Span]) -> None:
    """Undo what Fallom's TypeScript exporter, which alone sends X-Fallom-* headers, does to kinds.

    It sends JavaScript's enum, which is OTLP's minus 1. A kind beyond that enum shows that another exporter sent it.
    """
    if all(span.kind <= _JS_KIND_MAX for span in spans):
        for span in spans:
            span.kind = Span.SpanKind.ValueType(span.kind + 1)


DECODERS: dict[Format, Decoder] = {
    Format.OTLP_PROTOBUF: wire.decode,
    Format.JSON_TRACES: decode_json_traces,
    Format.METRICS: metrics.decode,
    Format.EXPOSURE: exposures.decode,
}
