"""Reads the body of an HTTP request: admitted piece by piece, decompressed, never beyond the limit."""

from collections.abc import Callable
from dataclasses import dataclass, field

from anyio import CapacityLimiter, to_thread
from starlette.types import Receive, Scope

from collector.admission import Share
from collector.component import DecodeError, TooLargeError
from collector.decompression import check_encoding, decompress, inflated_at_once

# What is inflated at once in the event loop's own thread: a thread of its own would cost more than this takes.
_INLINE_BYTES_MAX = 64 * 1024
_INFLATING_THREADS_MAX = 4


@dataclass(slots=True)
class Head:
    """What the receivers read of a request's head; ``fallom`` are the X-Fallom-* headers, names in lowercase."""

    media_type: str = ""
    encoding: str = "identity"
    length: str = ""
    fallom: dict[str, str] = field(default_factory=dict)


def read_head(scope: Scope) -> Head:
    """Return what matters of the head of a request."""
    head = Head()
    # Backwards: of a header that is there twice, the first counts.
    for name, value in reversed(scope["headers"]):
        if name == b"content-type":
            head.media_type = value.decode("latin-1").partition(";")[0].strip().lower()
        elif name == b"content-length":
            head.length = value.decode("latin-1")
        elif name == b"content-encoding":
            head.encoding = value.decode("latin-1").strip().lower() or "identity"
        elif name.startswith(b"x-fallom-"):
            head.fallom[name.decode("latin-1")] = value.decode("latin-1")
    return head


class BodyReader:
    """Reads bodies within a limit each; what they take of the budget for all is in their request's share."""

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._threads = CapacityLimiter(_INFLATING_THREADS_MAX)

    async def read(self, head: Head, receive: Receive, share: Share, bytes_max: int | None = None) -> bytes:
        """Return the decompressed body; its bytes are in ``share``.

        ``bytes_max`` is a limit of the route's own, below the common one.
        Raises TooLargeError, AdmissionError, UnsupportedError, DecodeError for a broken compressed stream.
        """
        check_encoding(head.encoding)
        bytes_max = min(bytes_max or self._body_bytes_max, self._body_bytes_max)
        if head.length.isdecimal():
            _check_size(int(head.length), bytes_max)
        raw = await _read_raw(receive, share, bytes_max)
        if head.encoding == "identity":
            return raw
        body = await self._inflated(raw, head.encoding, bytes_max, share.grow)
        share.shrink(len(raw))
        return body

    async def _inflated(self, raw: bytes, encoding: str, bytes_max: int, admit: Callable[[int], None]) -> bytes:
        if len(raw) <= _INLINE_BYTES_MAX:
            body = inflated_at_once(raw, encoding, min(bytes_max, _INLINE_BYTES_MAX))
            if body is not None:
                admit(len(body))
                return body
        return await to_thread.run_sync(decompress, raw, encoding, bytes_max, admit, limiter=self._threads)


async def _read_raw(receive: Receive, share: Share, bytes_max: int) -> bytes:
    pieces: list[bytes] = []
    size_bytes = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DecodeError("the client left before its body was read")
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        if piece:
            size_bytes += len(piece)
            _check_size(size_bytes, bytes_max)
            # What a client has announced but not sent takes nothing of the budget.
            share.grow(len(piece))
            pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _check_size(size_bytes: int, bytes_max: int) -> None:
    if size_bytes > bytes_max:
        raise TooLargeError(f"the body is larger than {bytes_max} bytes, the limit: send it in parts")
