"""A table: its name, its documented Arrow schema, how it is partitioned and sorted."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Table:
    """One table, the same from decode to disk.

    ``sort_by`` orders the rows of a committed file, so that a query for one experiment or session reads few row
    groups; ``bloom_filters`` names the columns that are looked up by value.
    """

    name: str
    schema: pa.Schema
    sort_by: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    bloom_filters: tuple[str, ...] = ()


def column(name: str, data_type: pa.DataType, description: str) -> pa.Field:
    """Return a nullable column whose description travels with the schema."""
    return pa.field(name, data_type, metadata={"description": description})


TIMESTAMP = pa.timestamp("us", tz="UTC")
