"""What is done to batches between decode and disk, in order: one line a processor."""

from collections.abc import Callable

import pyarrow as pa

from collector.processors.leaves import Leaves
from collector.processors.normalise import normalise
from collector.processors.price import OverridesOf, no_overrides, price
from collector.processors.statement import with_statement_hash
from collector.processors.tokens import split_tokens
from collector.processors.tool_calls import fill_tool_calls

Processor = Callable[[pa.RecordBatch], pa.RecordBatch]
TableProcessor = Callable[[str, pa.RecordBatch], pa.RecordBatch]
"""A processor of any table's rows, given the table's name."""

PROCESSORS: dict[str, tuple[Processor, ...]] = {
    "spans": (normalise, Leaves(), split_tokens, fill_tool_calls),
    "exposures": (with_statement_hash,),
}


def process(table: str, rows: pa.RecordBatch, overrides_of: OverridesOf = no_overrides) -> pa.RecordBatch:
    """Return the rows as the table's processors leave them; ``overrides_of`` knows a project's own prices."""
    for processor in PROCESSORS.get(table, ()):
        rows = processor(rows)
    # Last, and apart: it is the only one that has to be told something.
    return price(rows, overrides_of) if table == "spans" else rows
