"""What a project may set: the policy, checked before anything starts."""

import difflib
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from collector.privacy.expressions import compiled
from collector.privacy.patterns import PATTERNS

OWN_PATTERNS_MAX = 100
OWN_PATTERN_CHARACTERS_MAX = 2_000
_LABEL = re.compile("[a-z][a-z0-9_]{0,62}")


class Content(StrEnum):
    """What is done to content."""

    KEEP = "keep"
    DROP = "drop"
    HASH = "hash"
    MASK = "mask"


class PrivacyPolicy(BaseModel):
    """What is done to a project's data before it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: Annotated[Content, Field(description="What is done to content: keep, drop, hash or mask.")] = Content.KEEP
    content_attributes: Annotated[
        tuple[str, ...], Field(description="Further attributes that are content; `*` at the end: all that begin so.")
    ] = ()
    redact: Annotated[tuple[str, ...], Field(description="Named patterns whose matches are replaced.")] = ()
    patterns: Annotated[
        Mapping[str, str], Field(description="Own patterns: a name, which stands for the match, and an expression.")
    ] = {}
    deny: Annotated[
        tuple[str, ...], Field(description="Attributes that are left out; `*` at the end: all that begin so.")
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _only_known_settings(cls, value: Any) -> Any:
        if isinstance(value, dict):
            _refuse_unknown("setting", value, cls.model_fields)
        return value

    @field_validator("content", mode="before")
    @classmethod
    def _is_known_content(cls, value: Any) -> Any:
        _refuse_unknown("choice", [str(value)], [content.value for content in Content])
        return value

    @field_validator("redact")
    @classmethod
    def _are_known_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _refuse_unknown("pattern", value, [pattern.name for pattern in PATTERNS])
        return value

    @field_validator("patterns")
    @classmethod
    def _are_usable_patterns(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if len(value) > OWN_PATTERNS_MAX:
            raise ValueError(f"at most {OWN_PATTERNS_MAX} own patterns allowed, got {len(value)}")
        for name, expression in value.items():
            _check_pattern(name, expression)
        return value

    @field_validator("content_attributes", "deny")
    @classmethod
    def _are_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for key in value:
            if not key.rstrip("*") or "*" in key[:-1]:
                raise ValueError(f"a key, or the beginning of keys and one * at the end, expected, got {key!r}")
        return value

    @property
    def changes_nothing(self) -> bool:
        """Return whether all is kept as it is sent."""
        return self.content is Content.KEEP and not (self.redact or self.patterns or self.deny)


def _refuse_unknown(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            nearest = difflib.get_close_matches(str(name), known, 1)
            advice = f" (did you mean {nearest[0]!r}?)" if nearest else ""
            raise ValueError(f"no such {what}: got {name!r}{advice}; there are: {', '.join(known)}")


def _check_pattern(name: str, expression: str) -> None:
    if not _LABEL.fullmatch(name):
        raise ValueError(f"a pattern's name has letters a to z, digits and _, got {name!r}")
    if len(expression) > OWN_PATTERN_CHARACTERS_MAX:
        raise ValueError(f"{name}: at most {OWN_PATTERN_CHARACTERS_MAX} characters allowed, got {len(expression)}")
    try:
        found = compiled(expression)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if found.search(b"") is not None:
        raise ValueError(f"{name}: it matches the empty text, and so everywhere, got {expression!r}")
