"""The registry's vocabulary: the kinds of resource, versions and drafts of one, and what was done to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from storage.registry.differences import Difference
from storage.registry.errors import StaleError

Kind = Literal["config", "prompt", "prompt_ab_test", "price", "experiment", "alert"]
Action = Literal["created", "updated", "unchanged"]
LOCAL = "local"
"""The author of what was done without an API key: by a command on the data directory, or while there is none."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an apply did with one resource; ``version`` is the one now served.

    ``differences`` to the version before are told where an apply is only planned.
    """

    kind: Kind
    key: str
    version: int
    action: Action
    warnings: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Authorship:
    """Who does something, and why."""

    author: str = LOCAL
    note: str = ""


UNSIGNED = Authorship()


@dataclass(frozen=True, slots=True)
class Published:
    """A change of one resource, and the tag that the resource has by it."""

    change: Change
    tag: str


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One immutable version of a config, or of a prompt test.

    ``body`` is as clients are served it, its weights in percent.
    """

    version: int
    created_at: datetime
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable version of a resource; ``body`` is as its author gave it, without key and version.

    ``restored_from`` is the older version whose body a roll-back gave it.
    """

    key: str
    version: int
    body: dict[str, Any]
    author: str
    note: str
    created_at: datetime
    restored_from: int | None


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource: its latest version, and since when it is archived, if it is.

    ``tag`` is another one after every new version, and after every archiving and restoring.
    """

    latest: Version
    archived_at: datetime | None
    has_draft: bool
    tag: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What may become the next version; ``tag`` is another one at each change.

    ``based_on`` is the version that was the latest when it was written, 0 where there was none.
    """

    key: str
    body: dict[str, Any]
    based_on: int
    author: str
    updated_at: datetime
    tag: str


@dataclass(frozen=True, slots=True)
class Precondition:
    """What has to be there for a change to be made: one of these tags (``*`` is any), or nothing at all."""

    any_of: frozenset[str] | None = None
    is_absent: bool = False

    def check(self, what: str, tag: str | None) -> None:
        """Raise StaleError where the thing, whose tag this is (None: it is not there), is not as expected."""
        if self.is_absent and tag is not None:
            raise StaleError(f"{what} is there already", tag)
        if self.any_of is None or (tag is not None and not self.any_of.isdisjoint({tag, "*"})):
            return
        if tag is None:
            raise StaleError(f"{what} is not there", None)
        raise StaleError(f"{what} was changed meanwhile: get it again, and make your change on that", tag)


UNCONDITIONAL = Precondition()
