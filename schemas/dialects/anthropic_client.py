"""Anthropic's own client, which traces itself: OTel's keys, and one of its own."""

from schemas.dialects.dialect import Dialect, Source

ANTHROPIC_CLIENT = Dialect(
    "anthropic_client",
    (Source("finish_reason", 50, "anthropic.message.stop_reason"),),
)
