"""What the registry's API answers: shapes for the OpenAPI description; the bytes come from the registry as stored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from schemas.api.config import Config
from schemas.api.prompt import Prompt, PromptTest
from schemas.api.registry import RegistryDocument

Version = Annotated[int, Field(ge=1, description="Counts up from 1; a version never changes once served.")]


class ServedConfig(Config):
    """A config at one version."""

    version: Version


class ServedPrompt(Prompt):
    """A prompt at one version."""

    version: Version


class ServedPromptTest(PromptTest):
    """A prompt test at one version."""

    version: Version


class ConfigsAnswer(BaseModel):
    """``GET /configs``: the latest version of every config."""

    configs: list[ServedConfig]


class PromptsAnswer(BaseModel):
    """``GET /prompts``: every prompt; its latest version stands after any older one that a prompt test pins."""

    prompts: list[ServedPrompt]


class PromptTestsAnswer(BaseModel):
    """``GET /prompt-ab-tests``: the latest version of every prompt test."""

    prompt_ab_tests: list[ServedPromptTest]


class AppliedChange(BaseModel):
    """What ``POST /apply`` did with one resource of the document."""

    kind: Literal["config", "prompt", "prompt_ab_test", "price", "experiment", "alert"]
    key: str
    version: Version
    action: Literal["created", "updated", "unchanged"]
    warnings: list[str]


class DifferenceAnswer(BaseModel):
    """One field that differs; ``before`` is absent of what was added, ``after`` of what was removed."""

    path: str = Field(examples=["variants.champion.weight"])
    change: Literal["added", "removed", "changed", "reordered"]
    before: Any = None
    after: Any = None


class PlannedChange(AppliedChange):
    """What ``POST /apply`` would do, with ``dry_run``."""

    differences: list[DifferenceAnswer] | None = Field(default=None, description="With `dry_run` alone.")


class ExportAnswer(RegistryDocument):
    """``GET /api/export``: a document as ``POST /apply`` takes it."""


class ApplyAnswer(BaseModel):
    """``POST /apply``: one change a resource, in the document's order."""

    changes: list[PlannedChange]
