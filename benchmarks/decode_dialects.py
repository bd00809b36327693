"""What it costs to understand a dialect: spans of its attributes beside the same spans with keys that nobody knows.

    python benchmarks/decode_dialects.py             spans of about 1.4 KB, 512 a request
    python benchmarks/decode_dialects.py --json

- `unknown`: the same attributes and events under other names, of the same lengths: nothing is promoted.
- `known`: as the library sends them; `adds` is the difference: what promotion, and reading further, take.
- `normalise`, `tokens`: the processors that fill what follows from the columns, on the known ones.

The two are decoded in turn; the best of several rounds counts. CPU time of this thread, µs a span.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from rich.console import Console
from rich.table import Table
from spans import text

# How a request is received is the tests'.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from otlp_decoder.inputs import received

from collector.otlp.wire import decode
from collector.processors.normalise import normalise
from collector.processors.tokens import split_tokens

BATCH = 512
REQUESTS = 8
ROUNDS = 25
CONTENT_BYTES = 800

Attributes = dict[str, str | int | float | bool]
Events = list[tuple[str, Attributes]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What spans of one dialect cost, µs a span."""

    dialect: str
    span_bytes: int
    unknown: float
    known: float
    adds: float
    normalise: float
    tokens: float


def main() -> None:
    """Measure each dialect, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = [measure(name, make, arguments.rounds) for name, make in DIALECTS.items()]
    if arguments.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
        return
    table = Table("dialect", "bytes", "unknown", "known", "adds", "normalise", "tokens")
    for each in found:
        figures = (each.unknown, each.known, each.adds, each.normalise, each.tokens)
        table.add_row(each.dialect, str(each.span_bytes), *(f"{figure:.2f}" for figure in figures))
    Console().print(table)


def measure(dialect: str, make: Callable[[random.Random], tuple[Attributes, Events]], rounds: int) -> Measured:
    """Decode the same spans under both names, in turn."""
    known, unknown = ([_request(make, seed, is_known) for seed in range(REQUESTS)] for is_known in (True, False))
    rows = _decoded(known)
    steps: dict[str, Callable[[], object]] = {
        "unknown": lambda: _decoded(unknown),
        "known": lambda: _decoded(known),
        "normalise": lambda: normalise(rows),
        "tokens": lambda: split_tokens(rows),
    }
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.thread_time()
            step()
            best[name] = min(best[name], time.thread_time() - began)
    spans = BATCH * REQUESTS
    costs = {name: seconds / spans * 1e6 for name, seconds in best.items()}
    size = round(sum(map(len, known)) / spans)
    return Measured(dialect, size, adds=costs["known"] - costs["unknown"], **costs)


def _decoded(bodies: list[bytes]) -> pa.RecordBatch:
    return decode([received(body) for body in bodies]).rows


def _request(make: Callable[[random.Random], tuple[Attributes, Events]], seed: int, is_known: bool) -> bytes:
    source = random.Random(seed)
    export = ExportTraceServiceRequest()
    resource_spans = export.resource_spans.add()
    _put(resource_spans.resource.attributes.add(), "service.name", "benchmark")
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "ai"
    for _ in range(BATCH):
        attributes, events = make(source)
        span = scope_spans.spans.add(trace_id=source.randbytes(16), span_id=source.randbytes(8), name="chat")
        span.start_time_unix_nano = START_UNIX_NANO
        span.end_time_unix_nano = START_UNIX_NANO + 2 * 10**9
        for key, value in attributes.items():
            _put(span.attributes.add(), key if is_known else _other(key), value)
        for name, own in events:
            event = span.events.add(name=name if is_known else _other(name), time_unix_nano=START_UNIX_NANO + 1)
            for key, value in own.items():
                _put(event.attributes.add(), key, value)
    return export.SerializeToString()


def _other(key: str) -> str:
    return f"_{key[1:]}"


def _put(pair: KeyValue, key: str, value: str | float | bool) -> None:
    pair.key = key
    kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
    setattr(pair.value, kind, value)


START_UNIX_NANO = 1_795_262_400_000_000_000


def _messages(source: random.Random, role: str, size: int = CONTENT_BYTES // 2) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text(size, source)}]}])


def _call(source: random.Random) -> Attributes:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{source.randbytes(12).hex()}",
        "gen_ai.request.temperature": 0.7,
        "gen_ai.usage.input_tokens": source.randrange(100, 8_000),
        "gen_ai.usage.output_tokens": source.randrange(100, 8_000),
        "session.id": f"session-{source.randrange(10**6)}",
    }


def _otel(source: random.Random) -> tuple[Attributes, Events]:
    return _call(source) | {
        "gen_ai.input.messages": _messages(source, "user"),
        "gen_ai.output.messages": _messages(source, "assistant"),
    }, []


def _cached(source: random.Random) -> tuple[Attributes, Events]:
    attributes, events = _otel(source)
    return attributes | {
        "gen_ai.usage.cache_read.input_tokens": source.randrange(1, 100),
        "gen_ai.usage.reasoning.output_tokens": source.randrange(1, 100),
    }, events


def _instructions(source: random.Random) -> tuple[Attributes, Events]:
    attributes, events = _otel(source)
    instructions = json.dumps([{"type": "text", "content": "You are a helpful assistant. Answer in one sentence."}])
    return attributes | {"gen_ai.system_instructions": instructions}, events


def _events(source: random.Random) -> tuple[Attributes, Events]:
    said = {"gen_ai.event.content": json.dumps({"role": "user", "content": text(CONTENT_BYTES // 2, source)})}
    chosen = {"content": text(CONTENT_BYTES // 2, source), "role": "assistant"}
    answered = {"index": 0, "finish_reason": "stop", "message": json.dumps(chosen)}
    return _call(source), [("gen_ai.user.message", said), ("gen_ai.choice", answered)]


def _openllmetry(source: random.Random) -> tuple[Attributes, Events]:
    return _call(source) | {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "You are a helpful assistant.",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": text(CONTENT_BYTES // 2, source),
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.finish_reason": "stop",
        "gen_ai.completion.0.content": text(CONTENT_BYTES // 2, source),
        "llm.usage.total_tokens": source.randrange(200, 16_000),
    }, []


def _openinference(source: random.Random) -> tuple[Attributes, Events]:
    return {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "llm.model_name": "gpt-4o-2024-08-06",
        "llm.invocation_parameters": json.dumps({"model": "gpt-4o", "temperature": 0.7, "max_tokens": 500}),
        "llm.token_count.prompt": source.randrange(100, 8_000),
        "llm.token_count.completion": source.randrange(100, 8_000),
        "llm.token_count.total": source.randrange(200, 16_000),
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": text(CONTENT_BYTES // 2, source),
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": text(CONTENT_BYTES // 2, source),
        "session.id": f"session-{source.randrange(10**6)}",
    }, []


def _vercel(source: random.Random) -> tuple[Attributes, Events]:
    of_provider = {"openai": {"responseId": source.randbytes(12).hex(), "cachedPromptTokens": 64, "reasoningTokens": 0}}
    return {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.provider": "openai.chat",
        "ai.model.id": "gpt-4o",
        "ai.response.model": "gpt-4o-2024-08-06",
        "ai.response.finishReason": "stop",
        "ai.response.text": text(CONTENT_BYTES // 2, source),
        "ai.prompt.messages": _messages(source, "user"),
        "ai.response.providerMetadata": json.dumps(of_provider),
        "ai.usage.promptTokens": source.randrange(100, 8_000),
        "ai.usage.completionTokens": source.randrange(100, 8_000),
        "ai.telemetry.metadata.sessionId": f"session-{source.randrange(10**6)}",
    }, []


def _langfuse(source: random.Random) -> tuple[Attributes, Events]:
    usage = {"input": source.randrange(1, 8_000), "output": source.randrange(1, 8_000), "input_cached_tokens": 64}
    cost = {"input": source.randrange(1, 10_000) * 2.5e-6, "output": source.randrange(1, 10_000) * 1e-5}
    return {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "gpt-4o-2024-08-06",
        "langfuse.observation.model.parameters": json.dumps({"temperature": 0.7}),
        "langfuse.observation.input": _messages(source, "user"),
        "langfuse.observation.output": text(CONTENT_BYTES // 2, source),
        "langfuse.observation.usage_details": json.dumps(usage),
        "langfuse.observation.cost_details": json.dumps(cost),
        "langfuse.observation.completion_start_time": '"2026-11-21T12:00:00.500000Z"',
        "langfuse.session.id": f"session-{source.randrange(10**6)}",
        "langfuse.user.id": f"customer-{source.randrange(10**5)}",
    }, []


def _mlflow(source: random.Random) -> tuple[Attributes, Events]:
    given, answered = source.randrange(1, 8_000), source.randrange(1, 8_000)
    usage = {"input_tokens": given, "output_tokens": answered, "total_tokens": given + answered}
    return {
        "mlflow.spanType": '"CHAT_MODEL"',
        "mlflow.llm.model": '"gpt-4o"',
        "mlflow.llm.provider": '"openai"',
        "mlflow.chat.tokenUsage": json.dumps(usage),
        "mlflow.spanInputs": json.dumps({"messages": [{"role": "user", "content": text(CONTENT_BYTES // 2, source)}]}),
        "mlflow.spanOutputs": json.dumps({"content": text(CONTENT_BYTES // 2, source)}),
        "mlflow.traceRequestId": json.dumps(f"tr-{source.randbytes(16).hex()}"),
        "mlflow.spanFunctionName": '"chat"',
    }, []


def _langsmith(source: random.Random) -> tuple[Attributes, Events]:
    return {
        **_call(source),
        "langsmith.span.kind": "llm",
        "gen_ai.prompt": _messages(source, "user"),
        "gen_ai.completion": _messages(source, "assistant"),
        "gen_ai.usage.input_token_details": json.dumps({"cache_read": source.randrange(1, 100)}),
        "gen_ai.usage.output_token_details": json.dumps({"reasoning": source.randrange(1, 100)}),
    }, []


DIALECTS: dict[str, Callable[[random.Random], tuple[Attributes, Events]]] = {
    "OTel GenAI": _otel,
    "  with cache and reasoning": _cached,
    "  with system instructions": _instructions,
    "  with messages as events": _events,
    "OpenLLMetry": _openllmetry,
    "OpenInference": _openinference,
    "Vercel AI SDK 5": _vercel,
    "Langfuse": _langfuse,
    "MLflow": _mlflow,
    "LangSmith": _langsmith,
}

if __name__ == "__main__":
    main()
