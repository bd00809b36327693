"""The content hash of exposures: of what a report says, not of when or where it came from.

Clients report a session each time that they ask for its model. What says the same again is the same row; what says
something else (another model, a reason, a customer) is kept beside it, since it is evidence. The day belongs to it: a
session that lives longer than rows are kept must not lose its exposure to one that is gone.
"""

import pyarrow as pa
import xxhash

from collector.processors.columns import with_columns

SAID = ("config_version", "customer_id", "assigned_model", "variant_index", "reason")


def with_statement_hash(exposures: pa.RecordBatch) -> pa.RecordBatch:
    """Return the exposures with their content hashes; of what is stored, so that a hash tells nothing more."""
    days = exposures["received_at"].cast(pa.date32()).to_pylist()
    statements = zip(days, *(exposures[name].to_pylist() for name in SAID), strict=True)
    hashes = [xxhash.xxh3_64_intdigest(repr(statement).encode()) for statement in statements]
    return with_columns(exposures, content_hash=pa.array(hashes, pa.uint64()).view(pa.int64()))
