"""A support agent without a Fallom client: a plain OpenTelemetry SDK over OTLP/gRPC, and three calls over HTTP.

It assigns the model itself, from the config it fetched, and writes its spans by hand in OpenTelemetry's semantic
conventions for generative AI, with the two attributes that tie a span to an experiment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from openai import APIStatusError, OpenAI
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Tracer
from sessions import (
    CONFIG_KEY,
    DELIVERY_SECONDS_MAX,
    Conversation,
    Options,
    Played,
    account,
    play,
    read_options,
    report,
)

from fallom.assignment import assign

APP = "opentelemetry"
SYSTEM_PROMPT = "You are a support agent. Answer in one sentence."


@dataclass(frozen=True, slots=True)
class Agent:
    """What a session needs: all of it may be used by many threads."""

    options: Options
    config: Mapping[str, Any]
    http: httpx.Client
    openai: OpenAI
    tracer: Tracer

    def post(self, url: str, body: Mapping[str, Any]) -> None:
        """Send one exposure or metric; unlike the published clients, fail where the server does not take it."""
        self.http.post(url, json=body).raise_for_status()


def main() -> None:
    """Play the sessions, wait until all is delivered, report."""
    options = read_options(APP)
    provider = tracer_provider(options)
    with httpx.Client(headers={"Authorization": f"Bearer {options.api_key}"}, timeout=10) as http:
        agent = Agent(
            options=options,
            config=fetch_config(http, options.configs_url),
            http=http,
            openai=OpenAI(base_url=f"{options.provider_url}/v1", api_key="none", max_retries=0),
            tracer=provider.get_tracer("examples.demo"),
        )
        sums = play(APP, options, lambda conversation: play_one(agent, conversation))
    if not provider.force_flush(int(DELIVERY_SECONDS_MAX * 1000)):
        raise SystemExit(f"{APP}: the spans were not delivered within {DELIVERY_SECONDS_MAX:.0f} s")
    provider.shutdown()
    report(APP, sums)


def tracer_provider(options: Options) -> TracerProvider:
    """Return a provider that sends batches to the server's gRPC port."""
    provider = TracerProvider(resource=Resource.create({"service.name": f"demo-{APP}"}))
    exporter = OTLPSpanExporter(
        endpoint=options.grpc, insecure=True, headers={"authorization": f"Bearer {options.api_key}"}
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def fetch_config(http: httpx.Client, configs_url: str) -> Mapping[str, Any]:
    """Return the latest version of the demo's config."""
    configs = http.get(f"{configs_url}/configs").raise_for_status().json()["configs"]
    return next(config for config in configs if config["key"] == CONFIG_KEY)


def play_one(agent: Agent, conversation: Conversation) -> Played:
    """Answer one customer's questions, streaming every second answer, and record how content they were."""
    session_id = conversation.session_id
    model = assign(agent.config, session_id, customer_id=conversation.customer_id).model
    session = {"config_key": CONFIG_KEY, "session_id": session_id}
    exposure = {**session, "config_version": agent.config["version"], "assigned_model": model}
    agent.post(f"{agent.options.configs_url}/sessions", exposure)
    with agent.tracer.start_as_current_span("support session", attributes=identity(conversation)):
        usages = [
            answer(agent, model, conversation, question, stream=turn % 2 == 1)
            for turn, question in enumerate(conversation.questions)
        ]
    played = account(model, conversation, usages)
    agent.post(f"{agent.options.traces_url}/spans", {**session, "data": played.metrics})
    return played


def identity(conversation: Conversation) -> dict[str, str]:
    """Return the attributes that tie a span to the experiment, its session and its customer."""
    return {
        "fallom.config_key": CONFIG_KEY,
        "fallom.session_id": conversation.session_id,
        "fallom.customer_id": conversation.customer_id,
    }


def answer(agent: Agent, model: str, conversation: Conversation, question: str, *, stream: bool) -> Any:
    """Return the usage of one answer, or None where the provider failed."""
    messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": question}]
    attributes: dict[str, Any] = {
        **identity(conversation),
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.request.stream": stream,
        "gen_ai.input.messages": json.dumps([as_parts(message) for message in messages]),
    }
    try:
        # A failed call leaves this block by its exception, which marks the span as failed and is recorded in it.
        with agent.tracer.start_as_current_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=attributes) as span:
            try:
                return (stream_answer if stream else plain_answer)(agent.openai, model, messages, span)
            except APIStatusError as error:
                span.set_attribute("error.type", str(error.status_code))
                raise
    except APIStatusError:
        return None


def plain_answer(client: OpenAI, model: str, messages: list[Any], span: Span) -> Any:
    """Return the usage of an answer that comes at once."""
    completion = client.chat.completions.create(model=model, messages=messages)
    record(span, completion, completion.choices[0].message.content)
    return completion.usage


def stream_answer(client: OpenAI, model: str, messages: list[Any], span: Span) -> Any:
    """Return the usage of a streamed answer, and record when its first chunk came."""
    started = time.perf_counter()
    chunks = client.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}
    )
    text = ""
    for chunk in chunks:
        if not text:
            span.set_attribute("gen_ai.response.time_to_first_chunk", time.perf_counter() - started)
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    record(span, chunk, text)
    return chunk.usage


def record(span: Span, response: Any, text: str | None) -> None:
    """Set what the response tells: a completion, or the last chunk of a stream."""
    usage = response.usage
    output = [{"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": "stop"}]
    span.set_attributes(
        {
            "gen_ai.response.model": response.model,
            "gen_ai.response.id": response.id,
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.prompt_tokens_details.cached_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.completion_tokens_details.reasoning_tokens,
            "gen_ai.output.messages": json.dumps(output),
        }
    )


def as_parts(message: Mapping[str, str]) -> dict[str, Any]:
    """Return a chat message in the form that the conventions ask for."""
    return {"role": message["role"], "parts": [{"type": "text", "content": message["content"]}]}


if __name__ == "__main__":
    main()
