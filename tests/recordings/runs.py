"""Which instrumentor is run through which cases of which APIs; to add one, a line in RUNS."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recordings.cases import APIS, CASES, SYSTEM, TOOL_NAME, TOOL_RESULT
from recordings.environments import command
from recordings.provider import Journal, Served

RUN_S_MAX = 200
WARM_UP = "warm-up"

ERRORS = ("limited", "failed", "refused", "streamed_failed")
ONE_CALL = ("plain", "cached", "streamed", "tool", "streamed_tool", *ERRORS)
# OpenAI's chat completions tell a stream's usage on demand only.
CHAT = {"chat": (*ONE_CALL, "untold")}
RESPONSES = {"responses": ONE_CALL}
MESSAGES = {"messages": ONE_CALL}
GENERATE = {"generate": ONE_CALL}
# Frameworks call tools themselves: one of a tool without an answer is no case of theirs.
AGENT = ("plain", "cached", "streamed", "agent", *ERRORS)


@dataclass(frozen=True, slots=True)
class Run:
    """One instrumentor: the driver that calls a client, and what makes that client's spans."""

    name: str
    driver: str
    apis: Mapping[str, tuple[str, ...]]
    # ``module:class``; none for what traces itself.
    instrumentor: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calls(self) -> tuple[str, ...]:
        """All that it is run through, as ``<api>.<case>``."""
        return tuple(f"{api}.{case}" for api, cases in self.apis.items() for case in cases)


# Anthropic's client traces itself as soon as OpenTelemetry is there.
_ALONE = {"ANTHROPIC_OPEN_TELEMETRY": "false"}
_OWN_CONTENT = {"ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE": "content"}
_GENAI = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}
_LANGSMITH = {
    "LANGSMITH_TRACING": "true",
    "LANGSMITH_OTEL_ENABLED": "true",
    "LANGSMITH_OTEL_ONLY": "true",
    "LANGSMITH_API_KEY": "none",
    # Nothing is to leave this machine.
    "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",
}

RUNS = {
    run.name: run
    for run in (
        Run(
            "openllmetry-openai",
            "openai_client.py",
            {**CHAT, **RESPONSES},
            "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
        ),
        Run(
            "genai-openai",
            "openai_client.py",
            {**CHAT, **RESPONSES},
            "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
            _GENAI,
        ),
        Run(
            "openinference-openai",
            "openai_client.py",
            {**CHAT, **RESPONSES},
            "openinference.instrumentation.openai:OpenAIInstrumentor",
        ),
        Run(
            "anthropic",
            "anthropic_client.py",
            MESSAGES,
            environment=_OWN_CONTENT,
        ),
        Run(
            "openllmetry-anthropic",
            "anthropic_client.py",
            MESSAGES,
            "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
            _ALONE,
        ),
        # As it comes: the instrumentor's span lies around the client's own, which counts.
        Run(
            "anthropic-twice",
            "anthropic_client.py",
            MESSAGES,
            "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
            {**_GENAI, **_OWN_CONTENT},
        ),
        Run(
            "genai-anthropic",
            "anthropic_client.py",
            MESSAGES,
            "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
            {**_GENAI, **_ALONE},
        ),
        Run(
            "openinference-anthropic",
            "anthropic_client.py",
            MESSAGES,
            "openinference.instrumentation.anthropic:AnthropicInstrumentor",
            _ALONE,
        ),
        Run(
            "genai-google",
            "google_client.py",
            GENERATE,
            "opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor",
            _GENAI,
        ),
        Run(
            "openinference-google",
            "google_client.py",
            GENERATE,
            "openinference.instrumentation.google_genai:GoogleGenAIInstrumentor",
        ),
        Run(
            "openllmetry-langchain",
            "langchain_client.py",
            {"chat": (*ONE_CALL, "agent"), **RESPONSES, **MESSAGES},
            "opentelemetry.instrumentation.langchain:LangchainInstrumentor",
            _ALONE,
        ),
        Run(
            "genai-langchain",
            "langchain_client.py",
            {"chat": (*ONE_CALL, "agent"), **RESPONSES, **MESSAGES},
            "opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor",
            {**_GENAI, **_ALONE},
        ),
        Run(
            "openinference-langchain",
            "langchain_client.py",
            {"chat": (*ONE_CALL, "agent"), **RESPONSES, **MESSAGES},
            "openinference.instrumentation.langchain:LangChainInstrumentor",
            _ALONE,
        ),
        Run(
            "langsmith",
            "langchain_client.py",
            {"chat": (*ONE_CALL, "agent"), **RESPONSES, **MESSAGES},
            environment={**_LANGSMITH, **_ALONE},
        ),
        Run(
            "pydantic-ai",
            "pydantic_ai_client.py",
            {"chat": AGENT, "responses": AGENT, "messages": AGENT, "generate": AGENT},
            environment=_ALONE,
        ),
        *(
            Run(
                f"vercel-{version}",
                "vercel.mjs",
                {"chat": (*ONE_CALL, "agent"), **RESPONSES, "messages": (*ONE_CALL, "agent")},
                options={"version": version},
            )
            for version in (4, 5, 6, 7)
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of one call: its trace, what the client raised, and when the provider sent what."""

    trace_id: str
    error: str | None
    served: tuple[Served, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Recorded:
        served = tuple(Served(**served) for served in content["served"])
        return cls(content["trace_id"], content["error"], served)


def record(run: Run, provider_url: str, journal: Journal, otlp_url: str) -> dict[str, Recorded]:
    """Run all calls in the run's environment, exporting to the URL; return what came of each."""
    told = {
        "run": run.name,
        "otlp": otlp_url,
        "system": SYSTEM,
        "tool_name": TOOL_NAME,
        "tool_result": TOOL_RESULT,
        "instrumentor": run.instrumentor,
        "options": run.options,
        "calls": [
            # What is done for the first time takes longer: not a call whose time counts.
            *(_call(f"{api}.streamed", f"{provider_url}/{WARM_UP}") | {"name": f"{WARM_UP} {api}"} for api in run.apis),
            *(_call(call, f"{provider_url}/{run.name}") for call in run.calls),
        ],
    }
    done = subprocess.run(
        command(run.driver),
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        env={"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", **run.environment},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcomes = json.loads(done.stdout.splitlines()[-1])
    served = journal.of(run.name)
    return {call: Recorded(**outcomes[call], served=tuple(served.get(call, ()))) for call in run.calls}


def _call(name: str, url: str) -> dict[str, Any]:
    api, case = name.split(".")
    asked = CASES[case]
    return {
        "name": name,
        "api": api,
        "case": case,
        "url": f"{url}/{name}",
        "model": APIS[api].request_model,
        "prompt": asked.prompt,
        "streamed": asked.streamed,
        "tool": asked.tool,
        "usage_told": asked.usage_told,
    }
