"""The quarantine: bytes of the log that can't be read are kept here, for a person to look at."""

import logging
import os
from pathlib import Path

import pyarrow as pa

from storage.durability import sync_directory
from storage.errors import StorageError
from storage.segments import SUFFIX, SegmentReader

logger = logging.getLogger(__name__)

COMMITTED_SUFFIX = ".committed"
_FOLDER = "quarantine"
_SEARCHED_BYTES = 16 * 1024 * 1024


class Quarantine:
    """The folder ``quarantine/`` beside the logs; file names say which bytes of which segment they hold."""

    def __init__(self, log_directory: Path) -> None:
        self._folder = log_directory.parent / _FOLDER
        self._prefix = log_directory.name
        self._kept: dict[Path, int] = {}

    @property
    def size_bytes(self) -> int:
        """Bytes that were set aside since the start."""
        return sum(self._kept.values())

    def keep(self, path: Path, start: int, end: int, reason: str) -> None:
        """Copy bytes of a segment here; return when they are on disk, since the segment is cut or removed next."""
        self._make_folder()
        target = self._folder / f"{self._prefix}-{path.stem}-{start}.bytes"
        if target in self._kept and target.exists():
            return  # By an earlier try to commit the segment.
        with path.open("rb") as source:
            source.seek(start)
            aside = source.read(end - start)
        with target.open("wb") as file:
            file.write(aside)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(self._folder)
        self._kept[target] = end - start
        logger.warning("%s: %s; bytes %d to %d were set aside as %s", path, reason, start, end, target)

    def move(self, path: Path, error: OSError, *, is_committed: bool) -> None:
        """Move a whole segment here that the disk can't read; unless its rows are committed, it may come back."""
        self._make_folder()
        target = self._folder / f"{self._prefix}-{path.stem}{COMMITTED_SUFFIX if is_committed else SUFFIX}"
        size_bytes = path.stat().st_size
        path.rename(target)
        sync_directory(path.parent)
        sync_directory(self._folder)
        self._kept[target] = size_bytes
        what_next = "its rows are committed" if is_committed else "mend the disk, then start the server anew"
        logger.error("%s can't be read (%s): it was moved to %s; %s", path, error, target, what_next)

    def moved(self) -> list[Path]:
        """Return the whole segments that were moved here, by their age."""
        return sorted(self._folder.glob(f"{self._prefix}-*{SUFFIX}"))

    def move_back(self, path: Path, target: Path, schema: pa.Schema) -> bool:
        """Move a segment to the place where it is found again; False, with nothing changed, if it can't be read."""
        try:
            for _ in SegmentReader(path, schema).read():
                pass
            path.rename(target)
            for folder in (target.parent, path.parent):
                sync_directory(folder)
        except (OSError, StorageError) as error:
            logger.warning("%s can't be taken back: %s", path, error)
            return False
        logger.warning("%s can be read again: it was moved back as %s", path, target)
        return True

    def _make_folder(self) -> None:
        self._folder.mkdir(exist_ok=True)
        sync_directory(self._folder.parent)


def quarantined_files_with(log_directory: Path, text: str) -> list[Path]:
    """Return the files in quarantine that hold a text anywhere, or that can't be read and so may hold it."""
    return [path for path in sorted((log_directory / _FOLDER).glob("*")) if _may_hold(path, text.encode())]


def _may_hold(path: Path, wanted: bytes) -> bool:
    found = b""
    try:
        with path.open("rb") as file:
            while part := file.read(_SEARCHED_BYTES):
                # What lies across the border of two parts is in their ends.
                found = found[-len(wanted) :] + part
                if wanted in found:
                    return True
    except OSError:
        return True
    return False
