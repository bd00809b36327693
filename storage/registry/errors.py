"""The registry's errors.

RegistryError                    the root: what was wrong, and what to do
├── DocumentError                the document is refused; a retry does not help
├── RegistryUnavailableError     the database cannot be used: unreadable, not a database, not writable
├── ResourceNotFoundError        no resource, version or draft is there by that name
├── ResourceArchivedError        the resource is archived: restore it first
├── ResourceInUseError           another resource needs it: change that one first
├── ExperimentEndedError         the experiment has ended already
├── StaleError                   it was changed since it was read; nothing was done
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


class ResourceNotFoundError(RegistryError):
    """No resource of that key, no such version of it, or no draft."""


class ResourceArchivedError(RegistryError):
    """The resource is archived, and takes no new version until it is restored."""


class ResourceInUseError(RegistryError):
    """Another resource, which is not archived, needs this one."""


class ExperimentEndedError(RegistryError):
    """The experiment has ended already."""


class StaleError(RegistryError):
    """What is there is not what the change was made on; ``tag`` names what is there now, None where nothing is."""

    def __init__(self, message: str, tag: str | None) -> None:
        self.tag = tag
        super().__init__(message)


class KeyNotFoundError(RegistryError):
    """No API key has that prefix."""


class TooManyKeysError(RegistryError):
    """There are as many API keys as there may be."""


class RegistryBusyError(RegistryError):
    """Another process holds the database's lock: try again."""


class ConflictError(RegistryBusyError):
    """Another process wrote the same version first: the transaction was undone and can be run again."""
