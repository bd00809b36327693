"""The log: acknowledged rows of one table on local disk, in numbered segments, until the lake has them.

Theory of operation. Rows are appended to the active segment and synced before ``append`` returns. A segment that is
large or old enough is sealed: from then on it is immutable, the committer turns it into one commit a table, and
removes it. Numbers rise and are never used again, so that a commit can be recognised by its number. After a crash
every segment found is sealed: its whole frames are kept, a torn tail was never acknowledged and is cut. What can't be
read is moved to ``quarantine/``, never dropped.

After a failed write or sync the file's tail is in an unknown state. It is cut and the segment sealed; where even that
fails, nothing more is taken until it has been cut, or until the segment is committed and gone, so that a row that was
refused is not found by a later start beside its retry.
"""

import contextlib
import errno
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from collector.accounting import RowCounts
from collector.component import LogFullError
from collector.log_budget import RETRY_AFTER_S, LogBudget
from collector.quarantine import Quarantine
from collector.telemetry import Histogram
from storage.durability import sync_directory, sync_file
from storage.segments import Part, SegmentEncoder, SegmentReader, segment_numbers, segment_path

logger = logging.getLogger(__name__)

PROBE = "probe.tmp"
PROBE_BYTES = 1024 * 1024
# A disk that takes longer for an append is one that hangs.
APPEND_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class LogStatus:
    """What a log holds, and how long its last append took, of that its sync."""

    segments: int
    log_bytes: int
    oldest_age_s: float
    last_append_s: float
    last_sync_s: float
    quarantined_bytes: int


@dataclass(slots=True)
class _Segment:
    """A segment as far as it is acknowledged: its file may be longer only while it is being appended to."""

    number: int
    size_bytes: int = 0
    row_count: int = 0
    is_own: bool = True
    """Whether this process wrote it: what it finds of others may lie on a bad place of the disk."""


class SegmentLog:
    """The segments of one table. ``append`` is for one thread; the rest may be called from any."""

    def __init__(self, directory: Path, schema: pa.Schema, *, segment_bytes_max: int, budget: LogBudget) -> None:
        self._directory = directory
        self._schema = schema
        self._segment_bytes_max = segment_bytes_max
        self._budget = budget
        self._lock = threading.Lock()
        # Of the active segment, made with it.
        self._encoder: SegmentEncoder
        self._active: _Segment | None = None
        self._descriptor = -1
        self._opened_at_s: dict[int, float] = {}
        self._sealed: dict[int, _Segment] = {}
        self._uncut: _Segment | None = None
        self._next_number = 1
        self._last_append_s = self._last_sync_s = 0.0
        self._appending_since_s = 0.0
        self.syncs = Histogram()
        self._refused = 0
        self._accepted = self._recovered = self._deduplicated = self._committed = self._lost = 0
        self._quarantine = Quarantine(directory)
        directory.mkdir(parents=True, exist_ok=True)
        sync_directory(directory.parent)

    def recover(self, *, committed: int) -> None:
        """Seal what an earlier process left; new segments are numbered beyond it and beyond ``committed``.

        A segment that an earlier process could not read is taken back where that is possible again.
        """
        moved = self._quarantine.moved()
        for number in segment_numbers(self._directory):
            self._next_number = max(self._next_number, number + 1)
            self._recover(number, committed)
        self._next_number = max(self._next_number, committed + 1)
        for path in moved:
            # Its old number may lie before what is committed since, and so would look committed itself.
            if self._quarantine.move_back(path, segment_path(self._directory, self._next_number), self._schema):
                self._next_number += 1
                self._recover(self._next_number - 1, committed)

    def append(self, rows: pa.RecordBatch, *, duplicates: int = 0) -> None:
        """Return once the rows are on disk; ``duplicates`` are rows that came with them and are there already.

        Raises LogFullError, with nothing kept of the rows and nothing counted, where they can't be written.
        """
        with self._lock:
            self._appending_since_s = began = time.perf_counter()
            try:
                self._cut_tail()
                if rows.num_rows:
                    self._append(rows)
            except OSError as error:
                raise self._refusal(error) from error
            finally:
                self._appending_since_s = 0.0
            self._tell_recovery()
            self._last_append_s = time.perf_counter() - began
            self._accepted += rows.num_rows + duplicates
            self._deduplicated += duplicates
            if self._active and self._active.size_bytes >= self._segment_bytes_max:
                self._seal()

    def seal(self, *, older_than_s: float = 0.0) -> None:
        """Seal the active segment if it was opened that long ago."""
        with self._lock:
            if self._active and time.monotonic() - self._opened_at_s[self._active.number] >= older_than_s:
                self._seal()

    def sealed(self) -> list[int]:
        """Return the numbers of the sealed segments, ascending."""
        with self._lock:
            return sorted(self._sealed)

    def opened_at_s(self, number: int) -> float:
        """Return when a segment was opened or found, on the monotonic clock."""
        with self._lock:
            return self._opened_at_s[number]

    def extent(self, number: int) -> tuple[Path, int, int]:
        """Return where a sealed segment lies, how many bytes of it are acknowledged, and how many rows these are."""
        with self._lock:
            segment = self._sealed[number]
        return segment_path(self._directory, number), segment.size_bytes, segment.row_count

    def rows(self, number: int) -> pa.Table:
        """Return the rows of a sealed segment; what can't be read of it is copied to quarantine.

        The rows of a segment that this process wrote lie in the file's own pages, not in memory of their own.
        """
        path = segment_path(self._directory, number)
        with self._lock:
            segment = self._sealed[number]
        # Beyond its size lies at most what a failed append left and could not cut: it was refused.
        reader = SegmentReader(path, self._schema)
        batches = []
        for frame in reader.read(end=segment.size_bytes, mapped=segment.is_own):
            if frame.rows is None:
                self._quarantine.keep(path, frame.offset, frame.end, "its checksum is wrong")
            else:
                batches.append(frame.rows)
        if reader.end < segment.size_bytes:
            self._quarantine.keep(path, reader.end, segment.size_bytes, "it can't be read beyond here")
        return pa.Table.from_batches(batches, self._schema)

    def remove(self, number: int, *, committed_rows: int) -> None:
        """Forget a sealed segment of which so many rows are committed; the others are in quarantine. Safe twice."""
        segment_path(self._directory, number).unlink(missing_ok=True)
        with self._lock:
            segment = self._forget(number)
            if segment is not None:
                self._committed += committed_rows
                self._lost += segment.row_count - committed_rows

    def accounting(self) -> RowCounts:
        """Return where all rows are that this process took, at one moment."""
        with self._lock:
            return RowCounts(
                accepted=self._accepted,
                recovered=self._recovered,
                committed=self._committed,
                in_log=sum(segment.row_count for segment in self._segments()),
                deduplicated=self._deduplicated,
                quarantined=self._lost,
            )

    def status(self) -> LogStatus:
        """Return what the log holds now."""
        with self._lock:
            segments = self._segments()
            oldest_s = min(self._opened_at_s.values(), default=time.monotonic())
            return LogStatus(
                segments=len(segments),
                log_bytes=sum(segment.size_bytes for segment in segments),
                oldest_age_s=time.monotonic() - oldest_s,
                last_append_s=self._last_append_s,
                last_sync_s=self._last_sync_s,
                quarantined_bytes=self._quarantine.size_bytes,
            )

    def obstacle(self) -> str:
        """Return why rows are refused, or wait for long; else an empty text.

        Where the last ones could not be written, it is tried anew, since clients that are told so may send no more.
        """
        # Without the lock, which is held for as long as the disk takes.
        since_s = self._appending_since_s
        waiting_s = time.perf_counter() - since_s if since_s else 0.0
        if waiting_s > APPEND_S_MAX:
            return f"the log's disk has not answered for {waiting_s:.0f} s"
        if not self._refused:
            return ""
        with self._lock:
            if self._refused:
                try:
                    self._cut_tail()
                    _try_to_write(self._directory / PROBE)
                except OSError as error:
                    return f"the log can't be written: {error.strerror or error}"
                self._tell_recovery()
        return ""

    def _refusal(self, error: OSError) -> LogFullError:
        if self._refused == 0:
            logger.error("%s can't be written: %s; rows are refused until it can", self._directory, error)
        self._refused += 1
        # Clients are told what is wrong, not where the server keeps its files.
        return LogFullError(
            f"the log can't be written: {error.strerror or error}: send again when the server's disk is well",
            retry_after_s=RETRY_AFTER_S,
        )

    def _tell_recovery(self) -> None:
        if self._refused:
            logger.warning("%s can be written again; %d batches were refused", self._directory, self._refused)
            self._refused = 0

    def _segments(self) -> list[_Segment]:
        return [*self._sealed.values(), *([self._active] if self._active else [])]

    def _forget(self, number: int) -> _Segment | None:
        segment = self._sealed.pop(number, None)
        self._opened_at_s.pop(number, None)
        if self._uncut and self._uncut.number == number:
            self._uncut = None
        if segment is not None:
            self._budget.release(segment.size_bytes)
        return segment

    def _append(self, rows: pa.RecordBatch) -> None:
        if self._active is None:
            self._encoder = SegmentEncoder(self._schema)
        frame = self._encoder.frame(rows)
        header = 0 if self._active else len(self._encoder.header)
        size_bytes = sum(map(len, frame))
        self._budget.reserve(header + size_bytes)
        try:
            active = self._active or self._open()
        except Exception:
            self._budget.release(header + size_bytes)
            raise
        try:
            _write_all(self._descriptor, frame)
            began = time.perf_counter()
            os.fdatasync(self._descriptor)
            self._last_sync_s = time.perf_counter() - began
            self.syncs.observe(self._last_sync_s)
        except Exception:
            # Also where memory ran out: what is appended behind a torn frame might not be found again.
            self._budget.release(size_bytes)
            self._abandon(active)
            raise
        active.size_bytes += size_bytes
        active.row_count += rows.num_rows

    def _open(self) -> _Segment:
        segment = _Segment(self._next_number)
        # Also where it fails: a file that could not be removed again would be in the way.
        self._next_number += 1
        path = segment_path(self._directory, segment.number)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
        try:
            _write_all(descriptor, [self._encoder.header])
            # The name is not durable without a sync of the folder too.
            sync_directory(self._directory)
        except Exception:
            _close(descriptor)
            self._discard(segment, path)
            raise
        segment.size_bytes = len(self._encoder.header)
        self._active, self._descriptor = segment, descriptor
        self._opened_at_s[segment.number] = time.monotonic()
        return segment

    def _discard(self, segment: _Segment, path: Path) -> None:
        try:
            path.unlink()
        except OSError:
            # The committer finds it empty, and removes it when that is possible.
            self._sealed[segment.number] = segment
            self._opened_at_s[segment.number] = time.monotonic()

    def _abandon(self, segment: _Segment) -> None:
        """Go on in a new segment: after a failed sync nobody knows what of the file's tail is on disk."""
        self._uncut = segment
        self._seal()
        with contextlib.suppress(OSError):
            # Also where nothing is left then: a power cut may bring a removed file back.
            self._cut_tail()
            if not segment.row_count:
                segment_path(self._directory, segment.number).unlink()
                self._forget(segment.number)

    def _seal(self) -> None:
        if self._active is not None:
            _close(self._descriptor)
            self._sealed[self._active.number] = self._active
            self._active, self._descriptor = None, -1

    def _cut_tail(self) -> None:
        """Cut what a failed append may have left in a segment. Raises OSError where that can't be."""
        if self._uncut is not None:
            path = segment_path(self._directory, self._uncut.number)
            with contextlib.suppress(FileNotFoundError):
                os.truncate(path, self._uncut.size_bytes)
                sync_file(path)
            self._uncut = None

    def _recover(self, number: int, committed: int) -> None:
        segment = self._recover_segment(number, committed)
        if segment is not None:
            self._budget.add(segment.size_bytes)
            self._sealed[number] = segment
            self._opened_at_s[number] = time.monotonic()
            self._recovered += segment.row_count

    def _recover_segment(self, number: int, committed: int) -> _Segment | None:
        """Cut a segment's torn tail; None where the disk can't read it, and it was moved away."""
        path = segment_path(self._directory, number)
        reader = SegmentReader(path, self._schema)
        try:
            row_count = sum(frame.rows.num_rows for frame in reader.read() if frame.rows is not None)
        except OSError as error:
            self._quarantine.move(path, error, is_committed=number <= committed)
            return None
        size_bytes = path.stat().st_size
        if size_bytes > reader.end:
            try:
                self._quarantine.keep(path, reader.end, size_bytes, "it ends in a torn write")
                os.truncate(path, reader.end)
                size_bytes = reader.end
            except OSError as error:
                # On a full disk the server must start all the same; it is set aside when the segment is committed.
                logger.warning("%s ends in a torn write that can't be set aside yet: %s", path, error)
        # Rows of a process that was killed before its sync may be in memory alone. From here on they are vouched for:
        # a client that sends them again is told that they are stored.
        sync_file(path)
        return _Segment(number, size_bytes, row_count, is_own=False)


def _write_all(descriptor: int, parts: list[Part]) -> None:
    written = os.writev(descriptor, parts)
    if written < sum(map(len, parts)):
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            count = os.write(descriptor, rest)
            if count == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rest = rest[count:]


def _try_to_write(path: Path) -> None:
    """Write and sync as much as an append may, then remove it again. Raises OSError."""
    try:
        with path.open("wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError as error:
        # What was acknowledged was synced before; the descriptor is gone either way.
        logger.warning("a segment could not be closed as it should: %s", error)
