"""What keeps our faults from the host: around its calls nothing of ours may raise."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("fallom")
_told: set[str] = set()


def guarded(function: Callable[P, T]) -> Callable[P, T | None]:
    """Return the function so that it gives None where it would raise; the first fault of each is a warning.

    >>> guarded(int)("seven") is None
    True
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except Exception:
            tell(getattr(function, "__qualname__", repr(function)))
            return None

    return call


def tell(where: str) -> None:
    """Log the fault that is being handled: once as a warning, then for those who debug."""
    try:
        level = logging.DEBUG if where in _told else logging.WARNING
        _told.add(where)
        logger.log(
            level, "A fault in tracing, at %s: the call went on, its trace may be incomplete", where, exc_info=True
        )
    except Exception:  # noqa: S110 - a host's log handler that raises must not end its call either
        pass
