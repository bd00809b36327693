"""Fills the columns of spans that follow from others: operation, provider, totals, whether it is a leaf call."""

import pyarrow as pa
import pyarrow.compute as pc

from collector.processors.columns import with_columns

# Leaf calls to a model. Agents, chains and the wrappers around them repeat their children's usage.
INFERENCE_OPERATIONS = (
    "llm",
    "chat",
    "completion",
    "text_completion",
    "generate_content",
    "generation",
    "embedding",
    "embeddings",
    "rerank",
    "reranker",
)
INFERENCE_SUFFIXES = (".dogenerate", ".dostream", ".doembed")
# What a model's name says of who serves it, where nothing else does.
PROVIDER_PREFIXES = (
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "google"),
    ("models/gemini-", "google"),
    ("mistral-", "mistral"),
    ("command-", "cohere"),
    ("deepseek-", "deepseek"),
    ("grok-", "x-ai"),
)


def normalise(spans: pa.RecordBatch) -> pa.RecordBatch:
    """Return the spans with the derived columns filled where the client left them out."""
    model = pc.coalesce(spans["response_model"], spans["request_model"])
    operation = pc.coalesce(spans["operation"], pc.if_else(pc.is_valid(model), "llm", pa.scalar(None, pa.string())))
    return with_columns(
        spans,
        operation=operation,
        is_inference=_is_inference(operation),
        provider=pc.coalesce(spans["provider"], _provider_of(model)),
        total_tokens=pc.coalesce(spans["total_tokens"], _sum(spans["input_tokens"], spans["output_tokens"])),
        is_streaming=_is_streaming(spans, operation),
    )


def _is_inference(operation: pa.Array) -> pa.Array:
    lowered = pc.utf8_lower(operation)
    matches = pc.is_in(lowered, value_set=pa.array(INFERENCE_OPERATIONS))
    for suffix in INFERENCE_SUFFIXES:
        matches = pc.or_(matches, pc.fill_null(pc.ends_with(lowered, suffix), False))
    return matches


def _is_streaming(spans: pa.RecordBatch, operation: pa.Array) -> pa.Array:
    shown = pc.or_(
        pc.is_valid(spans["time_to_first_token_ns"]), pc.fill_null(pc.ends_with(operation, ".doStream"), False)
    )
    return pc.coalesce(spans["is_streaming"], pc.if_else(shown, True, pa.scalar(None, pa.bool_())))


def _provider_of(model: pa.Array) -> pa.Array:
    encoded = model.dictionary_encode()
    providers = [_provider_of_name(name) for name in encoded.dictionary.to_pylist()]
    return pa.array(providers, pa.string()).take(encoded.indices)


def _provider_of_name(model: str) -> str | None:
    return next((provider for prefix, provider in PROVIDER_PREFIXES if model.startswith(prefix)), None)


def _sum(left: pa.Array, right: pa.Array) -> pa.Array:
    known = pc.or_(pc.is_valid(left), pc.is_valid(right))
    total = pc.add(pc.fill_null(left, 0), pc.fill_null(right, 0))
    return pc.if_else(known, total, pa.scalar(None, pa.int64()))
