"""The sessions of an experiment, page by page, since a server cuts long answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.client import frames
from analytics.client.connection import Connection

if TYPE_CHECKING:
    import polars as pl


def sessions_of(connection: Connection, config_key: str) -> pl.DataFrame:
    """Return the rows of ``experiment_sessions`` of a config, by session id."""
    pages = []
    after = ""
    while True:
        stream, is_cut = connection.sql(_statement(config_key, after))
        pages.append(frames.of_arrow(stream))
        if not is_cut or pages[-1].is_empty():
            break
        after = pages[-1]["session_id"][-1]
    whole: pl.DataFrame = frames.polars_library().concat(pages)
    return whole


def _statement(config_key: str, after: str) -> str:
    return (
        f"SELECT * EXCLUDE (project) FROM experiment_sessions WHERE config_key = {_text(config_key)} "  # noqa: S608 - quoted
        f"AND session_id > {_text(after)} ORDER BY session_id"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
