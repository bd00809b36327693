"""Compiles what results need, so that the first question for results does not wait for it."""

import numpy as np
import pyarrow as pa

from analytics.experiments.compiled.totals import add, add_whole, add_with_rest, least, tally
from analytics.experiments.session_index import SessionIndex, md5_numbers


def warm_up() -> None:
    """Return when all is loaded, or compiled and kept on disk."""
    index = SessionIndex()
    # In memory that may be written to, and in such that may not: of another type, numba says.
    ends = np.arange(3, dtype=np.int32).tobytes()
    fixed = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(ends), pa.py_buffer(b"ab")])
    for sessions in (pa.array(["a", None, "b"]), pa.array(map(str, range(2000))), fixed):
        index.add(sessions)
        md5_numbers("salt", sessions)
    places = index.find(fixed)
    totals, rests, times = np.zeros(2000), np.zeros(2000), np.zeros(2000, np.int64)
    # As Arrow has them: what nobody may write to is of another type, numba says.
    wholes, values = pa.array([1, 2]).to_numpy(), pa.array([1.0, 2.0]).to_numpy()
    add(totals, places, wholes)
    add(totals, places, values)
    add_whole(np.zeros(2000, np.int32), places, wholes)
    add_with_rest(totals, rests, places, values)
    least(times, places, wholes)
    tally(np.zeros(2, np.int64), wholes, wholes, wholes, times, times, times)
