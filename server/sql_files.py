"""The files of a data directory, as ``fallom-server sql`` asks them without a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa

from analytics.experiments.session_labels import session_labels
from schemas.project import DEFAULT_PROJECT
from server.errors import CommandError
from server.registry_place import registry_of
from server.sql_source import OnProgress
from storage.data_directory import DataDirectory
from storage.engines.answer_limits import Answer
from storage.engines.duckdb import DuckDBEngine
from storage.engines.sandbox.request import Limits
from storage.hot import HotRows
from storage.lake import Lake


class FileSource:
    """The files of a data directory, also while a server runs there."""

    def __init__(self, engine: DuckDBEngine, project: str, limits: Limits) -> None:
        self._engine = engine
        self._project = project
        self._limits = limits

    def ask(self, statement: str, on_progress: OnProgress) -> Answer:
        """Return the answer."""
        with self._engine.users.statement(statement, self._project, self._limits, tells_progress=True) as asked:
            head = asked.ask(on_progress)
            return Answer(asked.table(), head.truncated)


@contextmanager
def files(path: Path, project: str | None, limits: Limits, registry_url: str | None = None) -> Iterator[FileSource]:
    """Give a data directory's files. Raises CommandError where it is none."""
    data = DataDirectory(path)
    if not data.lake.is_dir():
        raise CommandError(f"{data.path} is no data directory: start a server there first, or name one by --data-dir")
    lake = Lake(data.lake)
    engine = DuckDBEngine(lake, HotRows(data.log, lake, data.writer_id()))
    engine.users.start()

    def labels(project: str) -> pa.Table:
        with registry_of(data, registry_url, is_made=False) as registry:
            return session_labels(engine, registry, project)

    engine.users.labels_of = partial(labels)
    try:
        yield FileSource(engine, project or DEFAULT_PROJECT, limits)
    finally:
        engine.close()
