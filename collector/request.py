"""What travels from a receiver to the pipeline, and what comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pyarrow as pa

from collector.component import CollectorError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Format(StrEnum):
    """What a body is written in; each has one decoder."""

    OTLP_PROTOBUF = "otlp_protobuf"
    JSON_TRACES = "json_traces"
    METRICS = "metrics"
    EXPOSURE = "exposure"
    EVALUATION = "evaluation"
    ASSIGNMENT = "assignment"
    LOGS_PROTOBUF = "logs_protobuf"
    LOGS_JSON = "logs_json"
    DATA_POINTS_PROTOBUF = "data_points_protobuf"
    DATA_POINTS_JSON = "data_points_json"


@dataclass(frozen=True, slots=True)
class Request:
    """One body as it came in, decompressed; ``headers`` are the X-Fallom-* ones, names in lowercase.

    ``notes`` are what its receiver knows beside, for its decoder.
    """

    format: Format
    body: bytes
    project: str
    headers: Mapping[str, str] = field(default_factory=dict)
    transport: str = "http"
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: how many of its items were taken, how many were rejected and why.

    ``dropped`` are those that are right, and of no kind that is kept. ``message`` says to the client what was wrong;
    ``reasons`` counts the rejected by a word each.
    """

    accepted: int
    rejected: int = 0
    message: str = ""
    dropped: int = 0
    reasons: tuple[tuple[str, int], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """When the server took a request, µs since 1970: unique to it, and rising from request to request."""

    unix_us: int

    @property
    def received_at(self) -> datetime:
        """Return the moment."""
        return _EPOCH + timedelta(microseconds=self.unix_us)


Received = tuple[Request, Receipt]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The rows of some requests for one table, and what became of each request, in the requests' order.

    ``also`` are their rows for other tables, which are stored before these.
    """

    table: str
    rows: pa.RecordBatch
    outcomes: Sequence[Outcome | CollectorError]
    also: Sequence[tuple[str, pa.RecordBatch]] = ()


def fallom_headers(headers: Mapping[str, object]) -> dict[str, str]:
    """Return the X-Fallom-* headers of a request, or the metadata of a call; names in lowercase."""
    return {name: value for name, value in headers.items() if name.startswith("x-fallom-") and isinstance(value, str)}
