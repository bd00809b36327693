"""A body of OTLP/JSON to the same request in protobuf: compiled for what clients send, in Python for all else."""

import threading

import numpy as np

from collector.otlp.compiled.json_message import ROOM, encode
from collector.otlp.compiled.json_tape import ENTRIES_MIN, WIDTH
from collector.otlp.compiled.memory import Workspace

ENTRIES_MAX = 2_000_000
"""A body of more keys and values than this is Python's, which has a limit for them, and says so."""

# Memory that is kept for the next body, a piece.
_WORKSPACE_BYTES_MAX = 64 * 1024 * 1024
# A value takes so many bytes at least, with its key and what stands between; of what is denser, Python makes objects.
_ENTRY_BYTES = 4
_threads = threading.local()


def to_protobuf(body: bytes) -> bytes | None:
    """Return the bytes of the ExportTraceServiceRequest; None where it is none, or one that Python has to read."""
    size = len(body)
    workspace = _workspace()
    text = workspace.bytes("text", size)
    text[:size] = np.frombuffer(body, np.uint8)
    # No field takes more bytes in protobuf than in JSON; what would is not written.
    out_bytes = size + 2 * ROOM
    out = workspace.bytes("out", out_bytes)
    tape = workspace.integers("tape", min(size // _ENTRY_BYTES + ENTRIES_MIN, ENTRIES_MAX), WIDTH)
    start = encode(text.ctypes.data, size, tape, out.ctypes.data, out_bytes)
    return None if start < 0 else out[start:out_bytes].tobytes()


def _workspace() -> Workspace:
    workspace: Workspace | None = getattr(_threads, "workspace", None)
    if workspace is None:
        workspace = _threads.workspace = Workspace(_WORKSPACE_BYTES_MAX)
    return workspace
