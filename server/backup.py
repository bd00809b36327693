"""Backing up a data directory, with its server and without."""

from pathlib import Path

from collector.exporters.lake import LakeExporter
from server.errors import CommandError
from server.registry_place import registry_of
from storage.backup import write_backup
from storage.data_directory import DataDirectory
from storage.registry.registry import Registry
from storage.upkeep.upkeep import Upkeep


def left_out(registry: Registry) -> str:
    """Say what a backup leaves out; empty where that is nothing."""
    if registry.is_file:
        return ""
    return "configs, prompts and API keys are in PostgreSQL, and not in this backup: back them up by pg_dump"


def backup(exporter: LakeExporter, upkeep: Upkeep, registry: Registry, data: DataDirectory) -> Path:
    """Return the folder of a new backup, which holds all that was acknowledged before; requests go on meanwhile.

    Waits for the merge that is going on. Raises StorageError, RegistryError.
    """
    with upkeep.paused(), exporter.paused():
        return write_backup(data, registry)


def backup_files(path: Path, registry_url: str | None = None) -> tuple[Path, str]:
    """Return the folder of a new backup of a data directory that no server uses, and what it leaves out.

    Raises CommandError, StorageError, RegistryError.
    """
    data = DataDirectory(path)
    if not data.lake.is_dir():
        raise CommandError(f"{data.path} is no data directory: name one by --data-dir")
    data.lock()
    try:
        with registry_of(data, registry_url) as registry:
            return write_backup(data, registry), left_out(registry)
    finally:
        data.unlock()
