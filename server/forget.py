"""Forgetting a customer: commits what is in the log, removes the rows, tells what of theirs may lie in quarantine."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from collector.exporters.lake import LakeExporter
from collector.processors.privacy import Privacy
from collector.quarantine import quarantined_files_with
from collector.window import SpanWindow
from schemas.spans import SPANS
from server.errors import CommandError
from server.privacy import KEY_FILE, privacy_of
from server.settings import ServerSettings
from storage.backup import backups
from storage.data_directory import DataDirectory
from storage.errors import LakeError
from storage.lake import Lake
from storage.upkeep.upkeep import Upkeep


def forget_in_files(
    path: Path, project: str, customer_id: str, progress: Callable[[str], None], settings: ServerSettings
) -> Mapping[str, int]:
    """Remove a customer's rows from a data directory that no server uses; return how many of each table.

    ``settings`` are those of its server: its privacy policies say what the id is stored as. Raises CommandError,
    StorageError.
    """
    data = DataDirectory(path)
    if not data.lake.is_dir():
        raise CommandError(f"{data.path} is no data directory: start a server there first, or name one by --data-dir")
    privacy = privacy_of(settings, data, may_make_key=False)
    if privacy is None and (data.path / KEY_FILE).exists():
        progress(
            f"{data.path / KEY_FILE} is there, but no privacy policy is set: an id that is stored as a pseudonym is "
            "not found; name the server's settings by --config"
        )
    data.lock()
    try:
        lake = Lake(data.lake)
        exporter = _exporter(lake, data)
        exporter.start()
        try:
            return forget(exporter, Upkeep(lake), data, project, customer_id, progress, privacy=privacy)
        finally:
            exporter.stop()
    finally:
        data.unlock()


def forget(
    exporter: LakeExporter,
    upkeep: Upkeep,
    data: DataDirectory,
    project: str,
    customer_id: str,
    progress: Callable[[str], None],
    *,
    tell_damaged: Callable[[str], None] | None = None,
    privacy: Privacy | None = None,
) -> Mapping[str, int]:
    """Remove a customer's rows, also those that are not committed yet; return how many of each table.

    They are looked for by the id as it is, and as ``privacy`` stores it. The last progress names what is left: files in
    quarantine that hold their id, since whose rows are in these, and of which project, nobody can tell, and backups.
    The files are told to ``tell_damaged`` instead where it is given. Raises StorageError.
    """
    progress("committing what is in the log")
    commit_log(exporter)
    ids = sorted({customer_id, customer_id if privacy is None else privacy.identifier(project, customer_id)})
    rows: Counter[str] = Counter()
    for stored_id in ids:
        rows.update(upkeep.forget(project, stored_id, progress=progress))
    damaged, older = _left_in_quarantine(data, ids), _left_in_backups(data)
    if damaged and tell_damaged is not None:
        tell_damaged(damaged)
        damaged = ""
    if damaged or older:
        progress("; ".join(filter(None, (damaged, older))))
    return rows


def _left_in_quarantine(data: DataDirectory, ids: Sequence[str]) -> str:
    damaged = sorted({path for stored_id in ids for path in quarantined_files_with(data.log, stored_id)})
    if not damaged:
        return ""
    names = ", ".join(path.name for path in damaged)
    return f"left in quarantine, where damaged rows of theirs may be: remove {names} from {damaged[0].parent}"


def _left_in_backups(data: DataDirectory) -> str:
    older = backups(data)
    if not older:
        return ""
    names = ", ".join(path.name for path in older)
    return f"left in backups, which are never changed: remove {names} from {data.backups}"


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
