"""Forgetting a customer: commits what is in the log, removes the rows, tells what of theirs may lie in quarantine."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from collector.exporters.lake import LakeExporter
from collector.processors.privacy import Privacy
from collector.quarantine import quarantined_files_with
from server.offline import commit_log, data_of, offline
from server.privacy import KEY_FILE, privacy_of
from server.registry_place import registry_url_of
from server.settings import ServerSettings
from storage import sql
from storage.backup import backups
from storage.data_directory import DataDirectory
from storage.datasets.datasets import Datasets, DatasetsUnavailableError
from storage.engines.duckdb import DuckDBEngine
from storage.hot import HotRows
from storage.registry.errors import RegistryError
from storage.upkeep.upkeep import Upkeep


def forget_in_files(
    path: Path, project: str, customer_id: str, progress: Callable[[str], None], settings: ServerSettings
) -> Mapping[str, int]:
    """Remove a customer's rows from a data directory that no server uses; return how many of each table.

    ``settings`` are those of its server: its privacy policies say what the id is stored as. Raises CommandError,
    StorageError.
    """
    data = data_of(path)
    privacy = privacy_of(settings, data, may_make_key=False)
    if privacy is None and (data.path / KEY_FILE).exists():
        progress(
            f"{data.path / KEY_FILE} is there, but no privacy policy is set: an id that is stored as a pseudonym is "
            "not found; name the server's settings by --config"
        )
    with offline(data) as (lake, exporter):
        engine = DuckDBEngine(lake, HotRows(data.log, lake, data.writer_id()))
        with closing(engine), closing(Datasets(registry_url_of(data, settings.registry_url))) as datasets:
            return forget(
                exporter, Upkeep(lake), datasets, engine, data, project, customer_id, progress, privacy=privacy
            )


def forget(
    exporter: LakeExporter,
    upkeep: Upkeep,
    datasets: Datasets,
    engine: DuckDBEngine,
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
    # First: whose sessions and traces are theirs can't be told any more once the rows are gone.
    progress("searching datasets")
    rows["dataset_entries"] = forget_entries(datasets, engine, project, ids)
    for stored_id in ids:
        rows.update(upkeep.forget(project, stored_id, progress=progress))
    damaged, older = _left_in_quarantine(data, ids), "; ".join(filter(None, (_left_in_backups(data), _waiting(data))))
    if damaged and tell_damaged is not None:
        tell_damaged(damaged)
        damaged = ""
    if damaged or older:
        progress("; ".join(filter(None, (damaged, older))))
    return rows


def forget_entries(datasets: Datasets, engine: DuckDBEngine, project: str, customer_ids: Sequence[str]) -> int:
    """Remove the entries of datasets that are a customer's; return how many. Raises StorageError."""
    found = engine.query(sql.load("customer_sessions"), {"customer_ids": list(customer_ids)}, project=project)
    sessions, traces = ([text for text in found[name].to_pylist() if text] for name in ("session_id", "trace_id"))
    try:
        return datasets.forget(project, customer_ids, sessions, traces)
    except RegistryError as error:
        raise DatasetsUnavailableError(f"the customer's entries of datasets can't be removed: {error}") from error


def _left_in_quarantine(data: DataDirectory, ids: Sequence[str]) -> str:
    damaged = sorted({path for stored_id in ids for path in quarantined_files_with(data.log, stored_id)})
    if not damaged:
        return ""
    names = ", ".join(path.name for path in damaged)
    return f"left in quarantine, where damaged rows of theirs may be: remove {names} from {damaged[0].parent}"


def _waiting(data: DataDirectory) -> str:
    """Say that rows of theirs may wait to be forwarded; whose they are can't be told without reading them all."""
    waiting = sorted({path.parent.name for path in data.forward.glob("*/*.arrow")})
    if not waiting:
        return ""
    return f"left in the queues of forwarding: spans of theirs may still be sent to {', '.join(waiting)}"


def _left_in_backups(data: DataDirectory) -> str:
    older = backups(data)
    if not older:
        return ""
    names = ", ".join(path.name for path in older)
    return f"left in backups, which are never changed: remove {names} from {data.backups}"
