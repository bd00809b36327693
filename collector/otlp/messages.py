"""Bodies of logs and metrics to protobuf's own messages: few of them are kept, so their speed is not the point.

A message takes two bytes and becomes a hundred, so a body's messages are counted before they are made.
"""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from numpy.typing import NDArray

from collector.component import DecodeError, TooLargeError
from collector.fallom.fields import load_object
from collector.otlp import json as otlp_json
from collector.otlp import wire
from collector.otlp.compiled import elements

ELEMENTS_MAX = 1_000_000
M = TypeVar("M", bound=Message)


def from_protobuf(kind: type[M]) -> Callable[[bytes], M]:
    """Return what reads a body of protobuf. It raises DecodeError, and TooLargeError for more than ELEMENTS_MAX."""
    name = kind.DESCRIPTOR.name

    def read(body: bytes) -> M:
        found = count_elements(body, kind.DESCRIPTOR)
        if found > ELEMENTS_MAX:
            raise TooLargeError(f"at most {ELEMENTS_MAX} messages in an {name} allowed: send it in parts")
        if found < 0:
            raise DecodeError(f"not an {name}: {wire.MALFORMED[found]}")
        message: M = kind()
        try:
            message.ParseFromString(body)
        except ProtobufDecodeError as error:
            raise DecodeError(f"not an {name}: {error}") from error
        return message

    return read


def from_json(kind: type[M]) -> Callable[[bytes], M]:
    """Return what reads a body of OTLP/JSON. It raises DecodeError that names the field."""
    read = from_protobuf(kind)
    return lambda body: read(otlp_json.to_protobuf(load_object(body), kind.DESCRIPTOR))


def count_elements(body: bytes, kind: Descriptor) -> int:
    """Return how much protobuf would make of a body, counted up to ELEMENTS_MAX; an error where it is malformed."""
    if not body:
        return 0
    data = np.frombuffer(body, np.uint8)
    return int(elements.count(data.ctypes.data, 0, len(body), _kinds(kind), ELEMENTS_MAX))


@cache
def _kinds(root: Descriptor) -> NDArray[np.int64]:
    """Return what each field of each kind of message is, as ``elements.count`` reads it."""
    known: dict[str, int] = {root.full_name: 0}
    descriptors = [root]
    fields: list[tuple[int, int, int]] = []
    for descriptor in descriptors:
        for field in descriptor.fields:
            child = field.message_type
            if child is not None and child.full_name not in known:
                known[child.full_name] = len(descriptors)
                descriptors.append(child)
            of = known[child.full_name] if child is not None else _scalar_kind(field)
            fields.append((known[descriptor.full_name], field.number, of))
    table = np.full((len(descriptors), 1 + max(number for _, number, _ in fields)), elements.PLAIN, np.int64)
    for holder, number, of in fields:
        table[holder, number] = of
    return table


def _scalar_kind(field: FieldDescriptor) -> int:
    return elements.SCALARS if field.is_repeated else elements.PLAIN
