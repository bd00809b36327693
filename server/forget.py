"""Forgetting a customer in a data directory that no server uses: commits what is in its log, then removes the rows."""

from collections.abc import Callable, Mapping
from pathlib import Path

from collector.exporters.lake import LakeExporter
from collector.window import SpanWindow
from schemas.spans import SPANS
from server.errors import CommandError
from server.serve import commit_log
from server.settings import ServerSettings
from storage.data_directory import DataDirectory
from storage.lake import Lake
from storage.upkeep.upkeep import Upkeep


def forget_in_files(path: Path, project: str, customer_id: str, progress: Callable[[str], None]) -> Mapping[str, int]:
    """Remove a customer's rows; return how many of each table. Raises CommandError, StorageError."""
    data = DataDirectory(path)
    if not data.lake.is_dir():
        raise CommandError(f"{data.path} is no data directory: start a server there first, or name one by --data-dir")
    data.lock()
    try:
        lake = Lake(data.lake)
        exporter = _exporter(lake, data)
        exporter.start()
        try:
            commit_log(exporter)
            return Upkeep(lake).forget(project, customer_id, progress=progress)
        finally:
            exporter.stop()
    finally:
        data.unlock()


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
