"""The segment format: a file of acknowledged rows of one table, an Arrow IPC stream with a checksum a batch.

Theory of operation. A segment is written by one process, append by append, and may be read by any other at the same
time. Every append is one IPC message; its custom metadata holds the xxh3-64 of the whole message, computed while that
field holds zeros, so that a flipped bit anywhere in the message shows. The file stays a plain Arrow stream: Polars,
DuckDB and pyarrow read it as it is.

A reader walks the messages. It ends at the first one that is not there in full: the torn tail of a write that a crash
cut short, which was never acknowledged, or one that is just being written. A whole message whose checksum is wrong is
reported, never skipped in silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import xxhash

from storage.errors import SegmentError

SUFFIX = ".arrow"
_CHECKSUM_KEY = "checksum"
_CHECKSUM_MARK = b"xxh3_64:"
_CHECKSUM_BLANK = b"0" * 16


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a segment: where it lies in the file, and its rows (None where its checksum is wrong)."""

    offset: int
    end: int
    rows: pa.RecordBatch | None


def segment_path(directory: Path, number: int) -> Path:
    """Return the path of a segment; names sort as numbers do."""
    return directory / f"{number:012d}{SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """Return the numbers of the segments in a directory, ascending."""
    return sorted(int(path.stem) for path in directory.glob(f"*{SUFFIX}") if path.stem.isdigit())


def encode_header(schema: pa.Schema) -> bytes:
    """Return the bytes that begin a segment: the stream's schema message."""
    return bytes(schema.serialize())


def encode_frame(rows: pa.RecordBatch) -> bytes:
    """Return the bytes of one append: an IPC message that bears its own checksum."""
    sink = pa.BufferOutputStream()
    writer = pa.ipc.new_stream(sink, rows.schema)
    writer.write_batch(rows, custom_metadata={_CHECKSUM_KEY: _CHECKSUM_MARK + _CHECKSUM_BLANK})
    frame = bytearray(memoryview(sink.getvalue())[len(encode_header(rows.schema)) :])
    place = _checksum_place(frame)
    frame[place] = _checksum(frame)
    return bytes(frame)


def read_frames(path: Path, schema: pa.Schema, *, start: int = 0, end: int | None = None) -> Iterator[Frame]:
    """Yield the whole frames of a segment in order; end at the first that is torn, or at the byte ``end``.

    ``start`` is where an earlier reading ended. The bytes are read, not mapped: a segment may be cut while it is read.
    Raises SegmentError where the file is of another schema, FileNotFoundError where it is gone.
    """
    with path.open("rb") as file:
        file.seek(start)
        buffer = pa.py_buffer(file.read(-1 if end is None else max(end - start, 0)))
    reader = pa.BufferReader(buffer)
    if start == 0:
        reader.seek(_header_length(path, buffer, schema))
    while True:
        offset = reader.tell()
        message = _read_message(reader)
        if message is None:
            return
        stop = reader.tell()
        yield Frame(start + offset, start + stop, _verified_rows(buffer[offset:stop], message, schema))


def _header_length(path: Path, buffer: pa.Buffer, schema: pa.Schema) -> int:
    """Return where the first frame begins: the header's length, also where its bytes are damaged; the end if nowhere.

    Raises SegmentError where the segment is of another schema.
    """
    expected = encode_header(schema)
    if buffer[: len(expected)].equals(pa.py_buffer(expected)) or buffer.size <= len(expected):
        return int(min(len(expected), buffer.size))
    if _begins_with_frame(buffer[len(expected) :], schema):
        # A frame of our columns follows: the header is damaged, and not needed.
        return len(expected)
    reader = pa.BufferReader(buffer)
    try:
        found = pa.ipc.read_schema(pa.ipc.read_message(reader))
        names = found.names
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError):
        return int(buffer.size)
    if found.equals(schema):
        return int(reader.tell())
    raise SegmentError(f"{path}: its columns are not those of this version; expected {schema.names}, got {names}")


def _begins_with_frame(buffer: pa.Buffer, schema: pa.Schema) -> bool:
    reader = pa.BufferReader(buffer)
    message = _read_message(reader)
    if message is None:
        return False
    try:
        return _verified_rows(buffer[: reader.tell()], message, schema) is not None
    except (pa.ArrowException, OSError):
        return False  # A frame of other columns.


def _read_message(reader: pa.BufferReader) -> pa.ipc.Message | None:
    try:
        return pa.ipc.read_message(reader)
    except (EOFError, OSError, pa.ArrowInvalid):
        return None


def _verified_rows(frame: pa.Buffer, message: pa.ipc.Message, schema: pa.Schema) -> pa.RecordBatch | None:
    copy = bytearray(frame)
    place = _checksum_place(copy)
    stored = bytes(copy[place])
    copy[place] = _CHECKSUM_BLANK[: len(stored)]
    if stored != _checksum(copy):
        return None
    return pa.ipc.read_record_batch(message, schema)


def _checksum(frame: bytearray) -> bytes:
    return xxhash.xxh3_64_hexdigest(frame).encode()


def _checksum_place(frame: bytearray) -> slice:
    """Find the 16 hex digits in a message's metadata, which holds no text of users; an empty slice without any."""
    metadata_end = 8 + int.from_bytes(frame[4:8], "little")
    mark = frame.find(_CHECKSUM_MARK, 0, metadata_end)
    start = mark + len(_CHECKSUM_MARK)
    return slice(start, start + 16) if mark >= 0 else slice(0, 0)
