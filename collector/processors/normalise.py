"""Fills the columns of spans that follow from others: operation, provider, streaming, whether it is a leaf call.

The rules: what the client reported stays. A span that names a model and no operation is an ``llm`` call. Leaf calls are
the operations of INFERENCE_OPERATIONS, whatever their case, and those that end like Vercel's leaf spans. A provider is
told from the address that was called, else from the model's name (the one that answered, else the one that was asked
for). A time to the first token, or a ``.doStream`` span, shows a stream; nothing shows that there was none.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.processors.columns import Booleans, Coded, validity, with_columns
from collector.processors.provider import inferred

# Leaf calls to a model. Agents, chains and the wrappers around them repeat their children's usage.
INFERENCE_OPERATIONS = frozenset(
    (
        "llm",
        "chat",
        "chat_model",
        "completion",
        "text_completion",
        "generate_content",
        "generation",
        # Mastra's; its steps, chunks and inferences are parts of it.
        "llm_generation",
        "model_generation",
        "embedding",
        "embeddings",
        "rerank",
        "reranker",
        # Mastra's, which passes on none of its model's steps as one of these.
        "llm_generation",
        "model_generation",
        "tool_selection",
    )
)
INFERENCE_SUFFIXES = (".dogenerate", ".dostream", ".doembed", ".dorerank")
_STREAM_SUFFIX = ".doStream"


def normalise(spans: pa.RecordBatch) -> pa.RecordBatch:
    """Return the spans with the derived columns filled where the client left them out."""
    if spans.num_rows == 0:
        return spans
    has_model = validity(spans["response_model"]) | validity(spans["request_model"])
    reported = spans["operation"]
    operation = Coded.of(reported)
    unnamed = has_model & ~validity(reported)
    if unnamed.any():
        operation = operation.filled(unnamed, "llm")
    filled = {
        "operation": operation.take(operation.texts) if unnamed.any() else None,
        "is_inference": pa.array(operation.flags([_is_inference(text) for text in operation.texts])),
        "provider": _provider(spans, has_model),
        "is_streaming": _is_streaming(spans, operation),
    }
    return with_columns(spans, **{name: values for name, values in filled.items() if values is not None})


def _is_inference(operation: str | None) -> bool:
    lowered = operation.lower() if operation else ""
    return lowered in INFERENCE_OPERATIONS or lowered.endswith(INFERENCE_SUFFIXES)


def _provider(spans: pa.RecordBatch, has_model: Booleans) -> pa.Array | None:
    provider = spans["provider"]
    rows = np.flatnonzero(has_model & ~validity(provider))
    if not len(rows):
        return None
    providers = inferred(spans, rows)
    if not any(providers):
        return None
    found = np.full(spans.num_rows, None, object)
    found[rows] = providers
    return _else(provider, pa.array(found, pa.string()))


def _is_streaming(spans: pa.RecordBatch, operation: Coded) -> pa.Array | None:
    reported = spans["is_streaming"]
    if not reported.null_count:
        return None
    shown = operation.flags([text is not None and text.endswith(_STREAM_SUFFIX) for text in operation.texts])
    shown |= validity(spans["time_to_first_token_ns"])
    return _else(reported, pa.array(shown, mask=~shown)) if shown.any() else None


def _else(reported: pa.Array, found: pa.Array) -> pa.Array:
    return found if reported.null_count == len(reported) else pc.coalesce(reported, found)
