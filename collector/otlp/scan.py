"""One scan of requests: the tables and buffers that the compiled decoder fills, made large enough."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.component import TooLargeError
from collector.otlp.bodies import Bodies
from collector.otlp.compiled import cursor as at
from collector.otlp.compiled import pairs, promotion, request, span
from collector.otlp.compiled.keys import KEYS
from collector.otlp.compiled.memory import Workspace
from collector.otlp.compiled.provenance import COMBINATIONS_MAX
from collector.otlp.compiled.value import NO_ROOM

# A resource and a scope stand once in a request, and in the row of each of its spans: 1 MB could become 100 GB.
SHARED_BYTES_MAX = 256 * 1024 * 1024
# What requests that are decoded together may come to.
DECODED_BYTES_MAX = 512 * 1024 * 1024

_BUFFER_BYTES_MIN = 64 * 1024
_GROWTH = 4
_BUFFERS = ("attributes", "events", "links", "made")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found: ``rows`` spans, the first columns of ``cells`` (``compiled.span`` names its rows).

    ``offsets`` are where the rows' texts end in ``attributes``, ``events`` and ``links``; ``contexts`` what the spans
    of a scope share; ``rejections`` the first rejected spans of each request.
    """

    rows: int
    cells: NDArray[np.int64]
    offsets: NDArray[np.int32]
    contexts: NDArray[np.int64]
    rejections: NDArray[np.int64]
    attributes: NDArray[np.uint8]
    events: NDArray[np.uint8]
    links: NDArray[np.uint8]
    made: NDArray[np.uint8]


def scan(bodies: Bodies, found: NDArray[np.int64], workspace: Workspace) -> Scanned:
    """Return what is in the requests that have no error in ``found`` yet; put there the errors that others have.

    Raises TooLargeError where the requests come to more than DECODED_BYTES_MAX together.
    """
    room_bytes = 2 * int(bodies.stops.max(initial=0)) + _BUFFER_BYTES_MIN
    while True:
        scanned = _try(bodies, found, workspace, room_bytes)
        if scanned is not None:
            return scanned
        if room_bytes > DECODED_BYTES_MAX:
            raise TooLargeError(f"decoded, its spans take more than {DECODED_BYTES_MAX} bytes: send it in parts")
        room_bytes *= _GROWTH


def _try(bodies: Bodies, found: NDArray[np.int64], workspace: Workspace, room_bytes: int) -> Scanned | None:
    good = found[request.ERROR] == 0
    spans = int(found[request.SPANS][good].sum())
    contexts = np.empty((request.CONTEXT_WIDTH, int(found[request.SCOPES][good].sum()) + 1), np.int64)
    # A stride that is no power of two: else all columns of a row would fall on the same lines of the cache.
    stride = -(-(spans + 1) // 512) * 512 + 8
    cells = workspace.integers("cells", span.WIDTH, stride)
    cursor = np.zeros(8, np.int64)
    cursor[at.LAST_COMBINATION] = -1
    offsets = np.zeros((3, spans + 1), np.int32)
    rejections = np.empty((1 + len(found[0]) * request.REJECTIONS_TOLD, request.REJECTION_WIDTH), np.int64)
    attributes, events, links, made = (workspace.sized(name, room_bytes) for name in _BUFFERS)
    status = request.scan(
        bodies.data.ctypes.data,
        bodies.starts,
        bodies.stops,
        found,
        cells,
        cursor,
        offsets,
        contexts,
        rejections,
        attributes.address,
        events.address,
        links.address,
        made.address,
        workspace.integers("pairs", pairs.ROWS, pairs.WIDTH),
        # The winners of a span, the filter of the keys that it has, and what may be filled later.
        np.empty((promotion.WINNERS_ROWS, promotion.WINNERS_WIDTH), np.int64),
        np.empty((COMBINATIONS_MAX + 1, len(KEYS.columns) + 1), np.int64),
        bodies.headers,
        bodies.header_starts,
        bodies.header_bytes,
        SHARED_BYTES_MAX,
    )
    if status == NO_ROOM:
        return None
    rows = int(cursor[at.ROW])
    return Scanned(
        rows=rows,
        cells=cells,
        offsets=offsets[:, : rows + 1],
        contexts=contexts[:, : int(cursor[at.CONTEXTS])],
        rejections=rejections[1 : 1 + int(rejections[0, 0])],
        attributes=attributes.data,
        events=events.data,
        links=links.data,
        made=made.data,
    )
