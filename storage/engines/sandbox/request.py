"""What a statement's process is told: the statement, whose rows it may read, its limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.engines.answer_formats import Format
from storage.engines.file_bounds import Bounds


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may take. ``rows_max`` and ``bytes_max`` cut its answer, the others end it."""

    timeout_s: float
    rows_max: int
    bytes_max: int
    memory_bytes_max: int = 1024 * 1024 * 1024
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Source:
    """A table: its name in the lake, the name that statements call it by, its files; its hot rows are sent apart.

    ``bounds`` are those of each file, as ``file_bounds.bounds_of`` has them: it is not opened for rows outside.
    """

    table: str
    name: str
    files: Sequence[str]
    bounds: Sequence[Sequence[Bounds]] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One statement. After it come the hot rows of each source, then those of each name of ``rows``, as streams.

    ``views`` are names and statements, each of which names only sources, rows and views before it.
    """

    statement: str
    project: str
    lake: str
    form: Format
    limits: Limits
    sources: Sequence[Source] = ()
    rows: Sequence[str] = ()
    views: Sequence[tuple[str, str]] = ()
    tells_progress: bool = False
