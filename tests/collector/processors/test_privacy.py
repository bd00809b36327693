"""Privacy of whole rows: what a policy forbids is in no column, whatever dialect or format brought it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from collector_inputs import any_values, batch, decode, export, flat_trace, span
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from analytics.traces.spans import attributes_as_sent
from collector.privacy.policy import PrivacyPolicy
from collector.processors.privacy import Privacy
from collector.request import Format
from schemas.dialects import DIALECTS, FAMILIES, Source
from schemas.spans import SPANS

MARK = "xq7marked9z"
KEY = b"k" * 32
SOURCES = [(dialect, source) for dialect in DIALECTS for source in dialect.sources]
CONTENT = [(dialect, source) for dialect, source in SOURCES if source.column in ("input", "output")]
JSON_COLUMNS = ("metadata", "attributes", "promoted", "resource_attributes", "scope_attributes", "events", "links")


def privacy(**policy: Any) -> Privacy:
    return Privacy({"p": PrivacyPolicy(**policy)}, KEY)


def applied(body: bytes | Mapping[str, Any], body_format: Format, headers: Any = None, **policy: Any) -> dict[str, Any]:
    """Return the one row of a body, as the policy leaves it; all JSON of it has been read."""
    rows = privacy(**policy)("spans", decode(body, body_format, headers).decoded.rows)
    assert rows.schema.equals(SPANS.schema)
    (row,) = rows.to_pylist()
    unfolded = row | {name: json.loads(row[name]) if row[name] else None for name in JSON_COLUMNS}
    unfolded["sent"] = attributes_as_sent(row, unfolded["promoted"], unfolded["attributes"])
    return unfolded


def otlp(attributes: Mapping[str, Any], scope_name: str = "any", **policy: Any) -> dict[str, Any]:
    return applied(export(span(attributes), scope_name=scope_name), Format.OTLP_PROTOBUF, **policy)


@pytest.mark.parametrize("content", ["drop", "hash", "mask"])
@pytest.mark.parametrize(("dialect", "source"), CONTENT, ids=lambda found: getattr(found, "key", ""))
def test_content_of_every_dialect_is_gone(content: str, dialect: Any, source: Source) -> None:
    row = otlp({source.key: MARK, "gen_ai.request.model": "m"}, dialect.scope or "any", content=content)

    assert MARK not in str(row)
    assert row["request_model"] == row["sent"]["gen_ai.request.model"] == "m"
    assert (row[source.column] is None) == (content == "drop")
    assert (source.key in row["sent"]) == (content != "drop")


@pytest.mark.parametrize("content", ["drop", "hash", "mask"])
@pytest.mark.parametrize("first", [0, 3], ids=["whole", "not whole"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.prefix)
def test_content_of_every_family_is_gone(content: str, first: int, family: Any) -> None:
    row = otlp({f"{family.prefix}{first}.content": MARK, f"{family.prefix}{first}.role": "user"}, content=content)

    assert MARK not in str(row)


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.prompt",
        "llm.prompts",
        "llm.prompt_template.variables.name",
        "ai.toolCall.args",
        "ai.prompt.tools",
        "retrieval.documents.0.document.content",
        "fallom.raw.request",
        "fallom.raw.response",
        "mlflow.spanInputs",
        "pydantic_ai.all_messages",
    ],
)
@pytest.mark.parametrize("value", [MARK, [MARK], {"a": {"b": MARK}}], ids=["text", "list", "map"])
def test_content_that_fills_no_column_is_gone(key: str, value: Any) -> None:
    for content in ("drop", "hash", "mask"):
        assert MARK not in str(otlp({key: value, "a": 1}, content=content))


@pytest.mark.parametrize("name", ["gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt", "anything"])
def test_content_in_events_is_gone_and_the_event_stays(name: str) -> None:
    key = "gen_ai.prompt" if name == "anything" else "content"
    event = Span.Event(name=name, attributes=[KeyValue(key=key, value=AnyValue(string_value=MARK))])

    for content in ("drop", "hash", "mask"):
        row = applied(export(span(events=[event])), Format.OTLP_PROTOBUF, content=content)
        assert MARK not in str(row)
        assert row["events"][0]["name"] == name


@pytest.mark.parametrize("content", ["drop", "hash", "mask"])
def test_content_of_a_flat_trace_is_gone_and_its_counts_stay(content: str) -> None:
    attributes = {
        "fallom.raw.request": json.dumps({"model": "m", "messages": [{"role": "user", "content": MARK}]}),
        "fallom.raw.response": json.dumps({"text": MARK, "finishReason": "stop"}),
        "fallom.raw.usage": json.dumps({"prompt_tokens": 3, "completion_tokens": 4}),
    }

    row = applied(flat_trace(attributes=attributes), Format.JSON_TRACES, content=content)

    assert MARK not in str(row)
    assert (row["input_tokens"], row["output_tokens"], row["finish_reason"]) == (3, 4, "stop")


def test_masked_content_tells_its_length_and_hashed_content_who_said_the_same() -> None:
    def of(text: str, **policy: Any) -> Any:
        return otlp({"gen_ai.input.messages": text}, **policy)["input"]

    assert of("12345", content="mask") == "[masked: 5 characters]"
    assert of("a", content="hash") == of("a", content="hash") != of("b", content="hash")


def test_own_attributes_can_be_content() -> None:
    row = otlp({"acme.said.1": MARK, "acme.model": "m"}, content="drop", content_attributes=["acme.said.*"])

    assert row["attributes"] == {"acme.model": "m"}


DENIABLE = [(dialect, source) for dialect, source in SOURCES if not source.key.startswith("x-")]


@pytest.mark.parametrize(("dialect", "source"), DENIABLE, ids=lambda found: getattr(found, "key", ""))
def test_a_denied_attribute_is_gone_with_the_column_that_it_fills(dialect: Any, source: Source) -> None:
    number = {"int64": 7.0, "double": 7, "bool": "true"}.get(str(SPANS.schema.field(source.column).type), MARK)
    for value in (number, str(number)):
        row = otlp({source.key: value, "other": 1}, dialect.scope or "any", deny=[source.key])

        assert row[source.column] is None
        assert row["sent"] == {"other": 1}


def test_a_column_that_another_attribute_fills_stays() -> None:
    row = otlp({"gen_ai.request.model": "a", "llm.request.model_name": "b"}, deny=["llm.request.model_name"])

    assert row["request_model"] == "a"
    assert row["sent"] == {"gen_ai.request.model": "a"}


def test_a_denied_header_empties_its_column() -> None:
    headers = {"x-fallom-customer-id": MARK, "x-fallom-session-id": "s"}

    row = applied(export(span()), Format.OTLP_PROTOBUF, headers, deny=["x-fallom-customer-id"])

    assert (row["customer_id"], row["session_id"]) == (None, "s")


@pytest.mark.parametrize("deny", ["gen_ai.prompt.*", "gen_ai.prompt.0.content", "gen_ai.*"])
def test_a_denied_part_of_messages_empties_their_column(deny: str) -> None:
    row = otlp({"gen_ai.prompt.0.content": MARK, "gen_ai.prompt.0.role": "user", "a": 1}, deny=[deny])

    assert MARK not in str(row)
    assert (row["input"], row["sent"]["a"]) == (None, 1)


def everywhere(key: str, value: str, inner: AnyValue | None = None) -> bytes:
    """Return a span that has an attribute wherever one can be, and the value in every other text."""
    pair = KeyValue(key=key, value=inner or AnyValue(string_value=value))
    message = export(
        span(
            {"a": 1},
            name=value,
            trace_state=value,
            status={"message": value, "code": 2},
            events=[Span.Event(name=value, attributes=[pair])],
            links=[Span.Link(trace_id=b"1" * 16, span_id=b"1" * 8, trace_state=value, attributes=[pair])],
        ),
        scope_name=value,
    )
    request = ExportTraceServiceRequest.FromString(message)
    resource_spans = request.resource_spans[0]
    resource_spans.resource.attributes.append(pair)
    resource_spans.resource.attributes.add(key="service.name").value.string_value = value
    resource_spans.scope_spans[0].scope.attributes.append(pair)
    resource_spans.scope_spans[0].scope.version = value
    resource_spans.scope_spans[0].spans[0].attributes.append(pair)
    return bytes(request.SerializeToString())


def test_a_denied_attribute_is_gone_from_wherever_it_stands() -> None:
    row = applied(everywhere("secret.key", "v"), Format.OTLP_PROTOBUF, deny=["secret.*"])

    assert "secret.key" not in str(row)
    assert row["name"] == "v"


@pytest.mark.parametrize("key", ["k", f"key {MARK}", "gen_ai.input.messages", "session.id", "user.id", "gen_ai.system"])
def test_what_a_pattern_finds_is_in_no_column(key: str) -> None:
    row = applied(everywhere(key, f"<{MARK}>"), Format.OTLP_PROTOBUF, patterns={"mark": MARK})

    assert MARK not in str(row)
    assert (row["trace_id"], row["span_id"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert row["name"] == "<[mark]>"


@given(any_values, st.sampled_from(["text", "key", "bytes"]))
def test_a_secret_beside_any_value_is_found(value: AnyValue, where: str) -> None:
    inner = AnyValue()
    marked = {"text": AnyValue(string_value=MARK), "bytes": AnyValue(bytes_value=b"\xff" + MARK.encode())}
    inner.kvlist_value.values.add(key="a", value=value)
    inner.kvlist_value.values.add(
        key=MARK if where == "key" else "b", value=marked.get(where, AnyValue(bool_value=True))
    )

    row = applied(everywhere("k", "v", inner), Format.OTLP_PROTOBUF, patterns={"mark": MARK})

    assert MARK not in str(row)
    assert "/3hxN21hcmtlZDl6" not in str(row)


@given(st.dictionaries(st.sampled_from([key for _, source in SOURCES for key in [source.key]]), st.just(f"a {MARK} b")))
def test_a_secret_in_any_attributes_of_any_dialect_is_found(attributes: dict[str, str]) -> None:
    plain = {key: value for key, value in attributes.items() if not key.startswith("x-")}
    if "fallom.metadata" in plain:
        # Where it is no JSON it is withheld as a whole: its column has nothing else.
        plain["fallom.metadata"] = json.dumps({"a": plain["fallom.metadata"]})
    headers = {key: value for key, value in attributes.items() if key.startswith("x-")}
    for scope_name in ("ai", "any"):
        row = applied(export(span(plain), scope_name=scope_name), Format.OTLP_PROTOBUF, headers, patterns={"m": MARK})
        assert MARK not in str(row)
        assert plain.keys() == row["sent"].keys()


def test_what_a_pattern_finds_in_a_flat_trace_is_in_no_column() -> None:
    text = f"a {MARK} b"
    trace = flat_trace(
        **dict.fromkeys(("config_key", "session_id", "customer_id", "name", "kind", "model", "error_message"), text),
        tags=[text, "b"],
        metadata={text: {"deep": [text, {"x": text}]}},
        attributes={text: text, "fallom.raw.request": json.dumps({"messages": [{"content": f"\n{text}"}]})},
        prompt_key=text,
    )

    row = applied(trace, Format.JSON_TRACES, patterns={"mark": MARK})

    assert MARK not in str(row)
    assert row["tags"] == ["a [mark] b", "b"]
    assert json.loads(row["input"]) == [{"content": "\na [mark] b"}]


def test_sessions_stay_apart_and_the_same_in_every_table() -> None:
    changed = privacy(patterns={"m": "q[0-9]"})
    spans = changed("spans", batch("spans", [{"project": "p", "session_id": f"q{n}"} for n in range(3)]))
    metrics = changed("metrics", batch("metrics", [{"project": "p", "session_id": "q1", "value_string": "q1"}]))
    exposures = changed("exposures", batch("exposures", [{"project": "p", "session_id": "q1", "customer_id": "q2"}]))

    assert len(set(spans["session_id"].to_pylist())) == 3
    assert metrics["session_id"][0] == exposures["session_id"][0] == spans["session_id"][1]
    assert metrics["value_string"].to_pylist() == ["[m]"]
    assert changed.identifier("p", "q2") == exposures["customer_id"][0].as_py()


def test_each_project_has_its_own_policy_and_rows_keep_their_order() -> None:
    both = Privacy({"a": PrivacyPolicy(patterns={"m": "x"}), "*": PrivacyPolicy(patterns={"n": "x"})}, KEY)
    projects = ["b", "a", "b", "a", "c"]

    rows = both(
        "metrics", batch("metrics", [{"project": name, "value_string": f"x{n}"} for n, name in enumerate(projects)])
    )

    assert rows["project"].to_pylist() == projects
    assert rows["value_string"].to_pylist() == ["[n]0", "[m]1", "[n]2", "[m]3", "[n]4"]


def test_without_a_policy_rows_are_the_same_object() -> None:
    rows = batch("spans", [{"project": "p", "input": MARK}])

    assert Privacy({}, KEY)("spans", rows) is rows
    assert privacy()("spans", rows) is rows


def test_what_holds_nothing_stays_byte_for_byte() -> None:
    text = '{"a": 123456789012345678901234567890, "b": 1.0, "c": {"$double": "NaN"}, "d": "\\u00e9"}'
    rows = batch("spans", [{"project": "p", "attributes": text, "input": text}])

    new = privacy(redact=["email", "phone", "payment_card"], deny=["x"], content="keep")("spans", rows)

    assert new["attributes"].to_pylist() == new["input"].to_pylist() == [text]


def test_a_long_integer_beside_a_secret_stays() -> None:
    rows = batch("spans", [{"project": "p", "attributes": '{"a":123456789012345678901234567890,"b":"x@y.de"}'}])

    (row,) = privacy(redact=["email"])("spans", rows).to_pylist()

    assert json.loads(row["attributes"]) == {"a": 123456789012345678901234567890, "b": "[email]"}


def test_a_retry_still_looks_like_one_and_nobody_can_try_what_the_hash_is_of() -> None:
    rows = decode(export(span({"a": 1})), Format.OTLP_PROTOBUF).decoded.rows

    first, again = (privacy(redact=["email"])("spans", rows)["content_hash"] for _ in range(2))
    other_key = Privacy({"p": PrivacyPolicy(redact=["email"])}, b"j" * 32)("spans", rows)["content_hash"]

    assert first == again
    assert len({column[0].as_py() for column in (first, other_key, rows["content_hash"])}) == 3


@pytest.mark.parametrize("size", [1, 2, 33, 500])
def test_in_a_large_batch_only_the_rows_that_hold_something_change(size: int) -> None:
    texts = [f"mail a{n}@b.de" if n % 7 == 0 else f"nothing {n}" if n % 5 else None for n in range(size)]
    rows = batch("spans", [{"project": "p", "input": text, "name": text} for text in ["skip", *texts]])

    new = privacy(redact=["email"])("spans", rows.slice(1))

    expected = [text and ("mail [email]" if "@" in text else text) for text in texts]
    assert new["input"].to_pylist() == new["name"].to_pylist() == expected


@pytest.mark.parametrize("rows", [1, 3])
def test_behind_the_null_of_an_emptied_column_nothing_is_left(rows: int) -> None:
    attributes = {"session.id": MARK, "user.id": MARK, "gen_ai.request.model": "m"}
    spans = decode(export(*(span(attributes) for _ in range(rows))), Format.OTLP_PROTOBUF).decoded.rows
    assert MARK.encode() in spans.serialize().to_pybytes()

    found = privacy(deny=["session.id", "user.id"])("spans", spans)

    assert MARK.encode() not in found.serialize().to_pybytes()


def event(body: str) -> bytes:
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(
            event_name="gen_ai.user.message",
            trace_id=b"t" * 16,
            span_id=b"s" * 8,
            time_unix_nano=1_795_262_400_000_000_000,
        )
    )
    record.body.string_value = body
    return request.SerializeToString()


@pytest.mark.parametrize("deny", [[], ["fallom.kind"]], ids=["all there", "what tells it denied"])
def test_an_event_s_id_is_keyed_and_a_retry_has_the_same(deny: list[str]) -> None:
    sent = decode(event(MARK), Format.LOGS_PROTOBUF).decoded.rows["span_id"][0].as_py()
    policy = {"content": "drop", "deny": deny}

    first, again = (applied(event(MARK), Format.LOGS_PROTOBUF, **policy) for _ in range(2))
    other = applied(event("else"), Format.LOGS_PROTOBUF, **policy)

    assert re.fullmatch("[0-9a-f]{16}", first["span_id"])
    assert first["span_id"] == again["span_id"]
    assert len({sent, first["span_id"], other["span_id"]}) == 3
    assert (first["trace_id"], first["parent_span_id"]) == ((b"t" * 16).hex(), (b"s" * 8).hex())


@pytest.mark.parametrize("attributes", [{}, {"fallom.kind": "event"}])
def test_a_span_keeps_the_id_that_it_was_sent_with(attributes: dict[str, str]) -> None:
    row = applied(export(span(attributes)), Format.OTLP_PROTOBUF, content="drop")

    assert row["span_id"] == decode(export(span(attributes)), Format.OTLP_PROTOBUF).decoded.rows["span_id"][0].as_py()
