"""How an API's requests and answers are read: the contract between what sees a call and what understands it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Attributes = dict[str, Any]


class Chunks(Protocol):
    """What a stream has said so far."""

    def add(self, chunk: Any) -> bool:
        """Take a chunk; return whether it has content: text, reasoning, or a call of a tool."""

    def attributes(self) -> Attributes:
        """Return what all chunks together say."""


class Api(Protocol):
    """One API of a provider. Its methods are pure, and may raise on what they do not know."""

    operation: str

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        """Return the attributes of a request; of its content only where that is captured."""

    def answer(self, answer: Any, *, captures: bool) -> Attributes:
        """Return the attributes of a whole answer."""

    def chunks(self, *, captures: bool) -> Chunks:
        """Return what reads one stream."""


def member(value: Any, *names: str) -> Any:
    """Return what lies along the names, of mappings or objects; None where the way ends.

    >>> member({"usage": {"input_tokens": 3}}, "usage", "input_tokens")
    3
    >>> member({"usage": None}, "usage", "input_tokens") is None
    True
    """
    for name in names:
        value = value.get(name) if type(value) is dict else _attribute(value, name)
        if value is None:
            return None
    return value


def _attribute(value: Any, name: str) -> Any:
    """Return a member of an object, or of an uncommon mapping."""
    extra = getattr(value, "__pydantic_extra__", value)
    if extra is not value:
        # A model of pydantic's, as most are: to ask it for what it lacks raises, which takes as long as all the rest.
        members = vars(value)
        return members[name] if name in members else (extra or {}).get(name)
    found = getattr(value, name, None)
    return value.get(name) if found is None and isinstance(value, Mapping) else found


def count(value: Any, *names: str) -> int | None:
    """Return the whole number that lies along the names, or None."""
    found = member(value, *names)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def text(value: Any, *names: str) -> str | None:
    """Return the text that lies along the names, or None."""
    found = member(value, *names)
    return found if isinstance(found, str) else None


def number(value: Any, *names: str) -> float | None:
    """Return the number that lies along the names, or None."""
    found = member(value, *names)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def added(*counts: int | None) -> int | None:
    """Return the sum of the counts that are there; None where there is none.

    >>> added(3, None, 4), added(None)
    (7, None)
    """
    there = [each for each in counts if each is not None]
    return sum(there) if there else None
