"""What the management API answers: shapes for the OpenAPI description, over each kind of resource."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from schemas.api.errors import ErrorAnswer
from schemas.api.problems import TEXT_PATTERN
from schemas.api.registry_answers import AppliedChange, DifferenceAnswer, Version

NOTE_CHARS_MAX = 4_096

T = TypeVar("T", bound=BaseModel)

EXAMPLES: dict[str, dict[str, Any]] = {
    "config": {
        "key": "support-agent",
        "description": "Which model answers tickets.",
        "variants": {
            "champion": {"model": "gpt-4o", "weight": 90},
            "challenger": {"model": "gpt-4o-mini", "weight": 10},
        },
        "hash_version": 2,
        "seed": "2026-11",
    },
    "prompt": {
        "key": "welcome",
        "system_prompt": "You are the assistant of {{company}}.",
        "user_template": "Welcome {{user_name}} in two sentences.",
    },
    "prompt_ab_test": {
        "key": "welcome-test",
        "variants": [
            {"prompt_key": "welcome", "weight": 50},
            {"prompt_key": "welcome-short", "prompt_version": 1, "weight": 50},
        ],
    },
    "price": {
        "key": "our-llama",
        "model": "custom:our-llama*",
        "from": "2026-11-01",
        "usd_per_million": {"input": 0.2, "cache_read": 0.05, "output": 0.6},
    },
    "experiment": {
        "key": "cheaper-support",
        "config": "support-agent",
        "hypothesis": "gpt-4o-mini answers tickets as well, for a tenth of the cost.",
        "owner": "Ann",
        "control": "champion",
        "n_star": 4000,
        "metrics": [
            {"name": "cost_usd", "estimand": "per_session", "role": "primary"},
            {"name": "resolved", "type": "proportion", "role": "guardrail", "margin": 0.05},
        ],
        "start": "2026-11-23T00:00:00Z",
        "planned_end": "2026-12-07T00:00:00Z",
    },
    "alert": {
        "key": "on-call",
        "experiments": ["cheaper-support"],
        "on": ["guardrail", "srm", "error_jump", "finished"],
        "webhook": {"url": "https://hooks.example.com/fallom", "secret": "********"},
        "email": {"to": ["ann@example.com"]},
    },
}
"""A body of each kind."""


class VersionAnswer(BaseModel, Generic[T]):
    """One immutable version: who published it, when, why, and the resource as its author gave it."""

    key: str
    version: Version
    author: str = Field(description="The name of the API key, or `local`.")
    note: str
    created_at: datetime
    restored_from: int | None = Field(default=None, description="The older version that a roll-back took the body of.")
    body: T
    used_variables: list[str] | None = Field(default=None, description="Of a prompt: those that its texts use.")


class ResourceAnswer(VersionAnswer[T], Generic[T]):
    """A resource at its latest version."""

    archived_at: datetime | None = Field(default=None, description="Null while it is in use.")
    has_draft: bool


class ResourceListAnswer(BaseModel, Generic[T]):
    """Resources by key; ``next`` is what to give as ``after`` to get the rest, null where this is all."""

    resources: list[ResourceAnswer[T]]
    next: str | None = None


class VersionListAnswer(BaseModel, Generic[T]):
    """All versions of a resource, the newest first."""

    versions: list[VersionAnswer[T]]


class VersionDetailAnswer(VersionAnswer[T], Generic[T]):
    """A version, and what it changed of the one before."""

    differences: list[DifferenceAnswer]


class DraftAnswer(BaseModel, Generic[T]):
    """What may become the next version; ``based_on`` is 0 where the resource is a new one."""

    key: str
    based_on: int
    author: str
    updated_at: datetime
    body: T
    differences: list[DifferenceAnswer]


class DiffAnswer(BaseModel):
    """What has to be done to one version to get another."""

    from_version: Version
    to_version: Version
    differences: list[DifferenceAnswer]


class PublishedAnswer(AppliedChange):
    """The version that is the latest now."""


class PublishBody(BaseModel):
    """Why a draft is published, or a resource archived or restored."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field(
        default="", max_length=NOTE_CHARS_MAX, pattern=TEXT_PATTERN, examples=["More traffic for the challenger"]
    )


class RollbackBody(PublishBody):
    """Which version's body is to be the latest again."""

    version: int = Field(ge=1, examples=[3])


class StaleAnswer(ErrorAnswer, Generic[T]):
    """412: what is there now is not what the change was made on."""

    current: ResourceAnswer[T] | DraftAnswer[T] | None = Field(description="What is there now.")
