"""An exposure: ``POST /sessions``, which session was given which model."""

from collector.component import DecodeError
from collector.fallom.fields import Fields, load_object
from collector.request import Receipt, Request


def decode(request: Request, receipt: Receipt) -> list[dict[str, object]]:
    """Return the one exposure. Raises DecodeError that names the first wrong field."""
    fields = Fields(load_object(request.body))
    version = fields.integer("config_version")
    if version < 0:
        raise DecodeError(f"must be >= 0, got {version}", field="config_version")
    row: dict[str, object] = {
        "project": request.project,
        "config_key": fields.text("config_key"),
        "config_version": version,
        "session_id": fields.text("session_id"),
        "customer_id": fields.optional_text("customer_id"),
        "assigned_model": fields.text("assigned_model"),
        "variant_index": fields.optional_integer("variant_index"),
        "reason": fields.optional_text("reason"),
        "source": "sessions_api",
        "event_time": receipt.received_at,
        "received_at": receipt.received_at,
    }
    return [row]
