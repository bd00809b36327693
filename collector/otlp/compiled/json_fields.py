"""The fields of OTLP's messages as arrays, for the compiled encoder: read from protobuf's own descriptors."""

from dataclasses import dataclass

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.otlp.json_scalars import HEX_DIGITS

MESSAGE, STRING, HEX, INT64, UINT32, FIXED64, FIXED32, DOUBLE, BOOL, ENUM, OTHER = range(11)
"""How a field's value is written; OTHER is left to Python."""

_TYPES = {
    FieldDescriptor.TYPE_MESSAGE: MESSAGE,
    FieldDescriptor.TYPE_STRING: STRING,
    FieldDescriptor.TYPE_INT64: INT64,
    FieldDescriptor.TYPE_UINT32: UINT32,
    FieldDescriptor.TYPE_FIXED64: FIXED64,
    FieldDescriptor.TYPE_FIXED32: FIXED32,
    FieldDescriptor.TYPE_DOUBLE: DOUBLE,
    FieldDescriptor.TYPE_BOOL: BOOL,
    FieldDescriptor.TYPE_ENUM: ENUM,
}
_WIRE_TYPES = {MESSAGE: 2, STRING: 2, HEX: 2, FIXED64: 1, DOUBLE: 1, FIXED32: 5}
# Names are compared eight bytes at a time.
_PADDING = 64


@dataclass(frozen=True, slots=True)
class Fields:
    """Message m, 0 being the request, has the fields ``first[m]`` to ``first[m + 1]`` and ``slots[m]`` slots.

    By field: its ``slot``, in the order of the numbers, where the members of a oneof share one; its ``tag``, ``kind``,
    ``message`` (-1: none), ``digits`` of a HEX, whether it ``is_repeated``, and whether it ``has_presence``, so that
    its default is written. Field f's names, as protobuf has it and as JSON has it, are
    ``data[starts[2 * f]:starts[2 * f + 1]]`` and the next.
    """

    first: NDArray[np.int64]
    slots: NDArray[np.int64]
    slot: NDArray[np.int64]
    tag: NDArray[np.int64]
    kind: NDArray[np.int64]
    message: NDArray[np.int64]
    digits: NDArray[np.int64]
    is_repeated: NDArray[np.bool_]
    has_presence: NDArray[np.bool_]
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]


def load(root: Descriptor = ExportTraceServiceRequest.DESCRIPTOR) -> Fields:
    """Return the fields of a message and of all that it holds."""
    messages = _messages(root)
    by_message = [sorted(each.fields, key=lambda field: field.number) for each in messages]
    slots = [_slots(each) for each in by_message]
    fields = [field for each in by_message for field in each]
    kinds = [_kind(field) for field in fields]
    names = [name.encode() for field in fields for name in (field.name, field.json_name)]
    return Fields(
        first=np.cumsum([0, *map(len, by_message)]).astype(np.int64),
        slots=np.array([max(each, default=-1) + 1 for each in slots]),
        slot=np.array([slot for each in slots for slot in each]),
        tag=np.array([field.number << 3 | _WIRE_TYPES.get(kind, 0) for field, kind in zip(fields, kinds, strict=True)]),
        kind=np.array(kinds),
        message=np.array([messages.index(field.message_type) if field.message_type else -1 for field in fields]),
        digits=np.array([HEX_DIGITS.get(field.name, 0) for field in fields]),
        is_repeated=np.array([field.is_repeated for field in fields]),
        has_presence=np.array([field.has_presence for field in fields]),
        data=np.frombuffer(bytearray(b"".join(names) + bytes(_PADDING)), np.uint8),
        starts=np.cumsum([0, *map(len, names)]).astype(np.int64),
    )


def _messages(root: Descriptor) -> list[Descriptor]:
    found = [root]
    for message in found:
        found += [
            field.message_type for field in message.fields if field.message_type and field.message_type not in found
        ]
    return list(dict.fromkeys(found))


def _slots(fields: list[FieldDescriptor]) -> list[int]:
    slots: dict[object, int] = {}
    return [
        slots.setdefault(field.containing_oneof.name if field.containing_oneof else field.number, len(slots))
        for field in fields
    ]


def _kind(field: FieldDescriptor) -> int:
    if field.is_repeated and field.message_type is None:
        return OTHER
    if field.type == FieldDescriptor.TYPE_BYTES:
        return HEX if field.name in HEX_DIGITS else OTHER
    return _TYPES.get(field.type, OTHER)
