"""Corrections: takes removed spans out of the session rollup, exactly once, whatever ends the process in between.

Theory of operation. Spans are removed by a commit to ``spans``, and what they added to the rollup by one to
``session_rollup``: two tables, two commits. What is to be taken away is written down first, beside the rollup, under
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
from storage.rollup import negated

logger = logging.getLogger(__name__)

APPLICATION = "fallom-corrections"


def replace_spans(
    lake: Lake, removed: Sequence[DataFile], added: Sequence[DataFile], lost: pa.Table, *, operation: str
) -> bool:
    """Replace files of ``spans`` by ones without the spans whose rollup is ``lost``; False where they have changed."""
    if not lost.num_rows:
        return lake.replace(SPANS, removed, added, operation=operation, data_change=False)
    complete(lake)
    number = lake.transaction(SPANS, APPLICATION) + 1
    _write_down(lake, number, negated(lost))
    replaced = lake.replace(
        SPANS, removed, added, operation=operation, data_change=True, transactions={APPLICATION: number}
    )
    if replaced:
        complete(lake)
    return replaced


def complete(lake: Lake) -> None:
    """Take away from the rollup what spans were removed for, where that was begun and not ended."""
    number = lake.transaction(SPANS, APPLICATION)
    if number > lake.transaction(SESSION_ROLLUP, APPLICATION):
        # Who removed the spans may have died before that was on disk.
        lake.sync(SPANS)
        path = _path(lake, number)
        if path.exists():
            with pa.ipc.open_file(path) as reader:
                rows = reader.read_all()
            lake.commit(SESSION_ROLLUP, rows, writer_id=APPLICATION, segment=number)
        else:
            logger.error("%s is missing: session_rollup still counts spans that were removed", path)
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
