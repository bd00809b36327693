"""The registry's vocabulary: what kinds of resource there are, a version of one, and what an apply did to one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Kind = Literal["config", "prompt", "prompt_ab_test"]
Action = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Change:
    """What an apply did with one resource; ``version`` is the one now served."""

    kind: Kind
    key: str
    version: int
    action: Action
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One immutable version of a config; ``body`` holds ``variants`` and, where there is one, ``targeting``."""

    version: int
    created_at: datetime
    body: dict[str, Any]
