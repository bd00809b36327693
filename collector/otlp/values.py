"""OTLP's values as the JSON columns hold them (docs/schema.md), from protobuf's own messages."""

import base64
import math
from collections.abc import Iterable

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

UNIX_NANO_MAX = 2**63 - 1


def to_python(value: AnyValue) -> object:
    """Return the value in the form that JSON holds without loss."""
    kind = value.WhichOneof("value")
    match kind:
        case "double_value":
            return double(value.double_value)
        case "bytes_value":
            return {"$bytes": base64.b64encode(value.bytes_value).decode()}
        case "array_value":
            return [to_python(item) for item in value.array_value.values]
        case "kvlist_value":
            return _map(value.kvlist_value.values)
        case "string_value" | "bool_value" | "int_value":
            return getattr(value, kind)
        case _:
            return None


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, object]:
    """Return attributes by key; of a key that stands twice the last."""
    return {pair.key: to_python(pair.value) for pair in pairs}


def double(number: float) -> object:
    """Return a double as JSON can say it."""
    if math.isfinite(number):
        return number
    return {"$double": "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"}


def to_json(value: object) -> str:
    """Return the JSON text."""
    return orjson.dumps(value).decode()


def hex_id(value: bytes, size_bytes: int) -> str | None:
    """Return an id in lowercase hex; None for one of another size or all zeros, which is none."""
    return value.hex() if len(value) == size_bytes and any(value) else None


def unix_nano(value: int) -> int | None:
    """Return a time as a column holds it; None for 0, which says that it is not known."""
    return min(value, UNIX_NANO_MAX) or None


def _map(pairs: Iterable[KeyValue]) -> object:
    listed = [(pair.key, to_python(pair.value)) for pair in pairs]
    result = dict(listed)
    if len(result) < len(listed) or any(key.startswith("$") for key in result):
        return {"$kvlist": [list(pair) for pair in listed]}
    return result
