"""What the actions of a Delta log come to: the live files of a table, and each application's last transaction.

Other programs write this log too, and disks damage it: whatever is not as the protocol has it is a LakeError that names
the file, never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import unquote

from storage.data_file import DataFile
from storage.errors import LakeError
from storage.table_columns import is_evolved

READER_VERSION, WRITER_VERSION = 1, 2
"""The versions of Delta's protocol that are read and written."""

_Kind = TypeVar("_Kind")
_KINDS = {str: "text", int: "an integer", dict: "an object"}


@dataclass(slots=True)
class TableState:
    """A version of the table: its live files by path, and the last transaction of each application.

    Where it ``is_evolved`` files may lack columns that the table has.
    """

    version: int = -1
    files: dict[str, DataFile] = field(default_factory=dict)
    transactions: dict[str, int] = field(default_factory=dict)
    is_evolved: bool = False

    def apply(self, action: object, source: Path) -> None:
        """Take over an action that stands in ``source``. Raises LakeError where it is none that can be read."""
        if not isinstance(action, Mapping):
            raise LakeError(f"{source} is not an entry of a Delta log: an object expected, got {_shown(action)}")
        if action.get("add") is not None:
            file = _added(_get(action, "add", dict, source), source)
            self.files[file.path] = file
        elif action.get("remove") is not None:
            self.files.pop(_path(_get(action, "remove", dict, source), source), None)
        elif action.get("txn") is not None:
            transaction = _get(action, "txn", dict, source)
            self.transactions[_get(transaction, "appId", str, source)] = _get(transaction, "version", int, source)
        elif action.get("protocol") is not None:
            _check_protocol(_get(action, "protocol", dict, source), source)
        elif action.get("metaData") is not None:
            self.is_evolved = is_evolved(action["metaData"])


def _added(added: Mapping[str, object], source: Path) -> DataFile:
    if added.get("deletionVector"):
        raise LakeError(f"{source}: a file has rows marked as deleted, which this version can't read")
    stats = "{}" if added.get("stats") is None else _get(added, "stats", str, source)
    size_bytes = _get(added, "size", int, source)
    if size_bytes < 0:
        raise LakeError(f"{source}: size: 0 or more expected, got {size_bytes}")
    partition = _partition(added.get("partitionValues"), source)
    return DataFile(
        _path(added, source), partition, size_bytes, _get(added, "modificationTime", int, source), stats or "{}"
    )


def _path(action: Mapping[str, object], source: Path) -> str:
    path = unquote(_get(action, "path", str, source))
    parts = PurePosixPath(path)
    # What it names is read, and one day removed.
    if not path or "\0" in path or parts.is_absolute() or ".." in parts.parts:
        raise LakeError(f"{source}: path: a file within the table expected, got {_shown(path)}")
    return path


def _partition(values: object, source: Path) -> dict[str, str | None]:
    # An object in an entry, pairs in a checkpoint.
    pairs = list(values.items()) if isinstance(values, Mapping) else values or []
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise LakeError(f"{source}: partitionValues: an object expected, got {_shown(values)}")
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str | None):
            raise LakeError(f"{source}: partitionValues: texts expected, got {_shown(values)}")
    return dict(pairs)


def _check_protocol(wanted: Mapping[str, object], source: Path) -> None:
    reader, writer = (_get(wanted, name, int, source) for name in ("minReaderVersion", "minWriterVersion"))
    if reader > READER_VERSION or writer > WRITER_VERSION:
        raise LakeError(
            f"{source}: another program has raised the table's protocol to reader {reader}, "
            f"writer {writer}; this one knows {READER_VERSION} and {WRITER_VERSION}"
        )


def _get(found: Mapping[str, object], name: str, kind: type[_Kind], source: Path) -> _Kind:
    value = found.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise LakeError(f"{source}: {name}: {_KINDS[kind]} expected, got {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
