"""Mastra: OTel's keys for calls to models; of other spans, input and output by the span's type."""

from schemas.dialects.dialect import Dialect, Source

# As `@mastra/core` names them, with those of earlier versions.
SPAN_TYPES = (
    "agent_run",
    "generic",
    "llm_chunk",
    "llm_generation",
    "mcp_tool_call",
    "model_chunk",
    "model_generation",
    "model_inference",
    "model_step",
    "processor_run",
    "tool_call",
    "workflow_conditional",
    "workflow_conditional_eval",
    "workflow_loop",
    "workflow_parallel",
    "workflow_run",
    "workflow_sleep",
    "workflow_step",
    "workflow_wait_event",
)

# A span is of one type: the order among them says nothing.
_RANK = 101

MASTRA = Dialect(
    "mastra",
    (
        *(
            Source(column, _RANK + place, f"mastra.{span_type}.{column}")
            for column in ("input", "output")
            for place, span_type in enumerate(SPAN_TYPES)
        ),
        Source("session_id", 100, "thread_id"),
        Source("operation", 80, "mastra.span.type"),
    ),
)
