"""In which files a trace's spans are: what bloom filters tell a row group at a time, told at once, and from memory.

Theory of operation. A file never changes, so the set of its trace ids is read once: the first half of each, 64 bits, as
a sorted array, eight bytes a trace. One thread reads what is not known yet, after it was first asked for. What is not
known, or does not fit, is searched as before: this only ever leaves out files that can't have the trace.
"""

from __future__ import annotations

import logging
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.hot import View

logger = logging.getLogger(__name__)

BYTES_MAX = 128 * 1024 * 1024
ID_CHARACTERS = 32
_COLUMN = "trace_id"

Ids = NDArray[np.uint64]


class TracePlaces:
    """Knows the traces of files, as far as memory allows. Thread-safe."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        # None: of such a file nothing can be told.
        self._known: dict[str, Ids | None] = {}
        self._wanted: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def files(self, view: View, trace_id: str) -> frozenset[str]:
        """Return the files that may have spans of the trace."""
        self._learn(view.files)
        try:
            wanted = np.uint64(int(trace_id[:16], 16)) if len(trace_id) == ID_CHARACTERS else None
        except ValueError:
            wanted = None
        if wanted is None:
            return frozenset(view.files)
        known = self._known
        return frozenset(file for file in view.files if _may_hold(known.get(file), wanted))

    def close(self) -> None:
        """End the thread; safe twice."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _learn(self, files: tuple[str, ...]) -> None:
        with self._lock:
            self._wanted = files
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="trace-places", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            files = self._wanted
            # Those that are no longer the table's are forgotten.
            kept = {file: self._known[file] for file in files if file in self._known}
            self._known = kept
            size_bytes = sum(ids.nbytes for ids in kept.values() if ids is not None)
            for file in reversed(files):
                if self._stopping.is_set() or size_bytes > self._bytes_max:
                    break
                if file not in kept:
                    ids = ids_of(file)
                    kept[file] = ids
                    size_bytes += 0 if ids is None else ids.nbytes


def ids_of(file: str) -> Ids | None:
    """Return the first halves of a file's trace ids, sorted; None where it can't be read, or has other ids."""
    parts: list[Ids] = []
    try:
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                column = parquet.read_row_group(group, columns=[_COLUMN], use_threads=False)[_COLUMN]
                parts += [_halves(chunk) for chunk in column.chunks]
    except (OSError, ValueError, pa.ArrowException) as error:
        # It may have been merged meanwhile.
        logger.debug("the traces of a file are not known: %s", error)
        return None
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)


def _halves(ids: pa.StringArray) -> Ids:
    ids = ids.drop_null()
    _, offsets, data = ids.buffers()
    ends = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if (np.diff(ends) != ID_CHARACTERS).any():
        raise ValueError("an id of another length")
    digits = memoryview(data)[ends[0] : ends[-1]] if len(ids) else b""
    return np.frombuffer(bytes.fromhex(str(digits, "ascii")), ">u8")[::2].astype(np.uint64)


def _may_hold(ids: Ids | None, wanted: np.uint64) -> bool:
    if ids is None:
        return True
    place = int(np.searchsorted(ids, wanted))
    return place < len(ids) and bool(ids[place] == wanted)
