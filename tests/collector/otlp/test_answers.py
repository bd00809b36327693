"""Answers to OTLP clients: full and partial success, and refusals with their details."""

import orjson
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.component import AdmissionError, DecodeError, TooLargeError, UnsupportedError
from collector.otlp import answers
from collector.request import Outcome


def test_partial_success_is_unset_where_all_was_taken() -> None:
    answer = answers.response(Outcome(3))

    assert not answer.HasField("partial_success")
    assert answers.encode(answer, answers.PROTOBUF) == b""
    assert answers.encode(answer, answers.JSON) == b"{}"


def test_rejected_spans_are_counted_and_explained_in_the_encoding_of_the_request() -> None:
    answer = answers.response(Outcome(1, 2, "2 spans rejected: why"))

    protobuf = ExportTraceServiceResponse.FromString(answers.encode(answer, answers.PROTOBUF))
    json = orjson.loads(answers.encode(answer, answers.JSON))

    assert protobuf.partial_success.rejected_spans == 2
    assert json == {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "2 spans rejected: why"}}


def test_a_malformed_body_is_answered_with_the_field_at_fault() -> None:
    status = answers.status(DecodeError("a list expected", field="resourceSpans"))

    detail = BadRequest()
    assert status.details[0].Unpack(detail)
    assert (status.code, status.message) == (3, "resourceSpans: a list expected")
    assert detail.field_violations[0].field == "resourceSpans"


def test_a_retryable_refusal_says_when_to_try_again() -> None:
    status = answers.status(AdmissionError("full", retry_after_s=1.5))

    detail = RetryInfo()
    assert status.details[0].Unpack(detail)
    assert status.code == 14
    assert detail.retry_delay.ToMilliseconds() == 1500


@pytest.mark.parametrize(("error", "code"), [(TooLargeError("big"), 8), (UnsupportedError("what"), 3)])
def test_a_permanent_refusal_has_no_hint_to_retry(error: Exception, code: int) -> None:
    status = Status.FromString(answers.encode(answers.status(error), answers.PROTOBUF))

    assert status.code == code
    assert not status.details
