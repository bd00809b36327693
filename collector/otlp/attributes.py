"""Attributes as typed JSON, without loss.

Strings, integers (of any size), booleans, lists and maps are JSON's own; a double always has a point or an exponent.
What JSON can't say is an object of one key that begins with ``$``: ``{"$bytes": base64}``, ``{"$double": "NaN"}``
(also ``Infinity`` and ``-Infinity``); a map that has such a key itself, or a key twice, is
``{"$kvlist": [[key, value], …]}``. An empty AnyValue is ``null``.
"""

import base64
import math
from collections.abc import Iterable

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def to_python(value: AnyValue) -> object:
    """Return the value in the form that JSON holds without loss."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return _double(value.double_value)
        case "bytes_value":
            return {"$bytes": base64.b64encode(value.bytes_value).decode()}
        case "array_value":
            return [to_python(item) for item in value.array_value.values]
        case "kvlist_value":
            return _map(value.kvlist_value.values)
        case _:
            return None


def to_dict(pairs: Iterable[KeyValue]) -> dict[str, object]:
    """Return the attributes by key; of a key that stands twice, which OTLP forbids, the last."""
    return {pair.key: to_python(pair.value) for pair in pairs}


def to_json(attributes: object) -> str:
    """Return the JSON text."""
    return orjson.dumps(attributes).decode()


def _double(number: float) -> object:
    if math.isfinite(number):
        return number
    return {"$double": "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"}


def _map(pairs: Iterable[KeyValue]) -> object:
    listed = [(pair.key, to_python(pair.value)) for pair in pairs]
    result = dict(listed)
    if len(result) < len(listed) or any(key.startswith("$") for key in result):
        return {"$kvlist": [list(pair) for pair in listed]}
    return result
