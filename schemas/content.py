"""Content: what was said to a model and by it, wherever in a span or a log record it stands."""

import re

from schemas.dialects import DIALECTS, FAMILIES, READINGS, EventMessages, EventTime

# The columns that are content as a whole.
COLUMNS = ("input", "output", "tool_calls")
# The JSON columns in which content stands among other attributes.
JSON_COLUMNS = ("attributes", "events")

# Content that fills no column; the last groups are of libraries that have no dialect here.
_KEYS = {
    *(source.key for dialect in DIALECTS for source in dialect.sources if source.column in COLUMNS),
    *(
        reading.key
        for reading in READINGS
        if not isinstance(reading, EventTime | EventMessages) and reading.column in COLUMNS
    ),
    "fallom.raw.request",
    "fallom.raw.response",
    "gen_ai.embeddings.input",
    "gen_ai.evaluation.explanation",
    "gen_ai.event.content",
    "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "ai.prompt.format",
    "ai.prompt.tools",
    "ai.response.reasoning",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "ai.value",
    "ai.values",
    "llm.completions",
    "llm.prompt_template.template",
    "llm.prompt_template.variables",
    "llm.prompts",
    "rag.query",
    "reranker.query",
    "retrieval.documents",
    "tool.parameters",
    "tool_arguments",
    "tool_response",
    "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.tool_call_args",
    "gcp.vertex.agent.tool_response",
    "ai.response.files",
    "ai.toolCall.output",
    "langfuse.trace.input",
    "langfuse.trace.output",
    "mlflow.traceInputs",
    "mlflow.traceOutputs",
}
_PREFIXES = {
    *(family.prefix for family in FAMILIES if family.column in COLUMNS),
    "embedding.embeddings.",
    "llm.completions.",
    "llm.prompts.",
    "reranker.input_documents.",
    "reranker.output_documents.",
    "retrieval.documents.",
}
# What follows these is the client's own name of a variable.
_NAMED_PREFIXES = {"llm.prompt_template.variables."}
_SPREAD = re.compile(
    "|".join(
        (
            *(f"{re.escape(prefix)}(?:[0-9]|$)" for prefix in sorted(_PREFIXES)),
            *(re.escape(prefix) for prefix in sorted(_NAMED_PREFIXES)),
        )
    )
)
_EVENT = re.compile(
    r"gen_ai\.(?:(?:system|user|assistant|tool)\.message|choice|content\.(?:prompt|completion)|client\..*)"
)

_BODY = re.compile(r"gen_ai\..+")

# What the JSON text of attributes or events with content always matches, and little else: in the syntax of RE2.
HINT = '"(?:{})'.format(
    "|".join((*map(re.escape, sorted(_KEYS | _PREFIXES | _NAMED_PREFIXES)), _EVENT.pattern)),
)


def is_content_key(key: str) -> bool:
    """Return whether the attribute of this key is content."""
    return key in _KEYS or _SPREAD.match(key) is not None


def is_content_event(name: str) -> bool:
    """Return whether the attributes of an event of this name are content, all of them."""
    return _EVENT.fullmatch(name) is not None


def is_content_body(event_name: str) -> bool:
    """Return whether the body of a log record of this event is content, all of it."""
    return _BODY.fullmatch(event_name) is not None
