"""Bodies of logs and metrics to protobuf's own messages: few of them are kept, so their speed is not the point."""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message

from collector.component import DecodeError
from collector.fallom.fields import load_object
from collector.otlp import json as otlp_json

M = TypeVar("M", bound=Message)


def from_protobuf(kind: type[M]) -> Callable[[bytes], M]:
    """Return what reads a body of protobuf. It raises DecodeError."""

    def read(body: bytes) -> M:
        message: M = kind()
        try:
            message.ParseFromString(body)
        except ProtobufDecodeError as error:
            raise DecodeError(f"not an {kind.DESCRIPTOR.name}: {error}") from error
        return message

    return read


def from_json(kind: type[M]) -> Callable[[bytes], M]:
    """Return what reads a body of OTLP/JSON. It raises DecodeError that names the field."""
    read = from_protobuf(kind)
    return lambda body: read(otlp_json.to_protobuf(load_object(body), kind.DESCRIPTOR))
