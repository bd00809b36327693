"""OTLP logs: their GenAI events become rows of the tables that there are; other records are kept, or dropped.

- ``feature_flag.evaluation``, of a flag with a version, is an exposure.
- ``gen_ai.evaluation.result``, of a session, is a custom metric.
- Any other ``gen_ai.*`` event within a trace is a span of no duration under the span that it belongs to, with the
  operation ``event``, so that it counts as no call: ``decode`` of traces reads it, and whatever is done to spans
  (content, retention, forgetting) is done to it. Its body stands in the attribute ``gen_ai.event.content``. Its id is a
  hash of what was sent, so that a retry is recognised; with a privacy policy it is hashed once more, under its key.
- All others are rows of ``log_records`` where they are to be kept, else they are counted.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import xxhash
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from collector.component import CollectorError
from collector.fallom.exposures import FALLBACK, FALLBACK_INDEX, FLAG_EVENT
from collector.fallom.metrics import NAME_CHARACTERS_MAX
from collector.otlp import wire
from collector.otlp.kept import KeptRows, check_size, joined
from collector.otlp.log_records import KeptLogRecords
from collector.otlp.origin import Origin
from collector.request import Decoded, Format, Outcome, Receipt, Received, Request
from collector.rows import Row, batch
from schemas.log_records import LOG_RECORDS

EVENT = "event"
"""The operation of a span that is an event."""

EVALUATION_EVENT = "gen_ai.evaluation.result"
EVENT_NAMES = "gen_ai."
"""What the name of an event that becomes a span, and so the span's, begins with."""
_CONTENT = "gen_ai.event.content"
_OPERATION = "fallom.kind"
# The best first; a flag's context is whom it was evaluated for.
_CONFIG_KEYS = ("fallom.config_key", "x-fallom-config-key")
_SESSIONS = ("fallom.session_id", "x-fallom-session-id", "session.id", "gen_ai.conversation.id")
_CUSTOMERS = ("fallom.customer_id", "x-fallom-customer-id", "user.id", "enduser.id")
_VARIANTS = ("feature_flag.result.variant", "feature_flag.variant")
_REASONS = ("feature_flag.result.reason", "feature_flag.evaluation.reason")
# OpenFeature's words in ours; of the others it is worked out from the config.
_REASON_OF_WORD = {"split": "weight", "targeting_match": "rule", "default": FALLBACK, "error": FALLBACK}

Attributes = Mapping[str, object]


@dataclass(slots=True)
class _Found:
    """What one request holds that is kept, and how many records are not; ``others`` where those are kept too."""

    others: KeptLogRecords | None = None
    exposures: list[Row] = field(default_factory=list)
    metrics: list[Row] = field(default_factory=list)
    events: ExportTraceServiceRequest = field(default_factory=ExportTraceServiceRequest)
    event_count: int = 0
    dropped: int = 0


def decode(
    read: Callable[[bytes], ExportLogsServiceRequest], requests: Sequence[Received], *, keep: bool = False
) -> Decoded:
    """Return the rows of the requests' GenAI events, and of all other records if ``keep``; ``read`` reads a body.

    Raises TooLargeError where they come to too much together.
    """
    found: dict[int, _Found] = {}
    outcomes: dict[int, Outcome | CollectorError] = {}
    rows_kept: list[KeptRows] = []
    kept_bytes = 0
    for place, (request, receipt) in enumerate(requests):
        try:
            found[place] = _found(read(request.body), request, receipt, keep=keep)
        except CollectorError as error:
            # Without what the traceback refers to, the message above all.
            outcomes[place] = error.with_traceback(None)
            continue
        if others := found[place].others:
            rows_kept.append(others.rows)
            kept_bytes += others.rows.size_bytes
            check_size(kept_bytes, rows_kept)
    with_events = [place for place, each in found.items() if each.event_count]
    spans = wire.decode([_as_traces(found[place], *requests[place]) for place in with_events]) if with_events else None
    failed = dict(zip(with_events, spans.outcomes, strict=True)) if spans else {}
    for place, each in found.items():
        outcomes[place] = _outcome(each, failed.get(place))
    kept = [each for place, each in found.items() if isinstance(outcomes[place], Outcome)]
    rows = {
        "exposures": [row for each in kept for row in each.exposures],
        "metrics": [row for each in kept for row in each.metrics],
    }
    return Decoded(
        "spans",
        spans.rows if spans else batch("spans", []),
        [outcomes[place] for place in range(len(requests))],
        [(table, batch(table, found_rows)) for table, found_rows in rows.items() if found_rows] + _others(kept),
    )


def _others(found: Sequence[_Found]) -> list[tuple[str, pa.RecordBatch]]:
    kept = [each.others.rows for each in found if each.others and each.others.rows.count]
    return [(LOG_RECORDS.name, joined(LOG_RECORDS.name, kept))] if kept else []


def _outcome(found: _Found, events: Outcome | CollectorError | None) -> Outcome | CollectorError:
    if isinstance(events, CollectorError):
        return events
    others = found.others.rows.count if found.others else 0
    accepted = len(found.exposures) + len(found.metrics) + (events.accepted if events else 0) + others
    return Outcome(accepted, dropped=found.dropped + (events.rejected if events else 0))


def _as_traces(found: _Found, request: Request, receipt: Receipt) -> Received:
    body = found.events.SerializeToString(deterministic=True)
    return Request(Format.OTLP_PROTOBUF, body, request.project, request.headers), receipt


def _found(message: ExportLogsServiceRequest, request: Request, receipt: Receipt, *, keep: bool) -> _Found:
    found = _Found(KeptLogRecords() if keep else None)
    for resource in message.resource_logs:
        _read_resource(resource, request, receipt, found)
    if found.others:
        found.others.rows.batches()
    return found


def _read_resource(resource: ResourceLogs, request: Request, receipt: Receipt, found: _Found) -> None:
    events = ResourceSpans(resource=resource.resource, schema_url=resource.schema_url)
    for scope in resource.scope_logs:
        scope_events = events.scope_spans.add(scope=scope.scope, schema_url=scope.schema_url)
        origin = Origin.of(resource.resource, scope.scope, request, receipt) if found.others else None
        for record in scope.log_records:
            name = _event_name(record)
            if name == FLAG_EVENT and (row := _exposure(record, request, receipt)):
                found.exposures.append(row)
            elif name == EVALUATION_EVENT and (row := _metric(record, request, receipt)):
                found.metrics.append(row)
            elif name.startswith(EVENT_NAMES) and len(record.trace_id) == 16 and any(record.trace_id):
                scope_events.spans.append(_event_span(record, name, receipt))
                found.event_count += 1
            elif found.others and origin:
                found.others.add(record, name, origin)
            else:
                found.dropped += 1
    if any(scope_events.spans for scope_events in events.scope_spans):
        found.events.resource_spans.append(events)


def _event_name(record: LogRecord) -> str:
    """Return the event's name; until OTLP 1.5 an attribute had it."""
    if record.event_name:
        return str(record.event_name)
    return next((pair.value.string_value for pair in record.attributes if pair.key == "event.name"), "")


def _exposure(record: LogRecord, request: Request, receipt: Receipt) -> Row | None:
    attributes = _attributes(record, request)
    flag, variant = _text(attributes, "feature_flag.key"), _text(attributes, *_VARIANTS)
    session = _text(attributes, *_SESSIONS, "feature_flag.context.id")
    version = _version(attributes.get("feature_flag.version"))
    if flag is None or variant is None or session is None or version is None:
        return None
    reason = _REASON_OF_WORD.get((_text(attributes, *_REASONS) or "").lower())
    return {
        "project": request.project,
        "config_key": flag,
        "config_version": version,
        "session_id": session,
        "customer_id": _text(attributes, *_CUSTOMERS),
        "assigned_model": variant,
        "variant_index": FALLBACK_INDEX if reason == FALLBACK else None,
        "reason": reason,
        "source": FLAG_EVENT,
        "event_time": _moment(record, receipt).received_at,
        "received_at": receipt.received_at,
    }


def _metric(record: LogRecord, request: Request, receipt: Receipt) -> Row | None:
    attributes = _attributes(record, request)
    name, config_key = _text(attributes, "gen_ai.evaluation.name"), _text(attributes, *_CONFIG_KEYS)
    session, value = _text(attributes, *_SESSIONS), _score(attributes)
    if name is None or len(name) > NAME_CHARACTERS_MAX or config_key is None or session is None or value is None:
        return None
    return {
        "project": request.project,
        "config_key": config_key,
        "session_id": session,
        "name": name,
        **value,
        "event_time": _moment(record, receipt).received_at,
        "received_at": receipt.received_at,
    }


def _score(attributes: Attributes) -> Row | None:
    score, label = attributes.get("gen_ai.evaluation.score.value"), attributes.get("gen_ai.evaluation.score.label")
    if isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score):
        return {"value_type": "number", "value_double": float(score)}
    return {"value_type": "string", "value_string": label} if isinstance(label, str) else None


def _event_span(record: LogRecord, name: str, receipt: Receipt) -> Span:
    span = Span(
        trace_id=record.trace_id,
        span_id=_id_of(record),
        parent_span_id=record.span_id if len(record.span_id) == 8 and any(record.span_id) else b"",
        name=name,
        flags=record.flags,
        dropped_attributes_count=record.dropped_attributes_count,
    )
    span.start_time_unix_nano = span.end_time_unix_nano = (
        record.time_unix_nano or record.observed_time_unix_nano or receipt.unix_us * 1000
    )
    span.attributes.extend(record.attributes)
    if record.body.WhichOneof("value"):
        span.attributes.add(key=_CONTENT, value=record.body)
    # Last: of an attribute that is there twice the last counts.
    span.attributes.add(key=_OPERATION, value=AnyValue(string_value=EVENT))
    return span


def _id_of(record: LogRecord) -> bytes:
    """Return eight bytes, not all zeros, that are the same whenever the same record is sent."""
    digest = xxhash.xxh3_64_digest(record.SerializeToString(deterministic=True))
    return digest if any(digest) else b"\1" * 8


def _moment(record: LogRecord, receipt: Receipt) -> Receipt:
    """Return when the event was; never later than now, since of a session's values the latest counts."""
    nano = record.time_unix_nano or record.observed_time_unix_nano
    return Receipt(min(nano // 1000, receipt.unix_us)) if nano else receipt


def _attributes(record: LogRecord, request: Request) -> dict[str, object]:
    own = {
        pair.key: getattr(pair.value, kind) for pair in record.attributes if (kind := pair.value.WhichOneof("value"))
    }
    return {**request.headers, **own}


def _text(attributes: Attributes, *keys: str) -> str | None:
    return next((value for key in keys if isinstance(value := attributes.get(key), str) and value), None)


def _version(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
