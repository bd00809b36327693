"""The disk that all logs together may take."""

import os
import threading
from pathlib import Path

from collector.component import LogFullError

RETRY_AFTER_S = 5.0


class LogBudget:
    """Counts the bytes of all segments; refuses beyond ``bytes_max``, or where the disk has little space left.

    ``disk_free_bytes_min`` is left to the lake: were the log to fill the disk, no segment could be committed any more,
    and so none be removed. Thread-safe.
    """

    def __init__(self, directory: Path, *, bytes_max: int, disk_free_bytes_min: int = 0) -> None:
        self.bytes_max = bytes_max
        self._directory = directory
        self._disk_free_bytes_min = disk_free_bytes_min
        self._lock = threading.Lock()
        self._bytes = 0
        self._is_spent = False

    @property
    def bytes(self) -> int:
        """Bytes of all segments, as far as they are acknowledged."""
        return self._bytes

    def obstacle(self) -> str:
        """Return why nothing can be taken now, or an empty text."""
        if self._is_spent:
            return f"the log holds {self._bytes} bytes not yet committed, its limit is {self.bytes_max}"
        try:
            self._refuse_full_disk(0)
        except LogFullError as error:
            return str(error).partition(": ")[0]
        return ""

    def reserve(self, size_bytes: int) -> None:
        """Count bytes that are about to be written. Raises LogFullError where there is no room for them."""
        with self._lock:
            self._is_spent = self._bytes + size_bytes > self.bytes_max
            if self._is_spent:
                raise LogFullError(
                    f"the log holds {self._bytes} bytes not yet committed, its limit is {self.bytes_max}: "
                    "send again when they are",
                    retry_after_s=RETRY_AFTER_S,
                )
            self._refuse_full_disk(size_bytes)
            self._bytes += size_bytes

    def add(self, size_bytes: int) -> None:
        """Count bytes that are there already, whatever the limit."""
        with self._lock:
            self._bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back what was not written, or is removed."""
        with self._lock:
            self._bytes -= size_bytes
            self._is_spent = False

    def _refuse_full_disk(self, size_bytes: int) -> None:
        if not self._disk_free_bytes_min:
            return
        try:
            disk = os.statvfs(self._directory)
        except OSError:
            return  # The write will tell.
        free = disk.f_bavail * disk.f_frsize
        if free - size_bytes < self._disk_free_bytes_min:
            raise LogFullError(
                f"the log's disk has {free} bytes left, and {self._disk_free_bytes_min} are kept free for commits: "
                "send again when there is space",
                retry_after_s=RETRY_AFTER_S,
            )
