"""Where data rests and is asked: the segment format, the lake, the engines, the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def connect(
    data_dir: str | Path, *, project: str = "default", hot: bool = True, labels: pa.Table | None = None
) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection over one project's rows, for a notebook; a server may run meanwhile.

    It has the tables and views of docs/schema.md as they are now: connect anew for what comes later. Without ``hot``
    they hold the rows of committed files alone, with it also those that are acknowledged and not yet committed; the
    one row of the table ``snapshot`` says which, and when it was taken. The view ``experiment_sessions`` needs
    ``labels``, which ``analytics.experiments.session_labels.session_labels`` makes. Nothing is written; files that are
    merged or removed since can be read for a while.

    Raises DataDirectoryError where there is no data directory.
    """
    # Here, since every part of storage imports this package, and few of them the database.
    from storage.notebook import open_snapshot

    return open_snapshot(Path(data_dir), project, hot=hot, labels=labels)
