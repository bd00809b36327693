"""Custom metrics of a session: ``POST /spans``."""

import math

from collector.component import DecodeError
from collector.fallom.fields import Fields, load_object
from collector.request import Receipt, Request

METRICS_MAX = 1_000
NAME_CHARACTERS_MAX = 256


def decode(request: Request, receipt: Receipt) -> list[dict[str, object]]:
    """Return a row a metric. Raises DecodeError that names the first wrong field."""
    fields = Fields(load_object(request.body))
    shared = {
        "project": request.project,
        "config_key": fields.text("config_key"),
        "session_id": fields.text("session_id"),
        "event_time": receipt.received_at,
        "received_at": receipt.received_at,
    }
    data = fields.mapping("data")
    if len(data) > METRICS_MAX:
        raise DecodeError(f"at most {METRICS_MAX} metrics allowed, got {len(data)}", field="data")
    return [{**shared, "name": name, **_value(name, value)} for name, value in data.items()]


def _value(name: str, value: object) -> dict[str, object]:
    if not name:
        raise DecodeError("a metric's name must not be empty", field="data")
    if len(name) > NAME_CHARACTERS_MAX:
        raise DecodeError(
            f"a metric's name has at most {NAME_CHARACTERS_MAX} characters, got {len(name)}", field="data"
        )
    if isinstance(value, bool):
        return {"value_type": "boolean", "value_double": float(value)}
    if isinstance(value, int | float) and math.isfinite(value):
        return {"value_type": "number", "value_double": float(value)}
    if isinstance(value, str):
        return {"value_type": "string", "value_string": value}
    got = "null" if value is None else type(value).__name__
    raise DecodeError(f"a number, a boolean or a string expected, got {got}", field=f"data.{name}")
