"""Points 1 to 5 and 8: where requests come in, as what, and how a refusal is told."""

import pytest
from conformance.doors import (
    DOORS,
    GRPC,
    HTTP_DOORS,
    INVALID_ARGUMENT,
    JSON,
    LOGS,
    PROTOBUF,
    SIGNALS,
    TRACES,
    Answer,
    Door,
    HttpDoor,
    Signal,
    Target,
)
from conformance.points import point

pytestmark = pytest.mark.e2e
each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
each_http_door = pytest.mark.parametrize("door", HTTP_DOORS, ids=lambda door: door.name)
each_signal = pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)


def accept(answer: Answer) -> None:
    assert (answer.code, answer.status) in ((200, None), ("OK", None))


@point(1)
@each_door
@each_signal
def test_each_signal_is_taken_where_otlp_says(target: Target, door: Door, signal: Signal) -> None:
    accept(door.send(target, door.encode(signal.sample()), signal))


@point(2)
@each_http_door
@each_signal
def test_the_answer_has_the_content_type_of_the_request(target: Target, door: HttpDoor, signal: Signal) -> None:
    answer = door.send(target, door.encode(signal.sample()), signal)

    assert (answer.code, answer.media_type) == (200, door.media_type)
    assert isinstance(answer.response, signal.response)


@point(2)
@each_http_door
@pytest.mark.parametrize("spelled", ["{}; charset=utf-8", "{};charset=UTF-8; a=b", "{} ; a=b", "upper"])
def test_parameters_and_case_of_the_content_type_do_not_matter(target: Target, door: HttpDoor, spelled: str) -> None:
    media_type = door.media_type.upper() if spelled == "upper" else spelled.format(door.media_type)

    answer = door.post(target, "/v1/traces", door.encode(TRACES.sample()), **{"Content-Type": media_type})

    assert (answer.code, answer.media_type) == (200, door.media_type)


@point(3)
@each_http_door
@each_signal
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_405_with_allow_and_a_status(
    target: Target, door: HttpDoor, signal: Signal, method: str
) -> None:
    answer = door.post(target, signal.path, method=method)

    assert (answer.code, answer.headers.get("allow"), answer.media_type) == (405, "POST", door.media_type)
    assert answer.status is not None
    assert answer.status.message


@point(3)
@each_http_door
@pytest.mark.parametrize("path", ["/v1/trace", "/v1/traces/", "/v1/", "/v1/traces/x"])
def test_a_wrong_path_is_404_with_a_status(target: Target, door: HttpDoor, path: str) -> None:
    answer = door.post(target, path, door.encode(TRACES.sample()))

    assert (answer.code, answer.media_type) == (404, door.media_type)
    assert answer.status is not None
    assert answer.status.message


@point(3)
@pytest.mark.parametrize("door", [GRPC], ids=lambda door: door.name)
def test_an_unknown_method_is_unimplemented(target: Target, door: Door) -> None:
    nowhere = Signal("traces", "trace.v2.TraceService", TRACES.response, TRACES.sample)

    assert door.send(target, b"", nowhere).code == "UNIMPLEMENTED"


@point(4)
@each_signal
@pytest.mark.parametrize("media_type", ["text/plain", "application/octet-stream", "application/jsonx", ""])
def test_an_unknown_content_type_is_415_with_a_status_in_json(target: Target, signal: Signal, media_type: str) -> None:
    answer = HTTP_DOORS[0].post(target, signal.path, b"x", **{"Content-Type": media_type})

    assert (answer.code, answer.media_type) == (415, JSON)
    assert answer.status is not None
    assert PROTOBUF in answer.status.message


@point(4)
@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/v1/traces", 405), ("POST", "/v1/nothing", 404)])
def test_any_other_error_keeps_its_code_where_the_content_type_is_unknown(
    target: Target, method: str, path: str, code: int
) -> None:
    answer = HTTP_DOORS[0].post(target, path, method=method, **{"Content-Type": "text/plain"})

    assert (answer.code, answer.media_type) == (code, JSON)
    assert answer.status is not None


MALFORMED = {
    "http-protobuf": [b"\xff\xff\xff\xff", b"\x0a\x05abc", b"\x0a\xff\xff\xff\xff\x0f", b"{}"],
    "grpc": [b"\xff\xff\xff\xff", b"\x0a\x05abc", b"\x0a\xff\xff\xff\xff\x0f", b"{}"],
    "http-json": [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"{} {}", b"\x0a\x05abc"],
}


@point(5)
@each_door
@each_signal
def test_a_malformed_body_is_an_invalid_argument_with_its_violation(target: Target, door: Door, signal: Signal) -> None:
    for body in MALFORMED[door.name]:
        answer = door.send(target, body, signal)

        assert answer.code in (400, "INVALID_ARGUMENT"), body
        assert answer.status is not None
        assert answer.status.code == INVALID_ARGUMENT
        assert answer.violation is not None
        assert not answer.is_retryable


@point(5)
@each_door
@each_signal
def test_a_body_that_ends_in_the_middle_is_an_invalid_argument(target: Target, door: Door, signal: Signal) -> None:
    body = door.encode(signal.sample())

    codes = {door.send(target, body[:end], signal).code for end in (1, len(body) // 2, -1)}

    assert codes in ({400}, {"INVALID_ARGUMENT"})


@point(5)
@pytest.mark.parametrize("door", HTTP_DOORS[1:], ids=lambda door: door.name)
@each_signal
def test_a_violation_in_json_names_the_field(target: Target, door: Door, signal: Signal) -> None:
    field = {"traces": "resourceSpans", "logs": "resourceLogs", "metrics": "resourceMetrics"}[signal.name]

    answer = door.send(target, b'{"%s": [{"resource": 5}]}' % field.encode(), signal)

    assert answer.violation is not None
    assert answer.violation.field_violations[0].field == f"{field}[0].resource"


@point(8)
@each_door
@each_signal
def test_an_empty_request_is_a_success(target: Target, door: Door, signal: Signal) -> None:
    accept(door.send(target, b"{}" if door.name == "http-json" else b"", signal))


@point(8)
@each_door
@each_signal
def test_full_success_leaves_partial_success_unset(target: Target, door: Door, signal: Signal) -> None:
    answer = door.send(target, door.encode(signal.sample()), signal)

    accept(answer)
    assert answer.content == (b"{}" if door.name == "http-json" else b"")


@point(12)
@each_http_door
def test_a_refusal_for_good_has_no_hint_when_to_try_again(target: Target, door: HttpDoor) -> None:
    answers = [
        door.post(target, LOGS.path, b"\xff"),
        door.post(target, TRACES.path, method="GET"),
        door.post(target, "/v1/nothing"),
        door.post(target, TRACES.path, b"", **{"Content-Encoding": "br"}),
    ]

    assert [answer.code for answer in answers] == [400, 405, 404, 415]
    for answer in answers:
        assert "retry-after" not in answer.headers
        assert answer.retry_info is None
