"""The quarantine: bytes of the log that can't be read are kept here, for a person to look at."""

import logging
import os
from pathlib import Path

from storage.durability import sync_directory

logger = logging.getLogger(__name__)


class Quarantine:
    """The folder ``quarantine/`` beside the logs; file names say which bytes of which segment they hold."""

    def __init__(self, log_directory: Path) -> None:
        self._folder = log_directory.parent / "quarantine"
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

    def move(self, path: Path, error: OSError) -> None:
        """Move a whole segment here that the disk can't read."""
        self._make_folder()
        target = self._folder / f"{self._prefix}-{path.name}"
        size_bytes = path.stat().st_size
        path.rename(target)
        sync_directory(path.parent)
        sync_directory(self._folder)
        self._kept[target] = size_bytes
        logger.error("%s can't be read (%s): it was moved to %s; mend the disk, then move it back", path, error, target)

    def _make_folder(self) -> None:
        self._folder.mkdir(exist_ok=True)
        sync_directory(self._folder.parent)
