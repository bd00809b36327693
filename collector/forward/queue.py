"""What waits to be forwarded: sealed segments of the log, kept under a second name until the target has their spans.

Theory of operation. Before a segment is committed, it gets a second name in the target's folder, a hard link, so that
nothing is copied; the log removes its own name once the lake has the rows. A name tells the segment's number, how many
bytes of it are acknowledged, and how many rows these are: the folder is all there is to know. ``cursor.json`` says how
far the target has it: the segment's number, and a row within it. A segment that is committed again after a crash is not
taken again where the cursor is past it. The cursor is not synced: after a power cut some spans may be sent twice, which
the target recognises by their content; none are left out, since a segment is removed only after it was sent.

Where the limit is reached, or the disk is nearly full, the oldest segments are dropped, and their spans counted.
"""

import errno
import json
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.durability import sync_directory, sync_file

CURSOR = "cursor.json"
_NAME = re.compile(r"([0-9]{12,18})-([0-9]{1,18})-([0-9]{1,18})\.arrow")
_NO_LINKS = (errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A segment of the log that is not written to any more: its first ``size_bytes`` hold what is acknowledged."""

    path: Path
    number: int
    size_bytes: int
    row_count: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """All rows before this row of this segment are done with."""

    segment: int = 0
    row: int = 0


class ForwardQueue:
    """The segments that wait for one target, oldest first. Thread-safe; one thread takes."""

    def __init__(
        self,
        directory: Path,
        writer_id: str,
        *,
        bytes_max: int,
        disk_free_bytes_min: int = 0,
        on_drop: Callable[[SealedSegment], None] = lambda _: None,
    ) -> None:
        """Take over what an earlier process left in the folder. ``writer_id`` is whose segments' numbers are meant."""
        self.bytes_max = bytes_max
        self._directory = directory
        self._writer_id = writer_id
        self._disk_free_bytes_min = disk_free_bytes_min
        self._on_drop = on_drop
        self._lock = threading.Lock()
        self._taken: int | None = None
        directory.mkdir(parents=True, exist_ok=True)
        for folder in (directory.parent, directory.parent.parent):
            sync_directory(folder)
        self._cursor = self._read_cursor()
        self._waiting = self._found()

    @property
    def size_bytes(self) -> int:
        """Return how many bytes wait."""
        with self._lock:
            return self._size_bytes()

    @property
    def cursor(self) -> Cursor:
        """Return how far the target has what there was."""
        with self._lock:
            return self._cursor

    def add(self, segment: SealedSegment) -> None:
        """Return when a sealed segment is kept, whatever becomes of its own name. Raises OSError."""
        with self._lock:
            if segment.number < self._cursor.segment or segment.number in self._waiting or not segment.row_count:
                return
            name = f"{segment.number:012d}-{segment.size_bytes}-{segment.row_count}.arrow"
            kept = SealedSegment(self._directory / name, segment.number, segment.size_bytes, segment.row_count)
            _link(segment.path, kept.path)
            # Else a power cut could take the name after the log has let go of its own.
            sync_directory(self._directory)
            self._waiting[segment.number] = kept
            dropped = self._make_room()
        for each in dropped:
            self._drop(each)

    def take(self) -> SealedSegment | None:
        """Return the oldest segment, which is not dropped until ``done``; None where none waits."""
        with self._lock:
            self._taken = min(self._waiting, default=None)
            return None if self._taken is None else self._waiting[self._taken]

    def advance(self, segment: SealedSegment, row: int) -> None:
        """Remember that the rows of a segment before this one are done with. Raises OSError."""
        with self._lock:
            self._write_cursor(Cursor(segment.number, row))

    def done(self, segment: SealedSegment) -> None:
        """Forget a segment: all of its rows are done with. Raises OSError."""
        with self._lock:
            self._write_cursor(Cursor(segment.number + 1, 0))
            segment.path.unlink(missing_ok=True)
            self._waiting.pop(segment.number, None)
            self._taken = None

    def oldest_modified_s(self) -> float | None:
        """Return when the oldest segment that waits was last written to, s since 1970; None where none waits."""
        with self._lock:
            oldest = self._waiting.get(min(self._waiting, default=0))
        try:
            return None if oldest is None else oldest.path.stat().st_mtime
        except FileNotFoundError:
            return None

    def _make_room(self) -> list[SealedSegment]:
        """Return what has to go, the oldest first, but not what is being sent."""
        dropped: list[SealedSegment] = []
        candidates = sorted(number for number in self._waiting if number != self._taken)
        size_bytes = self._size_bytes()
        is_disk_full = shutil.disk_usage(self._directory).free < self._disk_free_bytes_min
        for number in candidates:
            if size_bytes <= self.bytes_max and not is_disk_full:
                break
            # The log's own name may still hold its bytes, so that nothing shows yet that there is room: one at a time.
            is_disk_full = False
            segment = self._waiting.pop(number)
            size_bytes -= segment.size_bytes
            dropped.append(segment)
        return dropped

    def _drop(self, segment: SealedSegment) -> None:
        self._on_drop(segment)
        segment.path.unlink(missing_ok=True)

    def _size_bytes(self) -> int:
        return sum(segment.size_bytes for segment in self._waiting.values())

    def _found(self) -> dict[int, SealedSegment]:
        found: dict[int, SealedSegment] = {}
        for path in self._directory.iterdir():
            parts = _NAME.fullmatch(path.name)
            if parts:
                number, size_bytes, row_count = map(int, parts.groups())
                if number < self._cursor.segment:
                    # A process ended between the cursor and this.
                    path.unlink(missing_ok=True)
                else:
                    found[number] = SealedSegment(path, number, size_bytes, row_count)
        return found

    def _read_cursor(self) -> Cursor:
        try:
            content = json.loads((self._directory / CURSOR).read_bytes())
            if content["writer_id"] != self._writer_id:
                # Numbers of another data directory's log mean nothing here.
                return Cursor()
            return Cursor(int(content["segment"]), int(content["row"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            # Torn, or there is none: what waits is sent, some of it again.
            return Cursor()

    def _write_cursor(self, cursor: Cursor) -> None:
        path = self._directory / CURSOR
        draft = path.with_suffix(".tmp")
        content = {"writer_id": self._writer_id, "segment": cursor.segment, "row": cursor.row}
        draft.write_text(json.dumps(content))
        draft.replace(path)
        self._cursor = cursor


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        draft = target.with_suffix(".tmp")
        shutil.copyfile(source, draft)
        sync_file(draft)
        draft.replace(target)
