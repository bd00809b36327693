"""What is sent of spans: redacted, without content where capture is off, bounded, once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode
from sdk_server import FakeServer, Said, as_it_should

import fallom
from fallom import runtime, trace
from fallom.content import is_content_event, is_content_key
from fallom.context import PromptTag, SessionContext, peek_prompt_tag, set_prompt_tag, use_session
from fallom.exporter import FallomExporter
from fallom.tracing import capture_content, tracer
from schemas import content as server_content

pytestmark = pytest.mark.usefixtures("sdk")

SECRET = "the user's own words"


def call(**attributes: Any) -> None:
    with tracer().start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat", **attributes}) as span:
        span.add_event("gen_ai.user.message", {"content": SECRET})
        span.add_event("exception", {"exception.type": "ValueError", "exception.message": SECRET})
        span.set_attribute("gen_ai.input.messages", SECRET)
        span.set_attribute("llm.input_messages.0.message.content", SECRET)
        span.set_attribute("gen_ai.usage.input_tokens", 7)
        span.set_status(Status(StatusCode.ERROR, SECRET))


def sent(fake: FakeServer) -> Any:
    assert fallom.flush(30)
    (span,) = fake.spans()
    return span


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def bodies(fake: FakeServer) -> bytes:
    return b"".join(asked.body for asked in fake.of("/v1/traces"))


def test_with_capture_off_no_byte_of_content_is_sent(fake: FakeServer) -> None:
    fallom.init(api_key="key", base_url=fake.url, capture_content=False)
    assert not capture_content()
    call()
    span = sent(fake)
    assert SECRET.encode() not in bodies(fake)
    assert attributes(span)["gen_ai.usage.input_tokens"] == 7
    assert span.status.code == 2
    assert [event.name for event in span.events] == ["gen_ai.user.message", "exception"]


@pytest.mark.parametrize("said", ["false", "0", "NO", "flase"])
def test_the_environment_turns_capture_off_whatever_the_argument_says(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("FALLOM_CAPTURE_CONTENT", said)
    fallom.init(api_key="key", base_url=fake.url, capture_content=True)
    call()
    sent(fake)
    assert SECRET.encode() not in bodies(fake)


def test_with_capture_on_it_is_sent(fake: FakeServer) -> None:
    fallom.init(api_key="key", base_url=fake.url)
    call()
    assert attributes(sent(fake))["gen_ai.input.messages"] == SECRET


def test_what_the_server_takes_for_content_is_content_here() -> None:
    keys = [
        *server_content._KEYS,
        *(f"{prefix}0.x" for prefix in server_content._PREFIXES | server_content._NAMED_PREFIXES),
    ]
    assert [key for key in keys if not is_content_key(key)] == []
    assert is_content_event("gen_ai.choice")


def test_the_hook_sees_all_and_the_applications_span_stays_as_it_is(fake: FakeServer) -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def redact(key: str, value: Any) -> Any:
        if key == "llm.input_messages.0.message.content":
            return None
        return value.replace(SECRET, "[redacted]") if isinstance(value, str) else value

    fallom.init(api_key="key", base_url=fake.url, redact=redact, tracer_provider=provider)
    call()
    span = sent(fake)
    assert SECRET.encode() not in bodies(fake)
    assert attributes(span)["gen_ai.input.messages"] == "[redacted]"
    assert span.status.message == "[redacted]"
    (own,) = exporter.get_finished_spans()
    assert (own.attributes or {})["gen_ai.input.messages"] == SECRET


def test_where_the_hook_fails_nothing_is_sent_and_that_is_counted(fake: FakeServer) -> None:
    def redact(key: str, value: Any) -> Any:
        raise RuntimeError(SECRET)

    fallom.init(api_key="key", base_url=fake.url, redact=redact)
    call()
    assert fallom.flush(30)
    assert fake.of("/v1/traces") == []
    assert runtime.current().losses.as_dict() == {"spans: the redact or span_filter hook raised RuntimeError": 1}


def test_a_hook_that_returns_strange_things_sends_their_text(fake: FakeServer) -> None:
    fallom.init(api_key="key", base_url=fake.url, redact=lambda key, value: {"of": key})
    call()
    assert "gen_ai.usage" in str(attributes(sent(fake)))


def test_the_prompt_marks_one_call_and_not_the_agent_around_it(fake: FakeServer) -> None:
    fallom.init(api_key="key", base_url=fake.url)
    set_prompt_tag(PromptTag("greeting", 2))
    with tracer().start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        assert peek_prompt_tag() is not None
        call()
        call()
    assert fallom.flush(30)
    marked = [span.name for span in fake.spans() if "fallom.prompt_key" in attributes(span)]
    assert marked == ["chat"]


def test_metadata_and_tags_are_sent(fake: FakeServer) -> None:
    fallom.init(api_key="key", base_url=fake.url)
    trace.set_session("agent", "session-1", metadata={"plan": "pro"}, tags=["a"])
    call()
    found = attributes(sent(fake))
    assert json.loads(found["fallom.metadata"]) == {"plan": "pro"}
    assert [each.string_value for each in found["fallom.tags"].values] == ["a"]


def test_a_span_that_names_its_session_keeps_it(fake: FakeServer) -> None:
    fallom.init(api_key="key", base_url=fake.url)
    with use_session(SessionContext("agent", "of the context")):
        call(**{"fallom.session_id": "its own", "fallom.config_key": "its own"})
    found = attributes(sent(fake))
    assert (found["fallom.session_id"], found["fallom.config_key"]) == ("its own", "its own")


def test_init_again_sends_nothing_twice_and_loses_nothing(fake: FakeServer) -> None:
    for number in range(3):
        fallom.init(api_key="key", base_url=fake.url)
        call(number=number)
    assert fallom.shutdown(30)
    call(number=4)
    fake.wait_for(lambda: len(fake.spans()) >= 3)
    assert sorted(attributes(span)["number"] for span in fake.spans()) == [0, 1, 2]


def test_the_queue_is_bounded_in_bytes(fake: FakeServer) -> None:
    fake.answer = lambda asked: Said(503)
    fallom.init(api_key="key", base_url=fake.url)
    for number in range(100):
        call(**{"gen_ai.output.messages": f"{number}" + "x" * 2_000_000})
    assert runtime.current().losses.as_dict()["spans: the queue was full"] > 50


@pytest.fixture
def exporter(fake: FakeServer) -> Iterator[FallomExporter]:
    made = FallomExporter(api_key="key", base_url=fake.url, session={"config_key": "agent", "session_id": "session-1"})
    yield made
    made.shutdown()


def exported(exporter: FallomExporter, **given: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("framework").start_span("chat", attributes=given).end()


def test_the_exporter_gives_spans_without_a_session_its_own(fake: FakeServer, exporter: FallomExporter) -> None:
    exported(exporter)
    exported(exporter, **{"fallom.session_id": "another"})
    assert [attributes(span)["fallom.session_id"] for span in fake.spans()] == ["session-1", "another"]
    assert fake.asked[0].headers["authorization"] == "Bearer key"


def test_the_exporter_leaves_content_out_where_capture_is_off(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALLOM_CAPTURE_CONTENT", "false")
    exported(FallomExporter(api_key="key", base_url=fake.url), **{"gen_ai.prompt": SECRET, "kept": 1})
    assert SECRET.encode() not in bodies(fake)
    assert attributes(fake.spans()[0])["kept"] == 1


def test_the_exporter_tries_again_and_tells_of_failure(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fallom.exporter.backoff_s", lambda attempt: 0.0)
    answers = iter([Said(503), Said(200, None)])
    fake.answer = lambda asked: next(answers, None) or as_it_should(asked)
    exporter = FallomExporter(api_key="key", base_url=fake.url)
    exported(exporter)
    assert (len(fake.asked), len(fake.spans())) == (3, 3)
    fake.answer = lambda asked: Said(400)
    assert exporter.export([]) is SpanExportResult.SUCCESS
    exported(exporter)
    assert len(fake.asked) == 4


def test_an_exporter_without_a_key_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    exported(FallomExporter())
    assert "FALLOM_API_KEY" in caplog.text
