"""What became of an attempt to deliver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Outcome:
    """Taken, to be tried again, or refused for good. ``error`` is for people, and holds nothing of the other side's.

    What a receiver answers beside its status is not told: it may be any machine that the server can reach.
    """

    state: Literal["delivered", "retry", "refused"]
    error: str = ""
    retry_after_s: float | None = None


def taken(error: str = "") -> Outcome:
    """Return that it was taken; ``error`` where not by all."""
    return Outcome("delivered", error)


def retry(error: str, retry_after_s: float | None = None) -> Outcome:
    """Return that it is to be tried again."""
    return Outcome("retry", error, retry_after_s)


def refused(error: str) -> Outcome:
    """Return that another try would not help."""
    return Outcome("refused", error)
