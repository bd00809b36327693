"""The segment format: a file of acknowledged rows of one table, an Arrow IPC stream with a checksum a batch.

Theory of operation. A segment is written by one process, append by append, and may be read by any other at the same
time. Every append is one IPC message, a *frame*. Its custom metadata holds ``xxh3_64:DIGEST:SALT``: the xxh3-64 of the
whole message, computed while the digest's place holds zeros, so that a flipped bit anywhere in the message shows; and
the segment's salt, 16 random hex digits that the schema message at the head of the file bears too. The file stays a
plain Arrow stream: Polars, DuckDB and pyarrow read it as it is.

A reader walks the frames. A whole frame whose checksum is wrong is reported, never skipped in silence. Since its length
may be what is damaged, the walk goes on at the next frame that bears the salt and is right: clients, who don't know the
salt, can't have put such bytes there. It ends at a frame that is not there in full, with no right one behind it: the
torn tail of a write that a crash cut short, which was never acknowledged, or one that is just being written.

A segment of an older version, whose schema lacks columns of this one, is read with NULL in their place. One of any
other schema is not guessed at.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from storage.errors import SegmentError
from storage.older_rows import only_lacks_columns, with_all_columns

SUFFIX = ".arrow"
# Frames up to so many rows are copied into one buffer; of larger ones the columns are written from where they lie.
SMALL_FRAME_ROWS = 256
SCRATCH_BYTES = 1024 * 1024
_PREFIX_BYTES = 8
_CONTINUATION = b"\xff\xff\xff\xff"
_METADATA_BYTES_MAX = 64 * 1024
_CHECKSUM_KEY = "checksum"
_CHECKSUM_MARK = b"xxh3_64:"
_SALT_KEY = "segment_salt"
_BLANK = b"0" * 16
_SALTED = re.compile(_CHECKSUM_MARK + rb"[0-9a-f]{16}:([0-9a-f]{16})")
_SALT = re.compile(rb"[0-9a-f]{16}")

# What may be written as it lies: bytes, a bytearray, a memoryview, an Arrow buffer.
Part = Any


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a segment: where it lies in the file, and its rows (None where they are damaged)."""

    offset: int
    end: int
    rows: pa.RecordBatch | None


def segment_path(directory: Path, number: int) -> Path:
    """Return the path of a segment; names sort as numbers do."""
    return directory / f"{number:012d}{SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """Return the numbers of the segments in a directory, ascending."""
    return sorted(int(path.stem) for path in directory.glob(f"*{SUFFIX}") if path.stem.isdigit())


class SegmentEncoder:
    """Encodes the header and the frames of one segment. Not thread-safe."""

    def __init__(self, schema: pa.Schema) -> None:
        salt = os.urandom(8).hex().encode()
        self.header = _header(schema, salt)
        self._schema = schema
        self._metadata = pa.KeyValueMetadata({_CHECKSUM_KEY: _CHECKSUM_MARK + _BLANK + b":" + salt})
        self._parts = _Parts()
        self._collector = _begun(pa.PythonFile(self._parts, mode="w"), schema)
        # Reused, since the pages of a new one would have to be cleared first.
        self._scratch = pa.allocate_buffer(SCRATCH_BYTES)
        self._begin_scratch()

    def frame(self, rows: pa.RecordBatch) -> list[Part]:
        """Return the bytes of one append, in parts that are valid until the next call."""
        if rows.num_rows <= SMALL_FRAME_ROWS:
            try:
                return self._small_frame(rows)
            except (OSError, pa.ArrowInvalid):
                # It does not fit, now or at all.
                self._begin_scratch()
        return self._large_frame(rows)

    def _small_frame(self, rows: pa.RecordBatch) -> list[Part]:
        start = self._scratch_file.tell()
        self._scratch_writer.write_batch(rows, custom_metadata=self._metadata)
        frame = memoryview(self._scratch).cast("B")[start : self._scratch_file.tell()]
        place = _checksum_place(frame)
        frame[place : place + 16] = xxhash.xxh3_64_hexdigest(frame).encode()
        return [frame]

    def _large_frame(self, rows: pa.RecordBatch) -> list[Part]:
        self._parts.clear()
        self._collector.write_batch(rows, custom_metadata=self._metadata)
        parts = self._parts.take()
        place = _checksum_place(parts[0])
        digest = xxhash.xxh3_64()
        for part in parts:
            digest.update(part)
        parts[0][place : place + 16] = digest.hexdigest().encode()
        return parts

    def _begin_scratch(self) -> None:
        self._scratch_file = pa.FixedSizeBufferWriter(self._scratch)
        self._scratch_writer = _begun(self._scratch_file, self._schema)


class SegmentReader:
    """Walks one segment, as far as it is written; each call of ``read`` goes on where the last one ended."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.end = 0
        self._path = path
        self._schema = schema
        # Of the file, where an older version wrote it.
        self._written_schema = schema
        self._salt: bytes | None = None
        # Who looks while a segment is begun may find a part of its header.
        self._has_header = False

    def read(self, *, end: int | None = None, mapped: bool = False) -> Iterator[Frame]:
        """Yield the frames up to the byte ``end``, or to the first that is torn.

        ``mapped`` rows lie in the file's own pages: only for a segment that nobody cuts any more. Raises SegmentError
        where the file is of another schema, FileNotFoundError where it is gone.
        """
        origin = self.end if self._has_header else 0
        buffer = _content(self._path, origin, end, mapped=mapped)
        if not self._has_header:
            self.end = self._read_header(buffer)
            self._has_header = buffer.size >= len(_header(self._schema, _BLANK))
        while True:
            frame = self._next(buffer, self.end - origin)
            if frame is None:
                return
            self.end = origin + frame.end
            rows = None if frame.rows is None else with_all_columns(frame.rows, self._schema)
            yield Frame(origin + frame.offset, self.end, rows)

    def _next(self, buffer: pa.Buffer, offset: int) -> Frame | None:
        frame = _frame_at(buffer, offset, self._written_schema)
        if frame is not None and frame.rows is not None:
            if self._salt is None:
                self._salt = _salt_of(buffer[offset : offset + _METADATA_BYTES_MAX])
            return frame
        resumed = self._resume(buffer, offset)
        return frame if resumed is None else Frame(offset, resumed, None)

    def _resume(self, buffer: pa.Buffer, offset: int) -> int | None:
        """Return where behind a damaged frame the next right one begins."""
        if self._salt is None or offset >= buffer.size:
            return None
        data: bytes = buffer[offset:].to_pybytes()
        mention = data.find(self._salt)
        while mention >= 0:
            start = data.rfind(_CONTINUATION, max(1, mention - _METADATA_BYTES_MAX), mention)
            while start > 0:
                frame = _frame_at(buffer, offset + start, self._written_schema) if start % 8 == 0 else None
                if frame is not None and frame.rows is not None:
                    return offset + start
                start = data.rfind(_CONTINUATION, max(1, mention - _METADATA_BYTES_MAX), start + 3)
            mention = data.find(self._salt, mention + 1)
        return None

    def _read_header(self, buffer: pa.Buffer) -> int:
        """Return where the first frame begins, or should, where the bytes of the header are damaged."""
        blank = _header(self._schema, _BLANK)
        found = buffer[: len(blank)].to_pybytes()
        place = blank.rindex(_BLANK)
        if found[:place] + _BLANK + found[place + 16 :] == blank:
            salt = found[place : place + 16]
            self._salt = salt if _SALT.fullmatch(salt) else None
            return len(blank)
        if buffer.size <= len(blank):
            return int(buffer.size)
        frame = _frame_at(buffer, len(blank), self._schema)
        if frame is not None and frame.rows is not None:
            # A frame of our columns follows: the header is damaged, and not needed.
            return len(blank)
        return self._foreign_header(buffer, default=len(blank))

    def _foreign_header(self, buffer: pa.Buffer, *, default: int) -> int:
        reader = pa.BufferReader(buffer)
        try:
            found = pa.ipc.read_schema(pa.ipc.read_message(reader))
            names = found.names
        except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError):
            return default
        if only_lacks_columns(found, self._schema):
            self._written_schema = found.remove_metadata()
            return int(reader.tell())
        expected = self._schema.names
        raise SegmentError(
            f"{self._path}: its columns are not those of this version; expected {expected}, got {names}: "
            "start the version that wrote it, so that it commits the segment, or move the file away"
        )


class _Parts:
    """A file that keeps references to what is written instead of copying it."""

    closed = False

    def __init__(self) -> None:
        self._written: list[Part] = []

    def write(self, part: Part) -> int:
        self._written.append(part)
        return len(part)

    def flush(self) -> None:
        """Do nothing: there is nobody to hand it on to."""

    def clear(self) -> None:
        self._written.clear()

    def take(self) -> list[Part]:
        """Return what was written: the message's prefix and metadata as one bytearray, then the body's parts."""
        head = bytearray()
        written, self._written = self._written, []
        for count, part in enumerate(written):
            if len(head) >= _PREFIX_BYTES and len(head) >= _metadata_end(head):
                return [head, *(part for part in written[count:] if len(part))]
            head += part
        return [head]


def _begun(sink: pa.NativeFile, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
    """Return a writer that has its schema message behind it."""
    writer = pa.ipc.new_stream(sink, schema)
    writer.write_batch(pa.RecordBatch.from_pylist([], schema=schema))
    return writer


def _header(schema: pa.Schema, salt: bytes) -> bytes:
    salted = {**(schema.metadata or {}), _SALT_KEY.encode(): salt}
    return bytes(schema.with_metadata(salted).serialize())


def _content(path: Path, start: int, end: int | None, *, mapped: bool) -> pa.Buffer:
    if mapped and path.stat().st_size:
        with pa.memory_map(str(path)) as file:
            return file.read_buffer()[start:end]
    with path.open("rb") as file:
        file.seek(start)
        return pa.py_buffer(file.read(-1 if end is None else max(end - start, 0)))


def _frame_at(buffer: pa.Buffer, offset: int, schema: pa.Schema) -> Frame | None:
    """Return the message at a place, without rows where its checksum is wrong; None where there is no whole one."""
    reader = pa.BufferReader(buffer[offset:])
    try:
        message = pa.ipc.read_message(reader)
    except (EOFError, OSError, pa.ArrowException):
        return None
    end = offset + reader.tell()
    if not _is_right(memoryview(buffer[offset:end])):
        return Frame(offset, end, None)
    try:
        return Frame(offset, end, pa.ipc.read_record_batch(message, schema))
    except (pa.ArrowException, OSError):
        return Frame(offset, end, None)  # Right, but of other columns.


def _is_right(frame: memoryview) -> bool:
    place = _checksum_place(frame)
    if place < 0:
        return False
    digest = xxhash.xxh3_64(frame[:place])
    digest.update(_BLANK)
    digest.update(frame[place + 16 :])
    return bytes(frame[place : place + 16]) == digest.hexdigest().encode()


def _checksum_place(frame: memoryview | bytearray) -> int:
    """Find the digest's 16 places in a message's metadata, which holds no text of users; -1 without any."""
    mark = bytes(frame[: _metadata_end(frame)]).find(_CHECKSUM_MARK)
    return mark + len(_CHECKSUM_MARK) if mark >= 0 else -1


def _metadata_end(frame: memoryview | bytearray) -> int:
    return _PREFIX_BYTES + int.from_bytes(frame[4:8], "little")


def _salt_of(head: pa.Buffer) -> bytes | None:
    found = _SALTED.search(head.to_pybytes())
    return found.group(1) if found else None
