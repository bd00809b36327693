"""Protobuf messages as trees of fields: made, changed and encoded at will, also to what no encoder would write.

A message is a list of fields, a field is ``(number, wire type, payload)``. The payload is an int (VARINT), bytes
(FIXED64, FIXED32, LENGTH) or the fields of another message (LENGTH, GROUP). RAW bytes are written as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32, RAW = 0, 1, 2, 3, 4, 5, -1

Field = tuple[int, int, Any]
Message = list[Field]

_REQUEST = ExportTraceServiceRequest.DESCRIPTOR
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_FIXED64: FIXED64,
    FieldDescriptor.TYPE_FIXED32: FIXED32,
    FieldDescriptor.TYPE_STRING: LENGTH,
    FieldDescriptor.TYPE_BYTES: LENGTH,
    FieldDescriptor.TYPE_MESSAGE: LENGTH,
}


class MalformedError(Exception):
    """The bytes are no message."""


def varint(number: int, size: int = 0) -> bytes:
    """Return the number as a varint, padded to ``size`` bytes; a negative one as protobuf has it, in ten."""
    number &= 2**64 - 1 if number < 0 else -1
    result = bytearray()
    while number > 0x7F or len(result) + 1 < size:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def tag(number: int, wire_type: int) -> bytes:
    """Return what begins a field."""
    return varint(number << 3 | wire_type)


def encode(message: Message) -> bytes:
    """Return the message's bytes."""
    parts = bytearray()
    for number, wire_type, payload in message:
        if wire_type == RAW:
            parts += payload
            continue
        key = number << 3 | wire_type
        if key < 0x80:
            parts.append(key)
        else:
            parts += varint(key)
        if wire_type == LENGTH:
            content = encode(payload) if isinstance(payload, list) else payload
            parts += varint(len(content))
            parts += content
        elif wire_type == VARINT:
            parts += varint(payload)
        elif wire_type == GROUP:
            parts += encode(payload)
            parts += tag(number, GROUP_END)
        else:
            parts += payload
    return bytes(parts)


def parse(data: bytes, descriptor: Descriptor | None = _REQUEST) -> Message:
    """Return the fields of the bytes; a submessage that is none stays bytes. Raises MalformedError."""
    message: Message = []
    for number, wire_type, payload in fields(data):
        known = descriptor.fields_by_number.get(number) if descriptor else None
        if wire_type == LENGTH and known is not None and known.message_type is not None:
            message.append((number, wire_type, _submessage(payload, known.message_type)))
        else:
            message.append((number, wire_type, payload))
    return message


def parse_exactly(data: bytes, descriptor: Descriptor | None = _REQUEST) -> Message:
    """Return the fields of any bytes: what an encoder would not write so, or is no field, is RAW."""
    message: Message = []
    position = 0
    while position < len(data):
        try:
            number, wire_type, payload, stop = _field(data, position)
        except (MalformedError, RecursionError):
            return [*message, (0, RAW, data[position:])]
        known = descriptor.fields_by_number.get(number) if descriptor else None
        if encode([(number, wire_type, payload)]) != data[position:stop]:
            message.append((0, RAW, data[position:stop]))
        elif wire_type == LENGTH and known is not None and known.message_type is not None:
            message.append((number, wire_type, parse_exactly(payload, known.message_type)))
        else:
            message.append((number, wire_type, payload))
        position = stop
    return message


def fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of the bytes, each as far as its length. Raises MalformedError."""
    position = 0
    while position < len(data):
        number, wire_type, payload, position = _field(data, position)
        yield number, wire_type, payload


def span_contents(body: bytes) -> list[bytes]:
    """Return the bytes of each span of a request, as sent."""
    return [
        span
        for resource_spans in _contents(body, 1)
        for scope_spans in _contents(resource_spans, 2)
        for span in _contents(scope_spans, 2)
    ]


def has_merges(message: Message, descriptor: Descriptor = _REQUEST) -> bool:
    """Return whether a singular submessage, or members of one oneof, stand more than once in a message.

    What a parser makes of those is its own affair: protobuf merges them.
    """
    seen: set[str] = set()
    for number, wire_type, payload in message:
        field = descriptor.fields_by_number.get(number)
        if field is None or wire_type != _WIRE_TYPES.get(field.type, VARINT):
            continue
        oneof = field.containing_oneof
        if oneof is not None or (field.message_type is not None and not field.is_repeated):
            name = oneof.name if oneof is not None else field.name
            if name in seen:
                return True
            seen.add(name)
        if field.message_type is not None and has_merges(payload, field.message_type):
            return True
    return False


def _contents(data: bytes, wanted: int) -> Iterator[bytes]:
    for number, wire_type, payload in fields(data):
        if number == wanted and wire_type == LENGTH:
            yield payload


def _submessage(data: bytes, descriptor: Descriptor) -> Message | bytes:
    try:
        return parse(data, descriptor)
    except (MalformedError, RecursionError):
        return data


def _field(data: bytes, position: int) -> tuple[int, int, Any, int]:
    key, position = _varint(data, position)
    number, wire_type = key >> 3, key & 7
    if wire_type == VARINT:
        payload, position = _varint(data, position)
        return number, wire_type, payload, position
    if wire_type == GROUP:
        message, position = _group(data, position, number)
        return number, wire_type, message, position
    if wire_type == LENGTH:
        size, position = _varint(data, position)
    else:
        size = {FIXED64: 8, FIXED32: 4}.get(wire_type, len(data) + 1)
    stop = position + size
    if stop > len(data):
        raise MalformedError
    return number, wire_type, data[position:stop], stop


def _group(data: bytes, position: int, number: int) -> tuple[Message, int]:
    message: Message = []
    while True:
        key, after = _varint(data, position)
        if key == number << 3 | GROUP_END:
            return message, after
        *field, position = _field(data, position)
        message.append((field[0], field[1], field[2]))


def _varint(data: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 2**64 - 1, position
    raise MalformedError
