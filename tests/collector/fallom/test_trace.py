"""The flat Fallom trace: every field, each in every wrong form, and values that mean harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from collector_inputs import RECEIVED_AT, decode, flat_trace, sent_attributes, stored
from hypothesis import given
from hypothesis import strategies as st

from collector.component import DecodeError
from collector.fallom.trace import REQUIRED
from collector.request import Format
from schemas.dialects import sources_by_key

WRONG: list[Any] = [True, 7, 1.5, [], ["x"], {}, {"a": 1}]
TEXTS = ("config_key", "session_id", "name", "status", "start_time", "end_time", "trace_id", "span_id")
OPTIONAL_TEXTS = (
    "customer_id",
    "kind",
    "model",
    "error_message",
    "prompt_key",
    "prompt_ab_test_key",
    "parent_span_id",
)


def row_of(**changes: Any) -> dict[str, Any]:
    (row,) = stored(decode(flat_trace(**changes), Format.JSON_TRACES))
    return row


def refused_field(trace: dict[str, Any]) -> str | None:
    with pytest.raises(DecodeError) as refusal:
        decode(trace, Format.JSON_TRACES)
    assert str(refusal.value).startswith(f"{refusal.value.field}: ")
    return refusal.value.field


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_that_is_missing_or_null_is_named(name: str) -> None:
    missing = flat_trace()
    del missing[name]

    assert refused_field(missing) == name
    assert refused_field(flat_trace(**{name: None})) == name


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", ["", *WRONG], ids=repr)
def test_a_required_text_that_is_empty_or_of_another_type_is_named(name: str, value: object) -> None:
    assert refused_field(flat_trace(**{name: value})) == name


@pytest.mark.parametrize("name", OPTIONAL_TEXTS)
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_an_optional_text_of_another_type_is_named(name: str, value: object) -> None:
    assert refused_field(flat_trace(**{name: value})) == name


@pytest.mark.parametrize("name", OPTIONAL_TEXTS)
@pytest.mark.parametrize("value", ["", None])
def test_an_optional_text_that_is_null_or_empty_is_absent(name: str, value: object) -> None:
    assert row_of(**{name: value}) | {"content_hash": 0} == row_of() | {"content_hash": 0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("duration_ms", value) for value in ("9", True, [], {})],
        *[("time_to_first_token_ms", value) for value in ("9", True, [])],
        *[(name, value) for name in ("prompt_version", "prompt_variant_index") for value in ("1", 1.0, True, 2**63)],
        *[("is_streaming", value) for value in ("true", 1, [])],
        *[("metadata", value) for value in ("{}", 1, [])],
        *[("attributes", value) for value in ("{}", 1, [])],
        *[("tags", value) for value in ("a", {}, [1], [["a"]], [None])],
        *[("status", value) for value in ("ok", "UNSET", "FAILED")],
        *[("trace_id", value) for value in ("a" * 31, "a" * 33, "g" * 32, "0" * 32, "é" * 32, " " + "a" * 31)],
        *[("span_id", value) for value in ("a" * 15, "a" * 32, "0" * 16)],
        *[("parent_span_id", value) for value in ("a", "0" * 16, "x" * 16)],
        *[
            (name, value)
            for name in ("start_time", "end_time")
            for value in ("soon", "2026-13-01T00:00:00Z", "2026-11-21T02:40:52.231X", "1970-01-01", "2262-01-01", "1")
        ],
        ("start_time", "0001-01-01T00:00:00+23:59"),
        ("start_time", "9999-12-31T23:59:59-23:59"),
        ("config_key", "x" * 1_000_001),
        ("name", "x" * 10_000_000),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_value_that_means_nothing_is_refused_by_name(name: str, value: object) -> None:
    assert refused_field(flat_trace(**{name: value})) == name


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-21T07:44:54.123Z", datetime(2026, 11, 21, 7, 44, 54, 123_000, UTC)),
        ("2026-11-21T07:44:54+00:00", datetime(2026, 11, 21, 7, 44, 54, 0, UTC)),
        ("2026-11-21T07:44:54.123456+00:00", datetime(2026, 11, 21, 7, 44, 54, 123_456, UTC)),
        ("2026-11-21T07:44:54.123456", datetime(2026, 11, 21, 7, 44, 54, 123_456, UTC)),
        ("2026-11-21T07:44:54", datetime(2026, 11, 21, 7, 44, 54, 0, UTC)),
        ("2026-11-21T07:44:54Z", datetime(2026, 11, 21, 7, 44, 54, 0, UTC)),
        ("2026-11-21T09:44:54.5+02:00", datetime(2026, 11, 21, 7, 44, 54, 500_000, UTC)),
        ("2026-11-21 07:44:54.123456789Z", datetime(2026, 11, 21, 7, 44, 54, 123_456, UTC)),
    ],
)
def test_every_iso_form_that_the_clients_write_is_read(text: str, time: datetime) -> None:
    row = row_of(start_time=text)

    assert row["start_time"] == time
    assert row["start_time_unix_nano"] == (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert row["date"] == time.date()


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 11, 20), timezones=st.timezones()))  # noqa: DTZ001 - hypothesis takes naive bounds
def test_a_time_is_the_same_moment_whatever_its_offset(time: datetime) -> None:
    row = row_of(start_time=time.isoformat())

    assert row["start_time"] == datetime.fromisoformat(time.isoformat()).astimezone(UTC)


def test_a_trace_from_long_ago_is_stored_near_its_receipt() -> None:
    row = row_of(start_time="2000-01-01T00:00:00Z")

    assert row["start_time"] == datetime(2000, 1, 1, tzinfo=UTC)
    assert row["date"] == RECEIVED_AT.date() - timedelta(400)


@pytest.mark.parametrize(
    ("duration_ms", "duration_ns"),
    [(0, 0), (9, 9_000_000), (0.0015, 1500), (86_400_000, 86_400 * 10**9), (-1, None), (1e308, None), (2**64, None)],
)
def test_a_duration_is_kept_to_the_nanosecond_or_unknown(duration_ms: float, duration_ns: int | None) -> None:
    row = row_of(duration_ms=duration_ms)

    assert row["duration_ns"] == duration_ns


@pytest.mark.parametrize(
    ("first_token_ms", "first_token_ns"),
    [(0, 0), (132, 132_000_000), (0.5, 500_000), (-1, None), (1e308, None), (2**64, None), (2e6, None)],
)
def test_a_time_to_the_first_token_out_of_bounds_is_unknown(first_token_ms: float, first_token_ns: int | None) -> None:
    row = row_of(time_to_first_token_ms=first_token_ms)

    assert row["time_to_first_token_ns"] == first_token_ns


def test_the_trace_s_own_fields_go_before_attributes_and_those_before_raw_bodies() -> None:
    attributes = {
        "fallom.session_id": "attribute",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.response.model": "attribute",
        "gen_ai.request.model": "attribute",
        "fallom.raw.usage": '{"prompt_tokens": 21, "completion_tokens": 9}',
        "fallom.raw.request": '{"model": "raw"}',
    }

    row = row_of(attributes=attributes, model="own")

    assert (row["session_id"], row["response_model"]) == ("session-1", "own")
    assert (row["request_model"], row["input_tokens"], row["output_tokens"]) == ("attribute", 5, 9)


def test_the_headers_of_a_request_fill_what_the_trace_leaves_out() -> None:
    headers = {"x-fallom-customer-id": "header", "x-fallom-session-id": "header"}

    (row,) = decode(flat_trace(), Format.JSON_TRACES, headers).rows

    assert (row["customer_id"], row["session_id"]) == ("header", "session-1")


def test_an_attribute_that_fills_a_column_as_it_is_stands_there_alone() -> None:
    attributes = {
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.cost": 0.25,
        "gen_ai.request.stream": False,
        "own": 1,
    }

    row = row_of(attributes=attributes)

    assert orjson.loads(row["promoted"]) == {
        "request_model": "gen_ai.request.model",
        "input_tokens": "gen_ai.usage.input_tokens",
        "reported_cost": "gen_ai.usage.cost",
        "is_streaming": "gen_ai.request.stream",
    }
    assert orjson.loads(row["attributes"]) == {"own": 1}
    assert sent_attributes(row) == attributes


@pytest.mark.parametrize(
    ("column", "attributes"),
    [
        ("input_tokens", {"gen_ai.usage.input_tokens": "5"}),
        ("input_tokens", {"gen_ai.usage.input_tokens": 5.0}),
        ("reported_cost", {"gen_ai.usage.cost": 1}),
        ("is_streaming", {"gen_ai.request.stream": "true"}),
        ("time_to_first_token_ns", {"fallom.time_to_first_token_ms": 0}),
        ("finish_reason", {"gen_ai.response.finish_reasons": ["stop"]}),
        ("input", {"gen_ai.input.messages": [{"role": "user"}]}),
        ("request_model", {"gen_ai.request.model": 4}),
    ],
)
def test_an_attribute_that_was_converted_for_its_column_is_kept_too(column: str, attributes: dict[str, Any]) -> None:
    row = row_of(attributes=attributes)

    assert row[column] is not None
    assert row["promoted"] is None
    assert orjson.loads(row["attributes"]) == attributes


def test_an_attribute_whose_column_another_source_fills_is_kept() -> None:
    attributes = {
        "fallom.session_id": "attribute",
        "gen_ai.response.model": "attribute",
        "gen_ai.provider.name": "first",
        "gen_ai.system": "second",
        "x-fallom-customer-id": "attribute",
    }

    (row,) = decode(
        flat_trace(model="own", attributes=attributes), Format.JSON_TRACES, {"x-fallom-customer-id": "header"}
    ).rows

    assert (row["session_id"], row["response_model"], row["customer_id"]) == ("session-1", "own", "header")
    assert orjson.loads(row["promoted"]) == {"provider": "gen_ai.provider.name"}
    assert sent_attributes(row) == attributes


_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "5", "true", "1e3", "text", "-0.0"])
    | st.lists(st.sampled_from(["stop", 1, None]), max_size=2)
)


@given(st.dictionaries(st.sampled_from(sorted(sources_by_key(""))), _VALUES, max_size=12))
def test_all_attributes_can_be_told_from_columns_and_rest(attributes: dict[str, Any]) -> None:
    row = row_of(attributes=attributes, model="own", customer_id="own")

    assert orjson.dumps(sent_attributes(row), option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        attributes, option=orjson.OPT_SORT_KEYS
    )


def test_ids_are_lowercase() -> None:
    row = row_of(trace_id="ABCDEF" + "0" * 26, span_id="ABCDEF" + "0" * 10, parent_span_id="ABCDEF" + "0" * 10)

    assert row["trace_id"] == "abcdef" + "0" * 26
    assert row["span_id"] == row["parent_span_id"] == "abcdef" + "0" * 10


def test_the_model_of_a_failed_call_is_the_one_that_was_asked_for() -> None:
    failed = row_of(status="ERROR", model="gpt-4o")
    answered = row_of(status="OK", model="gpt-4o")

    assert (failed["request_model"], failed["response_model"]) == ("gpt-4o", None)
    assert (answered["request_model"], answered["response_model"]) == (None, "gpt-4o")


def test_a_trace_that_is_sent_again_has_the_same_hash_whatever_the_order_of_its_fields() -> None:
    trace = flat_trace(metadata={"a": 1, "b": 2})
    backwards = dict(reversed(trace.items())) | {"metadata": {"b": 2, "a": 1}}

    (first,) = decode(trace, Format.JSON_TRACES).rows
    (again,) = decode(backwards, Format.JSON_TRACES).rows
    (changed,) = decode(trace | {"duration_ms": 10}, Format.JSON_TRACES).rows

    assert first["content_hash"] == again["content_hash"]
    assert first["content_hash"] != changed["content_hash"]


@pytest.mark.parametrize("name", [*REQUIRED, "metadata", "attributes", "tags", "model", "is_streaming"])
@pytest.mark.parametrize("depth", [100, 300, 1000])
def test_a_deep_value_in_a_wrong_place_is_refused(name: str, depth: int) -> None:
    body = orjson.dumps(flat_trace() | {name: None})
    deep = b"[" * depth + b"]" * depth

    with pytest.raises(DecodeError, match=f"{name}: |nested too deep"):
        decode(body.replace(b'"%s":null' % name.encode(), b'"%s":%s' % (name.encode(), deep)), Format.JSON_TRACES)


def test_attributes_nested_too_deep_are_refused() -> None:
    deep = b'{"a":' * 500 + b"1" + b"}" * 500
    body = orjson.dumps(flat_trace(attributes=None)).replace(b'"attributes":null', b'"attributes":' + deep)

    with pytest.raises(DecodeError, match="nested too deep"):
        decode(body, Format.JSON_TRACES)


@pytest.mark.parametrize("depth", [100, 300, 1000])
def test_a_raw_body_nested_deep_costs_its_columns_at_most(depth: int) -> None:
    messages = "[" * depth + "1" + "]" * depth
    attributes = {
        "fallom.raw.request": f'{{"messages": {messages}, "model": "gpt-4o"}}',
        "fallom.raw.usage": '{"prompt_tokens": 3}',
    }

    row = row_of(attributes=attributes)

    assert row["input_tokens"] == 3
    assert row["input"] == (messages if depth == 100 else None)
    assert orjson.loads(row["attributes"]) == attributes


def test_values_beyond_every_column_are_kept_as_attributes() -> None:
    attributes = {
        "gen_ai.usage.input_tokens": 2**64 - 1,
        "gen_ai.usage.output_tokens": "9" * 5000,
        "gen_ai.usage.cost": "9" * 400,
        "fallom.time_to_first_token_ms": 1e300,
        "nul": "a\0b",
        "long": "日" * 3_500_000,
    }

    row = row_of(attributes=attributes)

    assert orjson.loads(row["attributes"]) == attributes
    assert row["input_tokens"] is row["output_tokens"] is row["cost"] is row["time_to_first_token_ns"] is None


def test_integers_beyond_64_bits_are_refused_where_an_integer_is_wanted() -> None:
    assert refused_field(flat_trace(prompt_version=2**70)) == "prompt_version"


@given(st.sampled_from([*REQUIRED, *OPTIONAL_TEXTS, "tags", "metadata", "attributes", "prompt_version"]), st.data())
def test_no_value_breaks_the_decoder(name: str, data: st.DataObject) -> None:
    value = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3),
            max_leaves=5,
        )
    )
    try:
        decoded = decode(flat_trace(**{name: value}), Format.JSON_TRACES)
    except DecodeError:
        return

    assert len(stored(decoded)) == 1
