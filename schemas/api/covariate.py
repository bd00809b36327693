"""Covariates of CUPED: what can be known of a session before it is assigned, and is declared of a metric."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from schemas.api.problems import TEXT_PATTERN, Problem, refusal, shown

CUSTOMER_HISTORY, HOUR_OF_DAY, FIRST_MESSAGE_LENGTH = "customer_history", "hour_of_day", "first_message_length"
METADATA, METRIC = "metadata.", "metric."
"""What the covariates that name something of the client's own begin with."""
CHARS_MAX = 300

_FORMS = f"{CUSTOMER_HISTORY}, {HOUR_OF_DAY}, {FIRST_MESSAGE_LENGTH}, {METADATA}KEY or {METRIC}NAME"
_LIKE_WHAT_IS_MEASURED = ("calls", "call_", "cost", "error", "fallback", "latency", "time_to_first", "output")


def _is_known_before(value: str) -> str:
    is_own = any(value.startswith(kind) and value != kind for kind in (METADATA, METRIC))
    if is_own or value in (CUSTOMER_HISTORY, HOUR_OF_DAY, FIRST_MESSAGE_LENGTH):
        return value
    problem = f"must be {_FORMS}, got {shown(value)}"
    if value.startswith(_LIKE_WHAT_IS_MEASURED) or value.endswith("_tokens"):
        problem += ": what is measured after the assignment may be the variant's doing, and to adjust for it hides that"
    raise refusal(Problem("", problem))


Covariate = Annotated[str, Field(max_length=CHARS_MAX, pattern=TEXT_PATTERN), AfterValidator(_is_known_before)]
