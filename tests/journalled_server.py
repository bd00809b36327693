"""Runs the server with a journal of what it synced, and cuts its data back to that, as a power cut does.

As a program: ``journalled_server.py JOURNAL serve ...`` is ``fallom-server serve ...``. Every sync that this process
asks for by ``os`` is written down once it has returned, with the size of the file or the names in the folder at its
begin. What libraries write without such a sync, or sync by themselves, counts as lost.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEPT = "unlinked"


class Journal:
    """Writes down syncs, and keeps removed files: without a sync of their folder they may be back after a power cut."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._kept = path.parent / KEPT
        self._kept.mkdir(exist_ok=True)

    def install(self) -> None:
        """Stand between the program and ``os``."""
        os.fsync, os.fdatasync = self._synced(os.fsync), self._synced(os.fdatasync)
        os.unlink = os.remove = self._unlinking(os.unlink)  # type: ignore[assignment]

    def _synced(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def synced(descriptor: int) -> None:
            entry = self._state(descriptor)
            sync(descriptor)
            self._write(entry)

        return synced

    def _state(self, descriptor: int) -> dict[str, Any]:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            return {"folder": path, "names": {entry.name: entry.inode() for entry in os.scandir(path)}}
        return {"inode": status.st_ino, "size": status.st_size}

    def _unlinking(self, unlink: Callable[..., None]) -> Callable[..., None]:
        def unlinking(path: Any, **options: Any) -> None:
            with suppress(OSError):
                os.link(path, self._kept / str(Path(path).stat().st_ino), follow_symlinks=False)
            unlink(path, **options)

        return unlinking

    def _write(self, entry: dict[str, Any]) -> None:
        os.write(self._descriptor, json.dumps(entry).encode() + b"\n")


@dataclass(slots=True)
class Synced:
    """What a journal says is on disk: files by inode, with their sizes; folders by path, with their names."""

    sizes: dict[int, int] = field(default_factory=dict)
    folders: dict[str, dict[str, int]] = field(default_factory=dict)


def cut_back(data_dir: Path, journal: Path) -> dict[str, int]:
    """Make of a killed server's log and lake what a power cut would have left; return what was lost, and came back."""
    synced = _read(journal)
    counts = {"bytes": 0, "files": 0, "resurrected": 0}
    for name in ("log", "lake"):
        _cut_folder(data_dir / name, synced, journal.parent / KEPT, counts)
    # From here on all that is there is on disk.
    with journal.open("w") as file:
        for path in [data_dir / "log", data_dir / "lake", *data_dir.glob("log/**/*"), *data_dir.glob("lake/**/*")]:
            entry = (
                {"folder": str(path), "names": {each.name: each.inode() for each in os.scandir(path)}}
                if path.is_dir()
                else {"inode": path.stat().st_ino, "size": path.stat().st_size}
            )
            file.write(json.dumps(entry) + "\n")
    shutil.rmtree(journal.parent / KEPT, ignore_errors=True)
    return counts


def _read(journal: Path) -> Synced:
    synced = Synced()
    for line in journal.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # The last line, which the kill tore.
        if "folder" in entry:
            synced.folders[entry["folder"]] = entry["names"]
        else:
            synced.sizes[entry["inode"]] = entry["size"]
    return synced


def _cut_folder(folder: Path, synced: Synced, kept: Path, counts: dict[str, int]) -> None:
    names = synced.folders.get(str(folder), {})
    for path in sorted(folder.iterdir()):
        if path.name not in names:
            counts["files"] += 1
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif path.is_dir():
            _cut_folder(path, synced, kept, counts)
        else:
            _cut_file(path, synced, counts)
    for name, inode in names.items():
        if not (folder / name).exists() and (kept / str(inode)).exists():
            shutil.copy(kept / str(inode), folder / name)
            os.truncate(folder / name, min(synced.sizes.get(inode, 0), (folder / name).stat().st_size))
            counts["resurrected"] += 1


def _cut_file(path: Path, synced: Synced, counts: dict[str, int]) -> None:
    status = path.stat()
    size_bytes = synced.sizes.get(status.st_ino, 0)
    if status.st_size > size_bytes:
        counts["bytes"] += status.st_size - size_bytes
        os.truncate(path, size_bytes)


def main() -> None:
    """Run the server under a journal."""
    Journal(Path(sys.argv[1])).install()
    sys.argv[:2] = ["fallom-server"]
    from server import main as serve

    serve()


if __name__ == "__main__":
    main()
