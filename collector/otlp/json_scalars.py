"""The scalars of OTLP/JSON as protobuf's bytes: integers as text or number, hex ids, base64, names of enum values.

Each conversion takes a JSON value and returns the field's payload, without its tag. It returns ``b""`` for protobuf's
default, which only a field with presence sends.
"""

import base64
import binascii
import struct
from collections.abc import Callable

from google.protobuf.descriptor import FieldDescriptor

from schemas.api.problems import shown

Scalar = Callable[[object], bytes]

LENGTH_DELIMITED = 2
HEX_DIGITS = {"trace_id": 32, "span_id": 16, "parent_span_id": 16}
_DOUBLES = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_DOUBLE = struct.Struct("<d").pack
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class FieldError(Exception):
    """A value that is not what its field holds; ``path`` is built from the inside out by those that hold it."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def varint(number: int) -> bytes:
    """Return a number from 0 to 2⁶⁴ - 1 as a varint."""
    if number < SMALL_MAX:
        return SMALL_VARINTS[number]
    return _varint(number)


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


SMALL_MAX = 1 << 14
SMALL_VARINTS = tuple(_varint(number) for number in range(SMALL_MAX))
"""The varints of up to two bytes: almost all lengths."""


def integer(value: object, low: int = _INT64_MIN, high: int = _INT64_MAX) -> int:
    """Return an integer that is sent as a number or as the text of one, within its bounds. Raises FieldError."""
    number = value
    if type(value) is str:
        digits = value.removeprefix("-")
        # As long as it may have leading zeros, so long a text is no number that anybody sends.
        number = int(value) if digits.isdecimal() and digits.isascii() and len(digits) < 64 else None
    elif type(value) is float and value.is_integer():
        number = int(value)
    if type(number) is not int or not low <= number <= high:
        raise FieldError(f"an integer from {low} to {high} expected, got {shown(value)}")
    return number


def double(value: object) -> bytes:
    """Return a double that is sent as a number or a text, NaN, Infinity and -Infinity too. Raises FieldError."""
    if type(value) is float or type(value) is int:
        return _DOUBLE(value)
    if type(value) is str:
        if value in _DOUBLES:
            return _DOUBLE(_DOUBLES[value])
        # Python's float() would also take "1_000", " 1" and "nan".
        if not value.strip("+-.0123456789eE"):
            try:
                return _DOUBLE(float(value))
            except ValueError:
                pass
    raise FieldError(f"a number expected, got {shown(value)}")


def boolean(value: object) -> bytes:
    """Return true or false. Raises FieldError."""
    if value is True:
        return b"\1"
    if value is False:
        return b"\0"
    raise FieldError(f"true or false expected, got {shown(value)}")


def text(value: object) -> bytes:
    """Return a string in UTF-8. Raises FieldError."""
    if type(value) is str:
        return value.encode()
    raise FieldError(f"a string expected, got {shown(value)}")


def scalar(field: FieldDescriptor) -> Scalar:
    """Return the conversion of a field that is not a message."""
    if field.type == FieldDescriptor.TYPE_BYTES:
        digits = HEX_DIGITS.get(field.name)
        return _base64 if digits is None else _hex(digits)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum({value.name: value.number for value in field.enum_type.values}, field.enum_type.name)
    return _SCALARS[field.type]


def wire_type(field: FieldDescriptor) -> int:
    """Return the field's wire type, an item's where it is repeated."""
    return _WIRE_TYPES.get(field.type, 0)


def is_default(payload: bytes) -> bool:
    """Return whether a payload is that of protobuf's default: an empty text, 0, false."""
    return not payload.strip(b"\0")


def _base64(value: object) -> bytes:
    if type(value) is str:
        bare = value.rstrip("=")
        try:
            safe = b"-_" if "-" in bare or "_" in bare else None
            return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=safe, validate=True)
        except (ValueError, binascii.Error):
            raise FieldError(f"base64 expected, got {shown(value)}") from None
    raise FieldError(f"a string expected, got {shown(value)}")


def _hex(expected: int) -> Scalar:
    def convert(value: object) -> bytes:
        if type(value) is not str:
            raise FieldError(f"a string expected, got {shown(value)}")
        digits = value
        if len(digits) % 2:
            # One of a wrong length is the span's own error, and is judged with it: half a byte must not make it right.
            digits = digits[:-1] if len(digits) + 1 == expected else digits + "0"
        try:
            return binascii.unhexlify(digits)
        except (ValueError, binascii.Error):
            raise FieldError(f"hex digits expected, got {shown(value)}") from None

    return convert


def _enum(numbers: dict[str, int], name: str) -> Scalar:
    def convert(value: object) -> bytes:
        number = numbers.get(value) if type(value) is str else value
        if type(number) is not int or not -(2**31) <= number < 2**31:
            raise FieldError(f"a value of {name} expected, got {shown(value)}")
        return varint(number & 0xFFFF_FFFF_FFFF_FFFF)

    return convert


def _as_varint(low: int, high: int) -> Scalar:
    return lambda value: varint(integer(value, low, high) & 0xFFFF_FFFF_FFFF_FFFF)


def _zigzag(value: object) -> bytes:
    number = integer(value, -(2**31), 2**31 - 1)
    return varint(number << 1 if number >= 0 else ~(number << 1))


def _fixed(layout: str, low: int, high: int) -> Scalar:
    pack = struct.Struct(layout).pack
    return lambda value: pack(integer(value, low, high))


_SCALARS: dict[int, Scalar] = {
    FieldDescriptor.TYPE_DOUBLE: double,
    FieldDescriptor.TYPE_BOOL: boolean,
    FieldDescriptor.TYPE_STRING: text,
    FieldDescriptor.TYPE_INT32: _as_varint(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: _as_varint(_INT64_MIN, _INT64_MAX),
    FieldDescriptor.TYPE_UINT32: _as_varint(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: _as_varint(0, 2**64 - 1),
    FieldDescriptor.TYPE_SINT32: _zigzag,
    FieldDescriptor.TYPE_FIXED32: _fixed("<I", 0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED64: _fixed("<Q", 0, 2**64 - 1),
    FieldDescriptor.TYPE_SFIXED64: _fixed("<q", _INT64_MIN, _INT64_MAX),
}
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: 1,
    FieldDescriptor.TYPE_FIXED64: 1,
    FieldDescriptor.TYPE_SFIXED64: 1,
    FieldDescriptor.TYPE_FIXED32: 5,
    FieldDescriptor.TYPE_STRING: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_BYTES: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: LENGTH_DELIMITED,
}
