"""Prices of a project's own: what the tokens of a model cost, and from which day to which."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from schemas.api.problems import Problem, refusal, shown
from schemas.api.resource import Name, Resource

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


def _is_false(value: object) -> bool:
    return value is False


class TokenPrices(BaseModel):
    """USD a million tokens. Tokens of a cache for which no price is given cost what other input tokens do."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    input: Usd
    output: Usd
    cache_read: Usd | None = None
    cache_write: Usd | None = None


class Price(Resource):
    """What calls to a model cost this project, in the place of public prices: from one day (UTC) through another.

    ``model`` and ``provider`` are names, whatever their case, in which ``*`` stands for any text and ``?`` for any
    character; without a provider it is any. ``replaces_reported``: it goes before a cost that the client reports, too.
    """

    model: Name
    provider: Name | None = None
    from_day: Day = Field(alias="from")
    to_day: Day | None = Field(alias="to", default=None)
    usd_per_million: TokenPrices | None = None
    usd_per_request: Usd | None = None
    replaces_reported: bool = Field(default=False, exclude_if=_is_false)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        problems = []
        if self.usd_per_million is None and self.usd_per_request is None:
            problems.append(Problem("", "needs usd_per_million, usd_per_request, or both"))
        if self.to_day is not None and self.to_day < self.from_day:
            problems.append(Problem("to", f"must not be before from ({self.from_day}), got {self.to_day}"))
        if problems:
            raise refusal(*problems)
        return self
