"""Backups: a copy of a data directory as it is at one moment, made of hard links within the directory itself.

Theory of operation. Nothing under ``lake/`` and no sealed segment is ever changed, only made and removed, so a second
name for each file is a copy that takes milliseconds and, until the original is removed, no disk. Where links are not
possible files are copied. A server that is started with the copy finds what it would find after a crash at that moment.
The caller sees to it that nobody commits meanwhile: the tables, the log and the registry have to be of one moment.
"""

import errno
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from storage.data_directory import DataDirectory
from storage.durability import sync_directory, sync_file
from storage.errors import DataDirectoryError
from storage.registry.registry import Registry

_NO_LINKS = (errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def write_backup(data: DataDirectory, registry: Registry, now: datetime | None = None) -> Path:
    """Return the folder of a new backup, synced, under ``backups/``; none is left where it fails.

    A registry that is a database on a server is left to that server's own tools.

    Raises DataDirectoryError, RegistryError.
    """
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S.%fZ")
    path, draft = data.backups / moment, data.backups / f".{moment}"
    try:
        try:
            data.backups.mkdir(exist_ok=True)
            for folder in (data.log, data.lake):
                _copy_tree(folder, draft / folder.name)
            if registry.is_file:
                registry.copy_to(draft / data.registry_path.name)
            sync_directory(draft)
            draft.rename(path)
            for folder in (data.backups, data.path):
                sync_directory(folder)
        except OSError as error:
            raise DataDirectoryError(f"backup {path} can't be written: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return path


def backups(data: DataDirectory) -> list[Path]:
    """Return the folders of the backups that lie in the data directory, the oldest first."""
    return sorted(path for path in data.backups.glob("[!.]*") if path.is_dir())


def _copy_tree(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _copy_tree(Path(entry.path), target / entry.name)
            else:
                _copy_file(Path(entry.path), target / entry.name)
    sync_directory(target)


def _copy_file(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        # A draft that has got its name since, or was given up.
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
        sync_file(target)
