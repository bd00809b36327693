"""What can go wrong in storage.

StorageError
├── SegmentError      a segment file that is not what it should be
├── LakeError         a table that can't be read or committed to
├── DataDirectoryError  a data directory that can't be used
└── QueryError        a statement that can't be answered
    ├── QueryRefusedError   not allowed, or not SQL
    │   └── QueryMemoryError    outgrew its memory
    ├── QueryTooLargeError  over more rows than are taken into memory at once
    ├── QueryTimeoutError   stopped at its time limit
    └── QueryInterruptedError  stopped because the server stops
"""

from dataclasses import dataclass


class StorageError(Exception):
    """The root of what storage raises."""


class SegmentError(StorageError):
    """A segment file is not what it should be."""


class LakeError(StorageError):
    """A table can't be read or committed to."""


class DataDirectoryError(StorageError):
    """The data directory can't be used."""


class QueryError(StorageError):
    """A statement can't be answered."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a statement: line and column, both from 1."""

    line: int
    column: int


class QueryRefusedError(QueryError):
    """A statement is not allowed, or is not SQL; ``position`` is the place of the fault, where it is known."""

    def __init__(self, message: str, position: Position | None = None) -> None:
        super().__init__(message)
        self.position = position


class QueryMemoryError(QueryRefusedError):
    """A statement outgrew its memory, or ended the process that ran it."""


class QueryTooLargeError(QueryError):
    """A question is over more than may be taken into memory at once; the text says of what, and what to do."""


class QueryTimeoutError(QueryError):
    """A statement was stopped at its time limit."""


class QueryInterruptedError(QueryError):
    """A statement was stopped because the server stops."""
