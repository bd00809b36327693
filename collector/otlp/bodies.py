"""The bodies of many requests, one behind the other, as the compiled decoder reads them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.otlp.compiled.keys import KEYS
from collector.otlp.compiled.memory import Workspace
from collector.request import Received


@dataclass(frozen=True, slots=True)
class Bodies:
    """Request r's body is ``data[starts[r]:stops[r]]``.

    Its X-Fallom-* headers, in UTF-8 behind the bodies, are the rows ``header_starts[r]`` to ``header_starts[r + 1]`` of
    ``headers``: the number of the key, from, to. ``header_bytes[r]`` is their size.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    headers: NDArray[np.int64]
    header_starts: NDArray[np.int64]
    header_bytes: NDArray[np.int64]


def lay_out(requests: Sequence[Received], workspace: Workspace) -> Bodies:
    """Return the requests' bodies and headers, in the workspace."""
    parts = [request.body for request, _ in requests]
    ends = np.cumsum([0, *map(len, parts)])
    headers: list[tuple[int, int, int]] = []
    header_starts = np.zeros(len(requests) + 1, np.int64)
    header_bytes = np.zeros(len(requests), np.int64)
    end = int(ends[-1])
    for index, (request, _) in enumerate(requests):
        for name, value in request.headers.items():
            text = value.encode()
            header_bytes[index] += len(text)
            if name in KEYS.ids:
                headers.append((KEYS.ids[name], end, end + len(text)))
                parts.append(text)
                end += len(text)
        header_starts[index + 1] = len(headers)
    data = workspace.bytes("bodies", end)
    view = data.data
    position = 0
    for part in parts:
        view[position : position + len(part)] = part
        position += len(part)
    return Bodies(
        data=data,
        starts=ends[:-1],
        stops=ends[1:],
        headers=np.array(headers, np.int64).reshape(-1, 3),
        header_starts=header_starts,
        header_bytes=header_bytes,
    )
