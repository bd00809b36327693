"""Where an item of a dataset or of an evaluation comes from, as its metadata names it."""

from collections.abc import Mapping

# The names that are understood, the best first.
KEYS: dict[str, tuple[str, ...]] = {
    "trace_id": ("trace_id", "traceId"),
    "session_id": ("session_id", "sessionId", "fallom.session_id"),
    "customer_id": ("customer_id", "customerId", "fallom.customer_id"),
    "config_key": ("config_key", "configKey", "fallom.config_key"),
    "variant": ("variant", "variant_key", "variantKey"),
}


def named(metadata: Mapping[str, object]) -> dict[str, str]:
    """Return what the metadata names of each of ``KEYS``; what is no text, or empty, names nothing."""
    found = {column: _first_text(metadata, keys) for column, keys in KEYS.items()}
    return {column: text for column, text in found.items() if text}


def _first_text(metadata: Mapping[str, object], keys: tuple[str, ...]) -> str:
    texts = (metadata.get(key) for key in keys)
    return next((text for text in texts if isinstance(text, str) and text), "")
