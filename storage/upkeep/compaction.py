"""Compaction: many small files into few large ones, spans that were sent twice into one, parts of the rollup into sums.

Theory of operation. Files of a partition are of levels, each eight times as large as the one before. Eight files of one
level become one of the next, so that a row is rewritten at most once a level, and a partition never has more than seven
files a level beside those that are large enough. A day that is over and at rest is merged whatever the levels say.

Small files are merged by their rows: these are read in bounded chunks, and each chunk is sorted anew and becomes a row
group. Of files that are large already, so are the row groups, each sorted by itself: they are copied as they are, which
costs a twentieth, so that merging keeps up with the ingest that it runs beside. Parts of the rollup, which are added up
where they are small, are added up again when their day is at rest.

Which spans are the same is found from the column of content hashes alone: only those whose hash comes twice are looked
at. Duplicates in files that are never merged with each other stay: the day's rest brings them together, up to
``MERGED_BYTES_MAX``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.session_rollup import SESSION_ROLLUP
from schemas.table import Table
from storage.concatenation import UnlikeError
from storage.data_file import DataFile
from storage.lake import PREFIX
from storage.parquet import first_occurrences
from storage.rollup import added
from storage.upkeep.rewrite import Keep, Rewriter

FILES_A_MERGE = 8
FILES_A_MERGE_MAX = 64
LEVEL_FACTOR_BITS = 3
SMALLEST_LEVEL_BYTES = 16 * 1024
# From here on a file's row groups are of a good size: tens of thousands of rows.
LARGE_BYTES = 4 * 1024 * 1024
LARGE_ROLLUP_BYTES = 512 * 1024
FULL_BYTES = 128 * 1024 * 1024
MERGED_BYTES_MAX = 512 * 1024 * 1024
# Its sums are made in memory, all at once.
ROLLUP_MERGED_BYTES_MAX = 64 * 1024 * 1024
REST_S = 3600


def compact(rewriter: Rewriter, table: Table, now: datetime) -> int:
    """Merge files where enough have come, until there is nothing to merge; return how many files were merged."""
    merged = 0
    # What can't be replaced has been changed meanwhile, and is looked at in the next round.
    while (files := next_merge(table, rewriter.files(table), now)) and merge(rewriter, table, files, now):
        merged += len(files)
    return merged


def next_merge(table: Table, files: Sequence[DataFile], now: datetime) -> list[DataFile]:
    """Return the files that are to be merged next, oldest first; none where none are."""
    bytes_max = ROLLUP_MERGED_BYTES_MAX if table is SESSION_ROLLUP else MERGED_BYTES_MAX
    full_bytes = min(FULL_BYTES, bytes_max)
    partitions: dict[str | None, list[DataFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: (file.modified_ms, file.path)):
        if file.size_bytes < full_bytes:
            partitions[file.partition.get("date")].append(file)
    for date, of_partition in partitions.items():
        if date is not None and _is_at_rest(date, of_partition, now):
            # The small ones first, that the others need not be read for their sake.
            candidates = [[file for file in of_partition if _is_small(table, file)], of_partition]
        else:
            levels = sorted(_levels(of_partition).items())
            candidates = [of_level for _, of_level in levels if len(of_level) >= FILES_A_MERGE]
        for candidate in candidates:
            if len(candidate) > 1:
                return _together(candidate, bytes_max)
    return []


def merge(rewriter: Rewriter, table: Table, files: Sequence[DataFile], now: datetime) -> bool:
    """Replace the files, of one partition, by one; False where they have changed meanwhile."""
    prefixes = {file.prefix for file in files}
    prefix = prefixes.pop() if len(prefixes) == 1 else PREFIX
    unique = _unique_rows(rewriter, table, files)
    if unique is None and not _is_worth_its_rows(table, files, now):
        with suppress(UnlikeError):
            return rewriter.concatenate(table, files, prefix=prefix)
    removed = rewriter.rewrite(
        table,
        files,
        operation="OPTIMIZE",
        keep=None if unique is None else _in_turn(unique),
        change=added if table is SESSION_ROLLUP else None,
        prefix=prefix,
        data_change=False,
    )
    return removed is not None


def _is_worth_its_rows(table: Table, files: Sequence[DataFile], now: datetime) -> bool:
    """Whether a merge should take the rows anew: of small row groups; of the rollup's when no more come, to sum up."""
    date = files[0].partition.get("date")
    is_last = table is SESSION_ROLLUP and date is not None and _is_at_rest(date, files, now)
    return is_last or sum(_is_small(table, file) for file in files) > 1


def _unique_rows(rewriter: Rewriter, table: Table, files: Sequence[DataFile]) -> NDArray[np.bool_] | None:
    if not table.identity:
        return None
    return unique_rows(table, lambda columns: _identities(rewriter, table, files, columns))


def unique_rows(table: Table, read: Callable[[Sequence[str]], Iterator[pa.Table]]) -> NDArray[np.bool_] | None:
    """Return for each row that ``read`` yields whether none like it came before; None where that is so of all."""
    hashes = [rows.column(0).fill_null(0).to_numpy() for rows in read(table.identity[-1:])]
    ordered = np.sort(np.concatenate(hashes)) if hashes else np.zeros(0, np.int64)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not repeated.size:
        return None
    candidates = [np.isin(part, repeated) for part in hashes]
    rows = [part.filter(pa.array(mask)) for part, mask in zip(read(table.identity), candidates, strict=True)]
    texts = [part.cast(pa.schema([table.schema.field(name) for name in part.schema.names])) for part in rows]
    unique = np.ones(ordered.size, np.bool_)
    unique[np.flatnonzero(np.concatenate(candidates))] = first_occurrences(pa.concat_tables(texts))
    return None if unique.all() else unique


def _identities(
    rewriter: Rewriter, table: Table, files: Sequence[DataFile], columns: Sequence[str]
) -> Iterator[pa.Table]:
    for file in files:
        yield from rewriter.row_groups(table, file, columns)


def _in_turn(mask: NDArray[np.bool_]) -> Keep:
    place = 0

    def keep(rows: pa.Table) -> NDArray[np.bool_]:
        nonlocal place
        place += rows.num_rows
        return mask[place - rows.num_rows : place]

    return keep


def _is_small(table: Table, file: DataFile) -> bool:
    return file.size_bytes < (LARGE_ROLLUP_BYTES if table is SESSION_ROLLUP else LARGE_BYTES)


def _levels(files: Sequence[DataFile]) -> dict[int, list[DataFile]]:
    levels: dict[int, list[DataFile]] = defaultdict(list)
    for file in files:
        levels[(file.size_bytes // SMALLEST_LEVEL_BYTES).bit_length() // LEVEL_FACTOR_BITS].append(file)
    return levels


def _together(files: Sequence[DataFile], bytes_max: int) -> list[DataFile]:
    found: list[DataFile] = []
    size_bytes = 0
    for file in files[:FILES_A_MERGE_MAX]:
        size_bytes += file.size_bytes
        if len(found) > 1 and size_bytes > bytes_max:
            break
        found.append(file)
    return found


def _is_at_rest(date: str, files: Sequence[DataFile], now: datetime) -> bool:
    newest_s = max(file.modified_ms for file in files) / 1000
    return date < now.date().isoformat() and now.timestamp() - newest_s > REST_S
