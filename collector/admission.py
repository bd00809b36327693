"""Admission: a budget of bytes for all requests that are in flight."""

import threading
from collections import Counter

from collector.component import AdmissionError, CollectorError


class Admission:
    """Counts the bytes of requests between their arrival and their answer; refuses, at no cost, what goes beyond.

    ``refused`` says how many requests were refused, here or by their receiver, by transport and reason.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._lock = threading.Lock()
        self.refused: Counter[tuple[str, str]] = Counter()

    @property
    def bytes_in_flight(self) -> int:
        """Return the bytes that are admitted now."""
        return self._bytes

    @property
    def bytes_max(self) -> int:
        """Return the budget."""
        return self._bytes_max

    @property
    def is_nearly_spent(self) -> bool:
        """Whether so little is left that a request should be refused before it is read."""
        return self._bytes >= self._bytes_max - self._bytes_max // 8

    def share(self, transport: str) -> "Share":
        """Return a new request's share of the budget, as yet of no bytes."""
        return Share(self, transport)

    def acquire(self, size_bytes: int) -> None:
        """Admit so many more bytes. Raises AdmissionError, with nothing admitted, where the budget is spent."""
        with self._lock:
            if self._bytes + size_bytes <= self._bytes_max:
                self._bytes += size_bytes
                return
        raise self.refusal()

    def count_refusal(self, transport: str, error: CollectorError) -> None:
        """Count a request that is answered with an error; its receiver does, once a request."""
        with self._lock:
            self.refused[transport, error.reason] += 1

    def refusal(self) -> AdmissionError:
        """Return the error that says that the budget is spent."""
        return AdmissionError(f"{self._bytes} bytes are in flight, the limit is {self._bytes_max}: try again")

    def release(self, size_bytes: int) -> None:
        """Give back bytes that were admitted."""
        with self._lock:
            self._bytes -= size_bytes


class Share:
    """The bytes of one request that are admitted. Its owner gives them back; whoever it is handed to is the owner."""

    __slots__ = ("_admission", "_transport", "size_bytes")

    def __init__(self, admission: Admission, transport: str, size_bytes: int = 0) -> None:
        self._admission = admission
        self._transport = transport
        self.size_bytes = size_bytes

    def grow(self, size_bytes: int) -> None:
        """Take so many more bytes. Raises AdmissionError, with none taken, where the budget is spent."""
        self._admission.acquire(size_bytes)
        self.size_bytes += size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Give back a part."""
        self.size_bytes -= size_bytes
        self._admission.release(size_bytes)

    def release(self) -> None:
        """Give back what it has; safe twice."""
        if self.size_bytes:
            self.shrink(self.size_bytes)

    def count_refusal(self, error: CollectorError) -> None:
        """Count its request as refused."""
        self._admission.count_refusal(self._transport, error)

    def split(self, size_bytes: int) -> "Share":
        """Return a share of so many of these bytes, for a part of the request."""
        part = Share(self._admission, self._transport, min(size_bytes, self.size_bytes))
        self.size_bytes -= part.size_bytes
        return part

    def handed_over(self) -> "Share":
        """Return a share of the same bytes for a new owner; this one has none of them any more."""
        heir = Share(self._admission, self._transport, self.size_bytes)
        self.size_bytes = 0
        return heir
