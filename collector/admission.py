"""Admission: a budget of bytes for all requests that are in flight."""

import threading

from collector.component import AdmissionError


class Admission:
    """Counts the bytes of requests between their arrival and their answer; refuses, at no cost, what goes beyond."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes_in_flight(self) -> int:
        """Return the bytes that are admitted now."""
        return self._bytes

    def acquire(self, size_bytes: int) -> None:
        """Admit so many more bytes. Raises AdmissionError, with nothing admitted, where the budget is spent."""
        with self._lock:
            if self._bytes + size_bytes > self._bytes_max:
                raise AdmissionError(f"{self._bytes} bytes are in flight, the limit is {self._bytes_max}: try again")
            self._bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back bytes that were admitted."""
        with self._lock:
            self._bytes -= size_bytes
