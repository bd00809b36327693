"""A data directory without its server: kept from others, its log taken over, for a command that changes its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.exporters.lake import LakeExporter
from collector.window import SpanWindow
from schemas.spans import SPANS
from server.errors import CommandError
from server.settings import ServerSettings
from storage.data_directory import DataDirectory
from storage.errors import LakeError
from storage.lake import Lake


def data_of(path: Path) -> DataDirectory:
    """Return the data directory at a path. Raises CommandError where there is none."""
    data = DataDirectory(path)
    if not data.lake.is_dir():
        raise CommandError(f"{data.path} is no data directory: start a server there first, or name one by --data-dir")
    return data


@contextmanager
def offline(data: DataDirectory) -> Iterator[tuple[Lake, LakeExporter]]:
    """Give the lake, and the exporter over its log, for as long as the block runs; no server can start meanwhile.

    Raises StorageError, also where a server is at work there.
    """
    data.lock()
    try:
        lake = Lake(data.lake)
        exporter = _exporter(lake, data)
        exporter.start()
        try:
            yield lake, exporter
        finally:
            exporter.stop()
    finally:
        data.unlock()


def commit_log(exporter: LakeExporter) -> None:
    """Commit all that is in the log. Raises LakeError where that fails."""
    exporter.flush()
    for table, status in exporter.status()["tables"].items():
        if status["commits"]["failing_for_s"]:
            raise LakeError(f"table {table} can't be committed to: {status['commits']['last_error']}; try again then")


def _exporter(lake: Lake, data: DataDirectory) -> LakeExporter:
    limits = {name: ServerSettings.model_fields[name].default for name in ("segment_bytes_max", "log_bytes_max")}
    return LakeExporter(
        lake,
        data.log,
        data.writer_id(),
        flush_interval_s=1.0,
        window=SpanWindow(0),
        # Nothing comes in, so nothing needs to be recognised.
        recent_spans=SPANS.schema.empty_table,
        **limits,
    )
