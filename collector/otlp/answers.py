"""What an OTLP client is answered: success, partial success, or a Status, in the encoding of its request."""

import orjson
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.component import (
    CollectorError,
    DecodeError,
    PermissionDeniedError,
    RetryableError,
    TooLargeError,
    UnauthenticatedError,
)
from collector.request import Outcome

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

# The numbers of google.rpc.Code.
INVALID_ARGUMENT = 3
NOT_FOUND = 5
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
UNAVAILABLE = 14
UNAUTHENTICATED = 16
_CODES = {
    RetryableError: UNAVAILABLE,
    TooLargeError: RESOURCE_EXHAUSTED,
    UnauthenticatedError: UNAUTHENTICATED,
    PermissionDeniedError: PERMISSION_DENIED,
}


def response(outcome: Outcome) -> ExportTraceServiceResponse:
    """Return the answer to a request that was taken; ``partial_success`` is unset where all of it was.

    Only spans are ever rejected one by one; all signals' answers without ``partial_success`` are the same, empty.
    """
    answer = ExportTraceServiceResponse()
    if outcome.rejected:
        answer.partial_success.rejected_spans = outcome.rejected
        answer.partial_success.error_message = outcome.message
    return answer


def status(error: CollectorError) -> Status:
    """Return the Status of a refusal: what was wrong, and where, or when to try again."""
    answer = Status(code=code(error), message=str(error))
    if isinstance(error, RetryableError):
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        answer.details.add().Pack(RetryInfo(retry_delay=delay))
    elif isinstance(error, DecodeError):
        violation = BadRequest.FieldViolation(field=error.field or "", description=str(error))
        answer.details.add().Pack(BadRequest(field_violations=[violation]))
    return answer


def encode(message: Message, media_type: str) -> bytes:
    """Return the message in the media type of its request."""
    if media_type == JSON:
        return orjson.dumps(MessageToDict(message))
    return bytes(message.SerializeToString())


def code(error: CollectorError) -> int:
    """Return the google.rpc.Code of a refusal."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), INVALID_ARGUMENT)
