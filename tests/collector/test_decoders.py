"""Which decoder a JSON body on the traces path goes to, and the kinds of Fallom's own OTLP exporter."""

from typing import Any

import pytest
from collector_inputs import decode, flat_trace

from collector.component import DecodeError
from collector.request import Format

HEADERS = {"x-fallom-session-id": "s"}


def kinds(*numbers: int, headers: dict[str, str]) -> list[object]:
    spans: list[dict[str, Any]] = [{"traceId": "a" * 32, "spanId": "b" * 16, "kind": kind} for kind in numbers]
    decoded = decode({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}, Format.JSON_TRACES, headers)
    return [row["kind"] for row in decoded.rows]


def test_the_kinds_of_fallom_s_exporter_are_javascript_s_and_are_shifted() -> None:
    shifted = kinds(0, 1, 2, 3, 4, headers=HEADERS)

    assert shifted == ["internal", "server", "client", "producer", "consumer"]


def test_kinds_without_fallom_headers_are_otlp_s() -> None:
    plain = kinds(0, 1, 2, 3, 4, 5, 99, headers={})

    assert plain == ["unspecified", "internal", "server", "client", "producer", "consumer", "unspecified"]


def test_a_kind_that_javascript_does_not_have_shows_that_none_is_javascript_s() -> None:
    plain = kinds(3, 5, headers=HEADERS)

    assert plain == ["client", "consumer"]


def test_a_flat_trace_and_an_otlp_request_share_the_path() -> None:
    flat = decode(flat_trace(), Format.JSON_TRACES)
    otlp = decode(flat_trace() | {"resourceSpans": []}, Format.JSON_TRACES)

    assert len(flat.rows) == 1
    assert otlp.rows == []


@pytest.mark.parametrize("document", [{}, {"resourceSpans": []}, {"resource_spans": None}])
def test_a_request_without_spans_is_a_success(document: dict[str, Any]) -> None:
    decoded = decode(document, Format.JSON_TRACES)

    assert (decoded.rows, decoded.rejected) == ([], 0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty body"),
        (b" \n", "empty body"),
        (b"{", "not JSON"),
        (b"[]", "a JSON object expected, got an empty list"),
        (b"null", "got null"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": 1e999}', "not JSON"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"trace_id": ' + b"[" * 100_000, "not JSON"),
    ],
)
@pytest.mark.parametrize("body_format", [Format.JSON_TRACES, Format.METRICS, Format.EXPOSURE])
def test_a_body_that_is_no_json_object_is_refused(body: bytes, message: str, body_format: Format) -> None:
    with pytest.raises(DecodeError, match=message):
        decode(body, body_format)
