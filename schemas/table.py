"""A table: its name, its documented Arrow schema, how it is partitioned and sorted."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Table:
    """One table, the same from decode to disk.

    ``sort_by`` orders the rows of a committed file, so that a query for one experiment or session reads few row
    groups; ``bloom_filters`` names the columns that are looked up by value. Rows that are alike in all columns of
    ``identity`` are one row that was sent twice.

    How a column is written follows from what its values are: those of ``unique`` hardly ever come twice, so that a
    dictionary of them gains nothing; those of ``long`` are, besides, texts that nobody compares, so that their least
    and greatest are of no use. Texts of neither kind repeat, and are written as places in a dictionary.
    """

    name: str
    schema: pa.Schema
    sort_by: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    bloom_filters: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    unique: frozenset[str] = frozenset()
    long: frozenset[str] = frozenset()


def column(name: str, data_type: pa.DataType, description: str) -> pa.Field:
    """Return a nullable column whose description travels with the schema."""
    return pa.field(name, data_type, metadata={"description": description})


TIMESTAMP = pa.timestamp("us", tz="UTC")
