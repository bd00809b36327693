"""The columns of those few spans that are left to ``collector.derive``, or that bear raw bodies of Fallom's."""

from collections import defaultdict
from collections.abc import Mapping, Set
from functools import partial

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from collector.derive import derived
from collector.fallom.raw import TOTALS, raw_columns
from collector.otlp.compiled import span
from collector.otlp.compiled.keys import KEYS, NO_RANK
from collector.otlp.scan import Scanned
from collector.processors.columns import with_columns
from schemas.dialects.fallom import RAW_BODIES, TAGS


def with_derived(rows: pa.RecordBatch, scanned: Scanned) -> pa.RecordBatch:
    """Return the rows of a scan with what is read from the hinted ones."""
    hinted = np.flatnonzero(scanned.cells[span.HINTED, : scanned.rows])
    if not len(hinted):
        return rows
    found: dict[str, dict[int, object]] = defaultdict(dict)
    picked = pa.array(hinted)
    attributes, events = (rows[name].take(picked).to_pylist() for name in ("attributes", "events"))
    ranks = scanned.cells[span.RANKS : span.WIDTH, hinted].T.tolist()
    starts = scanned.cells[span.START, hinted].tolist()
    for place, row in enumerate(hinted.tolist()):
        sent, filled = orjson.loads(attributes[place]), dict(zip(KEYS.columns, ranks[place], strict=True))
        columns = derived(
            sent,
            orjson.loads(events[place]) if events[place] else (),
            start_unix_nano=starts[place],
            ranks=filled,
            text_of=partial(_text, rows, row),
        )
        if any(key in sent for key in RAW_BODIES):
            told = {name for name, rank in filled.items() if rank < NO_RANK} | columns.keys()
            columns |= _raw(sent, rows["duration_ns"][row].as_py(), told)
        tags = sent.get(TAGS)
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            columns["tags"] = tags
        for column, value in columns.items():
            found[column][row] = value
    return with_columns(rows, **{column: _replaced(rows[column], values) for column, values in found.items()})


def _raw(sent: Mapping[str, object], duration_ns: int | None, told: Set[str]) -> dict[str, object]:
    """Return what the raw bodies say of columns that nothing else tells."""
    columns = raw_columns(sent, None if duration_ns is None else duration_ns / 1e6)
    if not TOTALS.isdisjoint(told):
        columns.pop("token_rule", None)
    return {name: value for name, value in columns.items() if name not in told}


def _text(rows: pa.RecordBatch, row: int, column: str) -> str | None:
    text: str | None = rows[column][row].as_py()
    return text


def _replaced(column: pa.Array, values: Mapping[int, object]) -> pa.Array:
    if pa.types.is_list(column.type):
        # Arrow replaces no lists.
        return pa.array([values.get(row, old) for row, old in enumerate(column.to_pylist())], column.type)
    mask = np.zeros(len(column), np.bool_)
    mask[list(values)] = True
    return pc.replace_with_mask(column, pa.array(mask), pa.array(list(values.values()), column.type))
