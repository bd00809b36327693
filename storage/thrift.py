"""Thrift's compact protocol: bytes to values and back, without knowing what they mean, as a Parquet footer needs it.

A struct is a dict of field number to value, each value with its type, so that what is read is written as it was, fields
of later versions of the format included.
"""

from dataclasses import dataclass
from typing import Any

from storage.errors import LakeError

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
DEPTH_MAX = 32


@dataclass(slots=True)
class Value:
    """A value and its type; of a LIST or SET the ``content`` is (type of the elements, their contents)."""

    kind: int
    content: Any


Struct = dict[int, Value]


class ThriftReader:
    """Reads values one after the other. Raises LakeError where the bytes are none."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def struct(self, depth: int = 0) -> Struct:
        """Return the struct that begins here."""
        if depth > DEPTH_MAX:
            raise LakeError(f"a Parquet footer nests deeper than {DEPTH_MAX} levels")
        fields: Struct = {}
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 0x0F
            number = number + delta if delta else self._signed()
            fields[number] = Value(kind, kind == TRUE if kind in (TRUE, FALSE) else self._content(kind, depth))
        return fields

    def _content(self, kind: int, depth: int) -> Any:
        if kind in (I16, I32, I64):
            return self._signed()
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            return self._list(depth)
        if kind == DOUBLE:
            return self._bytes(8)
        if kind in (BYTE, TRUE, FALSE):
            # An element of a list: in a field of its own, a truth value is its type.
            return self._byte()
        raise LakeError(f"a Parquet footer holds a value of type {kind}, which none has")

    def _list(self, depth: int) -> tuple[int, list[Any]]:
        head = self._byte()
        kind, size = head & 0x0F, head >> 4
        size = self._varint() if size == 15 else size
        if size > len(self._data):
            raise LakeError(f"a Parquet footer says that it holds a list of {size}")
        return kind, [self._content(kind, depth) for _ in range(size)]

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise LakeError("a Parquet footer holds a number of more than 64 bits")

    def _byte(self) -> int:
        if self._place >= len(self._data):
            raise LakeError("a Parquet footer ends too early")
        self._place += 1
        return self._data[self._place - 1]

    def _bytes(self, size: int) -> bytes:
        if self._place + size > len(self._data):
            raise LakeError("a Parquet footer ends too early")
        self._place += size
        return self._data[self._place - size : self._place]


def encode_struct(fields: Struct) -> bytes:
    """Return the bytes of a struct."""
    written = bytearray()
    _write_struct(written, fields)
    return bytes(written)


def _write_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for number, value in fields.items():
        kind = (TRUE if value.content else FALSE) if value.kind in (TRUE, FALSE) else value.kind
        delta = number - last
        if 0 < delta < 16:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            _write_signed(out, number)
        if value.kind not in (TRUE, FALSE):
            _write_content(out, value.kind, value.content)
        last = number
    out.append(0)


def _write_content(out: bytearray, kind: int, content: Any) -> None:
    if kind in (I16, I32, I64):
        _write_signed(out, content)
    elif kind == BINARY:
        _write_varint(out, len(content))
        out += content
    elif kind == STRUCT:
        _write_struct(out, content)
    elif kind in (LIST, SET):
        _write_list(out, *content)
    elif kind == DOUBLE:
        out += content
    else:
        out.append(content)


def _write_list(out: bytearray, kind: int, contents: list[Any]) -> None:
    if len(contents) < 15:
        out.append(len(contents) << 4 | kind)
    else:
        out.append(0xF0 | kind)
        _write_varint(out, len(contents))
    for content in contents:
        _write_content(out, kind, content)


def _write_signed(out: bytearray, value: int) -> None:
    _write_varint(out, (value << 1) ^ (value >> 63))


def _write_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
