"""Forwarding to one target: what is sent, sent again, dropped and counted, and what waits on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lake_parts import span_rows
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from otlp_target import Reply, Target, names, target

from collector.exporters import otlp_forward
from collector.exporters.otlp_forward import Forwarding, OtlpForwardExporter
from collector.forward.queue import CURSOR, SealedSegment
from collector.forward.target import MIB, ForwardTarget
from schemas.spans import SPANS
from storage.segments import SegmentEncoder, segment_path

WRITER = "w"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_forward, "RETRY_S_MIN", 0.01)
    monkeypatch.setattr(otlp_forward, "RETRY_S_MAX", 0.05)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "forward").mkdir()


def sealed(tmp_path: Path, number: int, *frames: list[int], **columns: Any) -> SealedSegment:
    """Return a segment of the log with a frame of spans each; they are named by their numbers."""
    encoder = SegmentEncoder(SPANS.schema)
    parts = [encoder.header]
    for numbers in frames:
        for one in numbers:
            parts += [bytes(part) for part in encoder.frame(span_rows(one, **({"name": str(one)} | columns)))]
    path = segment_path(tmp_path / "log", number)
    path.write_bytes(b"".join(parts))
    return SealedSegment(path, number, path.stat().st_size, sum(map(len, frames)))


@contextmanager
def exporter(tmp_path: Path, url: str, **settings: Any) -> Iterator[OtlpForwardExporter]:
    found = OtlpForwardExporter("t", ForwardTarget(url=url, **settings), tmp_path / "forward" / "t", WRITER)
    try:
        yield found
    finally:
        found.stop()


def waiting(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "forward" / "t").glob("*.arrow"))


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def sent_all(found: OtlpForwardExporter, there: Target, count: int) -> None:
    there.wait_for(count)
    until(lambda: found.status().queue_bytes == 0)


def test_each_span_is_sent_once_in_order(tmp_path: Path) -> None:
    with target() as there, exporter(tmp_path, there.url) as found:
        found.keep(sealed(tmp_path, 1, [1, 2], [3]))
        found.keep(sealed(tmp_path, 2, [4]))
        found.start()
        sent_all(found, there, 4)

        assert there.taken == ["1", "2", "3", "4"]
        assert found.status().sent == 4
        assert waiting(tmp_path) == []


def test_the_log_may_remove_a_segment_that_is_kept(tmp_path: Path) -> None:
    with target() as there, exporter(tmp_path, there.url) as found:
        segment = sealed(tmp_path, 1, [1])
        found.keep(segment)
        segment.path.unlink()
        found.start()

        there.wait_for(1)


def test_headers_and_gzip_are_sent(tmp_path: Path) -> None:
    with target() as there, exporter(tmp_path, there.url, headers={"X-API-Key": "secret"}) as found:
        found.start()
        found.keep(sealed(tmp_path, 1, [1]))
        there.wait_for(1)

        (headers,) = there.headers
        assert (headers["x-api-key"], headers["content-encoding"]) == ("secret", "gzip")
        assert headers["content-type"] == "application/x-protobuf"


def test_only_the_projects_that_are_named_are_sent(tmp_path: Path) -> None:
    with target() as there, exporter(tmp_path, there.url, projects=("mine",)) as found:
        found.keep(sealed(tmp_path, 1, [1], project="other"))
        found.keep(sealed(tmp_path, 2, [2], project="mine"))
        found.start()
        sent_all(found, there, 1)

        assert there.taken == ["2"]


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504, 401, 403, 404])
def test_what_may_be_taken_later_is_sent_again_with_the_same_bytes(tmp_path: Path, status: int) -> None:
    with (
        target(lambda before, _: Reply(status) if before < 3 else Reply()) as there,
        exporter(tmp_path, there.url) as found,
    ):
        found.start()
        found.keep(sealed(tmp_path, 1, [1, 2]))
        sent_all(found, there, 2)

        assert len(set(there.bodies)) == 1
        assert (found.status().retries, found.status().sent) == (3, 2)
        assert found.status().failing_for_s == 0


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    with (
        target(lambda before, _: Reply() if before else Reply(503, {"Retry-After": "1"})) as there,
        exporter(tmp_path, there.url) as found,
    ):
        found.start()
        found.keep(sealed(tmp_path, 1, [1]))
        there.wait_for(1)

        assert there.times_s[1] - there.times_s[0] >= 1.0


def test_what_is_refused_for_good_is_dropped_counted_and_told_without_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        target(lambda before, _: Reply() if before else Reply(400, body=b"quoted content")) as there,
        exporter(tmp_path, there.url) as found,
    ):
        found.start()
        found.keep(sealed(tmp_path, 1, [1, 2]))
        found.keep(sealed(tmp_path, 2, [3]))
        sent_all(found, there, 1)

        assert there.taken == ["3"]
        assert (found.status().dropped["refused"], found.status().sent) == (2, 1)
        assert "2 spans are dropped, refused: HTTP 400" in caplog.text
        assert "quoted" not in caplog.text


def test_what_a_target_leaves_out_is_counted(tmp_path: Path) -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    reply = Reply(200, {"Content-Type": "application/x-protobuf"}, answer.SerializeToString())
    with target(lambda *_: reply) as there, exporter(tmp_path, there.url) as found:
        found.start()
        found.keep(sealed(tmp_path, 1, [1, 2, 3]))
        sent_all(found, there, 3)

        assert (found.status().sent, found.status().dropped["rejected"]) == (2, 1)


def test_what_is_too_large_is_halved_until_it_fits(tmp_path: Path) -> None:
    with (
        target(lambda _, request: Reply(413 if len(names(request)) > 2 else 200)) as there,
        exporter(tmp_path, there.url) as found,
    ):
        found.start()
        found.keep(sealed(tmp_path, 1, list(range(7))))
        sent_all(found, there, 7)

        assert there.taken == [str(number) for number in range(7)]


def test_a_span_that_is_too_large_alone_is_dropped(tmp_path: Path) -> None:
    with (
        target(lambda _, request: Reply(413 if "1" in names(request) else 200)) as there,
        exporter(tmp_path, there.url) as found,
    ):
        found.start()
        found.keep(sealed(tmp_path, 1, [1, 2, 3]))
        sent_all(found, there, 2)

        assert found.status().dropped["too_large"] == 1


def test_large_rows_are_sent_in_several_requests(tmp_path: Path) -> None:
    with target() as there, exporter(tmp_path, there.url, compression="none") as found:
        found.start()
        found.keep(sealed(tmp_path, 1, list(range(6)), attributes=f'{{"a":"{"x" * 400_000}"}}'))
        sent_all(found, there, 6)

        assert [len(body) > 800_000 for body in there.bodies] == [True] * 3


def test_a_stop_does_not_wait_for_a_target_that_is_down_and_a_start_goes_on(tmp_path: Path) -> None:
    with target(lambda *_: Reply(503)) as there, exporter(tmp_path, there.url) as found:
        found.start()
        found.keep(sealed(tmp_path, 1, [1, 2]))
        until(lambda: found.status().retries > 1)
        began_s = time.monotonic()
        found.stop()
        assert time.monotonic() - began_s < 2
        assert len(waiting(tmp_path)) == 1

        there.script = lambda *_: Reply()
        with exporter(tmp_path, there.url) as again:
            again.start()
            sent_all(again, there, 2)


def test_a_stop_does_not_wait_for_a_target_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_forward, "DRAIN_S_MAX", 0.3)
    with target(lambda *_: Reply(delay_s=20)) as there, exporter(tmp_path, there.url, timeout_s=60) as found:
        found.start()
        found.keep(sealed(tmp_path, 1, [1]))
        until(lambda: bool(there.bodies))
        began_s = time.monotonic()
        found.stop()

        assert time.monotonic() - began_s < 5
        assert len(waiting(tmp_path)) == 1


def test_a_target_that_hangs_is_asked_again(tmp_path: Path) -> None:
    with (
        target(lambda before, _: Reply() if before else Reply(503, delay_s=5)) as there,
        exporter(tmp_path, there.url, timeout_s=0.2) as found,
    ):
        found.start()
        found.keep(sealed(tmp_path, 1, [1]))

        there.wait_for(1, timeout_s=3)


def test_after_an_end_in_the_middle_of_a_segment_the_rest_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_forward, "SPANS_A_REQUEST_MAX", 2)
    with (
        target(lambda before, _: Reply() if before < 2 else Reply(503)) as there,
        exporter(tmp_path, there.url) as found,
    ):
        found.start()
        found.keep(sealed(tmp_path, 1, [1, 2, 3, 4, 5]))
        until(lambda: found.status().retries > 0)
        there.script = lambda *_: Reply()
        with exporter(tmp_path, there.url) as again:
            again.start()
            there.wait_for(5)

    assert there.taken == ["1", "2", "3", "4", "5"]


def test_a_segment_that_is_committed_again_is_not_sent_again(tmp_path: Path) -> None:
    segment = sealed(tmp_path, 1, [1])
    with target() as there, exporter(tmp_path, there.url) as found:
        found.start()
        found.keep(segment)
        sent_all(found, there, 1)
        found.keep(segment)
        assert waiting(tmp_path) == []
        # Nor after a restart.
        with exporter(tmp_path, there.url) as again:
            again.keep(segment)
            assert waiting(tmp_path) == []


@pytest.mark.parametrize(
    "content", ["", "{", '{"writer_id": "another", "segment": 9, "row": 9}', "[]", '{"segment":1}']
)
def test_a_cursor_that_says_nothing_leaves_nothing_out(tmp_path: Path, content: str) -> None:
    with target() as there, exporter(tmp_path, there.url) as found:
        found.keep(sealed(tmp_path, 1, [1, 2]))
        (tmp_path / "forward" / "t" / CURSOR).write_text(content)
        with exporter(tmp_path, there.url) as again:
            again.start()
            there.wait_for(2)


def test_beyond_the_limit_the_oldest_are_dropped_and_their_own_spans_counted(tmp_path: Path) -> None:
    text = "x" * 400_000
    with exporter(tmp_path, "http://127.0.0.1:1", projects=("p",), queue_bytes_max=MIB) as found:
        for number in range(1, 6):
            project = "other" if number == 1 else "p"
            found.keep(sealed(tmp_path, number, [number], output=text, project=project))

        assert found.status().queue_bytes <= MIB
        assert [name[:12] for name in waiting(tmp_path)] == ["000000000004", "000000000005"]
        assert found.status().dropped["queue_full"] == 2


def test_where_the_disk_is_nearly_full_the_queue_gives_way(tmp_path: Path) -> None:
    settings = ForwardTarget(url="http://127.0.0.1:1")
    found = OtlpForwardExporter("t", settings, tmp_path / "forward" / "t", WRITER, disk_free_bytes_min=1 << 60)

    found.keep(sealed(tmp_path, 1, [1]))
    found.keep(sealed(tmp_path, 2, [2]))

    assert found.status().dropped["queue_full"] == 2


def test_damaged_rows_are_counted_and_the_others_sent(tmp_path: Path) -> None:
    segment = sealed(tmp_path, 1, [1], [2], [3])
    content = bytearray(segment.path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    segment.path.write_bytes(content)
    with target() as there, exporter(tmp_path, there.url) as found:
        found.start()
        found.keep(segment)
        sent_all(found, there, 2)

        assert found.status().dropped["damaged"] == 1


def test_a_row_that_can_not_be_sent_at_all_does_not_keep_the_others(tmp_path: Path) -> None:
    with target() as there, exporter(tmp_path, there.url) as found:
        found.start()
        found.keep(sealed(tmp_path, 1, [1], trace_id="no hex"))
        found.keep(sealed(tmp_path, 2, [2]))
        sent_all(found, there, 1)

        assert found.status().dropped["unencodable"] == 1


def test_what_was_refused_behind_the_acknowledged_bytes_is_not_sent(tmp_path: Path) -> None:
    whole = sealed(tmp_path, 1, [1, 2])
    first = sealed(tmp_path, 2, [1])
    with target() as there, exporter(tmp_path, there.url) as found:
        found.start()
        found.keep(SealedSegment(whole.path, 1, first.size_bytes, 1))
        sent_all(found, there, 1)

        assert there.taken == ["1"]


def test_a_folder_of_a_target_that_is_none_any_more_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "forward" / "gone").mkdir()

    Forwarding({}, tmp_path / "forward", WRITER)

    assert "none any more: gone" in caplog.text


def test_without_a_target_nothing_is_made(tmp_path: Path) -> None:
    forwarding = Forwarding({}, tmp_path / "none", WRITER)
    forwarding.start()
    forwarding.stop()

    assert not (tmp_path / "none").exists()
