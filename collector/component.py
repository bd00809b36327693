"""The contract of the pipeline's parts.

CollectorError
├── PermanentError    the same input will fail again: a client must not retry
│   ├── DecodeError       the input is malformed
│   ├── TooLargeError     the body is beyond the limit, before or after decompression
│   ├── UnsupportedError  its media type or its content encoding is none of ours
│   ├── UnauthenticatedError    there is no API key, or none that counts
│   └── PermissionDeniedError   the API key's scopes don't cover it
└── RetryableError    the input is fine, the moment is not: a client should retry
    ├── AdmissionError   too much is in flight
    ├── RateError        the API key's rate of requests or bytes is spent
    ├── LogFullError     the log's disk budget or its disk is full
    └── DrainingError    the server is shutting down
"""

from typing import ClassVar, Protocol

import pyarrow as pa


class CollectorError(Exception):
    """The root of what the collector raises; ``reason`` is the word that refusals are counted by."""

    reason: ClassVar[str] = "internal"


class PermanentError(CollectorError):
    """The same input will fail again."""

    reason = "invalid"


class DecodeError(PermanentError):
    """The input is malformed; ``field`` says where, as a path such as ``resourceSpans[0].scopeSpans``."""

    reason = "malformed"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class TooLargeError(PermanentError):
    """The body is beyond the limit, before or after decompression."""

    reason = "too_large"


class UnsupportedError(PermanentError):
    """The body's media type or content encoding is none of ours."""

    reason = "unsupported"


class UnauthenticatedError(PermanentError):
    """There is no API key, or none that counts."""

    reason = "unauthenticated"


class PermissionDeniedError(PermanentError):
    """The API key's scopes don't cover the request."""

    reason = "permission_denied"


class RetryableError(CollectorError):
    """The input is fine, the moment is not; ``retry_after_s`` is the hint for the client."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AdmissionError(RetryableError):
    """Too many bytes are in flight."""

    reason = "admission"


class RateError(RetryableError):
    """The API key's rate of requests or bytes is spent."""

    reason = "rate"


class LogFullError(RetryableError):
    """The log can't take more: its budget or its disk is full, or the disk refuses to write."""

    reason = "log_full"


class DrainingError(RetryableError):
    """The server is shutting down."""

    reason = "draining"


class Component(Protocol):
    """A part with a life: ``start`` returns when it works, ``stop`` flushes and is safe twice or without ``start``."""

    def start(self) -> None:
        """Begin to work; raise where that can't be."""

    def stop(self) -> None:
        """Finish what was taken, then end."""


class Consumer(Protocol):
    """What a batch is handed to."""

    def consume(self, table: str, rows: pa.RecordBatch) -> int:
        """Return how many rows are new, once all are on disk and visible; raise RetryableError if none of them are."""
