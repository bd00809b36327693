"""The sessions of an experiment, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from analytics.client import frames
from analytics.client.connection import Connection
from schemas.api.experiment_sessions import PAGE_MAX

if TYPE_CHECKING:
    import polars as pl


def sessions_of(connection: Connection, path: str, asked: Mapping[str, str], limit: int | None) -> pl.DataFrame:
    """Return the first so many sessions of a list, or all of them, in its order."""
    return frames.sessions(_rows(connection, path, asked, limit))


def _rows(
    connection: Connection, path: str, asked: Mapping[str, str], limit: int | None
) -> Iterator[Mapping[str, Any]]:
    cursor, left = None, limit
    while left is None or left > 0:
        size = PAGE_MAX if left is None else min(left, PAGE_MAX)
        parameters = {**asked, "limit": str(size), **({} if cursor is None else {"cursor": cursor})}
        page = connection.get(path, parameters)
        yield from page["sessions"]
        left = None if left is None else left - len(page["sessions"])
        if (cursor := page["next_cursor"]) is None:
            return
