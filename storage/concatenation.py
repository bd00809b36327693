"""Parquet files end to end: row groups are copied as the bytes they are, and the footer names their new places.

Theory of operation. What lies in a Parquet file between its first four bytes and its footer is named by offsets from
the file's beginning, in the footer alone: pages, dictionaries, bloom filters, indexes. So the bodies of several files
of the same columns can be put behind each other, every offset moved by as much as its body was, and the row groups
listed in one footer. Nothing is decompressed: it costs a twentieth of writing the rows anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from storage.errors import LakeError
from storage.parquet import WrittenFile, new_file
from storage.thrift import I64, LIST, STRUCT, Struct, ThriftReader, Value, encode_struct

MAGIC = b"PAR1"
COPIED_BYTES = 1024 * 1024
# Fields of the format's structs, as parquet.thrift numbers them.
_FILE_SCHEMA, _FILE_ROWS, _FILE_ROW_GROUPS, _FILE_METADATA, _FILE_COLUMN_ORDERS = 2, 3, 4, 5, 7
_GROUP_COLUMNS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 5, 7
_CHUNK_OFFSET, _CHUNK_METADATA, _CHUNK_OFFSET_INDEX, _CHUNK_COLUMN_INDEX = 2, 3, 4, 6
_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _BLOOM_FILTER = 9, 10, 11, 14
_CHUNK_OFFSETS = (_CHUNK_OFFSET, _CHUNK_OFFSET_INDEX, _CHUNK_COLUMN_INDEX)
_METADATA_OFFSETS = (_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _BLOOM_FILTER)
_ROW_GROUPS_MAX = 2**15 - 1


class UnlikeError(Exception):
    """Files are not of the same columns, so that they can't share a footer."""


@dataclass(frozen=True, slots=True)
class _Footer:
    fields: Struct
    begin: int


def concatenate(
    path: Path, sources: Sequence[Path], statistics: Sequence[str], *, between: Callable[[], None] = lambda: None
) -> WrittenFile:
    """Write a new file of all row groups of the sources, in their order, and return when it is on disk.

    ``statistics`` are those of the sources in the table's log. ``between`` is called now and then, and may raise.
    Raises UnlikeError, LakeError, OSError.
    """
    with new_file(path):
        rows = _concatenate(path, sources, between)
    return WrittenFile(path, rows, path.stat().st_size, _merged(statistics))


def _concatenate(path: Path, sources: Sequence[Path], between: Callable[[], None]) -> int:
    footers = [_footer(source) for source in sources]
    first = footers[0].fields
    for footer, source in zip(footers, sources, strict=True):
        if any(footer.fields.get(part) != first.get(part) for part in (_FILE_SCHEMA, _FILE_COLUMN_ORDERS)):
            raise UnlikeError(f"{source} has other columns than {sources[0]}")
    groups: list[Struct] = []
    with path.open("xb") as target:
        target.write(MAGIC)
        for footer, source in zip(footers, sources, strict=True):
            moved = target.tell() - len(MAGIC)
            _copy(source, footer.begin, target, between)
            groups += [_moved(group, moved) for group in _groups(footer)]
        rows: int = sum(footer.fields[_FILE_ROWS].content for footer in footers)
        target.write(_encoded(first, groups, rows))
    return rows


def _merged(statistics: Sequence[str]) -> str:
    parts = [orjson.loads(text) for text in statistics]
    merged: dict[str, Any] = {}
    if all("numRecords" in part for part in parts):
        merged["numRecords"] = sum(part["numRecords"] for part in parts)
    for name, choose in (("minValues", min), ("maxValues", max)):
        merged[name] = {
            column: choose(part[name][column] for part in parts)
            for column in parts[0].get(name, {})
            if all(column in part.get(name, {}) for part in parts)
        }
    merged["nullCount"] = {
        column: sum(part["nullCount"][column] for part in parts)
        for column in parts[0].get("nullCount", {})
        if all(column in part.get("nullCount", {}) for part in parts)
    }
    return orjson.dumps(merged).decode()


def _footer(path: Path) -> _Footer:
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        file.seek(max(size_bytes - 8, 0))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        begin = size_bytes - 8 - length
        if tail[4:] != MAGIC or begin < len(MAGIC):
            raise LakeError(f"{path} is not a whole Parquet file")
        file.seek(begin)
        return _Footer(ThriftReader(file.read(length)).struct(), begin)


def _groups(footer: _Footer) -> list[Struct]:
    groups: list[Struct] = footer.fields[_FILE_ROW_GROUPS].content[1]
    return groups


def _copy(source: Path, end: int, target: BinaryIO, between: Callable[[], None]) -> None:
    with source.open("rb") as file:
        left = end - file.seek(len(MAGIC))
        while left > 0:
            between()
            part = file.read(min(left, COPIED_BYTES))
            if not part:
                raise LakeError(f"{source} has become shorter while it was read")
            target.write(part)
            left -= len(part)


def _moved(group: Struct, by: int) -> Struct:
    _move(group, (_GROUP_OFFSET,), by)
    for chunk in group[_GROUP_COLUMNS].content[1]:
        _move(chunk, _CHUNK_OFFSETS, by)
        _move(chunk[_CHUNK_METADATA].content, _METADATA_OFFSETS, by)
    return group


def _move(fields: Struct, offsets: Sequence[int], by: int) -> None:
    for number in offsets:
        # 0 is what writers put where they don't say.
        if number in fields and fields[number].content:
            fields[number].content += by


def _encoded(first: Struct, groups: list[Struct], rows: int) -> bytes:
    for ordinal, group in enumerate(groups):
        if len(groups) > _ROW_GROUPS_MAX:
            group.pop(_GROUP_ORDINAL, None)
        elif _GROUP_ORDINAL in group:
            group[_GROUP_ORDINAL].content = ordinal
    fields = first | {_FILE_ROWS: Value(I64, rows), _FILE_ROW_GROUPS: Value(LIST, (STRUCT, groups))}
    # What a writer noted of its own file need not hold for all.
    fields.pop(_FILE_METADATA, None)
    footer = encode_struct(fields)
    return footer + len(footer).to_bytes(4, "little") + MAGIC
