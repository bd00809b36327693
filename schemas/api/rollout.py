"""A rollout: the weights that a config's variants get one after the other, each from a moment on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from schemas.api.problems import Problem, refusal, shown

STEPS_MAX = 100
WEIGHT_MAX = 1_000_000_000


def _moment(value: object) -> object:
    """Read the text of a moment: strict models take none, and JSON and YAML have nothing else."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise refusal(Problem("", f"must be a time such as 2026-11-21T09:00:00Z, got {shown(value)}")) from None


def moment_text(value: datetime) -> str:
    """Return the moment in UTC, as it is stored."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _weight(value: float) -> Any:
    return int(value) if value.is_integer() else value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), PlainSerializer(moment_text)]
StepWeight = Annotated[float, Field(ge=0, le=WEIGHT_MAX, allow_inf_nan=False), PlainSerializer(_weight)]


class RolloutStep(BaseModel):
    """From ``at`` on the variants have these weights, one a variant in their order."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    at: Moment
    weights: Annotated[list[StepWeight], Field(min_length=1)]


class Rollout(BaseModel):
    """Steps still to come, in the order of their times. A step that is due becomes a version, and leaves the list."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    steps: Annotated[list[RolloutStep], Field(min_length=1, max_length=STEPS_MAX)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        problems = [
            Problem(f"steps[{index}].at", f"must be later than the step before, got {moment_text(step.at)}")
            for index, step in enumerate(self.steps)
            if index and step.at <= self.steps[index - 1].at
        ]
        problems += [
            Problem(f"steps[{index}].weights", "at least one weight must be > 0")
            for index, step in enumerate(self.steps)
            if not any(step.weights)
        ]
        if problems:
            raise refusal(*problems)
        return self

    def problems(self, variants: int) -> list[Problem]:
        """Return what does not fit a config of so many variants."""
        return [
            Problem(f"steps[{index}].weights", f"must have {variants} items, one a variant, got {len(step.weights)}")
            for index, step in enumerate(self.steps)
            if len(step.weights) != variants
        ]

    def due(self, now: datetime) -> tuple[RolloutStep | None, Rollout | None]:
        """Return the last step that is due, None where none is, and what is left after it, None where nothing is."""
        passed = [step for step in self.steps if step.at <= now]
        rest = self.steps[len(passed) :]
        return (passed[-1] if passed else None), (Rollout(steps=rest) if rest else None)
