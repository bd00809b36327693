"""OTLP/JSON to OTLP messages: hex ids, 64-bit integers as text or number, base64 bytes, unknown fields ignored.

Clients in the wild also send snake_case names and the names of enum values, so both are taken.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.component import DecodeError
from schemas.api.problems import shown

DEPTH_MAX = 64
_HEX_DIGITS = {"trace_id": 32, "span_id": 16, "parent_span_id": 16}
_DOUBLES = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_INTEGER_BOUNDS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def to_message(document: Mapping[str, Any]) -> ExportTraceServiceRequest:
    """Return the message that the JSON object describes. Raises DecodeError that names the field."""
    message = ExportTraceServiceRequest()
    _fill(message, document, "", 0)
    return message


def _fill(message: Message, document: object, path: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise DecodeError(f"nested deeper than {DEPTH_MAX}", field=path)
    if not isinstance(document, dict):
        raise DecodeError(f"an object expected, got {_kind(document)}", field=path or "body")
    fields = _fields(message.DESCRIPTOR)
    for name, value in document.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        place = f"{path}.{name}" if path else name
        if field.is_repeated:
            _fill_repeated(message, field, value, place, depth)
        elif field.message_type is not None:
            child = getattr(message, field.name)
            child.SetInParent()
            _fill(child, value, place, depth + 1)
        else:
            setattr(message, field.name, _scalar(field, value, place))


def _fill_repeated(message: Message, field: FieldDescriptor, value: object, place: str, depth: int) -> None:
    if not isinstance(value, list):
        raise DecodeError(f"a list expected, got {_kind(value)}", field=place)
    items = getattr(message, field.name)
    for index, item in enumerate(value):
        item_place = f"{place}[{index}]"
        if field.message_type is None:
            items.append(_scalar(field, item, item_place))
        else:
            _fill(items.add(), {} if item is None else item, item_place, depth + 1)


_fields_of: dict[str, dict[str, FieldDescriptor]] = {}


def _fields(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    """Return the message's fields by both of their names."""
    known = _fields_of.get(descriptor.full_name)
    if known is None:
        known = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
        _fields_of[descriptor.full_name] = known
    return known


def _scalar(field: FieldDescriptor, value: object, place: str) -> object:
    convert = _SCALARS.get(field.cpp_type, _integer)
    return convert(field, value, place)


def _integer(field: FieldDescriptor, value: object, place: str) -> int:
    number: object = value
    if isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            number = None
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    low, high = _INTEGER_BOUNDS[field.cpp_type]
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
        raise DecodeError(f"an integer from {low} to {high} expected, got {shown(value)}", field=place)
    return number


def _double(_field: FieldDescriptor, value: object, place: str) -> float:
    if isinstance(value, str):
        if value in _DOUBLES:
            return _DOUBLES[value]
        try:
            return float(value)
        except ValueError:
            pass
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise DecodeError(f"a number expected, got {shown(value)}", field=place)


def _bool(_field: FieldDescriptor, value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise DecodeError(f"true or false expected, got {shown(value)}", field=place)
    return value


def _enum(field: FieldDescriptor, value: object, place: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31:
        return value
    named = field.enum_type.values_by_name.get(value) if isinstance(value, str) else None
    if named is None:
        raise DecodeError(f"a value of {field.enum_type.name} expected, got {shown(value)}", field=place)
    return int(named.number)


def _text(field: FieldDescriptor, value: object, place: str) -> str | bytes:
    if not isinstance(value, str):
        raise DecodeError(f"a string expected, got {shown(value)}", field=place)
    if field.type != FieldDescriptor.TYPE_BYTES:
        return value
    try:
        if field.name in _HEX_DIGITS:
            return _id(value, _HEX_DIGITS[field.name])
        padded = value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4)
        return base64.b64decode(padded, altchars=b"-_" if set(value) & set("-_") else None, validate=True)
    except (ValueError, binascii.Error) as error:
        kind = "hex digits" if field.name in _HEX_DIGITS else "base64"
        raise DecodeError(f"{kind} expected, got {shown(value)}", field=place) from error


def _id(digits: str, expected: int) -> bytes:
    """Return the bytes of an id. One of a wrong length is the span's own fault, and is judged with the span."""
    if len(digits) % 2:
        # Half a byte must not make the id right.
        digits = digits[:-1] if len(digits) + 1 == expected else digits + "0"
    return binascii.unhexlify(digits)


_SCALARS: dict[int, Callable[[FieldDescriptor, object, str], object]] = {
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
    FieldDescriptor.CPPTYPE_BOOL: _bool,
    FieldDescriptor.CPPTYPE_ENUM: _enum,
    FieldDescriptor.CPPTYPE_STRING: _text,
}


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
