"""Backing up a data directory, with its server and without."""

from pathlib import Path

from collector.exporters.lake import LakeExporter
from server.errors import CommandError
from storage.backup import write_backup
from storage.data_directory import DataDirectory
from storage.registry.registry import Registry
from storage.upkeep.upkeep import Upkeep


def backup(exporter: LakeExporter, upkeep: Upkeep, registry: Registry, data: DataDirectory) -> Path:
    """Return the folder of a new backup, which holds all that was acknowledged before; requests go on meanwhile.

    Waits for the merge that is going on. Raises StorageError, RegistryError.
    """
    with upkeep.paused(), exporter.paused():
        return write_backup(data, registry)


def backup_files(path: Path) -> Path:
    """Return the folder of a new backup of a data directory that no server uses. Raises CommandError, StorageError."""
    data = DataDirectory(path)
    if not data.lake.is_dir():
        raise CommandError(f"{data.path} is no data directory: name one by --data-dir")
    data.lock()
    try:
        registry = Registry(data.registry_url)
        try:
            return write_backup(data, registry)
        finally:
            registry.close()
    finally:
        data.unlock()
