"""What the API takes to end an experiment."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.api.experiment import TEXT_CHARS_MAX, Outcome
from schemas.api.management import PublishBody
from schemas.api.problems import TEXT_PATTERN, Problem, refusal
from schemas.api.rollout import Moment
from schemas.api.rollout_requests import VariantName

DecisionText = Annotated[str, Field(max_length=TEXT_CHARS_MAX, pattern=TEXT_PATTERN)]


class EndBody(PublishBody):
    """What was decided: ``ship`` needs a ``variant``, ``rollback`` takes the control if none is named.

    With ``conclude`` the config gives that variant all sessions, in the same step.
    """

    action: Outcome
    variant: VariantName | None = None
    reason: DecisionText = ""
    learnt: DecisionText = ""
    ended_at: Annotated[Moment | None, Field(description="Sessions after it don't count; now if absent.")] = None
    conclude: bool = False

    @model_validator(mode="after")
    def _names_what_wins(self) -> Self:
        problems = []
        if self.action == "ship" and self.variant is None:
            problems.append(Problem("variant", "is required to ship: the key of the variant"))
        if self.conclude and self.action not in ("ship", "rollback"):
            problems.append(Problem("conclude", f"needs the action ship or rollback, got {self.action}"))
        if problems:
            raise refusal(*problems)
        return self
