"""Reads the body of an HTTP request: admitted byte by byte, decompressed, never beyond the limit."""

import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request

from collector.admission import Admission
from collector.component import (
    CollectorError,
    DecodeError,
    RetryableError,
    TooLargeError,
    UnsupportedError,
)

_CHUNK_BYTES = 256 * 1024
# Many members are legal gzip, but each costs a set-up: a body of empty ones must not keep the server busy.
_MEMBERS_MAX = 1_000
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class BodyReader:
    """Reads bodies within a limit each and a budget for all."""

    def __init__(self, admission: Admission, body_bytes_max: int) -> None:
        self._admission = admission
        self._body_bytes_max = body_bytes_max

    @asynccontextmanager
    async def body(self, request: Request, bytes_max: int | None = None) -> AsyncIterator[bytes]:
        """Give the decompressed body; its bytes count as in flight until the block ends.

        ``bytes_max`` is a limit of the route's own, below the common one.
        Raises TooLargeError, AdmissionError, UnsupportedError, DecodeError for a broken compressed stream.
        """
        bytes_max = min(bytes_max or self._body_bytes_max, self._body_bytes_max)
        admitted = 0
        try:
            raw = bytearray()
            _check_length(request.headers, bytes_max)
            async for chunk in request.stream():
                _check_size(len(raw) + len(chunk), bytes_max)
                self._admission.acquire(len(chunk))
                admitted += len(chunk)
                raw += chunk
            encoding = request.headers.get("content-encoding", "identity").strip().lower()
            if encoding in ("identity", ""):
                yield bytes(raw)
                return
            body = await to_thread.run_sync(decompress, bytes(raw), encoding, bytes_max)
            self._admission.acquire(len(body))
            admitted += len(body)
            yield body
        except ClientDisconnect as error:
            raise DecodeError("the client left before its body was read") from error
        finally:
            self._admission.release(admitted)


def _check_length(headers: Mapping[str, str], bytes_max: int) -> None:
    length = headers.get("content-length", "")
    if length.isdecimal():
        _check_size(int(length), bytes_max)


def _check_size(size_bytes: int, bytes_max: int) -> None:
    if size_bytes > bytes_max:
        raise TooLargeError(f"the body is larger than {bytes_max} bytes, the limit: send it in parts")


def decompress(data: bytes, encoding: str, bytes_max: int) -> bytes:
    """Return the data decompressed, stopping at ``bytes_max``."""
    if encoding not in _WINDOW_BITS:
        raise UnsupportedError(f"content-encoding {encoding!r} is not supported: use gzip, deflate or identity")
    result = bytearray()
    position = 0
    members = 0
    while position < len(data):
        members += 1
        if members > _MEMBERS_MAX:
            raise DecodeError(f"the body is not valid {encoding}: more than {_MEMBERS_MAX} members")
        try:
            position = _decompress_member(data, position, _WINDOW_BITS[encoding], result, bytes_max)
        except zlib.error as error:
            raise DecodeError(f"the body is not valid {encoding}: {error}") from error
        if position < 0:
            raise DecodeError(f"the body is not valid {encoding}: it ends in the middle")
    return bytes(result)


def _decompress_member(data: bytes, position: int, window_bits: int, result: bytearray, bytes_max: int) -> int:
    """Add the member that begins at ``position`` to ``result``; return where the next begins, -1 if it has no end."""
    stream = zlib.decompressobj(window_bits)
    view = memoryview(data)
    while position < len(data) and not stream.eof:
        # In pieces: what a call leaves over is copied, so a call must not be given the whole rest.
        piece = view[position : position + _CHUNK_BYTES]
        result += stream.decompress(piece, _CHUNK_BYTES)
        position += len(piece) - len(stream.unused_data if stream.eof else stream.unconsumed_tail)
        if len(result) > bytes_max:
            raise TooLargeError(f"the body decompresses to more than {bytes_max} bytes, the limit")
    return position if stream.eof else -1


def http_status(error: CollectorError) -> int:
    """Return the HTTP status code of a refusal."""
    if isinstance(error, RetryableError):
        return 503
    if isinstance(error, TooLargeError):
        return 413
    return 415 if isinstance(error, UnsupportedError) else 400


def retry_headers(error: CollectorError) -> dict[str, str]:
    """Return the hint when to try again, where that helps."""
    return {"Retry-After": f"{error.retry_after_s:.0f}"} if isinstance(error, RetryableError) else {}
