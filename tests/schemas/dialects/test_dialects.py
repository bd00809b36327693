"""The dialects, cell by cell: what a library sends fills its column, whichever way it is sent, and the first key wins.

``cells/`` has a file a dialect, a line a cell.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from collector_inputs import RECEIVED_AT, decode, export, flat_trace, span, stored
from dialect_cells import CELLS, Cell, body_of, headers, merged, name
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.otlp.compiled.keys import KEYS
from collector.request import Format
from schemas.dialects import (
    DIALECTS,
    READINGS,
    Dialect,
    EventTime,
    Family,
    Member,
    Moment,
    Preface,
    Reading,
    Source,
    sources_by_key,
)
from schemas.spans import SPANS

# The order of the keys, as it was decided: what fills a column, the best first.
ORDER = {
    "provider": (
        "gen_ai.provider.name > gen_ai.system > llm.provider > llm.system > ai.model.provider > aisdk.model.provider > "
        "langsmith.metadata.ls_provider > fallom.provider"
    ),
    "request_model": (
        "gen_ai.request.model > llm.request.model_name > ai.model.id > aisdk.model.id > "
        "langsmith.metadata.ls_model_name"
    ),
    "response_model": (
        "langfuse.observation.model.name > gen_ai.response.model > ai.response.model > llm.response.model_name > "
        "llm.model_name > llm.response.model"
    ),
    "input_tokens": (
        "langfuse.observation.usage_details > gen_ai.usage.input_tokens > gen_ai.usage.prompt_tokens > "
        "llm.token_count.prompt > ai.usage.inputTokens > ai.usage.promptTokens > mlflow.chat.tokenUsage"
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens > gen_ai.usage.completion_tokens > llm.token_count.completion > "
        "ai.usage.outputTokens > ai.usage.completionTokens"
    ),
    "total_tokens": (
        "gen_ai.usage.total_tokens > llm.usage.total_tokens > llm.token_count.total > ai.usage.totalTokens"
    ),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens > gen_ai.usage.cache_read_input_tokens > "
        "gen_ai.usage.details.cache_read_tokens > gen_ai.usage.cache_read_tokens > gen_ai.usage.input_tokens.cached > "
        "llm.token_count.prompt_details.cache_read > ai.usage.cachedInputTokens > gen_ai.usage.input_token_details"
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens > gen_ai.usage.cache_creation.input_tokens > "
        "gen_ai.usage.cache_creation_input_tokens > gen_ai.usage.details.cache_write_tokens > "
        "llm.token_count.prompt_details.cache_write"
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens > gen_ai.usage.reasoning_tokens > gen_ai.usage.output_tokens.reasoning > "
        "llm.usage.reasoning_tokens > llm.token_count.completion_details.reasoning > ai.usage.reasoningTokens"
    ),
    "reported_cost": "langfuse.observation.cost_details > gen_ai.usage.cost > llm.cost.total > operation.cost",
    "session_id": (
        "fallom.session_id > x-fallom-session-id > langfuse.session.id > session.id > gen_ai.conversation.id > "
        "traceloop.association.properties.session_id > traceloop.association.properties.thread_id > "
        "ai.telemetry.metadata.sessionId > mlflow.trace.session > gen_ai.session.id > thread_id > "
        "langsmith.metadata.session_id > langsmith.metadata.thread_id"
    ),
    "customer_id": (
        "fallom.customer_id > x-fallom-customer-id > langfuse.user.id > user.id > enduser.id > gen_ai.user.id > "
        "gen_ai.request.user > gen_ai.user > llm.user > ai.telemetry.metadata.userId > mlflow.trace.user"
    ),
    "input": (
        "langfuse.observation.input > gen_ai.input.messages > gen_ai.client.inference.operation.details > "
        "gen_ai.user.message > gen_ai.prompt. > llm.input_messages. > ai.prompt.messages > ai.prompt > "
        "pydantic_ai.all_messages > all_messages_events > traceloop.entity.input > mlflow.spanInputs > "
        "mastra.agent_run.input > input.value"
    ),
    "output": (
        "langfuse.observation.output > gen_ai.output.messages > gen_ai.client.inference.operation.details > "
        "gen_ai.choice > gen_ai.completion. > llm.output_messages. > ai.response.text > ai.response.toolCalls > "
        "ai.response.object > ai.result.text > final_result > traceloop.entity.output > mlflow.spanOutputs > "
        "mastra.agent_run.output > output.value"
    ),
    "time_to_first_token_ns": (
        "fallom.time_to_first_token_ms > gen_ai.response.time_to_first_chunk > "
        "gen_ai.client.operation.time_to_first_chunk > gen_ai.server.time_to_first_token > "
        "ai.response.msToFirstChunk > ai.stream.msToFirstChunk > langfuse.observation.completion_start_time > "
        "First Token Stream Event > ai.stream.firstChunk > gen_ai.content.completion.chunk"
    ),
    "is_streaming": "gen_ai.request.stream > gen_ai.is_streaming > llm.is_streaming > fallom.is_streaming",
    "error_type": "error.type > exception > gen_ai.client.operation.exception",
    "tool_name": "gen_ai.tool.name > tool.name > ai.toolCall.name > traceloop.entity.name",
    "operation": (
        "fallom.kind > langfuse.observation.type > openinference.span.kind > gen_ai.operation.name > ai.operationId > "
        "traceloop.span.kind > langsmith.span.kind > mastra.span.type > lmnr.span.type"
    ),
    "prompt_key": (
        "fallom.prompt_key > x-fallom-prompt-key > gen_ai.prompt.name > traceloop.prompt.key > "
        "langfuse.observation.prompt.name"
    ),
    "prompt_version": (
        "fallom.prompt_version > x-fallom-prompt-version > gen_ai.prompt.version > traceloop.prompt.version > "
        "langfuse.observation.prompt.version"
    ),
    "prompt_ab_test_key": "fallom.prompt_ab_test > x-fallom-prompt-ab-test",
    "prompt_variant_index": "fallom.prompt_variant > x-fallom-prompt-variant",
}
# Columns that a flat trace has fields of its own for, which it must have.
_OF_FLAT = ("config_key", "session_id")


def entries() -> list[tuple[Dialect, Source | Family | Reading]]:
    """Return all that fills a column, each with its dialect."""
    return [(each, one) for each in DIALECTS for one in (*each.sources, *each.families, *each.readings)]


def key_of(entry: Source | Family | Reading) -> str:
    """Return what a cell of it is named by: its key, or its event."""
    event, key = getattr(entry, "event", None), getattr(entry, "key", None) or getattr(entry, "prefix", None)
    return " ".join(part for part in (event, key) if part)


RANKS = {(entry.column, key_of(entry)): entry.rank for _, entry in entries()}
BY_COLUMN: dict[str, list[Cell]] = defaultdict(list)
for each_cell in sorted(CELLS, key=lambda cell: RANKS.get((cell["column"], cell["key"]), -1)):
    BY_COLUMN[each_cell["column"]].append(each_cell)
_PREFACES = {(entry.column, key_of(entry)) for _, entry in entries() if isinstance(entry, Preface)}
NEIGHBOURS = [
    pair
    for cells in BY_COLUMN.values()
    for pair in pairwise(cell for cell in cells if (cell["column"], cell["key"]) not in _PREFACES)
    if RANKS[pair[0]["column"], pair[0]["key"]] < RANKS[pair[1]["column"], pair[1]["key"]]
]


def as_json(body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(ExportTraceServiceRequest.FromString(body))
    for sent in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        sent |= {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331"}
    return document


def filled(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of the dialects that are not NULL, JSON texts as what they say."""
    return {name: loaded(row[name]) for name in KEYS.columns if row[name] is not None}


def loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value


def expected(cell: Cell) -> dict[str, Any]:
    return {name: loaded(value) for name, value in cell["columns"].items()}


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_what_a_library_sends_fills_its_columns_over_protobuf(cell: Cell) -> None:
    (row,) = decode(body_of(cell), Format.OTLP_PROTOBUF, cell.get("headers")).rows

    assert filled(row) == expected(cell)


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_the_same_sent_as_json_is_the_same(cell: Cell) -> None:
    (row,) = decode(as_json(body_of(cell)), Format.JSON_TRACES, cell.get("headers")).rows

    assert filled(row) == expected(cell)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if "scope" not in cell and "events" not in cell], ids=name)
def test_the_same_in_a_flat_trace_is_the_same(cell: Cell) -> None:
    trace = flat_trace(attributes=cell.get("attributes", {}), start_time=RECEIVED_AT.isoformat())

    (row,) = decode(trace, Format.JSON_TRACES, cell.get("headers")).rows

    found, wanted = filled(row), expected(cell)
    assert {key: found[key] for key in found if key not in _OF_FLAT} == {
        key: wanted[key] for key in wanted if key not in _OF_FLAT
    }


@pytest.mark.parametrize("pair", NEIGHBOURS, ids=lambda pair: f"{name(pair[0])}-{pair[1]['key']}")
def test_of_two_neighbours_the_stronger_counts(pair: tuple[Cell, Cell]) -> None:
    stronger, weaker = pair
    column = stronger["column"]
    found = [
        filled(decode(body_of(merged(*cells)), Format.OTLP_PROTOBUF, headers(*cells)).rows[0])[column]
        for cells in ((stronger, weaker), (weaker, stronger))
    ]

    assert found == [expected(stronger)[column]] * 2
    assert expected(weaker)[column] != expected(stronger)[column]


def test_every_cell_of_the_tables_has_a_fixture_and_there_are_no_others() -> None:
    cells = [(cell["column"], cell["key"]) for cell in CELLS]

    assert sorted(cells) == sorted(RANKS)
    assert len(cells) == len(entries())


@pytest.mark.parametrize("column", ORDER)
def test_keys_are_in_the_order_that_was_decided(column: str) -> None:
    ranks = {key: rank for (name, key), rank in RANKS.items() if name == column}
    # An event's attribute is named by both: the event will do.
    ranks = {key.partition(" gen_ai.")[0].removesuffix(" exception.type"): rank for key, rank in ranks.items()} | ranks
    wanted = ORDER[column].split(" > ")

    assert sorted(wanted, key=ranks.__getitem__) == wanted


@pytest.mark.parametrize("column", sorted({source.column for each in DIALECTS for source in each.sources}))
def test_a_key_without_a_usable_value_leaves_its_column_to_the_next(column: str) -> None:
    sources = sorted(
        (source for each in DIALECTS for source in each.sources if source.column == column), key=lambda one: one.rank
    )
    for stronger, weaker in pairwise(sources):
        cell = next(cell for cell in CELLS if (cell["column"], cell["key"]) == (column, weaker.key))
        sent = {"attributes": {stronger.key: ""}, **{key: value for key, value in cell.items() if key == "scope"}}

        (row,) = decode(body_of(merged(sent, cell)), Format.OTLP_PROTOBUF, headers(cell)).rows

        assert filled(row)[column] == expected(cell)[column]


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if each.scope], ids=lambda found: found.name)
def test_the_keys_of_a_scoped_dialect_are_not_read_elsewhere(dialect: Dialect) -> None:
    elsewhere = sources_by_key("another scope")

    assert not {source.key for source in dialect.sources} & set(elsewhere)


def test_a_key_is_the_source_of_one_column_that_a_key_can_fill() -> None:
    sources = [source for each in DIALECTS for source in each.sources]

    assert len(sources) == len({source.key for source in sources})
    assert {SPANS.schema.field(source.column).type for source in sources} <= {
        pa.string(),
        pa.int64(),
        pa.float64(),
        pa.bool_(),
    }


def test_a_key_that_is_read_further_is_the_source_of_no_column() -> None:
    sources = {source.key for each in DIALECTS for source in each.sources}
    read_further = {
        one.key for one in READINGS if isinstance(one, Member | Moment) or (isinstance(one, Preface) and not one.event)
    }

    assert not sources & read_further


def test_a_condition_or_a_reading_is_of_no_scope() -> None:
    scoped = [each for each in DIALECTS if each.scope]

    assert not [source for each in scoped for source in each.sources if source.where]
    assert all(isinstance(reading, EventTime) for each in scoped for reading in each.readings)


def test_only_what_is_one_thing_shares_a_rank() -> None:
    by_rank: dict[tuple[str, int], set[str]] = defaultdict(set)
    for _, entry in entries():
        if not isinstance(entry, Preface):
            by_rank[entry.column, entry.rank].add(key_of(entry))

    shared = {key: names for key, names in by_rank.items() if len(names) > 1}
    assert shared == {
        ("input", 25): {f"gen_ai.{role}.message" for role in ("system", "user", "assistant", "tool")},
        ("time_to_first_token_ns", 72): {"gen_ai.content.completion.chunk", "llm.content.completion.chunk"},
    }


def test_the_trace_id_is_never_a_session() -> None:
    (row,) = stored(decode(export(span({"trace_id": "t"})), Format.OTLP_PROTOBUF))

    assert row["session_id"] is None
