"""The registry's errors.

RegistryError                    the root: what was wrong, and what to do
├── DocumentError                the document is refused; a retry does not help
├── RegistryUnavailableError     the database cannot be used: unreadable, not a database, not writable
├── KeyNotFoundError             no API key has that prefix
├── TooManyKeysError             there are as many API keys as there may be
└── RegistryBusyError            another process holds the database; a retry helps
    └── ConflictError            another process wrote the same version first
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.api.problems import Problem

PROBLEM_LINES_MAX = 20


class RegistryError(Exception):
    """Root of all that the registry raises on purpose."""


class DocumentError(RegistryError):
    """A document that is refused as a whole; nothing of it was applied.

    Its text has one line a problem, at most 20, each led by ``source`` (the file's name) where there is one.
    """

    def __init__(self, problems: Sequence[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        lead = f"{self.source}: " if self.source else ""
        lines = [f"{lead}{problem}" for problem in self.problems]
        if len(lines) <= PROBLEM_LINES_MAX:
            return lines
        kept = PROBLEM_LINES_MAX - 1
        return [*lines[:kept], f"{lead}and {len(lines) - kept} more problems"]


class RegistryUnavailableError(RegistryError):
    """The database cannot be opened, read or written."""


class KeyNotFoundError(RegistryError):
    """No API key has that prefix."""


class TooManyKeysError(RegistryError):
    """There are as many API keys as there may be."""


class RegistryBusyError(RegistryError):
    """Another process holds the database's lock: try again."""


class ConflictError(RegistryBusyError):
    """Another process wrote the same version first: the transaction was undone and can be run again."""
