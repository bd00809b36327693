"""What every resource of the registry is made of: a key, a version, and what is for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from schemas.api.problems import NAME_PATTERN, TEXT_PATTERN, Problem, refusal

NAME_CHARS_MAX = 256
DESCRIPTION_CHARS_MAX = 4_096
TAGS_MAX = 100
VARIANTS_MAX = 1_000
WEIGHT_MAX = 1_000_000_000
VERSION_MAX = 2**31 - 1

T = TypeVar("T")


# What a default is left out by: a body that spells it out is the same body.
def is_empty(value: object) -> bool:
    """Return whether a text or a list holds nothing."""
    return not value


def share(weight: float) -> int | float:
    """Return a whole number as one: 50 and 50.0 are one weight, and an identical body must not become a new version."""
    return int(weight) if weight.is_integer() else weight


Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=NAME_PATTERN)]
Description = Annotated[str, Field(max_length=DESCRIPTION_CHARS_MAX, pattern=TEXT_PATTERN)]
Version = Annotated[int, Field(ge=1, le=VERSION_MAX)]
Weight = Annotated[
    float,
    Field(ge=0, le=WEIGHT_MAX, allow_inf_nan=False, description="Share of the sessions, of any sum; 0 is off."),
    PlainSerializer(share),
]


class Part(BaseModel):
    """A part of the document: immutable, of exact types, without unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Resource(Part):
    """What has a key, and versions that the server counts: one that is given, as in a served config, is not obeyed.

    ``description`` and ``tags`` are for people: clients are not served them.
    """

    key: Name
    version: Version | None = None
    description: Description = Field(default="", exclude_if=is_empty)
    tags: list[Name] = Field(default=[], max_length=TAGS_MAX, exclude_if=is_empty)

    @model_validator(mode="after")
    def _tags_differ(self) -> Self:
        problems = [
            Problem(f"tags[{index}]", f"duplicate tag {tag!r}, first in tags[{first}]")
            for index, tag, first in repeats(self.tags)
        ]
        if problems:
            raise refusal(*problems)
        return self


def weight_problems(weights: Sequence[float]) -> list[Problem]:
    """Return what is wrong with variants of these weights."""
    if any(weights):
        return []
    return [Problem("variants", f"at least one weight must be > 0, got 0 for {_all(len(weights))}")]


def _all(count: int) -> str:
    return "the only variant" if count == 1 else f"all {count} variants"


def repeats(items: Iterable[T]) -> list[tuple[int, T, int]]:
    """Return each item seen before: its place, itself, and the place where it stood first."""
    first: dict[T, int] = {}
    repeats = []
    for index, item in enumerate(items):
        if item in first:
            repeats.append((index, item, first[item]))
        else:
            first[item] = index
    return repeats
