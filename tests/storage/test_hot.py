"""Hot rows: each acknowledged row is seen exactly once, at every step of its way into the lake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from lake_parts import Parts, encoded, exposure_rows, span_rows

from collector.log import SegmentLog
from schemas.exposures import EXPOSURES
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.hot import HotRows
from storage.lake import Lake
from storage.rollup import session_rollup
from storage.segments import SegmentEncoder, segment_path


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "data")


def seen(parts: Parts) -> tuple[int, int]:
    """Return the spans that another process would count, and the calls of their rollup."""
    return Parts(parts.data.path).counts()


def commit(parts: Parts, log: SegmentLog, number: int) -> Callable[[], object]:
    return lambda: parts.lake.commit(SPANS, log.rows(number), writer_id=parts.writer_id, segment=number)


def commit_rollup(parts: Parts, log: SegmentLog, number: int) -> Callable[[], object]:
    return lambda: parts.lake.commit(
        SESSION_ROLLUP, session_rollup(log.rows(number)), writer_id=parts.writer_id, segment=number
    )


def test_every_row_is_seen_once_at_each_step_of_its_way(parts: Parts) -> None:
    log = parts.log(SPANS)
    steps: list[tuple[Callable[[], object], int]] = [
        (lambda: log.append(span_rows(1, 2, 3)), 3),
        (lambda: log.append(span_rows(4)), 4),
        (log.seal, 4),
        (lambda: log.append(span_rows(5, 6)), 6),
        (commit(parts, log, 1), 6),
        (commit_rollup(parts, log, 1), 6),
        (lambda: log.append(span_rows(7)), 7),
        (lambda: log.remove(1, committed_rows=4), 7),
        (log.seal, 7),
        (commit(parts, log, 2), 7),
        (commit_rollup(parts, log, 2), 7),
        (lambda: log.remove(2, committed_rows=3), 7),
        (lambda: log.append(span_rows(8)), 8),
    ]
    for step, expected in steps:
        step()

        assert seen(parts) == (expected, expected)


def test_before_anything_is_written_there_are_no_rows(parts: Parts) -> None:
    view = parts.hot.view(EXPOSURES)

    assert (view.files, view.hot.num_rows) == ((), 0)
    assert view.hot.schema == EXPOSURES.schema


def test_a_segment_without_calls_is_hot_until_it_is_removed_and_adds_nothing(parts: Parts) -> None:
    log = parts.log(SPANS)
    log.append(span_rows(1, is_inference=False))
    log.seal()
    commit(parts, log, 1)()
    commit_rollup(parts, log, 1)()

    assert seen(parts) == (1, 0)
    log.remove(1, committed_rows=1)
    assert seen(parts) == (1, 0)


def test_rows_of_another_writer_in_the_lake_do_not_hide_hot_ones(parts: Parts) -> None:
    rows = pa.Table.from_batches([exposure_rows(9)])
    parts.lake.commit(EXPOSURES, rows, writer_id="another", segment=100)
    parts.log(EXPOSURES).append(exposure_rows(1))

    assert parts.count(EXPOSURES) == 2


def test_a_torn_and_a_damaged_frame_are_not_rows(parts: Parts) -> None:
    encoder = SegmentEncoder(EXPOSURES.schema)
    good, damaged, torn = (bytearray(encoded(encoder, exposure_rows(number))) for number in (1, 2, 3))
    damaged[-100] ^= 1
    path = segment_path(parts.data.log / "exposures", 1)
    path.parent.mkdir()
    path.write_bytes(encoder.header + good + damaged + good + torn[:-1])

    found = parts.hot.view(EXPOSURES).hot

    assert found["session_id"].to_pylist() == ["s1", "s1"]


class CommitsBetween(Lake):
    """A lake in which, whenever it is looked at, the oldest segment has just been committed and removed."""

    def __init__(self, parts: Parts, log: SegmentLog, *, times: int) -> None:
        super().__init__(parts.lake.directory)
        self._parts, self._log, self._times = parts, log, times

    def snapshot(self, table: object, writer_id: str) -> object:  # type: ignore[override]
        before = super().snapshot(SPANS, writer_id)
        if self._times:
            self._times -= 1
            number = self._log.sealed()[0]
            commit(self._parts, self._log, number)()
            self._log.remove(number, committed_rows=1)
        return before


def test_a_segment_that_is_removed_while_it_is_looked_at_is_looked_for_again(parts: Parts) -> None:
    log = parts.log(SPANS)
    for number in range(5):
        log.append(span_rows(number))
        log.seal()
    hot = HotRows(parts.data.log, CommitsBetween(parts, log, times=3), parts.writer_id)

    view = hot.view(SPANS)

    assert (len(view.files), view.hot.num_rows) == (3, 2)
