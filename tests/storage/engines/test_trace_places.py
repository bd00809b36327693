"""Which files may have a trace's spans: never too few, and soon no more than have."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lake_parts import Parts, span_rows

from schemas.spans import SPANS
from storage.engines.trace_places import TracePlaces, ids_of


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """A lake of three files of ten traces each."""
    made = Parts(tmp_path)
    exporter = made.exporter()
    exporter.start()
    for start in (0, 10, 20):
        ids = {number: f"{number:08x}" * 4 for number in range(start, start + 10)}
        for number, trace_id in ids.items():
            exporter.consume("spans", span_rows(number, trace_id=trace_id))
        exporter.flush()
    yield made
    exporter.stop()
    made.engine.close()


def learned(places: TracePlaces, parts: Parts, trace_id: str, count: int) -> frozenset[str]:
    """Return the files, once they are so few."""
    view = parts.hot.view(SPANS)
    deadline = time.monotonic() + 10
    while len(found := places.files(view, trace_id)) != count:
        assert time.monotonic() < deadline, f"{len(found)} files, not {count}"
        time.sleep(0.01)
    return found


def test_a_trace_is_in_its_own_file_alone(parts: Parts) -> None:
    places = TracePlaces()
    view = parts.hot.view(SPANS)

    found = {learned(places, parts, f"{number:08x}" * 4, 1) for number in (0, 15, 29)}

    assert len(found) == 3
    assert learned(places, parts, "f" * 32, 0) == frozenset()
    assert places.files(view, "no hex digits, 32 characters lon") == frozenset(view.files)
    assert places.files(view, "00") == frozenset(view.files)
    places.close()


def test_what_is_not_known_may_be_in_any_file(parts: Parts) -> None:
    places = TracePlaces()
    view = parts.hot.view(SPANS)
    places.close()

    assert places.files(view, "f" * 32) == frozenset(view.files)


def test_memory_has_a_limit(parts: Parts) -> None:
    places = TracePlaces(bytes_max=100)

    assert len(learned(places, parts, "f" * 32, 1)) == 1
    places.close()


def test_of_a_file_that_is_gone_or_has_other_ids_nothing_is_told(parts: Parts, tmp_path: Path) -> None:
    exporter = parts.exporter()
    exporter.start()
    exporter.consume("spans", span_rows(99, trace_id="short"))
    exporter.flush()
    (odd,) = [file for file in parts.hot.view(SPANS).files if ids_of(file) is None]

    assert odd
    assert ids_of(str(tmp_path / "nothing.parquet")) is None
    exporter.stop()
