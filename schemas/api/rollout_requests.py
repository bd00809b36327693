"""What the API takes to give a config's variants new weights, by the usual shapes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.api.management import PublishBody
from schemas.api.rollout import STEPS_MAX, Moment

VariantName = Annotated[
    str, Field(min_length=1, max_length=256, description="Its key: its name, or its model where it has none.")
]


class RolloutBody(PublishBody):
    """``even``; ``champion_challenger``, with ``variant`` and ``share``; ``canary``, with ``variant`` and its steps."""

    shape: Literal["even", "champion_challenger", "canary"]
    variant: VariantName | None = None
    share: Annotated[float, Field(ge=0, le=100, description="The champion's, in percent.")] = 90.0
    steps: Annotated[
        list[Annotated[float, Field(ge=0, le=100)]],
        Field(min_length=1, max_length=STEPS_MAX, description="The canary's shares in percent, one after the other."),
    ] = Field(default=[5.0, 25.0, 100.0])
    every_s: Annotated[float, Field(gt=0, le=31_536_000, description="From one step to the next.")] = 86_400.0
    start: Annotated[Moment | None, Field(description="When the first step is taken; now if absent.")] = None


class ConcludeBody(PublishBody):
    """The variant that gets all sessions; the others are off, and kept."""

    winner: VariantName


class StopBody(PublishBody):
    """The variant that gets all sessions at once, the first if absent."""

    variant: VariantName | None = None
