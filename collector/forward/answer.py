"""What a target answers, by either protocol, and what follows from it."""

import email.utils
import math
import time
from dataclasses import dataclass
from datetime import UTC
from enum import Enum
from typing import Protocol

RETRY_AFTER_S_MAX = 600.0


class Outcome(Enum):
    """What becomes of a request."""

    TAKEN = "taken"
    RETRY = "retry"
    """The moment is wrong: the same request again, later."""
    SETUP = "setup"
    """Address or key are wrong: any request would be refused, until somebody changes that here or there."""
    TOO_LARGE = "too_large"
    """In parts it may be taken."""
    REFUSED = "refused"
    """The same request will be refused again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome; ``reason`` is of the protocol's words alone, and holds nothing that was sent."""

    outcome: Outcome
    reason: str = ""
    rejected_spans: int = 0
    retry_after_s: float | None = None


class Sender(Protocol):
    """Sends requests to one target. For one thread."""

    def send(self, body: bytes) -> Answer:
        """Return what became of an ExportTraceServiceRequest; raise nothing that the target is to blame for."""

    def close(self) -> None:
        """Let go of connections; safe twice, and from another thread: a request that runs ends."""


def retry_after_of(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which has them or a date, at most RETRY_AFTER_S_MAX."""
    if text is None:
        return None
    try:
        return limited(float(text))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return limited(moment.timestamp() - time.time())


def limited(seconds: float) -> float | None:
    """Return a time to wait that is one, held within the limit."""
    return min(max(seconds, 0.0), RETRY_AFTER_S_MAX) if math.isfinite(seconds) else None
