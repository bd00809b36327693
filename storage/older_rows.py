"""Rows of an older version of this program: what only lacks columns is read, with NULL in their place."""

from typing import TypeVar

import pyarrow as pa

Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


def only_lacks_columns(found: pa.Schema, wanted: pa.Schema) -> bool:
    """Return whether all columns that were found are wanted ones, of the same types, each once."""
    types = {field.name: field.type for field in wanted}
    return len(set(found.names)) == len(found.names) and all(types.get(field.name) == field.type for field in found)


def with_all_columns(rows: Rows, schema: pa.Schema) -> Rows:
    """Return the rows with the schema's columns, in its order; those that they lack are NULL."""
    if rows.schema.equals(schema):
        return rows
    has = set(rows.schema.names)
    columns = [
        rows.column(field.name) if field.name in has else pa.nulls(rows.num_rows, field.type) for field in schema
    ]
    return type(rows).from_arrays(columns, schema=schema)
