"""OTLP/JSON to the bytes of the same OTLP message in protobuf, as protobuf itself would write them.

Clients in the wild also send snake_case names and the names of enum values, so both are taken; ``null`` is absent, what
has an unknown name is ignored, and where a name is there twice, or a value has two kinds, the last counts.

Traces as clients usually send them are encoded by compiled code (``json_body``); here is what is rare or wrong, and the
other signals.

Theory of operation. An encoder a message type is made once from protobuf's own descriptors: a table from each name of
a field to the field's slot and its encoder. To encode an object is to look its names up, and to join the slots. Nearly
all of a trace is attributes, so these have a path of their own, ``_pairs``: a key's bytes are remembered, and a value
that is a text becomes a few pieces without any call. Only a value that is wrong costs the making of its path: each
level that holds it adds its own name on the error's way out.
"""

from collections.abc import Callable
from functools import cache, lru_cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.component import DecodeError
from collector.otlp.json_scalars import (
    LENGTH_DELIMITED,
    FieldError,
    is_default,
    scalar,
    varint,
    wire_type,
)

DEPTH_MAX = 64
"""How many messages may stand within each other; the request itself is not counted."""

# The value of a field, and how deep the message stands that holds it, to the field's bytes.
_Encoder = Callable[[object, int], bytes]

# What is written by the quick path of attributes, and how many keys and integers are remembered.
_TEXT_CHARACTERS_MAX = 4_000
_INTEGER_DIGITS_MAX = 20
_KEY_CHARACTERS_MAX = 256
_PAIR_BYTES_MAX = 4_096
_REMEMBERED = 4_096


def to_protobuf(document: object, message: Descriptor = ExportTraceServiceRequest.DESCRIPTOR) -> bytes:
    """Return the bytes of the message that the JSON object describes. Raises DecodeError that names the field."""
    try:
        return _message(message)(document, 0)
    except FieldError as error:
        raise DecodeError(str(error), field=error.path.removeprefix(".") or "body") from None


@cache
def _fields(descriptor: Descriptor) -> dict[str, tuple[int, _Encoder]]:
    """Return the slot and the encoder of each field, by both of its names."""
    fields: dict[str, tuple[int, _Encoder]] = {}
    slots: dict[object, int] = {}
    for field in sorted(descriptor.fields, key=lambda each: each.number):
        # The members of a oneof share a slot: the last that is there counts.
        slot = slots.setdefault((field.containing_oneof and field.containing_oneof.name) or field.number, len(slots))
        fields[field.name] = fields[field.json_name] = (slot, _field(field))
    return fields


@cache
def _message(descriptor: Descriptor) -> _Encoder:
    """Return the encoder of a message type, without tag and length."""
    fields = _fields(descriptor)
    empty = [b""] * (1 + max(slot for slot, _ in fields.values()))

    def encode(document: object, depth: int) -> bytes:
        if depth > DEPTH_MAX:
            raise FieldError(f"nested deeper than {DEPTH_MAX}")
        if type(document) is not dict:
            raise FieldError(f"an object expected, got {_kind(document)}")
        parts = empty.copy()
        name = ""
        try:
            for name, value in document.items():
                field = fields.get(name)
                if field is not None and value is not None:
                    parts[field[0]] = field[1](value, depth)
        except FieldError as error:
            error.path = f".{name}{error.path}"
            raise
        return b"".join(parts)

    return encode


def _field(field: FieldDescriptor) -> _Encoder:
    if field.message_type is None:
        return _scalars(field) if field.is_repeated else _scalar(field)
    if field.is_repeated:
        is_pair = field.message_type.full_name == KeyValue.DESCRIPTOR.full_name
        return _pairs(field) if is_pair else _messages(field)
    return _one_message(field)


def _tag(field: FieldDescriptor, wire: int) -> bytes:
    return varint(field.number << 3 | wire)


def _scalar(field: FieldDescriptor) -> _Encoder:
    convert, tag = scalar(field), _tag(field, wire_type(field))
    has_presence = field.has_presence

    def encode_bytes(value: object, _depth: int) -> bytes:
        payload = convert(value)
        return tag + varint(len(payload)) + payload if payload or has_presence else b""

    def encode_number(value: object, _depth: int) -> bytes:
        payload = convert(value)
        return tag + payload if has_presence or not is_default(payload) else b""

    return encode_bytes if wire_type(field) == LENGTH_DELIMITED else encode_number


def _scalars(field: FieldDescriptor) -> _Encoder:
    convert, tag = scalar(field), _tag(field, LENGTH_DELIMITED)
    is_packed = wire_type(field) != LENGTH_DELIMITED

    def encode(values: object, _depth: int) -> bytes:
        parts: list[bytes] = []
        try:
            for value in _list(values):
                payload = convert(value)
                parts.append(payload if is_packed else tag + varint(len(payload)) + payload)
        except FieldError as error:
            raise _at(error, values, len(parts)) from None
        joined = b"".join(parts)
        return tag + varint(len(joined)) + joined if is_packed and joined else joined

    return encode


def _one_message(field: FieldDescriptor) -> _Encoder:
    tag, kind = _tag(field, LENGTH_DELIMITED), field.message_type

    def encode(value: object, depth: int) -> bytes:
        # The type's encoder is asked for here, not above: messages hold messages of their own type.
        payload = _message(kind)(value, depth + 1)
        return tag + varint(len(payload)) + payload

    return encode


def _messages(field: FieldDescriptor) -> _Encoder:
    tag, kind = _tag(field, LENGTH_DELIMITED), field.message_type

    def encode(values: object, depth: int) -> bytes:
        encode_one = _message(kind)
        parts: list[bytes] = []
        try:
            for value in _list(values):
                payload = encode_one({} if value is None else value, depth + 1)
                parts += (tag, varint(len(payload)), payload)
        except FieldError as error:
            raise _at(error, values, len(parts) // 3) from None
        return b"".join(parts)

    return encode


def _pairs(field: FieldDescriptor) -> _Encoder:  # noqa: C901 - a call would cost more than what it does
    tag = _tag(field, LENGTH_DELIMITED)
    # What stands before a pair of up to so many bytes, before its value where that is a text, and its value of a bool.
    starts = [tag + varint(size) for size in range(_PAIR_BYTES_MAX)]
    texts, booleans = _text_starts(), {True: b"\x12\x02\x10\x01", False: b"\x12\x02\x10\x00"}

    def encode(pairs: object, depth: int) -> bytes:
        encode_one, kinds = _message(KeyValue.DESCRIPTOR), _fields(AnyValue.DESCRIPTOR)
        parts: list[bytes] = []
        index, place = 0, ""
        has_room = depth + 2 <= DEPTH_MAX
        try:
            for index, pair in enumerate(_list(pairs)):  # noqa: B007 - an error's path has it
                if has_room and type(pair) is dict and len(pair) == 2:
                    key, value = pair.get("key"), pair.get("value")
                    if type(key) is str and type(value) is dict and len(value) == 1:
                        ((kind, item),) = value.items()
                        if kind == "stringValue" and type(item) is str and len(item) < _TEXT_CHARACTERS_MAX:
                            text, key_field = item.encode(), _key(key)
                            start = texts[len(text)]
                            size = len(key_field) + len(start) + len(text)
                            if size < _PAIR_BYTES_MAX:
                                parts += (starts[size], key_field, start, text)
                            else:
                                parts += (tag, varint(size), key_field, start, text)
                            continue
                        known = kinds.get(kind)
                        if known is not None and item is not None:
                            if kind == "intValue" and type(item) is str and len(item) < _INTEGER_DIGITS_MAX:
                                place = ".value.intValue"
                                content = _integer_value(item)
                            elif kind == "boolValue" and type(item) is bool:
                                content = booleans[item]
                            else:
                                place = f".value.{kind}"
                                content = _value(known[1](item, depth + 2))
                            place = ""
                            key_field = _key(key)
                            parts += (tag, varint(len(key_field) + len(content)), key_field, content)
                            continue
                payload = encode_one({} if pair is None else pair, depth + 1)
                parts += (tag, varint(len(payload)), payload)
        except FieldError as error:
            error.path = place + error.path
            raise _at(error, pairs, index) from None
        return b"".join(parts)

    return encode


@cache
def _text_starts() -> list[bytes]:
    """Return, by the size of a text, what stands before it in a KeyValue: value, its length, stringValue, length."""
    starts = []
    for size in range(4 * _TEXT_CHARACTERS_MAX):
        start = b"\x0a" + varint(size)
        starts.append(b"\x12" + varint(len(start) + size) + start)
    return starts


def _value(content: bytes) -> bytes:
    return b"\x12" + varint(len(content)) + content


@lru_cache(_REMEMBERED)
def _integer_value(digits: str) -> bytes:
    return _value(_fields(AnyValue.DESCRIPTOR)["intValue"][1](digits, 0))


def _key(key: str) -> bytes:
    return _short_key(key) if len(key) < _KEY_CHARACTERS_MAX else _short_key.__wrapped__(key)


@lru_cache(_REMEMBERED)
def _short_key(key: str) -> bytes:
    encoded = key.encode()
    return b"\x0a" + varint(len(encoded)) + encoded if encoded else b""


def _list(value: object) -> list[object]:
    if type(value) is not list:
        raise FieldError(f"a list expected, got {_kind(value)}")
    return value


def _at(error: FieldError, values: object, index: int) -> FieldError:
    """Return the error, of an item where the values are a list at all."""
    if type(values) is list:
        error.path = f"[{index}]{error.path}"
    return error


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
