"""Privacy of what every cell of the dialects brings: content and denied attributes are in no column of theirs."""

from __future__ import annotations

import re

import pytest
from collector_inputs import decode
from dialect_cells import CELLS, Cell, body_of, headers, name

from collector.privacy.policy import PrivacyPolicy
from collector.processors.privacy import Privacy
from collector.request import Format
from schemas.content import COLUMNS
from schemas.dialects import EventTime, readings

CONTENT = [cell for cell in CELLS if cell["column"] in COLUMNS]
_TIMES = {reading.event for reading in readings(EventTime)}
DENIABLE = [cell for cell in CELLS if cell["key"] not in _TIMES]
_SAID = re.compile(r'content":\s*"([^"]+)"')


def applied(cell: Cell, **policy: object) -> dict[str, object]:
    """Return the cell's row as the policy leaves it."""
    privacy = Privacy({"p": PrivacyPolicy.model_validate(policy)}, b"k" * 32)
    found = decode(body_of(cell), Format.OTLP_PROTOBUF, headers(cell))
    row: dict[str, object] = privacy("spans", found.decoded.rows).to_pylist()[0]
    return row


@pytest.mark.parametrize("content", ["drop", "hash", "mask"])
@pytest.mark.parametrize("cell", CONTENT, ids=name)
def test_what_was_said_is_in_no_column(cell: Cell, content: str) -> None:
    said = _SAID.findall(cell["columns"][cell["column"]])

    row = applied(cell, content=content)

    assert said
    assert not [text for text in said if text in str(row)]
    assert (row[cell["column"]] is None) == (content == "drop")


@pytest.mark.parametrize("cell", DENIABLE, ids=name)
def test_what_only_denied_attributes_fill_is_empty(cell: Cell) -> None:
    keys = {
        *cell.get("attributes", {}),
        *cell.get("headers", {}),
        *(key for event in cell.get("events", ()) for key in event["attributes"]),
    }

    row = applied(cell, deny=sorted(keys))

    assert not {column for column in cell["columns"] if row[column] is not None}
