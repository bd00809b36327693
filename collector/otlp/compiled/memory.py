"""Loads, stores and copies of raw bytes, for compiled code.

A buffer is an address: to pass an array to every function would make the compiled code several times as large, and
as slow to compile. No position is checked here: callers keep within bounds. An output buffer bears its size before its
first byte (``Workspace.sized``).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from collector.jit import inlined

_I64 = ir.IntType(64)
_I128 = ir.IntType(128)

PADDING = 64
"""How many bytes beyond its content a buffer must have, since loads and stores go by eight bytes and more."""


class Workspace:
    """Memory that is used again from call to call, by one thread.

    The kernel zeroes fresh memory, which costs more than the decoder itself.
    """

    def __init__(self, kept_bytes_max: int) -> None:
        """Make an empty one; a piece that is larger than ``kept_bytes_max`` is not kept."""
        self._kept_bytes_max = kept_bytes_max
        self._kept: dict[str, NDArray[np.uint8]] = {}

    def bytes(self, name: str, size_bytes: int) -> NDArray[np.uint8]:
        """Return the piece of this name, of at least this size and the padding, with whatever is in it."""
        piece = self._kept.get(name)
        if piece is None or len(piece) < size_bytes + PADDING:
            piece = np.empty(size_bytes + PADDING, np.uint8)
            if size_bytes <= self._kept_bytes_max:
                self._kept[name] = piece
        return piece

    def integers(self, name: str, rows: int, columns: int) -> NDArray[np.int64]:
        """Return the piece of this name as a table of integers."""
        size_bytes = rows * columns * 8
        return self.bytes(name, size_bytes)[:size_bytes].view(np.int64).reshape(rows, columns)

    def sized(self, name: str, size_bytes: int) -> "SizedBuffer":
        """Return the piece of this name as a buffer that compiled code can ask for its size."""
        piece = self.bytes(name, size_bytes + 8)
        piece[:8].view(np.int64)[0] = size_bytes
        return SizedBuffer(piece[8:], piece.ctypes.data + 8)


@dataclass(frozen=True, slots=True)
class SizedBuffer:
    """An output buffer: its bytes, and the address that compiled code knows it by."""

    data: NDArray[np.uint8]
    address: int


def _pointer(builder: Any, arguments: Any, array: int, position: int, kind: Any) -> Any:
    return builder.inttoptr(builder.add(arguments[array], arguments[position]), kind.as_pointer())


@intrinsic
def address_of(typing_context: Any, array: Any) -> Any:
    """Return the address of an array's first element."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(made.data, _I64)

    return types.int64(array), generate


@intrinsic
def load64(typing_context: Any, buffer: Any, position: Any) -> Any:
    """Return the eight bytes at ``position`` as a little-endian unsigned integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, arguments, 0, 1, _I64), align=1)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def load_double(typing_context: Any, buffer: Any, position: Any) -> Any:
    """Return the eight bytes at ``position`` as a double."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, arguments, 0, 1, ir.DoubleType()), align=1)

    return types.float64(types.int64, types.int64), generate


@intrinsic
def load8(typing_context: Any, buffer: Any, position: Any) -> Any:
    """Return the byte at ``position``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.load(_pointer(builder, arguments, 0, 1, ir.IntType(8))), _I64)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def store64(typing_context: Any, buffer: Any, position: Any, value: Any) -> Any:
    """Store eight bytes at ``position``, little-endian."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(builder, arguments, 0, 1, _I64), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint64), generate


@intrinsic
def store8(typing_context: Any, buffer: Any, position: Any, value: Any) -> Any:
    """Store one byte at ``position``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = builder.trunc(arguments[2], ir.IntType(8))
        builder.store(byte, _pointer(builder, arguments, 0, 1, ir.IntType(8)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def copy_bytes(typing_context: Any, target: Any, position: Any, source: Any, start: Any, count: Any) -> Any:
    """Copy ``count`` bytes of ``source`` from ``start`` on to ``target`` at ``position``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to = _pointer(builder, arguments, 0, 1, ir.IntType(8))
        origin = _pointer(builder, arguments, 2, 3, ir.IntType(8))
        cgutils.raw_memcpy(builder, to, origin, arguments[4], 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@intrinsic
def multiply_high(typing_context: Any, left: Any, right: Any) -> Any:
    """Return the upper 64 bits of the product of two unsigned integers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = [builder.zext(argument, _I128) for argument in arguments]
        return builder.trunc(builder.lshr(builder.mul(*wide), ir.Constant(_I128, 64)), _I64)

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def bits_of(typing_context: Any, number: Any) -> Any:
    """Return a double's bits as an unsigned integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _I64)

    return types.uint64(types.float64), generate


@intrinsic
def trailing_zeros(typing_context: Any, bits: Any) -> Any:
    """Return how many of an unsigned integer's lowest bits are 0; it must not be 0 itself."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def double_of(typing_context: Any, bits: Any) -> Any:
    """Return the double of these bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@inlined()
def size_of(buffer):
    """Return the size of an output buffer."""
    return np.int64(load64(buffer, -8))
