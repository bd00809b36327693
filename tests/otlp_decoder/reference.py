"""The reference that the native decoder is held against: protobuf's own parser, then Python, slow and obvious.

It shares data with the product (the span table's schema, the dialects' keys), and no code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

import xxhash
from google.protobuf.message import DecodeError as ProtobufDecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from otlp_decoder.conversions import Agreement, Cell, convert, to_dict, to_json
from otlp_decoder.protobuf import span_contents
from otlp_decoder.readings import derive, hinted, of_events

from collector.component import CollectorError, DecodeError, TooLargeError
from collector.request import Outcome, Received
from schemas.dialects import DIALECTS, Source

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
STATUS_CODES = {1: "ok", 2: "error"}
UNIX_NANO_MAX = 2**63 - 1
PAST_DAYS_MAX = 400
FUTURE_DAYS_MAX = 2
SHARED_BYTES_MAX = 256 * 1024 * 1024
SPANS_MAX = 100_000
ATTRIBUTES_MAX = 65_536
# prefix: (column, rank)
FAMILIES = {
    "gen_ai.prompt.": ("input", 30),
    "llm.input_messages.": ("input", 40),
    "gen_ai.completion.": ("output", 30),
    "llm.output_messages.": ("output", 40),
}
_MEMBER = re.compile(rf"({'|'.join(map(re.escape, FAMILIES))})(0|[1-9][0-9]{{0,3}})\.(.+)", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = dict[str, Cell]
# Of each column, the rank and the key that fill it so far.
Candidates = dict[str, tuple[int, str, Cell]]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request must be decoded to: its rows, each a cell a column that is not NULL; or which error."""

    outcome: Outcome | CollectorError
    rows: list[Row] = field(default_factory=list)


def decode(requests: Sequence[Received]) -> list[Expected]:
    """Return what each of the requests must be decoded to."""
    expected = []
    for received in requests:
        try:
            expected.append(_decode(received))
        except CollectorError as error:
            expected.append(Expected(error))
    return expected


def _decode(received: Received) -> Expected:
    message = ExportTraceServiceRequest()
    try:
        message.ParseFromString(received[0].body)
    except ProtobufDecodeError as error:
        raise DecodeError("not an ExportTraceServiceRequest") from error
    if sum(len(scope.spans) for resource in message.resource_spans for scope in resource.scope_spans) > SPANS_MAX:
        raise TooLargeError("too many spans")
    if any(len(pairs) > ATTRIBUTES_MAX for pairs in _shared_attributes(message)):
        raise TooLargeError("too many attributes in a resource or scope")
    rows: list[Row] = []
    reasons: list[str] = []
    shared_bytes = 0
    for (place, span, context), content in zip(_spans(message, received), span_contents(received[0].body), strict=True):
        shared_bytes += _size_bytes(context, received)
        if shared_bytes > SHARED_BYTES_MAX:
            raise TooLargeError("resource, scope and headers, repeated for each span, are too large")
        reason = _unusable(span)
        if reason:
            reasons.append(f"{place}.{reason}")
        else:
            rows.append({**context, **_row(span, content, received, _text(context, "scope_name"))})
    return Expected(Outcome(len(rows), len(reasons), _summary(reasons)), rows)


def _spans(message: ExportTraceServiceRequest, received: Received) -> Iterator[tuple[str, Span, Row]]:
    for i, resource_spans in enumerate(message.resource_spans):
        for j, scope_spans in enumerate(resource_spans.scope_spans):
            context = _context(resource_spans, scope_spans, received)
            for k, span in enumerate(scope_spans.spans):
                yield f"resourceSpans[{i}].scopeSpans[{j}].spans[{k}]", span, context


def _shared_attributes(message: ExportTraceServiceRequest) -> Iterator[Sequence[KeyValue]]:
    for resource_spans in message.resource_spans:
        yield resource_spans.resource.attributes
        yield from (scope_spans.scope.attributes for scope_spans in resource_spans.scope_spans)


def _context(resource_spans: ResourceSpans, scope_spans: ScopeSpans, received: Received) -> Row:
    request, receipt = received
    resource = to_dict(resource_spans.resource.attributes)
    scope = scope_spans.scope
    service_name = resource.get("service.name")
    return _cells(
        {
            "project": request.project,
            "received_at": receipt.received_at,
            "service_name": service_name if isinstance(service_name, str) and service_name else None,
            "scope_name": scope.name or None,
            "scope_version": scope.version or None,
        }
    ) | _json_cells(
        {"resource_attributes": resource, "scope_attributes": to_dict(scope.attributes) if scope.attributes else None}
    )


def _size_bytes(context: Row, received: Received) -> int:
    shared = [*(cell.value for cell in context.values()), *received[0].headers.values()]
    return sum(len(value) for value in shared if isinstance(value, str))


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
    if any(len(each.attributes) > ATTRIBUTES_MAX for each in (span, *span.events, *span.links)):
        return f"attributes: at most {ATTRIBUTES_MAX} in an object allowed"
    return ""


def _row(span: Span, content: bytes, received: Received, scope_name: str) -> Row:
    request, receipt = received
    start = min(span.start_time_unix_nano, UNIX_NANO_MAX)
    end = min(span.end_time_unix_nano, UNIX_NANO_MAX)
    start_time = _EPOCH + timedelta(microseconds=start // 1000)
    row = _cells(
        {
            "date": _partition_day(start_time.date(), receipt.received_at.date()),
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
            "content_hash": _content_hash(content),
        }
    ) | _json_cells({"events": _events(span), "links": _links(span)})
    return row | _promote(span, request.headers, scope_name, start)


def _promote(span: Span, headers: Mapping[str, str], scope_name: str, start: int) -> Row:
    """Return the columns that the attributes fill, the rest of the attributes, and which are named elsewhere."""
    attributes = to_dict(span.attributes)
    # Of a header and an attribute of the same key, and so of the same rank, the header goes first.
    best: Candidates = {}
    _consider(best, headers, scope_name, is_attribute=False)
    _consider(best, attributes, scope_name, is_attribute=True)
    families = _families(attributes)
    for prefix, members in families.items():
        column, rank = FAMILIES[prefix]
        if column not in best or rank < best[column][0]:
            best[column] = rank, prefix, _family_cell(members)
    of_events(best, _events(span) or [], start)
    kept = hinted(attributes, _events(span) or [])
    for column, (rank, key, cell) in best.items():
        best[column] = rank, key, replace(cell, unchanged=cell.unchanged and kept.get(column, rank + 1) > rank)
    rest, promoted = dict(attributes), {}
    for column, (_, key, cell) in best.items():
        if not cell.unchanged:
            continue
        if key in families:
            promoted[column] = f"{key}*"
            rest = {name: value for name, value in rest.items() if not _is_member(name, key)}
        elif not _MEMBER.fullmatch(key):
            promoted[column] = key
            rest.pop(key, None)
    derive(best, attributes, _events(span) or [], start)
    columns = {column: cell for column, (_, _, cell) in best.items()}
    return columns | _json_cells({"attributes": rest, "promoted": promoted or None})


def _consider(best: Candidates, values: Mapping[str, object], scope_name: str, *, is_attribute: bool) -> None:
    for key, value in values.items():
        for source in _sources(scope_name == "ai").get(key, ()):
            if source.where and values.get(source.where[0]) != source.where[1]:
                continue
            cell = convert(source, value)
            if cell is not None and (source.column not in best or source.rank < best[source.column][0]):
                best[source.column] = source.rank, key, replace(cell, unchanged=cell.unchanged and is_attribute)


@cache
def _sources(is_vercel: bool) -> dict[str, list[Source]]:
    sources: dict[str, list[Source]] = {}
    for dialect in DIALECTS:
        if dialect.scope is None or (dialect.scope == "ai" and is_vercel):
            for source in dialect.sources:
                sources.setdefault(source.key, []).append(source)
    return sources


def _families(attributes: Mapping[str, object]) -> dict[str, dict[int, dict[str, object]]]:
    """Return the members of each family that is present: by prefix, by number, by the rest of their key."""
    families: dict[str, dict[int, dict[str, object]]] = {}
    for key, value in attributes.items():
        member = _MEMBER.fullmatch(key)
        if member:
            prefix, number, rest = member.groups()
            families.setdefault(prefix, {}).setdefault(int(number), {})[rest] = value
    return families


def _family_cell(members: Mapping[int, Mapping[str, object]]) -> Cell:
    numbers = sorted(members)
    listed = to_json([members[number] for number in numbers])
    return Cell(listed, Agreement.JSON, unchanged=numbers == list(range(len(numbers))))


def _is_member(key: str, prefix: str) -> bool:
    member = _MEMBER.fullmatch(key)
    return member is not None and member.group(1) == prefix


def _events(span: Span) -> list[dict[str, object]] | None:
    return [
        {"name": event.name, "time_unix_nano": event.time_unix_nano, "attributes": to_dict(event.attributes)}
        for event in span.events
    ] or None


def _links(span: Span) -> list[object] | None:
    return [
        {
            "trace_id": link.trace_id.hex(),
            "span_id": link.span_id.hex(),
            "trace_state": link.trace_state,
            "attributes": to_dict(link.attributes),
        }
        for link in span.links
    ] or None


def _partition_day(day: date, received: date) -> date:
    return min(max(day, received - timedelta(PAST_DAYS_MAX)), received + timedelta(FUTURE_DAYS_MAX))


def _content_hash(data: bytes) -> int:
    return int.from_bytes(xxhash.xxh64_intdigest(data).to_bytes(8, "big"), "big", signed=True)


def _summary(reasons: list[str]) -> str:
    if not reasons:
        return ""
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return f"{len(reasons)} spans rejected: {'; '.join(reasons[:3])}{more}"


def _cells(values: Mapping[str, object]) -> Row:
    return {column: Cell(value) for column, value in values.items() if value is not None}


def _json_cells(values: Mapping[str, object]) -> Row:
    return {column: Cell(to_json(value), Agreement.JSON) for column, value in values.items() if value is not None}


def _text(row: Row, column: str) -> str:
    return str(row[column].value) if column in row else ""
