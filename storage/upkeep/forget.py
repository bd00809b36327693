"""Forgetting a customer: the rows of all tables that are theirs, and the files in which they were, at once.

A customer's spans and log records are those that name them, and those of their sessions and traces that name nobody.
Theirs are likewise the items of evaluations, with their scores, and the metrics, data points, exposures and rollup of
their sessions. A session is theirs if a row of it names them; of a session that several share, each loses what is their
own.

Theory of operation. What is the customer's is found first and written down, since it can no longer be found once a
part is removed: a process that dies in between goes on at its next start (``resume``). Each file that holds rows of
theirs is rewritten without them. What their spans added to the rollup has been taken away from it by then; the rollup
rows of their sessions are added up, and those that come to no call are gone.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.evaluations import EVALUATION_TABLES
from schemas.exposures import EXPOSURES
from schemas.log_records import LOG_RECORDS
from schemas.metric_points import METRIC_POINTS
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import TABLES
from storage.data_file import DataFile
from storage.durability import sync_directory, sync_file
from storage.errors import LakeError
from storage.rollup import added
from storage.upkeep.rewrite import Rewriter

logger = logging.getLogger(__name__)

# Files that a commit or a merge changed while they were looked at are looked at again.
ROUNDS_MAX = 20

Progress = Callable[[str], None]
Mask = NDArray[np.bool_]


@dataclass(slots=True)
class Customer:
    """One customer of one project, and what is theirs as far as it has been found."""

    project: str
    customer_id: str
    sessions: set[str] = field(default_factory=set)
    traces: set[str] = field(default_factory=set)

    def is_named(self, rows: pa.Table) -> Mask:
        """Return for each row whether it names the customer."""
        return _equal(rows["project"], self.project) & _equal(rows["customer_id"], self.customer_id)

    def has_sessions(self, rows: pa.Table) -> Mask:
        """Return for each row whether its session is theirs."""
        return _equal(rows["project"], self.project) & _is_in(rows["session_id"], self.sessions)

    def has_spans(self, spans: pa.Table) -> Mask:
        """Return for each span, or log record, whether it is theirs."""
        nobody_s = np.asarray(pc.is_null(spans["customer_id"]))
        return self.is_named(spans) | (nobody_s & (self.has_sessions(spans) | self._has_traces(spans)))

    def has_exposures(self, exposures: pa.Table) -> Mask:
        """Return for each exposure, or data point, whether it is theirs."""
        nobody_s = np.asarray(pc.is_null(exposures["customer_id"]))
        return self.is_named(exposures) | (nobody_s & self.has_sessions(exposures))

    def _has_traces(self, spans: pa.Table) -> Mask:
        return _equal(spans["project"], self.project) & _is_in(spans["trace_id"], self.traces)


def forget_customer(rewriter: Rewriter, project: str, customer_id: str, progress: Progress) -> Mapping[str, int]:
    """Remove a customer's committed rows; return how many of each table.

    When it returns, no file of the lake holds them. A query that was reading such a file fails, and succeeds when it
    is asked again.
    """
    whose = Customer(project, customer_id)
    for table in (EXPOSURES, SPANS, LOG_RECORDS, METRIC_POINTS):
        _find(rewriter, table, whose, progress)
    path = _write_down(rewriter, whose)
    counts = _remove(rewriter, whose, progress)
    path.unlink()
    sync_directory(path.parent)
    return counts


def resume(rewriter: Rewriter, progress: Progress = logger.info) -> None:
    """Go on with what a process began to forget and did not end."""
    for path in sorted(_folder(rewriter).glob("*.json")):
        begun = orjson.loads(path.read_bytes())
        whose = Customer(begun["project"], begun["customer_id"], set(begun["sessions"]), set(begun["traces"]))
        _remove(rewriter, whose, progress)
        path.unlink()


def _remove(rewriter: Rewriter, whose: Customer, progress: Progress) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for table, is_theirs in (
        (SPANS, whose.has_spans),
        (METRICS, whose.has_sessions),
        (EXPOSURES, whose.has_exposures),
        (LOG_RECORDS, whose.has_spans),
        (METRIC_POINTS, whose.has_exposures),
        *((table, whose.has_spans) for table in EVALUATION_TABLES),
    ):
        counts[table.name] = _until_all(
            lambda table=table, is_theirs=is_theirs: _remove_rows(rewriter, table, is_theirs, progress)  # type: ignore[misc]
        )
    counts[SESSION_ROLLUP.name] = _until_all(lambda: _add_up_sessions(rewriter, whose, progress))
    for table in TABLES:
        rewriter.lake.remove_unreferenced(table, kept_s=0)
    return counts


def _find(rewriter: Rewriter, table: Table, whose: Customer, progress: Progress) -> None:
    names = [name for name in ("project", "customer_id", "session_id", "trace_id") if name in table.schema.names]
    for file in _with_progress(rewriter, table, "searched", progress):
        for rows in rewriter.row_groups(table, file, names):
            theirs = rows.filter(pa.array(whose.is_named(rows)))
            whose.sessions |= _texts(theirs["session_id"])
            if "trace_id" in names:
                whose.traces |= _texts(theirs["trace_id"])


def _remove_rows(
    rewriter: Rewriter, table: Table, is_theirs: Callable[[pa.Table], Mask], progress: Progress
) -> tuple[int, bool]:
    """Rewrite each file with rows of theirs; return how many rows are gone, and whether all files were as found."""
    names = [name for name in ("project", "customer_id", "session_id", "trace_id") if name in table.schema.names]
    count = 0
    as_found = True
    for file in _with_progress(rewriter, table, "looked through", progress):
        if any(is_theirs(rows).any() for rows in rewriter.row_groups(table, file, names)):
            removed = rewriter.rewrite(
                table, [file], operation="DELETE", keep=lambda rows: ~is_theirs(rows), prefix=file.prefix
            )
            count += removed or 0
            as_found &= removed is not None
    return count, as_found


def _add_up_sessions(rewriter: Rewriter, whose: Customer, progress: Progress) -> tuple[int, bool]:
    """Add up their sessions' rows in the rollup, a partition at a time; those without a call are gone."""
    partitions: dict[str | None, list[DataFile]] = defaultdict(list)
    for file in _with_progress(rewriter, SESSION_ROLLUP, "looked through", progress):
        columns = ("project", "session_id")
        if any(whose.has_sessions(rows).any() for rows in rewriter.row_groups(SESSION_ROLLUP, file, columns)):
            partitions[file.partition["date"]].append(file)
    count = 0
    as_found = True
    for files in partitions.values():
        removed = _add_up_sessions_of(rewriter, whose, files)
        count += removed or 0
        as_found &= removed is not None
    return count, as_found


def _add_up_sessions_of(rewriter: Rewriter, whose: Customer, files: Sequence[DataFile]) -> int | None:
    theirs: list[pa.Table] = [SESSION_ROLLUP.schema.empty_table()]

    def keep(rows: pa.Table) -> Mask:
        mask = whose.has_sessions(rows)
        theirs.append(rows.filter(pa.array(mask)))
        return ~mask

    def last() -> pa.Table:
        sums = added(pa.concat_tables(theirs))
        # All rows of a session are among these: of one without a call, what is left is rounding.
        return sums.filter(pc.not_equal(sums["calls"], 0))

    removed = rewriter.rewrite(SESSION_ROLLUP, files, operation="DELETE", keep=keep, last=last)
    return None if removed is None else removed - last().num_rows


def _until_all(remove: Callable[[], tuple[int, bool]]) -> int:
    count = 0
    for _ in range(ROUNDS_MAX):
        removed, as_found = remove()
        count += removed
        if as_found:
            return count
    raise LakeError("the tables' files are changed faster than they can be rewritten; run it again")


def _with_progress(rewriter: Rewriter, table: Table, verb: str, progress: Progress) -> Iterator[DataFile]:
    files = rewriter.lake.files(table)
    for number, file in enumerate(files, 1):
        yield file
        progress(f"{table.name}: {number} of {len(files)} files {verb}")


def _write_down(rewriter: Rewriter, whose: Customer) -> Path:
    folder = _folder(rewriter)
    folder.mkdir(exist_ok=True)
    number = max((int(path.stem) for path in folder.glob("*.json")), default=0) + 1
    path = folder / f"{number:06d}.json"
    draft = path.with_suffix(".draft")
    content = {
        "project": whose.project,
        "customer_id": whose.customer_id,
        "sessions": sorted(whose.sessions),
        "traces": sorted(whose.traces),
    }
    draft.write_bytes(orjson.dumps(content))
    sync_file(draft)
    draft.replace(path)
    for changed in (folder, folder.parent):
        sync_directory(changed)
    return path


def _folder(rewriter: Rewriter) -> Path:
    return rewriter.lake.directory / "_forgetting"


def _equal(column: pa.ChunkedArray, value: str) -> Mask:
    return _is_in(column, {value})


def _is_in(column: pa.ChunkedArray, values: set[str]) -> Mask:
    texts = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    return np.asarray(pc.is_in(texts, value_set=pa.array(sorted(values), pa.string()), skip_nulls=True))


def _texts(column: pa.ChunkedArray) -> set[str]:
    return {value for value in column.cast(pa.string()).unique().to_pylist() if value is not None}
