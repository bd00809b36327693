"""The dialect tables, cell by cell: every key fills its column, and of two keys the one of the lower rank."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, pairwise
from typing import Any

import pyarrow as pa
import pytest
from collector_inputs import decode, export, span, stored

from collector.request import Format
from schemas.dialects import DIALECTS, Dialect, Source, sources_by_key
from schemas.spans import SPANS

ENTRIES = [(dialect, source) for dialect in DIALECTS for source in dialect.sources]
OF_COLUMN: dict[str, list[tuple[Dialect, Source]]] = defaultdict(list)
for entry in ENTRIES:
    OF_COLUMN[entry[1].column].append(entry)
PAIRS = [pair for entries in OF_COLUMN.values() for pair in combinations(entries, 2)]
VALUES = {"int64": (7, 8), "double": (0.25, 0.5), "bool": (False, True), "string": ("first", "second")}


def values(source: Source) -> tuple[Any, Any]:
    """Return two values of the type of the source's column."""
    return VALUES["double" if source.scale != 1.0 else str(SPANS.schema.field(source.column).type)]


def expected(source: Source, value: Any) -> object:
    return round(value * source.scale) if source.scale != 1.0 else value


def columns(attributes: dict[str, Any], scope_name: str) -> dict[str, Any]:
    """Return the stored row of a span with these attributes; those named x-… are sent as headers."""
    headers = {key: str(value) for key, value in attributes.items() if key.startswith("x-")}
    own = {key: value for key, value in attributes.items() if key not in headers}
    (row,) = stored(decode(export(span(own), scope_name=scope_name), Format.OTLP_PROTOBUF, headers))
    return row


def name(entry: tuple[Dialect, Source]) -> str:
    return f"{entry[0].name}-{entry[1].column}-{entry[1].key}"


@pytest.mark.parametrize("entry", ENTRIES, ids=name)
def test_every_key_fills_its_column(entry: tuple[Dialect, Source]) -> None:
    dialect, source = entry
    value = values(source)[0]

    row = columns({source.key: value}, dialect.scope or "any")

    assert row[source.column] == expected(source, value)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{name(pair[0])}-{pair[1][1].key}")
def test_of_two_keys_the_one_of_the_lower_rank_counts(pair: tuple[tuple[Dialect, Source], ...]) -> None:
    (stronger_dialect, stronger), (weaker_dialect, weaker) = sorted(pair, key=lambda entry: entry[1].rank)
    scope_name = stronger_dialect.scope or weaker_dialect.scope or "any"
    strong, weak = values(stronger)[0], values(weaker)[1]

    in_order = columns({stronger.key: strong, weaker.key: weak}, scope_name)
    reversed_order = columns({weaker.key: weak, stronger.key: strong}, scope_name)

    assert stronger.rank < weaker.rank
    assert in_order[stronger.column] == expected(stronger, strong)
    assert reversed_order[stronger.column] == expected(stronger, strong)


@pytest.mark.parametrize("column", OF_COLUMN)
def test_a_key_without_a_usable_value_leaves_its_column_to_the_next(column: str) -> None:
    by_rank = sorted(OF_COLUMN[column], key=lambda entry: entry[1].rank)
    for (stronger_dialect, stronger), (weaker_dialect, weaker) in pairwise(by_rank):
        value = values(weaker)[1]

        row = columns({stronger.key: "", weaker.key: value}, stronger_dialect.scope or weaker_dialect.scope or "any")

        assert row[column] == expected(weaker, value)


@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if dialect.scope], ids=lambda found: found.name)
def test_the_keys_of_a_scoped_dialect_are_not_read_elsewhere(dialect: Dialect) -> None:
    elsewhere = sources_by_key("another scope")

    assert not {source.key for source in dialect.sources} & set(elsewhere)


def test_a_dialect_names_no_key_twice_for_a_column_and_only_columns_that_a_key_can_fill() -> None:
    cells = [(source.column, source.key) for _, source in ENTRIES]

    types = {SPANS.schema.field(column).type for column, _ in cells}
    assert len(cells) == len(set(cells))
    assert types <= {pa.string(), pa.int64(), pa.float64(), pa.bool_()}


def test_the_trace_id_is_never_a_session() -> None:
    row = columns({"trace_id": "t"}, "")

    assert row["session_id"] is None
