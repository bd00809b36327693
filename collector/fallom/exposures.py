"""Exposures: ``POST /sessions``, which session was given which model; and those of the server's own assignments."""

from collector.component import DecodeError
from collector.fallom.fields import Fields, load_object
from collector.request import Receipt, Request

FALLBACK = "fallback"
FALLBACK_INDEX = -1
FLAG_EVENT = "feature_flag.evaluation"
"""The source of exposures that OpenFeature's telemetry reports: it names the variant, not the model."""


def decode(request: Request, receipt: Receipt) -> list[dict[str, object]]:
    """Return the one exposure that a client reports. Raises DecodeError that names the first wrong field."""
    return [_row(Fields(load_object(request.body)), request, receipt, "sessions_api")]


def decode_assignment(request: Request, receipt: Receipt) -> list[dict[str, object]]:
    """Return the one exposure of an assignment that this server has made, and so need not recompute."""
    fields = Fields(load_object(request.body))
    row = _row(fields, request, receipt, fields.text("source"))
    computed = {
        "computed_variant_index": row["variant_index"],
        "computed_model": row["assigned_model"],
        "computed_reason": row["reason"],
    }
    return [row | computed]


def _row(fields: Fields, request: Request, receipt: Receipt, source: str) -> dict[str, object]:
    reason = fields.optional_text("reason")
    return {
        "project": request.project,
        "config_key": fields.text("config_key"),
        "config_version": _version(fields, reason),
        "session_id": fields.text("session_id"),
        "customer_id": fields.optional_text("customer_id"),
        "assigned_model": fields.text("assigned_model"),
        "variant_index": _variant_index(fields, reason),
        "reason": reason,
        "source": source,
        "event_time": receipt.received_at,
        "received_at": receipt.received_at,
    }


def _version(fields: Fields, reason: str | None) -> int:
    # Who fell back has had no config, or no version of it.
    version = fields.optional_integer("config_version") or 0 if reason == FALLBACK else fields.integer("config_version")
    if version < 0:
        raise DecodeError(f"must be >= 0, got {version}", field="config_version")
    return version


def _variant_index(fields: Fields, reason: str | None) -> int | None:
    index = fields.optional_integer("variant_index")
    if reason != FALLBACK:
        return index
    if index not in (None, FALLBACK_INDEX):
        raise DecodeError(
            f"must be {FALLBACK_INDEX} or absent where the reason is fallback, got {index}", field="variant_index"
        )
    return FALLBACK_INDEX
