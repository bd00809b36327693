"""What is compiled ahead is what results need."""

from __future__ import annotations

import json
import subprocess
import sys

_PROGRAM = """
import json
import numpy as np
import pyarrow as pa
from analytics.experiments.compiled import texts, totals
from analytics.experiments.compiled.warm_up import warm_up
from analytics.experiments.model_calls import ModelCalls
from analytics.experiments.session_index import SessionIndex, md5_numbers

functions = [texts.md5_heads, texts.sip_hashes, texts.number_hashes, texts.place_again, totals.add,
    totals.add_with_rest, totals.add_whole, totals.least, totals.tally]
signatures = lambda: {each.__name__: len(each.signatures) for each in functions}
warm_up()
before = signatures()
batch = pa.record_batch({"id": ["a", "b", None], "x": [1.0, 2.0, 3.0], "n": [1, 2, 3]})
sink = pa.BufferOutputStream()
with pa.ipc.new_stream(sink, batch.schema) as writer:
    writer.write_batch(batch)
for rows in (batch, pa.ipc.open_stream(sink.getvalue()).read_next_batch()):
    index = SessionIndex()
    index.add(rows["id"])
    places = index.find(rows["id"])
    md5_numbers("salt", rows["id"])
    wholes = rows["n"].to_numpy()
    totals.add(np.zeros(3), places, wholes)
    totals.add(np.zeros(3), places, rows["x"].to_numpy())
    totals.add_whole(np.zeros(3, np.int32), places, wholes)
    totals.add_with_rest(np.zeros(3), np.zeros(3), places, rows["x"].to_numpy())
    totals.least(np.zeros(3, np.int64), places, wholes)
    model_calls = ModelCalls(["a"], 3)
    model_calls.add(rows.append_column("model", rows["id"]).append_column("calls", rows["n"]).append_column(
        "errors", rows["n"]).append_column("date", pa.array([1, 2, 3], pa.int32()).cast(pa.date32())).append_column(
        "first_time", rows["n"].cast(pa.timestamp("us", "UTC"))), places, np.zeros(3, np.int32))
print(json.dumps([before, signatures()]))
"""


def test_nothing_is_compiled_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=120)

    before, after = json.loads(done.stdout)

    assert after == before
