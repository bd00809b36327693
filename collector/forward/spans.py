"""Rows of the span table as an OTLP request: the way back of ``collector.otlp``, without loss.

What a row holds is encoded always alike, so that a row that is sent again has the same bytes, and the target can tell
that it has it. Rows of one resource and scope stand together.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from collector.forward.attributes import Pairs, attributes_of, listed, members
from collector.otlp.columns import KINDS, STATUS_CODES

Row = Mapping[str, Any]

# What of a row is read; the rest follows from these.
COLUMNS = (
    "project", "trace_id", "span_id", "parent_span_id", "trace_state", "name", "kind", "start_time_unix_nano",
    "duration_ns", "status_code", "status_message", "scope_name", "scope_version", "config_key", "session_id",
    "customer_id", "prompt_key", "prompt_version", "prompt_ab_test_key", "prompt_variant_index", "operation",
    "provider", "request_model", "response_model", "input_tokens", "output_tokens", "total_tokens", "cache_read_tokens",
    "cache_write_tokens", "reasoning_tokens", "reported_cost", "time_to_first_token_ns", "is_streaming",
    "finish_reason", "tool_name", "error_type", "input", "output", "tags", "metadata", "attributes", "promoted",
    "resource_attributes", "scope_attributes", "events", "links",
)  # fmt: skip
_KINDS = {name: Span.SpanKind.ValueType(number) for number, name in enumerate(KINDS)}
_STATUS_CODES = {name: Status.StatusCode.ValueType(number) for number, name in enumerate(STATUS_CODES)}
_INT64 = range(-(2**63), 2**63)
_UINT64_MAX = 2**64 - 1
# A flat trace may be nested deeper than protobuf's readers go, 100 messages: what lies deeper is sent as JSON.
_VALUE_DEPTH, _DEPTH_MAX = 7, 96
_SHARED = ("resource_attributes", "scope_name", "scope_version", "scope_attributes")
_DOUBLES = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def request_of(rows: Sequence[Row]) -> bytes:
    """Return the ExportTraceServiceRequest of the rows."""
    request = ExportTraceServiceRequest()
    by_scope: dict[tuple[Any, ...], ScopeSpans] = {}
    for row in rows:
        shared = tuple(row[name] for name in _SHARED)
        scope_spans = by_scope.get(shared)
        if scope_spans is None:
            scope_spans = by_scope[shared] = _scope_of(request, row)
        _fill(scope_spans.spans.add(), row)
    return bytes(request.SerializeToString(deterministic=True))


def _scope_of(request: ExportTraceServiceRequest, row: Row) -> ScopeSpans:
    resource_spans = request.resource_spans.add()
    _add(resource_spans.resource.attributes, listed(_loaded(row["resource_attributes"])))
    scope_spans: ScopeSpans = resource_spans.scope_spans.add()
    scope_spans.scope.name = row["scope_name"] or ""
    scope_spans.scope.version = row["scope_version"] or ""
    _add(scope_spans.scope.attributes, listed(_loaded(row["scope_attributes"])))
    return scope_spans


def _fill(span: Span, row: Row) -> None:
    span.trace_id, span.span_id = bytes.fromhex(row["trace_id"]), bytes.fromhex(row["span_id"])
    if row["parent_span_id"]:
        span.parent_span_id = bytes.fromhex(row["parent_span_id"])
    span.trace_state, span.name = row["trace_state"] or "", row["name"] or ""
    span.kind = _KINDS.get(row["kind"], Span.SPAN_KIND_UNSPECIFIED)
    start = row["start_time_unix_nano"] or 0
    span.start_time_unix_nano = max(start, 0)
    if row["duration_ns"] is not None:
        span.end_time_unix_nano = max(start + row["duration_ns"], 0)
    if row["status_code"] != "unset":
        span.status.code = _STATUS_CODES.get(row["status_code"], Status.STATUS_CODE_UNSET)
    if row["status_message"]:
        span.status.message = row["status_message"]
    _add(span.attributes, attributes_of(row, _loaded(row["promoted"]), _loaded(row["attributes"])))
    for event in _objects(row["events"]):
        added = span.events.add(name=_text(event.get("name")), time_unix_nano=_time(event.get("time_unix_nano")))
        _add(added.attributes, listed(event.get("attributes")))
    for link in _objects(row["links"]):
        added = span.links.add(trace_state=_text(link.get("trace_state")))
        added.trace_id, added.span_id = _id(link.get("trace_id")), _id(link.get("span_id"))
        _add(added.attributes, listed(link.get("attributes")))


def _add(attributes: Any, pairs: Pairs) -> None:
    for key, value in pairs:
        _set(attributes.add(key=key).value, value)


def _set(target: AnyValue, value: object, depth: int = _VALUE_DEPTH) -> None:
    """Give an OTLP value what docs/schema.md says of the JSON; ``depth`` is how many messages it lies within."""
    match value:
        case str():
            target.string_value = value
        case bool():
            target.bool_value = value
        case int() if value in _INT64:
            target.int_value = value
        case int():
            # OTLP has none of this size; a flat trace may bear one.
            target.string_value = str(value)
        case float():
            target.double_value = value
        case list() | dict() if depth > _DEPTH_MAX:
            target.string_value = json.dumps(value, ensure_ascii=False)
        case list():
            target.array_value.SetInParent()
            for item in value:
                _set(target.array_value.values.add(), item, depth + 2)
        case dict():
            _set_object(target, value, depth)
        case _:
            pass


def _set_object(target: AnyValue, value: Mapping[str, object], depth: int) -> None:
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key == "$double" and isinstance(inner, str) and inner in _DOUBLES:
            target.double_value = _DOUBLES[inner]
            return
        if key == "$bytes" and isinstance(inner, str):
            content = _bytes(inner)
            if content is not None:
                target.bytes_value = content
                return
    target.kvlist_value.SetInParent()
    for key, item in members(value):
        pair: KeyValue = target.kvlist_value.values.add(key=key)
        _set(pair.value, item, depth + 3)


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def _loaded(text: str | None) -> object:
    """Return what a JSON column says; nothing where it was masked, or removed after its time.

    By Python's own reader: it reads integers of any size.
    """
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _objects(text: str | None) -> Iterable[Mapping[str, Any]]:
    found = _loaded(text)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value <= _UINT64_MAX else 0


def _id(value: object) -> bytes:
    try:
        return bytes.fromhex(_text(value))
    except ValueError:
        return b""
