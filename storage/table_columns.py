"""The columns of a Delta table of an older version: those that this one has beside are added to it, once.

No file is written anew for that: a column that a file lacks is NULL. The table's metadata says that there are such
files, so that only then a reader has to look.
"""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
from deltalake import DeltaTable, Schema

from storage.data_file import Action
from storage.errors import LakeError

EVOLVED = "fallom.columnsWereAdded"
"""The entry of a table's configuration that says so."""


def added_columns(table: DeltaTable, schema: pa.Schema) -> Action | None:
    """Return the action that adds to a table what columns of the schema it lacks; None where it has all.

    Raises LakeError where a column is there by another type.
    """
    known = orjson.loads(table.schema().to_json())
    types = {field["name"]: field["type"] for field in known["fields"]}
    wanted = orjson.loads(Schema.from_arrow(schema).to_json())["fields"]
    for field in wanted:
        if (found := types.get(field["name"], field["type"])) != field["type"]:
            raise LakeError(
                f"column {field['name']} is of type {found}, expected {field['type']}: another version of this program "
                "wrote it; start that one, or move the table away"
            )
    missing = [field for field in wanted if field["name"] not in types]
    return _metadata(table, [*known["fields"], *missing]) if missing else None


def is_evolved(metadata: Any) -> bool:
    """Return whether files of the table may lack columns: what the metadata of its log says."""
    configuration = metadata.get("configuration") if isinstance(metadata, dict) else None
    # An object in an entry, pairs in a checkpoint.
    return EVOLVED in (dict(configuration) if isinstance(configuration, list) else configuration or {})


def _metadata(table: DeltaTable, fields: list[Any]) -> Action:
    found = table.metadata()
    return {
        "metaData": {
            "id": found.id,
            "name": found.name,
            "description": found.description,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": orjson.dumps({"type": "struct", "fields": fields}).decode(),
            "partitionColumns": found.partition_columns,
            "createdTime": found.created_time,
            "configuration": {**found.configuration, EVOLVED: "true"},
        }
    }
