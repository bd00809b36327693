"""Row by row: how formats that are not worth a columnar decoder of their own become batches."""

from collections.abc import Callable, Sequence

import pyarrow as pa

from collector.component import CollectorError, DecodeError
from collector.request import Decoded, Outcome, Receipt, Received, Request
from schemas.tables import LOGGED_TABLES

_SCHEMAS = {table.name: table.schema for table in LOGGED_TABLES}
_STRUCTS = {name: pa.struct(list(schema)) for name, schema in _SCHEMAS.items()}

Row = dict[str, object]
RowDecoder = Callable[[Request, Receipt], list[Row]]


def decode_rows(table: str, decode: RowDecoder, requests: Sequence[Received]) -> Decoded:
    """Return the rows of all requests as one batch; a request that can't be decoded fails alone."""
    rows: list[Row] = []
    outcomes: list[Outcome | CollectorError] = []
    for request, receipt in requests:
        try:
            found = decode(request, receipt)
        except CollectorError as error:
            outcomes.append(error)
        else:
            rows += found
            outcomes.append(Outcome(len(found)))
    return Decoded(table, batch(table, rows), outcomes)


def batch(table: str, rows: list[Row]) -> pa.RecordBatch:
    """Return the rows as a batch of the table. Raises DecodeError where one of them can't be stored."""
    try:
        # All columns in one call: from_pylist makes one a column.
        columns = pa.array(rows, _STRUCTS[table]).flatten()
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError, TypeError) as error:
        raise DecodeError(f"its rows can't be stored: {type(error).__name__}") from error
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMAS[table])
