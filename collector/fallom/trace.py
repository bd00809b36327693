"""The flat Fallom trace: one call to a model, a tool or anything else, as one JSON object."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import orjson
import xxhash

from collector.component import DecodeError
from collector.derive import KEYS, derived
from collector.fallom.fields import Fields
from collector.fallom.raw import TOTALS, raw_columns
from collector.otlp.columns import partition_day
from collector.promote import Promotion, as_count, family_member, promote
from collector.request import Receipt, Request

REQUIRED = (
    "config_key",
    "session_id",
    "trace_id",
    "span_id",
    "name",
    "start_time",
    "end_time",
    "duration_ms",
    "status",
)
_STATUS_CODES = {"OK": "ok", "ERROR": "error"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_partition_day = lru_cache(1024)(partition_day)
_DURATION_MS_MAX = 2**63 // 1_000_000 - 1


def looks_flat(document: Mapping[str, object]) -> bool:
    """Return whether a JSON object on the traces path is meant as a flat trace."""
    return any(name in document for name in REQUIRED)


def decode(document: Mapping[str, object], request: Request, receipt: Receipt) -> dict[str, object]:
    """Return the row of the one span. Raises DecodeError that names the first wrong field."""
    try:
        hashed = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise DecodeError("the trace is nested too deep") from error
    fields = Fields(document)
    status = _status(fields)
    attributes = fields.optional_mapping("attributes") or {}
    own = _own_columns(fields, status)
    identity = _identity(fields, request, receipt)
    promotion = promote({**attributes, **request.headers} if request.headers else attributes)
    if not KEYS.isdisjoint(attributes):
        _derive(promotion, attributes, identity)
    unchanged = {
        column: key for column, key in promotion.unchanged.items() if column not in own and key not in request.headers
    }
    row = raw_columns(attributes, fields.number("duration_ms"))
    if not TOTALS.isdisjoint(promotion.columns):
        row.pop("token_rule", None)
    # Of the columns that several sources can fill, the trace's own fields win, then its attributes, then raw bodies.
    row.update(promotion.columns)
    row.update(own)
    row.update(identity)
    row["status_code"] = status
    row["scope_version"] = _client_version(attributes)
    row["attributes"] = _json(_rest(attributes, unchanged))
    row["promoted"] = _json(unchanged) if unchanged else None
    row["content_hash"] = _content_hash(hashed)
    return row


def _derive(promotion: Promotion, attributes: Mapping[str, object], identity: Mapping[str, object]) -> None:
    """Let what takes more to read than its own value fill columns too."""
    start = identity["start_time_unix_nano"]
    found = derived(
        attributes,
        (),
        start_unix_nano=start if isinstance(start, int) else None,
        ranks=promotion.ranks,
        text_of=lambda column: str(promotion.columns[column]),
    )
    promotion.columns.update(found)
    for column in found:
        promotion.unchanged.pop(column, None)


def _rest(attributes: Mapping[str, object], unchanged: Mapping[str, str]) -> Mapping[str, object]:
    """Return the attributes that no column holds as they are."""
    if not unchanged:
        return attributes
    held = set(unchanged.values())
    return {key: value for key, value in attributes.items() if key not in held and family_member(key) not in held}


def _identity(fields: Fields, request: Request, receipt: Receipt) -> dict[str, object]:
    received_at = receipt.received_at
    start_time = fields.time("start_time")
    fields.time("end_time")
    duration_ms = fields.number("duration_ms")
    return {
        "project": request.project,
        "date": _partition_day(start_time.date(), received_at.date()),
        "trace_id": fields.hex_id("trace_id", 32),
        "span_id": fields.hex_id("span_id", 16),
        "parent_span_id": fields.hex_id("parent_span_id", 16) if fields.optional_text("parent_span_id") else None,
        "name": fields.text("name"),
        "kind": "client",
        "start_time": start_time,
        "start_time_unix_nano": _unix_nano(start_time),
        "duration_ns": _nanoseconds(duration_ms),
        "status_message": fields.optional_text("error_message"),
        "resource_attributes": "{}",
        "scope_name": "fallom",
        "received_at": received_at,
    }


def _json(document: Mapping[str, object]) -> str:
    return orjson.dumps(document).decode()


def _content_hash(data: bytes) -> int:
    """Return a 64-bit hash that tells a trace that is sent again from another one, as a signed integer."""
    return int.from_bytes(xxhash.xxh3_64_digest(data), "big", signed=True)


def _client_version(attributes: Mapping[str, object]) -> str | None:
    version = attributes.get("fallom.sdk_version")
    return version if isinstance(version, str) else None


def _own_columns(fields: Fields, status: str) -> dict[str, object]:
    first_token_ms = fields.optional_number("time_to_first_token_ms")
    metadata = fields.optional_mapping("metadata")
    # The clients send the model that answered, but of a failed call the one that was asked for.
    model_column = "request_model" if status == "error" else "response_model"
    columns = {
        "config_key": fields.text("config_key"),
        "session_id": fields.text("session_id"),
        "customer_id": fields.optional_text("customer_id"),
        "operation": fields.optional_text("kind"),
        model_column: fields.optional_text("model"),
        "is_streaming": fields.optional_bool("is_streaming"),
        "time_to_first_token_ns": as_count(_nanoseconds(first_token_ms)),
        "prompt_key": fields.optional_text("prompt_key"),
        "prompt_version": fields.optional_integer("prompt_version"),
        "prompt_ab_test_key": fields.optional_text("prompt_ab_test_key"),
        "prompt_variant_index": fields.optional_integer("prompt_variant_index"),
        "tags": fields.texts("tags"),
        "metadata": _json(metadata) if metadata is not None else None,
    }
    return {name: value for name, value in columns.items() if value is not None}


def _status(fields: Fields) -> str:
    status = fields.text("status")
    if status not in _STATUS_CODES:
        raise DecodeError(f"OK or ERROR expected, got {status!r}", field="status")
    return _STATUS_CODES[status]


def _nanoseconds(ms: float | None) -> int | None:
    return round(ms * 1e6) if ms is not None and 0 <= ms <= _DURATION_MS_MAX else None


def _unix_nano(time: datetime) -> int:
    elapsed = time - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1000
