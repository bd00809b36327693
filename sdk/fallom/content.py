"""Content: what was said to a model and by it, in the attributes and events of whatever library.

With capture off, instrumentation is told to leave it out; this is the second net, for those that don't listen.
"""

from __future__ import annotations

import re
from functools import lru_cache

_KEYS = frozenset(
    {
        "ai.prompt",
        "ai.prompt.format",
        "ai.prompt.messages",
        "ai.prompt.tools",
        "ai.response.files",
        "ai.response.object",
        "ai.response.reasoning",
        "ai.response.text",
        "ai.response.toolCalls",
        "ai.result.object",
        "ai.result.text",
        "ai.result.toolCalls",
        "ai.toolCall.args",
        "ai.toolCall.output",
        "ai.toolCall.result",
        "ai.value",
        "ai.values",
        "all_messages_events",
        "events",
        "fallom.raw.request",
        "fallom.raw.response",
        "final_result",
        "gcp.vertex.agent.llm_request",
        "gcp.vertex.agent.llm_response",
        "gcp.vertex.agent.tool_call_args",
        "gcp.vertex.agent.tool_response",
        "gen_ai.completion",
        "gen_ai.content.completion",
        "gen_ai.content.prompt",
        "gen_ai.embeddings.input",
        "gen_ai.evaluation.explanation",
        "gen_ai.event.content",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt",
        "gen_ai.request.instructions",
        "gen_ai.response.text",
        "gen_ai.retrieval.documents",
        "gen_ai.retrieval.query.text",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.tool.definitions",
        "input",
        "input.value",
        "input_data",
        "langfuse.observation.input",
        "langfuse.observation.output",
        "langfuse.trace.input",
        "langfuse.trace.output",
        "llm.completions",
        "llm.prompt_template.template",
        "llm.prompt_template.variables",
        "llm.prompts",
        "llm.tools",
        "lmnr.span.input",
        "lmnr.span.output",
        "mlflow.spanInputs",
        "mlflow.spanOutputs",
        "mlflow.traceInputs",
        "mlflow.traceOutputs",
        "model_request_parameters",
        "output",
        "output.value",
        "pydantic_ai.all_messages",
        "rag.query",
        "request_data",
        "reranker.query",
        "response_data",
        "retrieval.documents",
        "tool.parameters",
        "tool_arguments",
        "tool_response",
        "traceloop.entity.input",
        "traceloop.entity.output",
    }
)
_PREFIXES = (
    "embedding.embeddings.",
    "gen_ai.completion.",
    "gen_ai.prompt.",
    "gen_ai.input.messages.",
    "gen_ai.output.messages.",
    "llm.completions.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompt_template.variables.",
    "llm.prompts.",
    "llm.request.functions.",
    "llm.tools.",
    "reranker.input_documents.",
    "reranker.output_documents.",
    "retrieval.documents.",
)
_SPELT = re.compile(r"mastra\.[a-z_]+\.(?:input|output)")
_EVENT = re.compile(
    r"gen_ai\.(?:(?:system|user|assistant|tool)\.message|choice|content\.(?:prompt|completion)|client\..*)"
)


@lru_cache(4096)
def is_content_key(key: str) -> bool:
    """Return whether the attribute of this key is content.

    >>> is_content_key("gen_ai.input.messages"), is_content_key("gen_ai.usage.input_tokens")
    (True, False)
    """
    return key in _KEYS or key.startswith(_PREFIXES) or _SPELT.fullmatch(key) is not None


def is_content_event(name: str) -> bool:
    """Return whether the attributes of an event of this name are content, all of them."""
    return _EVENT.fullmatch(name) is not None
