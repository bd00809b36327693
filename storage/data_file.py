"""A data file of a table, and the actions of Delta's log that make it one of the table's or none."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from storage.errors import LakeError

Action = dict[str, object]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of the table: its place below the table's folder, and what the log says of it. ``stats`` is JSON."""

    path: str
    partition: Mapping[str, str | None]
    size_bytes: int
    modified_ms: int
    stats: str

    @property
    def rows(self) -> int | None:
        """How many rows it has; None where its statistics don't say."""
        found = self.statistics().get("numRecords")
        return found if isinstance(found, int) else None

    def statistics(self) -> Mapping[str, object]:
        """Return what is known of its columns, as the log has it. Raises LakeError where that is no JSON object."""
        try:
            found = orjson.loads(self.stats)
        except orjson.JSONDecodeError as error:
            raise LakeError(f"{self.path}: its statistics are no JSON: {error}") from error
        if not isinstance(found, dict):
            raise LakeError(f"{self.path}: its statistics are no JSON object")
        return found

    @property
    def prefix(self) -> str:
        """What its name begins with: what was done to it."""
        return self.path.rpartition("/")[2].partition("-")[0]


def add_action(file: DataFile, *, data_change: bool) -> Action:
    """Return the action that makes the file one of the table's."""
    return {
        "add": {
            "path": quote(file.path, safe="/=-_.~"),
            "partitionValues": dict(file.partition),
            "size": file.size_bytes,
            "modificationTime": file.modified_ms,
            "dataChange": data_change,
            "stats": file.stats,
        }
    }


def remove_action(file: DataFile, *, data_change: bool) -> Action:
    """Return the action that makes the file none of the table's; it stays on disk for those who read it."""
    return {
        "remove": {
            "path": quote(file.path, safe="/=-_.~"),
            "deletionTimestamp": time.time_ns() // 1_000_000,
            "dataChange": data_change,
            "extendedFileMetadata": True,
            "partitionValues": dict(file.partition),
            "size": file.size_bytes,
        }
    }
