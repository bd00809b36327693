"""The transaction log of one Delta table: which files are the table, and which segments they include.

Theory of operation. A version of the table is a file ``_delta_log/<version>.json``: one action a line, that adds a data
file, removes one, or sets the number of an application's last transaction. It is read and written here, by the protocol
of Delta (PROTOCOL.md; reader version 1, writer version 2), since delta-rs reads all entries since the last checkpoint
anew for each commit, and syncs nothing. An entry is written under another name, synced, and linked to its own: a link
fails where somebody else made that version first, and no reader ever sees half an entry.
Every ``CHECKPOINT_VERSIONS`` versions delta-rs writes a checkpoint, the state in one file, and what has become old of
the log is removed, so that a table opens as fast after its hundred thousandth commit as after its first.

A power cut can tear only what was not synced: a leftover of an entry that has no name yet, or, made by others' writers
or by delta-rs, the last entry or checkpoint. Nothing relies on those; ``repair`` sets them aside.
"""

import itertools
import logging
import os
import re
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from storage.data_file import Action
from storage.durability import sync_directory, sync_file
from storage.errors import LakeError
from storage.table_state import TableState

logger = logging.getLogger(__name__)

CHECKPOINT_VERSIONS = 100
# What a table is made with: old entries of the log, and the names of removed files, are forgotten after an hour.
CONFIGURATION = {
    "delta.checkpointInterval": str(CHECKPOINT_VERSIONS),
    "delta.logRetentionDuration": "interval 1 hours",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
    "delta.enableExpiredLogCleanup": "true",
}
_ENGINE = "fallom-server"
_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.\d{10}\.\d{10})?\.parquet")
_DRAFT_PREFIX = ".draft-"


class VersionTakenError(Exception):
    """Somebody else made the version that was to be made."""


class TransactionLog:
    """Reads a table's log on and appends to it. Not thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directory = root / "_delta_log"
        self._state = TableState()

    def refresh(self) -> TableState:
        """Return the newest version. Raises LakeError or OSError where it can't be read."""
        if self._state.version < 0 or self._is_behind():
            self._state = self._open()
        while True:
            try:
                content = self._entry(self._state.version + 1).read_bytes()
            except FileNotFoundError:
                return self._state
            self._apply(self._state.version + 1, content)

    def append(self, actions: Iterable[Action], *, operation: str, transactions: Mapping[str, int]) -> TableState:
        """Make the next version and return when it is on disk.

        Raises VersionTakenError where somebody else made it; the state is theirs at the next ``refresh``.
        """
        version = self._state.version + 1
        now_ms = time.time_ns() // 1_000_000
        info = {"timestamp": now_ms, "operation": operation, "operationParameters": {}, "engineInfo": _ENGINE}
        lines: list[Action] = [{"commitInfo": info}]
        lines += [{"txn": {"appId": name, "version": number}} for name, number in transactions.items()]
        content = b"\n".join(orjson.dumps(line) for line in itertools.chain(lines, actions)) + b"\n"
        self._publish(version, content)
        # From here on readers see it, so it is known here too, though it may yet fail to be synced.
        self._apply(version, content)
        sync_directory(self._directory)
        return self._state

    @property
    def files(self) -> Collection[str]:
        """The paths of the live files of the version that was last read or made."""
        return self._state.files.keys()

    def forget(self) -> None:
        """Read everything anew at the next ``refresh``."""
        self._state = TableState()

    def sync(self) -> None:
        """Return when the newest entry and its name are on disk: who wrote it may have died before they were."""
        sync_file(self._entry(self._state.version))
        sync_directory(self._directory)

    def checkpoint(self) -> None:
        """Write the state in one file and remove what is old of the log, where so many versions have come."""
        if self._state.version % CHECKPOINT_VERSIONS or self._state.version == 0:
            return
        table = DeltaTable(self._root)
        table.create_checkpoint()
        for path in self._directory.glob(f"{table.version():020}.checkpoint*.parquet"):
            sync_file(path)
        sync_file(self._directory / "_last_checkpoint")
        sync_directory(self._directory)
        # Only now: entries that the checkpoint replaces are needed until it is on disk.
        table.cleanup_metadata()

    def set_torn_entry_aside(self) -> None:
        """Set aside the last entry where a power cut tore it. If it is the first, too, there is no table."""
        last = max(self._entries(), default=None)
        if last is not None and not _is_whole(self._entry(last)):
            self._set_aside(self._entry(last), "it is torn, and no segment was removed for it")

    def repair(self) -> None:
        """Set aside what a power cut tore at the end of the log; for the start, before anything is written."""
        for draft in self._directory.glob(f"{_DRAFT_PREFIX}*"):
            draft.unlink(missing_ok=True)
        self.set_torn_entry_aside()
        self._state = TableState()
        try:
            # Alone, without the entries after it: for what is wrong with these no checkpoint is set aside.
            self._state = self._open()
        except (LakeError, OSError):
            if not self._checkpoints():
                raise
            self._do_without_last_checkpoint()
        self.refresh()

    def _do_without_last_checkpoint(self) -> None:
        version, paths = self._checkpoints()[-1]
        for path in (*paths, self._directory / "_last_checkpoint"):
            if path.exists():
                self._set_aside(path, f"the table can't be opened with its checkpoint of version {version}")
        self._state = TableState()

    def _set_aside(self, path: Path, reason: str) -> None:
        folder = self._root / "_torn"
        folder.mkdir(exist_ok=True)
        target = folder / f"{path.name}.{time.time_ns()}"
        path.rename(target)
        for changed in (folder, self._root, self._directory):
            sync_directory(changed)
        logger.warning("%s: %s; it was set aside as %s", path, reason, target)

    def _open(self) -> TableState:
        """Return the newest state that a checkpoint holds, or that before the first entry."""
        entries = sorted(self._entries())
        checkpoints = self._checkpoints()
        if not entries and not checkpoints:
            raise LakeError(f"{self._directory} holds no log of a Delta table")
        if not checkpoints:
            if entries[0] != 0:
                raise LakeError(f"{self._directory}: its entries before version {entries[0]} are missing")
            return TableState()
        version, paths = checkpoints[-1]
        state = TableState(version)
        for path in paths:
            try:
                rows = pq.read_table(path, columns=["add", "txn", "protocol", "metaData"], partitioning=None)
            except pa.ArrowException as error:
                raise LakeError(f"{path}: the checkpoint can't be read: {error}") from error
            for row in rows.to_pylist():
                state.apply(row, path)
        return state

    def _is_behind(self) -> bool:
        """Whether the entry that follows may have been removed, since a checkpoint holds what it did."""
        try:
            pointer = orjson.loads((self._directory / "_last_checkpoint").read_bytes())
            return int(pointer["version"]) > self._state.version
        except FileNotFoundError:
            return False
        except (ValueError, KeyError, TypeError, OverflowError):
            return False  # Torn: the entries themselves are still there.

    def _apply(self, version: int, content: bytes) -> None:
        path = self._entry(version)
        try:
            actions = [orjson.loads(line) for line in content.splitlines() if line.strip()]
        except orjson.JSONDecodeError as error:
            raise LakeError(f"{path} is not an entry of a Delta log: {error}") from error
        for action in actions:
            self._state.apply(action, path)
        self._state.version = version

    def _publish(self, version: int, content: bytes) -> None:
        draft = self._directory / f"{_DRAFT_PREFIX}{uuid.uuid4().hex}"
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, fails where another writer was first.
            self._entry(version).hardlink_to(draft)
        except FileExistsError as error:
            raise VersionTakenError(f"{self._entry(version)} exists") from error
        finally:
            with suppress(OSError):
                draft.unlink()

    def _entry(self, version: int) -> Path:
        return self._directory / f"{version:020}.json"

    def _entries(self) -> Iterator[int]:
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                found = _ENTRY.fullmatch(path.name)
                if found:
                    yield int(found.group(1))

    def _checkpoints(self) -> list[tuple[int, list[Path]]]:
        """Return the complete checkpoints, ascending: of one file, or of all their parts."""
        found: dict[int, list[Path]] = {}
        for path in sorted(self._directory.glob("*.checkpoint*.parquet")):
            named = _CHECKPOINT.fullmatch(path.name)
            if named:
                found.setdefault(int(named.group(1)), []).append(path)
        return sorted((version, paths) for version, paths in found.items() if _is_complete(paths))


def _is_whole(path: Path) -> bool:
    lines = path.read_bytes().splitlines()
    try:
        return bool(lines) and all(isinstance(orjson.loads(line), dict) for line in lines)
    except orjson.JSONDecodeError:
        return False


def _is_complete(paths: list[Path]) -> bool:
    parts = paths[0].name.split(".")
    return len(parts) == 3 or len(paths) == int(parts[3])
