"""OTLP/protobuf to rows of the span table.

Every transport ends here: OTLP/JSON is turned into the same messages first (``json.py``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import xxhash
from google.protobuf.message import DecodeError as ProtobufDecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from collector.component import CollectorError, DecodeError, TooLargeError
from collector.otlp.attributes import to_dict, to_json
from collector.promote import promote
from collector.request import Decoded, Outcome, Receipt, Received, Request
from collector.rows import batch

KINDS = {0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
STATUS_CODES = {Status.STATUS_CODE_OK: "ok", Status.STATUS_CODE_ERROR: "error"}
UNIX_NANO_MAX = 2**63 - 1
# A partition is a folder: clients must not be able to make one for every day of history.
PAST_DAYS_MAX = 400
FUTURE_DAYS_MAX = 2
# A resource and a scope stand once in a request, and in the row of each of its spans: 1 MB could become 100 GB.
SHARED_BYTES_MAX = 256 * 1024 * 1024
# A span can be told in 30 bytes and takes kilobytes as a row.
SPANS_MAX = 100_000
_FIRST_TOKEN_EVENTS = frozenset(
    {
        "First Token Stream Event",
        "ai.stream.firstChunk",
        "gen_ai.content.completion.chunk",
        "llm.content.completion.chunk",
    }
)


@dataclass(frozen=True, slots=True)
class _Context:
    """What all spans of one scope share."""

    columns: dict[str, object]
    scope_name: str
    headers: Mapping[str, str]
    received_day: date
    size_bytes: int


def decode(requests: Sequence[Received]) -> Decoded:
    """Return the spans of ExportTraceServiceRequests; a span with unusable ids is rejected alone."""
    rows: list[dict[str, object]] = []
    outcomes: list[Outcome | CollectorError] = []
    for request, receipt in requests:
        try:
            found, outcome = _decode(request, receipt)
        except CollectorError as error:
            outcomes.append(error)
        else:
            rows += found
            outcomes.append(outcome)
    return Decoded("spans", batch("spans", rows), outcomes)


def _decode(request: Request, receipt: Receipt) -> tuple[list[dict[str, object]], Outcome]:
    message = ExportTraceServiceRequest()
    try:
        message.ParseFromString(request.body)
    except ProtobufDecodeError as error:
        raise DecodeError(f"not an ExportTraceServiceRequest: {error}") from error
    count = sum(len(scope.spans) for resource in message.resource_spans for scope in resource.scope_spans)
    if count > SPANS_MAX:
        raise TooLargeError(f"at most {SPANS_MAX} spans in a request allowed, got {count}: send it in parts")
    rows: list[dict[str, object]] = []
    reasons: list[str] = []
    shared_bytes = 0
    for place, span, context in _spans(message, request, receipt):
        shared_bytes += context.size_bytes
        if shared_bytes > SHARED_BYTES_MAX:
            raise TooLargeError(
                f"{place}: resource, scope and headers, repeated for each span, are larger than {SHARED_BYTES_MAX} "
                "bytes, the limit: send it in parts"
            )
        reason = _unusable(span)
        if reason:
            reasons.append(f"{place}.{reason}")
        else:
            rows.append(_row(span, context))
    return rows, Outcome(len(rows), len(reasons), _summary(reasons))


def partition_day(day: date, received: date) -> date:
    """Return the day, held within the days around the receipt that may have a partition."""
    return min(max(day, received - timedelta(PAST_DAYS_MAX)), received + timedelta(FUTURE_DAYS_MAX))


def content_hash(data: bytes) -> int:
    """Return a 64-bit hash that tells a span that is sent again from another one, as a signed integer."""
    return int.from_bytes(xxhash.xxh3_64_digest(data), "big", signed=True)


def time_of(unix_nano: int) -> datetime:
    """Return the moment, to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_nano // 1000)


def _spans(
    message: ExportTraceServiceRequest, request: Request, receipt: Receipt
) -> Iterator[tuple[str, Span, _Context]]:
    for i, resource_spans in enumerate(message.resource_spans):
        for j, scope_spans in enumerate(resource_spans.scope_spans):
            context = _context(resource_spans, scope_spans, request, receipt)
            for k, span in enumerate(scope_spans.spans):
                yield f"resourceSpans[{i}].scopeSpans[{j}].spans[{k}]", span, context


def _context(resource_spans: ResourceSpans, scope_spans: ScopeSpans, request: Request, receipt: Receipt) -> _Context:
    resource = to_dict(resource_spans.resource.attributes)
    scope = scope_spans.scope
    service_name = resource.get("service.name")
    columns: dict[str, object] = {
        "project": request.project,
        "received_at": receipt.received_at,
        "service_name": service_name if isinstance(service_name, str) else None,
        "scope_name": scope.name or None,
        "scope_version": scope.version or None,
        "resource_attributes": to_json(resource),
        "scope_attributes": to_json(to_dict(scope.attributes)) if scope.attributes else None,
    }
    shared = (*columns.values(), *request.headers.values())
    size_bytes = sum(len(value) for value in shared if isinstance(value, str))
    return _Context(columns, scope.name, request.headers, receipt.received_at.date(), size_bytes)


def _unusable(span: Span) -> str:
    if len(span.trace_id) != 16:
        return f"traceId: 16 bytes expected, got {len(span.trace_id)}"
    if len(span.span_id) != 8:
        return f"spanId: 8 bytes expected, got {len(span.span_id)}"
    if not any(span.trace_id):
        return "traceId: must not be all zeros"
    if not any(span.span_id):
        return "spanId: must not be all zeros"
    if len(span.parent_span_id) not in (0, 8):
        return f"parentSpanId: 8 bytes or none expected, got {len(span.parent_span_id)}"
    return ""


def _row(span: Span, context: _Context) -> dict[str, object]:
    attributes = to_dict(span.attributes)
    start = min(span.start_time_unix_nano, UNIX_NANO_MAX)
    end = min(span.end_time_unix_nano, UNIX_NANO_MAX)
    start_time = time_of(start)
    row = {
        **context.columns,
        "date": partition_day(start_time.date(), context.received_day),
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex() if any(span.parent_span_id) else None,
        "trace_state": span.trace_state or None,
        "name": span.name,
        "kind": KINDS.get(span.kind, "unspecified"),
        "start_time": start_time,
        "start_time_unix_nano": start,
        "duration_ns": end - start if end >= start > 0 else None,
        "status_code": STATUS_CODES.get(span.status.code, "unset"),
        "status_message": span.status.message or None,
        "attributes": to_json(attributes),
        "events": _events(span),
        "links": _links(span),
        "content_hash": content_hash(span.SerializeToString(deterministic=True)),
    }
    columns = promote({**attributes, **context.headers}, context.scope_name)
    _fill_from_events(columns, span, start)
    return {**row, **columns}


def _fill_from_events(columns: dict[str, object], span: Span, start: int) -> None:
    for event in span.events:
        if "time_to_first_token_ns" not in columns and event.name in _FIRST_TOKEN_EVENTS:
            elapsed = event.time_unix_nano - start
            if start > 0 and 0 <= elapsed <= UNIX_NANO_MAX:
                columns["time_to_first_token_ns"] = elapsed
        if "error_type" not in columns and event.name == "exception":
            error_type = to_dict(event.attributes).get("exception.type")
            if isinstance(error_type, str) and error_type:
                columns["error_type"] = error_type


def _events(span: Span) -> str | None:
    if not span.events:
        return None
    return to_json(
        [
            {"name": event.name, "time_unix_nano": event.time_unix_nano, "attributes": to_dict(event.attributes)}
            for event in span.events
        ]
    )


def _links(span: Span) -> str | None:
    if not span.links:
        return None
    return to_json(
        [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "trace_state": link.trace_state,
                "attributes": to_dict(link.attributes),
            }
            for link in span.links
        ]
    )


def _summary(reasons: list[str]) -> str:
    if not reasons:
        return ""
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return f"{len(reasons)} spans rejected: {'; '.join(reasons[:3])}{more}"
