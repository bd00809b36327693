"""Corrections: what changes in spans changes in the session rollup, exactly once, whatever ends the process in between.

Theory of operation. Spans are removed, or get other costs, by a commit to ``spans``, and what they added to the rollup
is corrected by one to ``session_rollup``: two tables, two commits. What is to be added, which may be less than nothing,
is written down first, beside the rollup, under
the number of the correction; the commit to ``spans`` bears that number; then the rollup gets the rows, under the same
number, as it gets those of a segment. Who finds that ``spans`` is a number ahead of the rollup commits what is written
down under it. What was written down for a commit that never came bears a number that no table has, and is replaced by
the next correction.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.data_file import DataFile
from storage.durability import sync_directory, sync_file
from storage.lake import Lake

logger = logging.getLogger(__name__)

APPLICATION = "fallom-corrections"


def replace_spans(
    lake: Lake, removed: Sequence[DataFile], added: Sequence[DataFile], correction: pa.Table, *, operation: str
) -> bool:
    """Replace files of ``spans``, and add the correction to the rollup; False, with nothing done, if they have changed.

    The correction is rows of the rollup: what the new files' spans add to it, less what those of the old ones did.
    """
    if not correction.num_rows:
        return lake.replace(SPANS, removed, added, operation=operation, data_change=True)
    complete(lake)
    number = lake.transaction(SPANS, APPLICATION) + 1
    _write_down(lake, number, correction)
    replaced = lake.replace(
        SPANS, removed, added, operation=operation, data_change=True, transactions={APPLICATION: number}
    )
    if replaced:
        complete(lake)
    return replaced


def complete(lake: Lake) -> None:
    """Add to the rollup what spans were changed by, where that was begun and not ended."""
    number = lake.transaction(SPANS, APPLICATION)
    if number > lake.transaction(SESSION_ROLLUP, APPLICATION):
        # Who changed the spans may have died before that was on disk.
        lake.sync(SPANS)
        path = _path(lake, number)
        if path.exists():
            with pa.ipc.open_file(path) as reader:
                rows = reader.read_all()
            lake.commit(SESSION_ROLLUP, rows, writer_id=APPLICATION, segment=number)
        else:
            logger.error("%s is missing: session_rollup counts spans as they were before", path)
            lake.replace(
                SESSION_ROLLUP, [], [], operation="WRITE", data_change=False, transactions={APPLICATION: number}
            )
    _path(lake, number).unlink(missing_ok=True)


def _write_down(lake: Lake, number: int, rows: pa.Table) -> None:
    path = _path(lake, number)
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".draft")
    with pa.ipc.new_file(draft, rows.schema) as writer:
        writer.write_table(rows)
    sync_file(draft)
    draft.replace(path)
    for folder in (path.parent, path.parent.parent):
        sync_directory(folder)


def _path(lake: Lake, number: int) -> Path:
    # Readers of the table leave out folders that begin with an underscore.
    return lake.directory / SESSION_ROLLUP.name / "_corrections" / f"{number:012d}.arrow"
