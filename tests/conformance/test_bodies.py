"""Points 6, 7, 12 and 13: compressed bodies, bodies that are too large, and more than there is room for."""

from collections.abc import Iterator

import pytest
from backports import zstd
from client_messages import export_request, span
from conformance.doors import COMPRESSORS, DOORS, HTTP_DOORS, MIB, SIGNALS, TRACES, Door, HttpDoor, Signal, Target
from conformance.points import point

pytestmark = pytest.mark.e2e
each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
each_http_door = pytest.mark.parametrize("door", HTTP_DOORS, ids=lambda door: door.name)
each_signal = pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
LIMIT = 64 * MIB
TOO_LARGE = (413, "RESOURCE_EXHAUSTED")


@point(7)
@each_door
@each_signal
def test_gzip_is_taken(target: Target, door: Door, signal: Signal) -> None:
    assert door.send(target, door.encode(signal.sample()), signal, "gzip").code in (200, "OK")


@point(7)
@each_http_door
@each_signal
@pytest.mark.parametrize("encoding", ["zstd", "deflate"])
def test_zstd_and_deflate_are_taken(target: Target, door: HttpDoor, signal: Signal, encoding: str) -> None:
    assert door.send(target, door.encode(signal.sample()), signal, encoding).code == 200


@point(7)
@each_http_door
def test_what_is_compressed_in_several_parts_is_taken_whole(target: Target, door: HttpDoor) -> None:
    body = door.encode(TRACES.sample())
    parts = [COMPRESSORS["zstd"](body[:20]), COMPRESSORS["zstd"](body[20:])]

    answer = door.post(target, "/v1/traces", b"".join(parts), **{"Content-Encoding": "zstd"})

    assert answer.code == 200


@point(7)
@each_http_door
@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
def test_a_broken_stream_is_400_with_a_status(target: Target, door: HttpDoor, encoding: str) -> None:
    whole = COMPRESSORS[encoding](door.encode(TRACES.sample()))

    for broken in (b"not compressed", whole[:-5], whole + b"trailing"):
        answer = door.post(target, "/v1/traces", broken, **{"Content-Encoding": encoding})
        assert (answer.code, answer.media_type) == (400, door.media_type)
        assert answer.status is not None
        assert encoding in answer.status.message


@point(7)
@each_http_door
@pytest.mark.parametrize("encoding", ["br", "snappy", "gzip, gzip", "none"])
def test_an_unknown_encoding_is_415_with_a_status(target: Target, door: HttpDoor, encoding: str) -> None:
    answer = door.post(target, "/v1/traces", b"x", **{"Content-Encoding": encoding})

    assert (answer.code, answer.media_type) == (415, door.media_type)
    assert answer.status is not None
    assert "gzip" in answer.status.message


@point(6)
@each_door
def test_a_body_beyond_the_limit_is_too_large_for_good(target: Target, door: Door) -> None:
    body = door.encode(export_request([span(attributes={"text": "x" * LIMIT})]))

    answer = door.send(target, body, TRACES)

    assert answer.code in TOO_LARGE
    assert not answer.is_retryable


@point(6)
@each_http_door
def test_a_body_of_unknown_length_beyond_the_limit_is_too_large(target: Target, door: HttpDoor) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(LIMIT // MIB + 1):
            yield b" " * MIB

    assert door.post(target, "/v1/traces", chunks()).code == 413


@point(6)
@each_door
def test_a_body_that_inflates_beyond_the_limit_is_too_large_for_good(target: Target, door: Door) -> None:
    body = door.encode(export_request([span(attributes={"text": "x" * LIMIT})]))

    answers = [door.send(target, body, TRACES, "gzip")]
    if isinstance(door, HttpDoor):
        answers += [door.send(target, body, TRACES, encoding) for encoding in ("zstd", "deflate")]

    for answer in answers:
        assert answer.code in TOO_LARGE
        assert not answer.is_retryable


@point(6)
@each_http_door
def test_bombs_of_ten_gigabytes_are_refused_with_less_memory_than_the_limit(unused: Target, door: HttpDoor) -> None:
    # Of a server that was never used: one that was keeps memory, and the bombs' would not be seen.
    before = unused.peak_bytes()

    for encoding in ("gzip", "zstd"):
        # Frames and members one behind the other are one body: so a large one is made fast.
        bomb = COMPRESSORS[encoding](bytes(64 * MIB)) * 160
        assert door.post(unused, "/v1/traces", bomb, **{"Content-Encoding": encoding}).code == 413

    assert unused.peak_bytes() - before < 64 * MIB


@point(6)
@each_http_door
def test_a_frame_of_zstd_that_asks_for_a_large_window_is_refused(target: Target, door: HttpDoor) -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    content = compressor.compress(door.encode(TRACES.sample())) + compressor.flush()

    assert door.post(target, "/v1/traces", content, **{"Content-Encoding": "zstd"}).code in (400, 413)


@point(12)
@each_door
def test_more_than_there_is_room_for_is_retryable_and_says_when(throttled: Target, door: Door) -> None:
    body = door.encode(export_request([span(attributes={"text": "x" * 200_000})]))

    answer = door.send(throttled, body, TRACES)

    assert answer.code in (503, "UNAVAILABLE")
    assert answer.retry_info is not None
    assert answer.retry_info.retry_delay.ToTimedelta().total_seconds() > 0
    assert answer.code == "UNAVAILABLE" or int(answer.headers["retry-after"]) > 0


@point(13)
@each_door
def test_what_there_is_no_room_for_is_refused_before_it_is_decoded(throttled: Target, door: Door) -> None:
    malformed = b"\xff" * 200_000

    assert door.send(throttled, malformed, TRACES).code in (503, "UNAVAILABLE")
    assert door.send(throttled, door.encode(TRACES.sample()), TRACES).code in (200, "OK")
