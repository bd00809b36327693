"""What comparisons of any two groups of sessions are asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.api.experiment import Inference
from schemas.api.query_moment import Moment
from schemas.api.traces import Text

DAYS_DEFAULT, DAYS_MAX = 30, 92
METADATA = "metadata."
BY = ("model", "tag", "customer", "prompt")
SEGMENTS = ("customer", "tag", "model", "hour", "version")


def _dimension(text: str) -> str:
    if text in BY or (text.startswith(METADATA) and len(text) > len(METADATA)):
        return text
    raise ValueError(f"one of {', '.join(BY)} or {METADATA}KEY expected, got {text[:80]!r}")


def _segment(text: str) -> str:
    if text in SEGMENTS or (text.startswith(METADATA) and len(text) > len(METADATA)):
        return text
    raise ValueError(f"one of {', '.join(SEGMENTS)} or {METADATA}KEY expected, got {text[:80]!r}")


By = Annotated[Text, AfterValidator(_dimension)]
Segment = Annotated[Text, AfterValidator(_segment)]


class _Window(BaseModel):
    model_config = ConfigDict(extra="forbid")

    by: By = Field(
        description="What tells the groups apart: `model`, `tag`, `customer`, `prompt` or `metadata.KEY`.",
        examples=["model"],
    )
    started_from: Moment | None = Field(
        None, alias="from", description=f"Calls at this time or later; by default the last {DAYS_DEFAULT} days."
    )
    started_to: Moment | None = Field(None, alias="to", description="Calls before this time; now if absent.")
    config: Text | None = Field(None, description="Calls under this config alone.", examples=["support-agent"])

    @model_validator(mode="after")
    def _check_window(self) -> _Window:
        start, end = self.window(datetime.now(UTC))
        if start >= end:
            raise ValueError(f"from is {start.isoformat()}, which is not before to, {end.isoformat()}")
        if end - start > timedelta(days=DAYS_MAX):
            raise ValueError(f"{DAYS_MAX} days at most, got {(end - start).days}: narrow the time by from and to")
        return self

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """Return from when, and before when, calls are meant."""
        end = self.started_to or now
        if self.started_from is not None:
            return self.started_from, end
        # Before the year 1 there is none.
        return max(end, datetime.min.replace(tzinfo=UTC) + timedelta(days=DAYS_DEFAULT)) - timedelta(
            days=DAYS_DEFAULT
        ), end


class CompareQuery(_Window):
    """The query of a comparison."""

    a: Text = Field(description="The value that the other is compared with.", examples=["gpt-4o"])
    b: Text = Field(description="The other value.", examples=["gpt-4o-mini"])
    inference: Inference = Field("sequential", description="How intervals and p-values are made.")
    metrics: Text | None = Field(None, description="Names of metrics, comma-separated; all if absent.")

    @model_validator(mode="after")
    def _check_values(self) -> CompareQuery:
        if self.a == self.b:
            raise ValueError(f"two values expected, got {self.a[:80]!r} twice")
        return self


class ValuesQuery(_Window):
    """The query of the values that there are."""
