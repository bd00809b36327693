"""OTLP/protobuf to a batch of the span table.

Every transport ends here: OTLP/JSON is turned into the same bytes first (``json.py``).

Theory of operation. The requests' bodies are laid one behind the other (``bodies``). ``compiled.request.count`` walks
their outer levels, so that it is known how many spans there are; ``scan`` reads them into one table of numbers, where
a text stands as its place in the bodies. Only what has no such place, JSON and texts of numbers, is written meanwhile.
``columns`` then copies each column's texts behind each other, which is what Arrow needs; ``derivation`` looks again at
the few spans of which compiled code is not sure. A request that is malformed leaves nothing; a span with unusable ids
is rejected alone.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from collector.component import CollectorError, DecodeError, TooLargeError
from collector.otlp.bodies import lay_out
from collector.otlp.columns import columns
from collector.otlp.compiled import protobuf, request, span
from collector.otlp.compiled.memory import Workspace
from collector.otlp.compiled.pairs import PAIRS_MAX
from collector.otlp.derivation import with_derived
from collector.otlp.scan import SHARED_BYTES_MAX, scan
from collector.request import Decoded, Outcome, Received

# A span can be told in 30 bytes and takes kilobytes as a row.
SPANS_MAX = 100_000
# A scope in 2 bytes, and takes 64 without any span.
SCOPES_MAX = 100_000
# Memory that is kept for the next requests, a piece.
WORKSPACE_BYTES_MAX = 64 * 1024 * 1024

_threads = threading.local()
_TOO_MANY_SPANS, _TOO_MANY_SCOPES = -30, -31
MALFORMED = {
    protobuf.TRUNCATED: "a field is longer than what holds it",
    protobuf.BAD_VARINT: "a varint has more than 10 bytes",
    protobuf.BAD_LENGTH: "a length has more than 31 bits",
    protobuf.BAD_TAG: "a field's tag is not valid",
    protobuf.BAD_GROUP: "a group has no beginning, or no end",
    protobuf.BAD_UTF8: "a string is not UTF-8",
    protobuf.TOO_DEEP: f"nested deeper than {protobuf.DEPTH_MAX} messages",
}
"""What is wrong with a body, by the errors of the compiled functions."""

_TOO_LARGE = {
    request.SHARED_TOO_LARGE: (
        f"resource, scope and headers, repeated for each span, are larger than {SHARED_BYTES_MAX} bytes, the limit"
    ),
    request.TOO_MANY_RESOURCE_ATTRIBUTES: f"at most {PAIRS_MAX} attributes in a resource or scope allowed",
}
_REJECTED = {
    span.BAD_TRACE_ID: "traceId: 16 bytes expected, got {}",
    span.ZERO_TRACE_ID: "traceId: must not be all zeros",
    span.BAD_SPAN_ID: "spanId: 8 bytes expected, got {}",
    span.ZERO_SPAN_ID: "spanId: must not be all zeros",
    span.BAD_PARENT_ID: "parentSpanId: 8 bytes or none expected, got {}",
    span.TOO_MANY_ATTRIBUTES: "attributes: at most {} in an object allowed",
}
# What rejected spans are counted by.
_REASONS = {
    span.BAD_TRACE_ID: "trace_id",
    span.ZERO_TRACE_ID: "trace_id",
    span.BAD_SPAN_ID: "span_id",
    span.ZERO_SPAN_ID: "span_id",
    span.BAD_PARENT_ID: "parent_span_id",
    span.TOO_MANY_ATTRIBUTES: "attributes",
}


def decode(requests: Sequence[Received]) -> Decoded:
    """Return the spans of ExportTraceServiceRequests as one batch, and each request's own outcome.

    Raises TooLargeError where they come to too much together.
    """
    workspace = _workspace()
    bodies = lay_out(requests, workspace)
    found = np.zeros((request.FOUND_WIDTH, len(requests)), np.int64)
    request.count(bodies.data.ctypes.data, bodies.starts, bodies.stops, found)
    for error, what, most in (
        (_TOO_MANY_SPANS, request.SPANS, SPANS_MAX),
        (_TOO_MANY_SCOPES, request.SCOPES, SCOPES_MAX),
    ):
        found[request.ERROR][(found[request.ERROR] == 0) & (found[what] > most)] = error
    scanned = scan(bodies, found, workspace)
    reasons: dict[int, list[str]] = defaultdict(list)
    for index, resource, scope, number, reason, detail in scanned.rejections.tolist():
        place = f"resourceSpans[{resource}].scopeSpans[{scope}].spans[{number}]"
        reasons[index].append(f"{place}.{_REJECTED[reason].format(detail)}")
    outcomes = [_outcome(found[:, index], reasons[index]) for index in range(len(requests))]
    return Decoded("spans", with_derived(columns(scanned, bodies, requests), scanned), outcomes)


def _workspace() -> Workspace:
    workspace: Workspace | None = getattr(_threads, "workspace", None)
    if workspace is None:
        workspace = _threads.workspace = Workspace(WORKSPACE_BYTES_MAX)
    return workspace


def _outcome(found: NDArray[np.int64], reasons: list[str]) -> Outcome | CollectorError:
    error = int(found[request.ERROR])
    if error == 0:
        rejected = int(found[request.REJECTED])
        by_reason = _counts(found) if rejected else ()
        return Outcome(int(found[request.ACCEPTED]), rejected, _summary(reasons, rejected), reasons=by_reason)
    if error == _TOO_MANY_SPANS:
        return _too_many(SPANS_MAX, "spans", found[request.SPANS])
    if error == _TOO_MANY_SCOPES:
        return _too_many(SCOPES_MAX, "scopes", found[request.SCOPES])
    place = f"at byte {int(found[request.ERROR_PLACE])}"
    if error in _TOO_LARGE:
        return TooLargeError(f"{place}: {_TOO_LARGE[error]}: send it in parts")
    return DecodeError(f"not an ExportTraceServiceRequest: {place}: {MALFORMED[error]}")


def _too_many(most: int, what: str, got: np.int64) -> TooLargeError:
    return TooLargeError(f"at most {most} {what} in a request allowed, got {int(got)}: send it in parts")


def _counts(found: NDArray[np.int64]) -> tuple[tuple[str, int], ...]:
    counts = Counter[str]()
    for reason, name in _REASONS.items():
        counts[name] += int(found[request.REJECTED_BY_REASON + reason])
    return tuple((name, count) for name, count in counts.items() if count)


def _summary(reasons: list[str], rejected: int) -> str:
    if not rejected:
        return ""
    more = f"; and {rejected - len(reasons)} more" if rejected > len(reasons) else ""
    return f"{rejected} spans rejected: {'; '.join(reasons)}{more}"
