"""The data directory: where on disk everything lies, and who may write there."""

import contextlib
import errno
import fcntl
import logging
import os
import re
import uuid
from pathlib import Path

from storage.durability import sync_directory, sync_file
from storage.errors import DataDirectoryError

logger = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Delta and SQLite take a path as a URL and, of these, read another path from it, or none.
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\[\]\\^|?]|%[0-9a-fA-F]{2}")


class DataDirectory:
    """The layout under one folder: ``log/``, ``lake/``, ``registry.sqlite3``, and ``backups/`` of these.

    The writer id marks this directory's commits in the lake's transaction log; it is made once and lives in the log's
    folder, since it belongs to the segments' numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.log = self.path / "log"
        self.lake = self.path / "lake"
        self.backups = self.path / "backups"
        self.forward = self.path / "forward"
        self.registry_path = self.path / "registry.sqlite3"
        self.registry_url = f"sqlite:///{self.registry_path}"
        self._lock_descriptor: int | None = None

    def create(self) -> None:
        """Make the folders. Raises DataDirectoryError where they can't be made or written to."""
        unusable = _UNUSABLE.search(str(self.path))
        if unusable:
            raise DataDirectoryError(f"data directory {self.path}: its path must not contain {unusable.group()!r}")
        try:
            # What people said is in it: for the server's user and group alone.
            self.path.mkdir(mode=0o750, parents=True, exist_ok=True)
            for folder in (self.log, self.lake):
                folder.mkdir(exist_ok=True)
            self._probe()
            for folder in (self.path.parent, self.path):
                sync_directory(folder)
        except OSError as error:
            raise DataDirectoryError(f"data directory {self.path} can't be written: {error.strerror}") from error

    def _probe(self) -> None:
        """Raise OSError where no file can be made, unless the disk is full: the server has to start to free it."""
        probe = self.log / f".probe-{os.getpid()}"
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            if error.errno not in _FULL:
                raise
            logger.warning("the disk of %s is full: requests are refused until there is space", self.path)

    def lock(self) -> None:
        """Keep other servers out for as long as this process lives. Raises DataDirectoryError where one is there."""
        descriptor = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise DataDirectoryError(
                f"data directory {self.path} is in use by another server (process {holder or 'unknown'})"
            ) from error
        # Only for the message above: not worth failing for on a full disk.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        self._lock_descriptor = descriptor

    def unlock(self) -> None:
        """Let another server in; safe twice."""
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def writer_id(self) -> str:
        """Return the id of this directory's writer, made at the first call."""
        path = self.log / "writer_id"
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(uuid.uuid4().hex)
            sync_file(draft)
            # A link, unlike a rename, fails where another process was first.
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
            # With another id the log's segments would look new, and be committed twice.
            sync_directory(self.log)
        return path.read_text().strip()
