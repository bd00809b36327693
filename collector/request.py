"""What travels from a receiver to the pipeline, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum


class Format(StrEnum):
    """What a body is written in; each has one decoder."""

    OTLP_PROTOBUF = "otlp_protobuf"
    JSON_TRACES = "json_traces"
    METRICS = "metrics"
    EXPOSURE = "exposure"


@dataclass(frozen=True, slots=True)
class Request:
    """One body as it came in, decompressed; ``headers`` are the X-Fallom-* ones, names in lowercase."""

    format: Format
    body: bytes
    project: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The rows of one request for one table, and how many of its items were rejected and why."""

    table: str
    rows: list[dict[str, object]]
    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: its accepted rows are on disk."""

    accepted: int
    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """When the server took a request: unique to it, and rising from request to request."""

    received_at: datetime

    @classmethod
    def at_unix_us(cls, unix_us: int) -> "Receipt":
        """Return the receipt of the given microsecond since 1970."""
        return cls(datetime.fromtimestamp(unix_us // 1_000_000, tz=UTC).replace(microsecond=unix_us % 1_000_000))


def fallom_headers(headers: Mapping[str, object]) -> dict[str, str]:
    """Return the X-Fallom-* headers of a request, or the metadata of a call; names in lowercase."""
    return {name: value for name, value in headers.items() if name.startswith("x-fallom-") and isinstance(value, str)}
