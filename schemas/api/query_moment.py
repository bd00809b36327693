"""A moment in a query: ISO 8601, in UTC where it names no zone, or Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from schemas.api.problems import Problem, refusal, shown

# Since 1970, of 2001 and later.
_SECONDS = re.compile(r"\d{10}(\.\d+)?")
# A plus that stands in a URL as it is has become a blank.
_LOST_PLUS = re.compile(r"(.*T.*) (\d\d:?\d\d)")


def _read(value: object) -> object:
    """Read the text of a moment. A short number is none: 2026 would be half an hour after 1970 began."""
    if not isinstance(value, str) or _SECONDS.fullmatch(value):
        return value
    try:
        return datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", value.strip()))
    except ValueError:
        raise refusal(Problem("", f"must be a time such as 2026-11-21T09:00:00Z, got {shown(value)}")) from None


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time in the years 1 to 9999 expected") from error


Moment = Annotated[datetime, BeforeValidator(_read), AfterValidator(_in_utc)]
