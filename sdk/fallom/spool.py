"""What could not be sent, kept on disk for the next run: for batch jobs, which end before a server comes back.

A body is a file, whole or not there; the oldest are removed where there is no room. Several processes may share the
folder: whoever holds a file's lock sends it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from fallom.disk_cache import private_file

logger = logging.getLogger("fallom")

SPOOL_BYTES_MAX = 256 * 1024 * 1024
_numbers = itertools.count()


class Spool:
    """Bodies by kind, of one server and key; other servers' are not touched."""

    def __init__(self, directory: Path, owner: str, *, bytes_max: int = SPOOL_BYTES_MAX) -> None:
        self._directory = directory / hashlib.sha256(owner.encode()).hexdigest()[:32]
        self._bytes_max = bytes_max
        self._has_failed = False

    def put(self, kind: str, body: bytes, count: int) -> bool:
        """Keep a body of ``count`` items, synced to disk; return whether it is kept."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers)}-{count}.{kind}"
        unfinished = self._directory / f".{name}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(len(body))
            with private_file(unfinished) as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._directory / name)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            if not self._has_failed:
                logger.warning("nothing can be kept in the spool %s: %s", self._directory, error)
            self._has_failed = True
            return False
        return True

    def send_kept(self, kind: str, send: Callable[[bytes, int], bool]) -> None:
        """Send what is kept, oldest first, until ``send`` says that it can't now; what was sent is removed."""
        for path in self._files(kind):
            with contextlib.suppress(OSError), path.open("rb") as file:
                if not _locked(file) or not path.exists():
                    continue
                if not send(file.read(), _count(path)):
                    return
                path.unlink()

    def _files(self, kind: str = "*") -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(self._directory.glob(f"[0-9]*.{kind}"))
        return []

    def _make_room(self, size_bytes: int) -> None:
        sizes = [(path, path.stat().st_size) for path in self._files()]
        used_bytes = sum(size for _, size in sizes)
        for path, size in sizes:
            if used_bytes + size_bytes <= self._bytes_max:
                return
            path.unlink(missing_ok=True)
            used_bytes -= size
            logger.warning("the spool %s is full: its oldest %s items are lost", self._directory, _count(path))


def _count(path: Path) -> int:
    """Return how many items a body has, by its name."""
    count = path.stem.rpartition("-")[2]
    return int(count) if count.isdigit() else 1


def _locked(file: IO[bytes]) -> bool:
    """Take the file's lock, which the system frees however the holder ends; where there are none, all may send."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
