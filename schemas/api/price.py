"""Prices of a project's own: what the tokens of a model cost, and from which day to which."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from schemas.api.problems import Problem, refusal, shown

PRICE_MAX = 1_000_000_000


def _day(value: object) -> object:
    """Read the text of a day, which strict models don't, and JSON has nothing else; YAML has days of its own."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise refusal(Problem("", f"must be a day such as 2026-11-21, got {shown(value)}"))


def _number(value: float) -> Any:
    # 50 and 50.0 are one price: an identical body must not become a new version.
    return int(value) if value.is_integer() else value


Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date), PlainSerializer(date.isoformat)]
Usd = Annotated[float, Field(ge=0, le=PRICE_MAX, allow_inf_nan=False), PlainSerializer(_number)]


class TokenPrices(BaseModel):
    """USD a million tokens. Tokens of a cache for which no price is given cost what other input tokens do."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    input: Usd
    output: Usd
    cache_read: Usd | None = None
    cache_write: Usd | None = None
