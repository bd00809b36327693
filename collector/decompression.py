"""Decompresses bodies, piece by piece, never beyond a limit: gzip and deflate (zlib), zstd.

What a bomb costs is kept small: a body that grows more than a hundredfold is first measured in a pass that keeps
nothing, and only joined once it is known to be within the limit.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from collector.component import DecodeError, TooLargeError, UnsupportedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK_BYTES = 256 * 1024
# Many members are legal gzip, but each costs a set-up: a body of empty ones must not keep the server busy.
MEMBERS_MAX = 1_000
WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
ZSTD = "zstd"
# What RFC 9659 allows a zstd body to ask of its receiver: a window of 8 MiB.
_ZSTD_WINDOW_LOG_MAX = 23
# What it is given is held until it is used: more of it at once would hide how much a body grows.
_ZSTD_INPUT_BYTES = 16 * 1024
_SUSPECT_BYTES = 4 * 1024 * 1024
_SUSPECT_RATIO = 100


class _Member(Protocol):
    """One compressed stream; a body is one or several, one behind the other."""

    is_complete: bool

    def inflate(self, view: memoryview, position: int) -> tuple[bytes, int]:
        """Return at most CHUNK_BYTES, and where the rest of the input begins."""


class _ZlibMember:
    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)
        self.is_complete = False

    def inflate(self, view: memoryview, position: int) -> tuple[bytes, int]:
        # In pieces: what a call leaves over is copied, so a call must not be given the whole rest.
        piece = view[position : position + CHUNK_BYTES]
        inflated = self._stream.decompress(piece, CHUNK_BYTES)
        self.is_complete = self._stream.eof
        left_over = self._stream.unused_data if self.is_complete else self._stream.unconsumed_tail
        return inflated, position + len(piece) - len(left_over)


class _ZstdMember:
    def __init__(self) -> None:
        self._stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})
        self.is_complete = False

    def inflate(self, view: memoryview, position: int) -> tuple[bytes, int]:
        piece = view[position : position + _ZSTD_INPUT_BYTES] if self._stream.needs_input else b""
        inflated = self._stream.decompress(piece, CHUNK_BYTES)
        self.is_complete = self._stream.eof
        return inflated, position + len(piece) - (len(self._stream.unused_data) if self.is_complete else 0)


def check_encoding(encoding: str) -> None:
    """Raise UnsupportedError where bodies of this content encoding can't be read."""
    if encoding not in WINDOW_BITS and encoding not in (ZSTD, "identity"):
        raise UnsupportedError(f"content-encoding {encoding!r} is not supported: use gzip, zstd, deflate or identity")


def decompress(data: bytes, encoding: str, bytes_max: int, admit: Callable[[int], None] = lambda _: None) -> bytes:
    """Return the data decompressed, stopping at ``bytes_max``; ``admit`` is asked for the bytes of each piece."""
    check_encoding(encoding)
    result = bytearray()
    is_measured = False
    for piece, consumed in _pieces(data, encoding, bytes_max):
        admit(len(piece))
        result += piece
        if not is_measured and len(result) > max(_SUSPECT_BYTES, consumed * _SUSPECT_RATIO):
            for _ in _pieces(data, encoding, bytes_max):
                pass
            is_measured = True
    return bytes(result)


def _pieces(data: bytes, encoding: str, bytes_max: int) -> Iterator[tuple[bytes, int]]:
    """Yield the decompressed pieces, and how much of the data was read by then."""
    view = memoryview(data)
    size_bytes = position = members = 0
    while position < len(data):
        members += 1
        if members > MEMBERS_MAX:
            raise DecodeError(f"the body is not valid {encoding}: more than {MEMBERS_MAX} members")
        member = _member(encoding)
        while not member.is_complete:
            before = position
            try:
                piece, position = member.inflate(view, position)
            except (zlib.error, zstd.ZstdError) as error:
                raise DecodeError(f"the body is not valid {encoding}: {error}") from error
            if not piece and position == before and not member.is_complete:
                raise DecodeError(f"the body is not valid {encoding}: it ends in the middle")
            size_bytes += len(piece)
            if size_bytes > bytes_max:
                raise TooLargeError(f"the body decompresses to more than {bytes_max} bytes, the limit")
            if piece:
                yield piece, position


def _member(encoding: str) -> _Member:
    return _ZstdMember() if encoding == ZSTD else _ZlibMember(WINDOW_BITS[encoding])


def inflated_at_once(raw: bytes, encoding: str, bytes_max: int) -> bytes | None:
    """Return the body that one small member holds; None for all else, broken ones too."""
    try:
        if encoding == ZSTD:
            frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})
            body = frame.decompress(raw, bytes_max)
            return body if frame.eof and not frame.unused_data else None
        stream = zlib.decompressobj(WINDOW_BITS[encoding])
        body = stream.decompress(raw, bytes_max)
    except (zlib.error, zstd.ZstdError):
        return None
    return body if stream.eof and not stream.unused_data else None
