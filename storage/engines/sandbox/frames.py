"""What a statement's process and the server say to each other: frames of a kind, a length and so many bytes.

The server sends one frame, the request, and after it an Arrow stream a table of rows. The process answers with BEGUN,
any number of PROGRESS, then REFUSED, or ANSWER and the answer's bytes.
"""

import struct
from typing import BinaryIO

import orjson

REQUEST, BEGUN, PROGRESS, REFUSED, ANSWER = b"Q", b"B", b"P", b"R", b"A"

_HEAD = struct.Struct("!cI")
# A request has the names of all files of its tables.
_BYTES_MAX = 256 * 1024 * 1024


class BrokenFrameError(Exception):
    """The other side has ended, or sends what is no frame."""


def write_frame(stream: BinaryIO, kind: bytes, content: object) -> None:
    """Write a frame that holds JSON, and flush."""
    body = orjson.dumps(content)
    stream.write(_HEAD.pack(kind, len(body)) + body)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[bytes, object]:
    """Return kind and content. Raises BrokenFrameError."""
    kind, size_bytes = _HEAD.unpack(read_exactly(stream, _HEAD.size))
    if size_bytes > _BYTES_MAX:
        raise BrokenFrameError(f"a frame of at most {_BYTES_MAX} bytes expected, got {size_bytes}")
    try:
        return kind, orjson.loads(read_exactly(stream, size_bytes))
    except orjson.JSONDecodeError as error:
        raise BrokenFrameError(f"a frame of JSON expected: {error}") from error


def read_exactly(stream: BinaryIO, size_bytes: int) -> bytes:
    """Return so many bytes. Raises BrokenFrameError where there are fewer."""
    body = stream.read(size_bytes)
    if body is None or len(body) < size_bytes:
        raise BrokenFrameError(f"{size_bytes} bytes expected, got {len(body or b'')}")
    return body
