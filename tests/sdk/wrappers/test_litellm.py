"""session.wrap_litellm: the module, or a router, and a span of each call."""

from __future__ import annotations

import asyncio
import os
import types
from typing import Any

import pytest
from recordings.cases import APIS, CASES
from sdk.providers.provider import FakeProvider
from sdk.wrappers.conftest import Spans

import fallom

# Else its import waits for a list of prices on the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
litellm: Any = pytest.importorskip("litellm")

MODEL = f"openai/{APIS['chat'].request_model}"
MESSAGES = [{"role": "user", "content": "Where is Oslo?"}]
TEXT = CASES["cached"].turns[0].text
USAGE = CASES["cached"].turns[0].usage


@pytest.fixture
def wrapped(session: fallom.Session) -> Any:
    return session.wrap_litellm(litellm)


def to(provider: FakeProvider, case: str = "cached") -> dict[str, Any]:
    return {"api_base": f"{provider.url}/{case}", "api_key": "k", "max_retries": 0}


def tokens(span: Any) -> tuple[Any, ...]:
    names = ("input_tokens", "output_tokens", "cache_read.input_tokens", "reasoning.output_tokens")
    return tuple(span.attributes.get(f"gen_ai.usage.{name}") for name in names)


ALL_TOKENS = (USAGE.input, USAGE.output, USAGE.cache_read, USAGE.reasoning)


def test_a_completion_is_traced_and_the_module_stays_as_it_was(
    wrapped: Any, provider: FakeProvider, spans: Spans
) -> None:
    assert isinstance(wrapped, types.ModuleType)
    litellm.completion(model=MODEL, messages=MESSAGES, **to(provider))
    assert spans.all() == []
    answer = wrapped.completion(MODEL, MESSAGES, **to(provider))
    assert isinstance(answer, litellm.ModelResponse)
    assert answer.choices[0].message.content == TEXT
    assert spans.attributes["gen_ai.request.model"] == MODEL
    assert spans.attributes["gen_ai.provider.name"] == "openai"
    assert spans.attributes["fallom.session_id"] == "session-1"
    assert tokens(spans.one) == ALL_TOKENS


def test_a_stream_is_the_librarys_and_tells_its_tokens(wrapped: Any, provider: FakeProvider, spans: Spans) -> None:
    stream = wrapped.completion(model=MODEL, messages=MESSAGES, stream=True, **to(provider))
    assert isinstance(stream, litellm.CustomStreamWrapper)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert tokens(spans.one) == ALL_TOKENS
    assert spans.attributes["gen_ai.response.time_to_first_chunk"] > 0


def test_a_server_that_knows_no_stream_options_is_asked_as_the_host_asked(
    wrapped: Any, provider: FakeProvider, spans: Spans
) -> None:
    stream = wrapped.completion(model=MODEL, messages=MESSAGES, stream=True, **to(provider, "strict"))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == TEXT
    assert ["stream_options" in body for body in provider.bodies()] == [True, False]


def test_async_calls_embeddings_and_errors_are_traced(wrapped: Any, provider: FakeProvider, spans: Spans) -> None:
    async def calls() -> None:
        answer = await wrapped.acompletion(model=MODEL, messages=MESSAGES, **to(provider))
        assert answer.choices[0].message.content == TEXT
        stream = await wrapped.acompletion(model=MODEL, messages=MESSAGES, stream=True, **to(provider))
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT
        await wrapped.aembedding(model="openai/embedder", input=["Oslo"], **to(provider))
        with pytest.raises(litellm.RateLimitError):
            await wrapped.acompletion(model=MODEL, messages=MESSAGES, **to(provider, "limited"))

    asyncio.run(calls())
    whole, streamed, embedding, failed = spans.all()
    assert [tokens(span) for span in (whole, streamed)] == [ALL_TOKENS] * 2
    assert (embedding.attributes or {})["gen_ai.operation.name"] == "embeddings"
    assert (failed.attributes or {})["error.type"] == "RateLimitError"


def test_what_is_set_of_the_module_is_set(wrapped: Any) -> None:
    before = litellm.drop_params
    wrapped.drop_params = not before
    assert litellm.drop_params is not before
    wrapped.drop_params = before


def test_a_router_is_traced_in_a_copy(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    router = litellm.Router([{"model_name": "mine", "litellm_params": {"model": MODEL, **to(provider)}}])
    router.completion(model="mine", messages=MESSAGES)
    assert spans.all() == []
    wrapped = session.wrap_litellm(router)
    assert isinstance(wrapped, litellm.Router)
    assert wrapped.completion(model="mine", messages=MESSAGES).choices[0].message.content == TEXT
    assert tokens(spans.one) == ALL_TOKENS
