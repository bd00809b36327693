"""Fallom's clients: span attributes, and the X-Fallom-* headers that hold for every span of a request."""

from schemas.dialects.dialect import Dialect, Source

# Bodies as the clients' providers said them, which ``collector.fallom.raw`` reads: where no attribute tells a column.
RAW_BODIES = tuple(f"fallom.raw.{name}" for name in ("request", "response", "usage", "timings", "providerMetadata"))

# Of a flat trace that was forwarded as OTLP: the session's tags, a list of texts.
TAGS = "fallom.tags"

FALLOM = Dialect(
    "fallom",
    (
        Source("config_key", 10, "fallom.config_key"),
        Source("config_key", 20, "x-fallom-config-key"),
        Source("session_id", 10, "fallom.session_id"),
        Source("session_id", 20, "x-fallom-session-id"),
        Source("customer_id", 10, "fallom.customer_id"),
        Source("customer_id", 20, "x-fallom-customer-id"),
        Source("prompt_key", 10, "fallom.prompt_key"),
        Source("prompt_key", 20, "x-fallom-prompt-key"),
        Source("prompt_version", 10, "fallom.prompt_version"),
        Source("prompt_version", 20, "x-fallom-prompt-version"),
        Source("prompt_ab_test_key", 10, "fallom.prompt_ab_test"),
        Source("prompt_ab_test_key", 20, "x-fallom-prompt-ab-test"),
        Source("prompt_variant_index", 10, "fallom.prompt_variant"),
        Source("prompt_variant_index", 20, "x-fallom-prompt-variant"),
        Source("operation", 10, "fallom.kind"),
        Source("provider", 80, "fallom.provider"),
        Source("is_streaming", 30, "fallom.is_streaming"),
        Source("time_to_first_token_ns", 10, "fallom.time_to_first_token_ms", scale=1e6),
        Source("metadata", 10, "fallom.metadata"),
    ),
)
