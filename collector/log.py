"""The log: acknowledged rows of one table on local disk, in numbered segments, until the lake has them.

Theory of operation. Rows are appended to the active segment and synced before ``append`` returns. A segment that is
large or old enough is sealed: from then on it is immutable, the committer turns it into one commit a table, and
removes it. Numbers rise and are never used again, so that a commit can be recognised by its number. After a crash
every segment found is sealed: its whole frames are kept, a torn tail was never acknowledged and is cut. What can't be
read is moved to ``quarantine/``, never dropped.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from collector.component import LogFullError
from storage.durability import sync_directory
from storage.segments import encode_frame, encode_header, read_frames, segment_numbers, segment_path

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Active:
    number: int
    descriptor: int
    size_bytes: int
    opened_at_s: float


class SegmentLog:
    """The segments of one table. ``append`` is for one thread; the rest may be called from any."""

    def __init__(self, directory: Path, schema: pa.Schema, *, segment_bytes_max: int, log_bytes_max: int) -> None:
        self._directory = directory
        self._schema = schema
        self._segment_bytes_max = segment_bytes_max
        self._log_bytes_max = log_bytes_max
        self._lock = threading.Lock()
        self._active: _Active | None = None
        self._sealed: dict[int, int] = {}
        self._next_number = 1
        directory.mkdir(parents=True, exist_ok=True)
        sync_directory(directory.parent)

    def recover(self, *, committed: int) -> None:
        """Seal what an earlier process left; new segments are numbered beyond it and beyond ``committed``."""
        for number in segment_numbers(self._directory):
            path = segment_path(self._directory, number)
            self._repair(path)
            self._sealed[number] = path.stat().st_size
        self._next_number = max([committed, *self._sealed]) + 1

    def append(self, rows: pa.RecordBatch) -> None:
        """Return once the rows are on disk. Raises LogFullError, with nothing kept of the rows, where they can't be."""
        frame = encode_frame(rows)
        with self._lock:
            if self._bytes() + len(frame) > self._log_bytes_max:
                raise LogFullError(
                    f"the log holds {self._bytes()} bytes not yet committed, its limit is {self._log_bytes_max}",
                    retry_after_s=5,
                )
            try:
                self._write(frame)
            except OSError as error:
                self._abandon_tail()
                raise LogFullError(f"the log can't be written: {error.strerror}", retry_after_s=5) from error
            if self._active and self._active.size_bytes >= self._segment_bytes_max:
                self._seal()

    def seal(self, *, older_than_s: float = 0.0) -> None:
        """Seal the active segment if it was opened that long ago."""
        with self._lock:
            if self._active and time.monotonic() - self._active.opened_at_s >= older_than_s:
                self._seal()

    def sealed(self) -> list[int]:
        """Return the numbers of the sealed segments, ascending."""
        with self._lock:
            return sorted(self._sealed)

    def rows(self, number: int) -> pa.Table:
        """Return the rows of a sealed segment; what can't be read of it is copied to quarantine."""
        path = segment_path(self._directory, number)
        with self._lock:
            # Beyond this lies at most what a failed append left and could not cut: it was refused.
            size_bytes = self._sealed[number]
        batches = []
        end = len(encode_header(self._schema))
        for frame in read_frames(path, self._schema, end=size_bytes):
            end = frame.end
            if frame.rows is None:
                self._quarantine(path, frame.offset, frame.end, "its checksum is wrong")
            else:
                batches.append(frame.rows)
        if size_bytes > end:
            self._quarantine(path, end, size_bytes, "it can't be read beyond here")
        return pa.Table.from_batches(batches, self._schema)

    def remove(self, number: int) -> None:
        """Forget a sealed segment that is committed."""
        segment_path(self._directory, number).unlink(missing_ok=True)
        with self._lock:
            self._sealed.pop(number, None)

    def _bytes(self) -> int:
        return sum(self._sealed.values()) + (self._active.size_bytes if self._active else 0)

    def _write(self, frame: bytes) -> None:
        if self._active is None:
            self._active = self._open()
        _write_all(self._active.descriptor, frame)
        os.fdatasync(self._active.descriptor)
        self._active.size_bytes += len(frame)

    def _open(self) -> _Active:
        header = encode_header(self._schema)
        path = segment_path(self._directory, self._next_number)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
        try:
            _write_all(descriptor, header)
            # The name is not durable without a sync of the folder too.
            sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        active = _Active(self._next_number, descriptor, len(header), time.monotonic())
        self._next_number += 1
        return active

    def _seal(self) -> None:
        if self._active is not None:
            os.close(self._active.descriptor)
            self._sealed[self._active.number] = self._active.size_bytes
            self._active = None

    def _abandon_tail(self) -> None:
        """After a failed write: cut what may have reached the file, and go on in a new segment.

        A failed sync leaves the page cache in an unknown state, so the file is not written to again.
        """
        if self._active is None:
            return
        try:
            os.ftruncate(self._active.descriptor, self._active.size_bytes)
            os.fdatasync(self._active.descriptor)
        except OSError as error:
            logger.warning("segment %d: its unacknowledged tail could not be cut: %s", self._active.number, error)
        self._seal()

    def _repair(self, path: Path) -> None:
        whole = max((frame.end for frame in read_frames(path, self._schema)), default=0)
        size_bytes = path.stat().st_size
        if whole == 0:
            whole = min(size_bytes, len(encode_header(self._schema)))
        if size_bytes > whole:
            self._quarantine(path, whole, size_bytes, "it ends in a torn write")
            os.truncate(path, whole)

    def _quarantine(self, path: Path, start: int, end: int, reason: str) -> None:
        folder = self._directory.parent / "quarantine"
        folder.mkdir(exist_ok=True)
        target = folder / f"{self._directory.name}-{path.stem}-{start}.bytes"
        with path.open("rb") as source:
            source.seek(start)
            aside = source.read(end - start)
        # Synced, since the segment itself is cut or removed next.
        with target.open("wb") as file:
            file.write(aside)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(folder)
        logger.warning("%s: %s; bytes %d to %d were set aside as %s", path, reason, start, end, target)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
